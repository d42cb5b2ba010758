"""The robots.txt files of the world, good and bad, and what each of them means by RFC 9309."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

MOVED = "/moved/robots.txt"  # where "redirect" leads


def _nothing(path: str) -> bool:
    return False


def _everything(path: str) -> bool:
    return True


def _private(path: str) -> bool:
    return path.startswith("/private/")


@dataclass(frozen=True)
class Robots:
    """How a site answers for /robots.txt.

    `forbids(path with query)`: whether a robot without a group of its own must stay away from it.
    """

    body: str = ""
    status: int = 200
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""  # "drip": a byte in 0.2 s; "reset": the connection is reset in mid-body
    forbids: Callable[[str], bool] = _nothing


def rules(body: str, forbids: Callable[[str], bool] = _nothing) -> Robots:
    """A robots.txt of one's own."""
    return Robots(body, forbids=forbids)


_STAY_OUT = "User-agent: *\nDisallow: /private/\n"
_FILLER = [f"Disallow: /nothing-here/{number:06d}\n" for number in range(40_000)]

ROBOTS: dict[str, Robots] = {
    "allow": Robots("User-agent: *\nDisallow:\n"),
    "forbid": Robots("User-agent: *\nDisallow: /\n", forbids=_everything),
    "empty": Robots(),
    "png": Robots("User-agent: *\nDisallow: /*.png$\n", forbids=lambda path: path.endswith(".png")),
    "private": Robots("User-agent: *\nDisallow: /private/*\n", forbids=_private),
    # The longest rule wins, whatever the order: RFC 9309, section 2.2.2.
    "longest": Robots(
        "User-agent: *\nDisallow: /img/\nAllow: /img/0000\n",
        forbids=lambda path: path.startswith("/img/") and not path.startswith("/img/0000"),
    ),
    # Groups of one agent are joined; a robot that is named nowhere obeys "*"; names are of any case.
    "agents": Robots(
        "User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\n\nUser-Agent: *\nDisallow: /private/\n\n"
        "User-agent: Googlebot\nAllow: /\n",
        forbids=_private,
    ),
    "crawl-delay": Robots("User-agent: *\nCrawl-delay: 1\nDisallow: /private/\n", forbids=_private),
    "bom": Robots("\ufeff" + _STAY_OUT, forbids=_private),
    "crlf": Robots(
        _STAY_OUT.replace("\n", "\r\n") + "# comment\r\nSitemap: /map.xml\r\nnonsense\r\n", forbids=_private
    ),
    # At least 500 KiB must be read (RFC 9309, section 2.5); this one has its rule at 300 kB of 1.2 MB.
    "huge": Robots(
        "".join(["User-agent: *\n", *_FILLER[:10_000], "Disallow: /private/\n", *_FILLER[10_000:]]), forbids=_private
    ),
    "html": Robots("<!DOCTYPE html><title>Shop</title><p>Disallow: nothing", content_type="text/html"),
    "redirect": Robots(status=301, headers={"Location": MOVED}, forbids=_private),
    "404": Robots("no such file", 404),
    "403": Robots("no", 403),
    "500": Robots("oops", 500, forbids=_everything),
    "503": Robots("busy", 503, forbids=_everything),
    "slow": Robots(_STAY_OUT, fault="drip", forbids=_everything),
    "reset": Robots(_STAY_OUT, fault="reset", forbids=_everything),
}
MOVED_BODY = _STAY_OUT
