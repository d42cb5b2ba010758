"""Which addresses may be reached: the public ones, and what an operator allows; judged when a socket is made.

A check of the URL, or inside the resolver, can be led astray: IP literals pass no resolver, redirects pass no check,
and a name may resolve to something else the second time. The address handed to `connect` cannot.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from infra.errors import UserError
from infra.http.errors import UnsafeUrl
from infra.http.urls import literal_address, parse_url

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Where the address belongs to is written out, because what `ipaddress.is_global` says differs between Python's
# versions. Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890), state of 2025.
_SPECIAL_V4: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "an address of this machine"),
    ("10.0.0.0/8", "a private address"),
    ("100.64.0.0/10", "a carrier's private address"),
    ("127.0.0.0/8", "an address of this machine"),
    ("169.254.0.0/16", "a link-local address"),  # 169.254.169.254: the clouds' metadata service
    ("172.16.0.0/12", "a private address"),
    ("192.0.0.0/24", "a reserved address"),
    ("192.0.2.0/24", "a reserved address"),
    ("192.88.99.0/24", "a reserved address"),
    ("192.168.0.0/16", "a private address"),
    ("198.18.0.0/15", "a reserved address"),
    ("198.51.100.0/24", "a reserved address"),
    ("203.0.113.0/24", "a reserved address"),
    ("224.0.0.0/4", "a multicast address"),
    ("240.0.0.0/4", "a reserved address"),
    ("168.63.129.16/32", "a cloud's internal address"),  # Azure's host agent: a public number, reached from inside only
)
_SPECIAL_V6: tuple[tuple[str, str], ...] = (
    ("::1/128", "an address of this machine"),
    ("::/128", "an address of this machine"),
    ("fe80::/10", "a link-local address"),
    ("fc00::/7", "a private address"),
    ("ff00::/8", "a multicast address"),
    ("2001::/23", "a reserved address"),  # Teredo (2001::/32), benchmarking, ORCHID
    ("2001:db8::/32", "a reserved address"),
    ("2002::/16", "a 6to4 address, which may hide a private one"),
    ("3fff::/20", "a reserved address"),
)
_GLOBAL_UNICAST_V6 = ip_network("2000::/3")  # all else is reserved, local, or carries an IPv4 address inside
_MAPPED_V4 = ip_network("::ffff:0:0/96")
_NAT64 = ip_network("64:ff9b::/96")  # what every IPv4-only name resolves to in a network with DNS64 (RFC 6052)
_V4 = tuple((IPv4Network(network), kind) for network, kind in _SPECIAL_V4)
_V6 = tuple((IPv6Network(network), kind) for network, kind in _SPECIAL_V6)


def special_kind(address: Address) -> str | None:
    """What makes `address` one that strangers must not lead to ("a private address" …); None for a public one.

    IPv4 inside IPv6 is judged by the IPv4 address where such an address is in honest use (`::ffff:0:0/96`,
    `64:ff9b::/96`) and refused everywhere else (`::/96`, `64:ff9b:1::/48`, 6to4, Teredo); so is any scoped address.
    """
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _V4 if address in network), None)
    if address.scope_id is not None:
        return "a link-local address"
    if address in _MAPPED_V4 or address in _NAT64:
        return special_kind(IPv4Address(int(address) & 0xFFFFFFFF))
    kind = next((kind for network, kind in _V6 if address in network), None)
    return kind or (None if address in _GLOBAL_UNICAST_V6 else "a reserved address")


@dataclass(slots=True)
class Hop:
    """What the guard must know about the request on whose behalf a socket is made, and what it tells back."""

    name_is_allowed: bool  # the operator allowed this request's own host name, so whatever it resolves to is fine
    refused: str | None = None  # "127.0.0.1 is an address of this machine": the last address that was refused


# Set by the client around every single request. A socket is made in the context of the request that needs it (happy
# eyeballs' tasks inherit it), so a permission for one name is seen by that name's connections and by no other.
current_hop: ContextVar[Hop | None] = ContextVar("current_hop", default=None)


class Guard:
    """The addresses that are open: public ones, and those in `allow`.

    An entry of `allow` is a host name, an IP address or a network (CIDR); a name or an address may end in `:port`
    (IPv6 in brackets). Raises UserError for anything else.
    """

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._networks: list[tuple[Network, int | None]] = []
        self._names: set[tuple[str, int | None]] = set()
        for entry in allow:
            self._add(entry)

    def allows_name(self, host: str, port: int) -> bool:
        """Whether the operator allowed this host name (as a URL has it), at this port."""
        name = host.rstrip(".")
        return (name, None) in self._names or (name, port) in self._names

    def refusal(self, address: Address, port: int) -> str | None:
        """Why `address` must not be reached ("127.0.0.1 is an address of this machine"), None when it may be."""
        kind = special_kind(address)
        if kind is None or self._allows_address(address, port):
            return None
        return f"{address} is {kind}"

    def make_socket(self, addr_info: tuple[Any, ...]) -> socket.socket:
        """A socket for `addr_info` as from getaddrinfo; raises PermissionError, and tells the hop, where it may not go.

        The `socket_factory` of aiohttp's TCPConnector: every connection of it begins here.
        """
        family, kind, protocol, _, (host, port, *_) = addr_info
        hop = current_hop.get()
        if hop is None or not hop.name_is_allowed:
            refused = self.refusal(ip_address(host), port)
            if refused:
                if hop:
                    hop.refused = refused
                raise PermissionError(errno.EACCES, refused)
        return socket.socket(family, kind, protocol)

    def _allows_address(self, address: Address, port: int) -> bool:
        if isinstance(address, IPv6Address):
            if address.scope_id is not None:
                return False
            address = address.ipv4_mapped or address
        return any(address in network and only in (None, port) for network, only in self._networks)

    def _add(self, entry: str) -> None:
        if "%" in entry:
            raise _invalid(entry, "an address of one interface only cannot be opened")
        try:
            self._networks.append((ip_network(entry), None))
            return
        except ValueError:
            pass
        if "/" in entry and "://" not in entry:
            raise _invalid(entry, "it is no network; its address must be the first one, as in 10.0.0.0/8")
        try:
            url = parse_url(f"http://{entry}/")
        except UnsafeUrl:
            url = None
        if url is None or url.raw_path_qs != "/" or "#" in entry or entry != entry.strip():
            raise _invalid(entry, "write a host name, an IP address or a network, without http:// and path")
        host = url.raw_host or ""
        port = url.explicit_port
        address = literal_address(host)
        if address is None:
            self._names.add((host.rstrip("."), port))
        elif host in entry or isinstance(address, IPv6Address):
            self._networks.append((ip_network(address), port))
        else:
            raise _invalid(entry, f"write the address as {address}")


def _invalid(entry: str, reason: str) -> UserError:
    return UserError(f"allow: {entry!r} is not understood: {reason}")
