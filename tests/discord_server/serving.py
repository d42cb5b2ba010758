"""Two ways to serve: TLS under Discord's real names for a client in this process, plain HTTP for any other."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

import aiohttp
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from tests import stand_in
from tests.discord_server.server import API, DiscordServer
from tests.stand_in import Loop

HOSTS = ("discord.com", "gateway.discord.gg", "cdn.discordapp.com", "media.discordapp.net")


@dataclass
class Plain:
    """api_url, gateway_url: what the bot's params take; files come from http://127.0.0.1:PORT/ too."""

    server: DiscordServer
    port: int
    media_port: int

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{API}"

    @property
    def gateway_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway"


@asynccontextmanager
async def plain(server: DiscordServer | None = None, port: int = 0) -> AsyncIterator[Plain]:
    """Serve on 127.0.0.1 without TLS, in this event loop."""
    server = server or DiscordServer()
    async with _site(server.app(), None, port) as number, _site(server.media_app(), None) as media:
        address = Plain(server, number, media)
        server.gateway.url = address.gateway_url
        server.cdn.base = f"http://127.0.0.1:{number}"
        server.cdn.media = f"http://127.0.0.1:{media}"
        yield address


@dataclass
class Tls:
    """`connector()` is for discord.Client(connector=…): Discord's names lead here, every other name nowhere.

    asked: the host names that were looked up.
    """

    server: DiscordServer
    port: int
    asked: set[str] = field(default_factory=set)

    def connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(resolver=_Resolver(self), ssl=_client_context(), limit=0)


@asynccontextmanager
async def tls(server: DiscordServer | None = None) -> AsyncIterator[Tls]:
    """Serve discord.com, gateway.discord.gg, cdn.discordapp.com and media.discordapp.net, in this event loop."""
    server = server or DiscordServer()
    async with _site(server.app(), _server_context()) as number:
        server.gateway.url = "wss://gateway.discord.gg"
        server.cdn.base = "https://cdn.discordapp.com"
        server.cdn.media = "https://media.discordapp.net"
        yield Tls(server, number)


Threaded: TypeAlias = stand_in.Threaded[Plain, DiscordServer]


@contextmanager
def in_thread(make: Callable[[], DiscordServer] = DiscordServer) -> Iterator[Threaded]:
    """For tests without an event loop: the server answers while the test waits for a subprocess."""
    with Loop().in_thread() as loop, loop.entered(plain(make())) as address:
        yield Threaded(address, address.server, loop)


@asynccontextmanager
async def _site(app: web.Application, context: ssl.SSLContext | None, port: int = 0) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert(*HOSTS).configure_cert(context)
    return context


@cache
def _client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    _authority().configure_trust(context)
    return context


class _Resolver(AbstractResolver):
    def __init__(self, address: Tls) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self._address.asked.add(host)
        if host not in HOSTS:
            raise OSError(f"the stand-in is not {host}")
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self._address.port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass
