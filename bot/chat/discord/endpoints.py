"""Where Discord is: its own addresses, or the REST and gateway proxies of an operator."""

from __future__ import annotations

import re

from discord.http import INTERNAL_API_VERSION, Route
from yarl import URL

from bot.chat.discord.rest import read_kindly
from bot.params import DiscordParams
from infra.errors import UserError

_API_PATH = re.compile(r"/api(?:/v(?P<version>\d+))?$")


class EndpointError(UserError):
    """An address of a proxy that cannot be one."""


def api_base(url: str) -> str:
    """`https://host`, `https://host/api` or `https://host/api/v10` as discord.py wants it: the last.

    Raises EndpointError for another version of the API.
    """
    base = url.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0].rstrip("/")
    match = _API_PATH.search(base)
    if match is None:
        return f"{base}/api/v{INTERNAL_API_VERSION}"
    if match["version"] not in (None, str(INTERNAL_API_VERSION)):
        raise EndpointError(
            f"discord.api_url {url}: version {match['version']} of the API is not spoken here, "
            f"only v{INTERNAL_API_VERSION}"
        )
    return base if match["version"] else f"{base}/v{INTERNAL_API_VERSION}"


def use_api(url: str | None) -> None:
    """Send all REST calls of this process to `url`; None leaves them with Discord. To be called before login."""
    if url is not None:
        Route.BASE = api_base(url)
        read_kindly()


def hosts_of(params: DiscordParams) -> tuple[str, ...]:
    """The operator's hosts that stand in for Discord, and may serve its files too."""
    urls = (params.api_url, params.gateway_url)
    return tuple({host for url in urls if url and (host := URL(url).host)})


def gateway_address(url: str | None) -> URL | None:
    """The gateway proxy's address, for first connections and resumes alike; None for Discord's own choice."""
    return None if url is None else URL(url)
