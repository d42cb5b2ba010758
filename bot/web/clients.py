"""Who asks, and by which name: proxies that are believed (RFC 7239), the address that counts, the Host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers

from bot.web.problems import BadRequest
from bot.words import later

# The forms of an address in these headers: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], "[2001:db8::1]:80".
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?")
_WITH_PORT = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5})?")
_PAIR = re.compile(r'\s*([A-Za-z-]+)\s*=\s*("[^"]*"|[^\s;,"]*)\s*')

_TWO_STORIES = later("The headers Forwarded and X-Forwarded-For name two different clients; a proxy must set one.")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Client:
    """address: of whoever asks, behind all proxies that are believed. scheme: http or https, as the client speaks."""

    address: str
    scheme: str


class Proxies:
    """networks: where the proxies are that are believed; of what others say of themselves nothing is."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ip_network(each) for each in networks]

    def client(self, peer: str, scheme: str, headers: Headers) -> Client:
        """peer: the address of the connection. Raises BadRequest where two headers contradict each other.

        The last address that is not a proxy's counts: all before it could be made up. So could a whole header be that
        a proxy hands on unseen beside its own, which is why both must tell the same.
        """
        if not self.has(peer):
            return Client(peer, scheme)
        forwarded = _forwarded(headers)
        told = [
            self._last_stranger(peer, chain)
            for chain in (_list(headers, "x-forwarded-for"), [each.get("for", "") for each in forwarded])
            if chain
        ]
        if len(set(told)) > 1:
            raise BadRequest(_TWO_STORIES)
        protocols = _list(headers, "x-forwarded-proto") or [each.get("proto", "") for each in forwarded]
        is_safe = scheme == "https" or bool(protocols and protocols[-1].lower() == "https")
        return Client(told[0] if told else peer, "https" if is_safe else "http")

    def has(self, address: str) -> bool:
        """Whether a believed proxy has this address."""
        found = _address(address)
        return found is not None and any(found in network for network in self._networks)

    def _last_stranger(self, peer: str, chain: Sequence[str]) -> str:
        """chain: addresses as they were told, the nearest last."""
        seen = peer
        for told in reversed(chain):
            address = _address(told)
            if address is None:  # "unknown", or no address at all: somebody behind the proxy that says so
                return seen
            seen = str(address)
            if not self.has(seen):
                return seen
        return seen


def is_forwarded(headers: Headers) -> bool:
    """Whether some proxy says that it hands on what somebody else asks."""
    return any(name in headers for name in ("forwarded", "x-forwarded-for"))


def neighbourhood(address: str) -> str:
    """What is counted as one: an IPv4 address, or the /64 of an IPv6 address, all of which one household has."""
    found = _address(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found) >> 64 << 64, 64)))
    return address if found is None else str(found)


def host_name(host: str | None) -> str:
    """The Host header without its port, lower case; "" for none, and for what is none."""
    found = re.fullmatch(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{0,5})?", (host or "").lower())
    return found[1].strip("[]").removesuffix(".") if found else ""


def is_loopback(name: str) -> bool:
    """Whether a Host names this machine to itself."""
    address = _address(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def is_address(name: str) -> bool:
    """Whether a Host is an address: no other site can have that for a name."""
    return _address(name) is not None


def _address(text: str) -> Address | None:
    text = text.strip().strip('"')
    found = _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text)
    try:
        address = ip_address(found[1] if found else text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _list(headers: Headers, name: str) -> list[str]:
    """The items of a header that may come several times, in order."""
    return [item.strip() for line in headers.getlist(name) for item in line.split(",")]


def _forwarded(headers: Headers) -> list[dict[str, str]]:
    return [
        {name.lower(): value.strip('"') for name, value in _PAIR.findall(element)}
        for element in _list(headers, "forwarded")
    ]
