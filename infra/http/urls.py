"""Which URLs may be asked for, how a redirect is resolved, and how a URL is shown without its secrets."""

from __future__ import annotations

import re
import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, urljoin

from yarl import URL

from infra.http.errors import UnsafeUrl

MAX_HOST_CHARS = 253  # RFC 1035's 255 bytes, less its length bytes
MAX_URL_CHARS = 8192  # above what browsers, servers and proxies commonly carry
SHOWN_CHARS = 120  # of a URL in a message; two of them and the reason stay near 300

_AUTHORITY = re.compile(r"https?://([^/?#]+)", re.IGNORECASE)
_HTTP = re.compile(r"https?:", re.IGNORECASE)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII)
# The WHATWG's "ends in a number": such a host is an IPv4 address to every resolver, or nothing.
_ENDS_IN_NUMBER = re.compile(r"(.*\.)?([0-9]+|0[xX][0-9a-fA-F]*)\.?", re.ASCII)
# A URL of the common kind, which holds only what a URL may: one regular expression instead of a parse, and it goes
# out byte for byte, because some servers sign what they were asked for and yarl would write %2F in a query as /.
_PLAIN = re.compile(
    r"https?://(?P<host>[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?:[/?][!$%&'()*+,./0-9:;=?@A-Z_a-z~\[\]-]*)?",
    re.ASCII,
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NO_USERINFO = re.compile(r"https?://([^/?#\\@:\[\]]+|\[[0-9A-Fa-f:.%]+\])(:[0-9]*)?([/?#]|\Z)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:/*", re.IGNORECASE)


def parse_url(text: str) -> URL:
    """The URL to ask for, without its fragment; raises UnsafeUrl for what is not a plain http(s) URL with a host.

    The host comes out in lower case and in its ASCII form, an IPv4 address only as four decimal numbers.
    """
    plain = _PLAIN.fullmatch(text)
    if plain and _is_exact(text, plain["host"], plain["port"]):
        return URL(text, encoded=True)
    text = text.strip(" ")
    problem = _problem_of_text(text)
    if problem:
        raise UnsafeUrl(f"{shown_url(text)}: not fetched, {problem}")
    try:
        url = URL(text)
        host, port = url.raw_host or "", url.port
        address = literal_address(host)
    except (ValueError, TypeError) as exc:  # UnicodeError, from host names, is a ValueError
        raise UnsafeUrl(f"{shown_url(text)}: not fetched, it is malformed") from exc
    if not port:
        raise UnsafeUrl(f"{shown_url(text)}: not fetched, its port is not between 1 and 65535")
    if address is None and (len(host.rstrip(".")) > MAX_HOST_CHARS or not _HOST_NAME.fullmatch(host)):
        raise UnsafeUrl(f"{shown_url(text)}: not fetched, its host is not a name or an address")
    if isinstance(address, IPv4Address) and str(address) != host:
        url = url.with_host(str(address))
    return url.with_fragment(None) if "#" in text else url


@lru_cache(maxsize=4096)
def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a URL's host is; None when it is a name. Raises ValueError when it is neither.

    IPv4 comes in every form that operating systems resolve: `127.1`, `0x7f.1`, `2130706433`. A scope (`%eth0`, in a
    URL also `%25eth0`) stays with its address.
    """
    if ":" in host:
        address, scoped, scope = host.partition("%")
        return IPv6Address(f"{address}%{scope.removeprefix('25').replace('%', '') or 0}" if scoped else address)
    if not _ENDS_IN_NUMBER.fullmatch(host):
        return None
    try:
        return IPv4Address(socket.inet_aton(host.rstrip(".")))
    except OSError as exc:
        raise ValueError(f"{host!r} is no IPv4 address") from exc


def redirect_target(base: URL, location: str) -> str:
    """Where `location`, the header's value, leads from `base`; the result still has to go through parse_url."""
    if _SURROGATE.search(location):  # bytes that are not UTF-8: sent back as the bytes that they were
        location = quote(location.encode("utf-8", "surrogateescape"), safe="!#$%&'()*+,/:;=?@[]~")
    if _CONTROL.search(location):
        raise UnsafeUrl(f"{shown_url(location)}: not followed, the redirect holds a control character")
    try:
        return urljoin(str(base), location)
    except ValueError as exc:
        raise UnsafeUrl(f"{shown_url(location)}: not followed, the redirect is malformed") from exc


def shown_url(text: str) -> str:
    """`text` fit for a message: no user name or password, nothing unprintable, at most SHOWN_CHARS characters."""
    if "@" in text and not _NO_USERINFO.match(text):
        # The last @ of all: a password may hold any character, and a malformed URL is where it does.
        scheme = _SCHEME.match(text)
        text = (scheme[0] if scheme else "") + "…@" + text.rpartition("@")[2]
    text = text[: SHOWN_CHARS + 1]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _is_exact(text: str, host: str, port: str | None) -> bool:
    """Whether a plain URL may go out as it is written: nothing to normalise, nothing to refuse."""
    if len(text) > MAX_URL_CHARS or len(host) > MAX_HOST_CHARS or "/." in text or (port and int(port) > 65535):
        return False
    if "%" in text and _BAD_ESCAPE.search(text):
        return False
    return _is_canonical(host)


@lru_cache(maxsize=4096)
def _is_canonical(host: str) -> bool:
    try:
        address = literal_address(host)
    except ValueError:
        return False
    return address is None or str(address) == host


def _problem_of_text(text: str) -> str | None:
    authority = _AUTHORITY.match(text)
    if not authority:
        return "it names no host" if _HTTP.match(text) else "it is not an http:// or https:// URL"
    problems = (
        (len(text) > MAX_URL_CHARS, f"it is longer than {MAX_URL_CHARS} characters"),
        (_CONTROL.search(text), "it holds a control character"),
        (_SURROGATE.search(text), "it is not valid Unicode"),
        ("@" in authority[1], "it holds a user name or password: leave them out"),
    )
    return next((problem for found, problem in problems if found), None)
