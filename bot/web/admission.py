"""Who is let in: by name, from where, with a key or as a page's own request, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from bot.params import WebParams
from bot.web.clients import Proxies, host_name, is_address, is_forwarded, is_loopback, neighbourhood
from bot.web.keys import Keys
from bot.web.limits import Buckets
from bot.web.problems import KeyNeeded, Misdirected, NotOpen, TooManyRequests
from infra.errors import UserError

API = "/api/"
COSTLY = ("/api/v1/check", "/api/v1/look")  # a picture each: a second of a core
_FOR_ALL = ("/healthz", "/docs", "/openapi.json", "/static/")  # also where the pages are only for those with a key


class NobodyServed(UserError):  # noqa: N818 – says what is so
    """The settings let nobody in."""


@dataclass(frozen=True)
class Admitted:
    """asker: whom the queue counts this for, a key's name or an address. address, scheme: of the client behind proxies.
    headers: that the answer has besides.
    """

    asker: str
    address: str
    scheme: str
    headers: Mapping[str, str]


class Admission:
    """Raises KeysError, NobodyServed."""

    def __init__(self, params: WebParams) -> None:
        self._params = params
        self._proxies = Proxies(params.proxies)
        self._keys = Keys(Path(params.keys_file).expanduser() if params.keys_file else None)
        if not params.public_page and params.keys_file is None:
            raise NobodyServed("web.public_page is false and web.keys_file names no file: nobody could be let in")
        limits = params.limits
        self._of_keys = {True: Buckets("checks", limits.key_checks), False: Buckets("reads", limits.key_reads)}
        self._of_addresses = {
            True: Buckets("checks", limits.address_checks), False: Buckets("reads", limits.address_reads),
        }  # fmt: skip

    @property
    def rules(self) -> str:
        """What holds, for the log: one line."""
        params, limits = self._params, self._params.limits
        if not params.is_open:
            return "only this machine may ask, without keys and limits"
        programs = f"programs need one of {len(self._keys)} API keys" if params.keys_file else (
            "programs are refused, since web.keys_file names no API keys"
        )  # fmt: skip
        pages = "pages are for everybody" if params.public_page else "pages need a key too"
        plain = "" if params.proxies else "; nothing is encrypted, since no proxy in web.proxies does that"
        return f"others may ask: {programs}; {pages}, {limits.address_checks} pictures a minute for each address{plain}"

    def admit(self, method: str, path: str, peer: str, scheme: str, headers: Headers) -> Admitted:
        """peer: the address of the connection. scheme: of the connection.

        Raises Misdirected, BadRequest, TooManyRequests, KeyNeeded.
        """
        if not self._is_mine(host_name(headers.get("host"))):
            raise Misdirected
        if not self._params.is_open:
            # Whoever comes from elsewhere all the same, past a proxy or because some other server listens for this one
            # (Ray Serve's), would count as this machine.
            if is_forwarded(headers) or not is_loopback(peer):
                raise NotOpen
            return Admitted(peer, peer, scheme, {})
        client = self._proxies.client(peer, scheme, headers)
        asker = neighbourhood(client.address)
        given = _given_keys(headers)
        name = self._keys.name_of(given[0]) if len(given) == 1 else None
        buckets = self._of_keys if name else self._of_addresses
        is_costly = method == "POST" and path in COSTLY
        standing = buckets[is_costly].take(name or asker)
        if standing.is_over:
            raise TooManyRequests(standing.wait_s, standing.headers())
        if name is None and self._needs_key(path, headers):
            raise KeyNeeded(is_wrong=bool(given))
        return Admitted(f"key:{name}" if name else asker, client.address, client.scheme, standing.headers())

    def _is_mine(self, host: str) -> bool:
        """Other sites can give this server a name of theirs, and then read what it says to a browser here; an address
        they cannot, and this machine calls itself by none but its own."""
        if is_loopback(host) or host in self._params.hosts or host == self._params.host.lower():
            return True
        return self._params.is_open and is_address(host)

    def _needs_key(self, path: str, headers: Headers) -> bool:
        if path.startswith(API):
            return not (self._params.public_page and is_of_page(headers))
        return not self._params.public_page and not path.startswith(_FOR_ALL)


def is_of_page(headers: Mapping[str, str]) -> bool:
    """Whether a browser sends this for a page of this server (Fetch Metadata; without TLS there is only Origin or
    Referer). Programs can claim it: what holds them then is the limit of their address.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    told = headers.get("origin") or headers.get("referer") or ""
    return bool(told) and urlsplit(told).netloc == headers.get("host")


def _given_keys(headers: Headers) -> list[str]:
    """As `Authorization: Bearer …` or as `X-API-Key`; several are as good as a wrong one."""
    bearers = [value.split(None, 1) for value in headers.getlist("authorization")]
    return [pair[-1].strip() for pair in bearers if len(pair) == 2 and pair[0].lower() == "bearer"] + headers.getlist(
        "x-api-key"
    )
