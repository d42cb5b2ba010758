"""A loopback web server for tests of the HTTP client: it answers byte for byte as told, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from infra.http import HttpClient, HttpError, Response

AGENT = "tests/1 (mailto:tests@example.org)"

Talk = Callable[[asyncio.StreamWriter], Awaitable[None]]


def reply(body: bytes = b"", *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """An HTTP answer; `length` is what Content-Length says where that is not the body's."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """A redirect to `location`."""
    return reply(b"", f"Location: {location}", status=status)


class Site:
    """`answers` maps a path (with its query) to the bytes of the answer, or to a function that talks to the client."""

    def __init__(self, answers: dict[str, bytes | Talk] | None = None, host: str = "127.0.0.1") -> None:
        self.answers = answers or {}
        self.host = host
        self.port = 0
        self.connections = 0
        self.asked: list[tuple[str, dict[str, str]]] = []  # (path, headers in lower case), in order
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`."""
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._talks:
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        path = first.split(" ")[1]
        self.asked.append((path, {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}))
        answer = self.answers.get(path, reply(b"", status="404 Not Found"))
        if not isinstance(answer, bytes):
            await answer(writer)
            return False
        writer.write(answer)
        await writer.drain()
        return True


class Names(AbstractResolver):
    """A resolver that knows only these names; every lookup takes the next list of addresses, the last one stays."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """What the name means at this moment; OSError for an unknown one."""
        answers = self.names.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


def client(**options: Any) -> HttpClient:
    """A client that may reach 127.0.0.1."""
    return HttpClient(user_agent=AGENT, **{"allow": ["127.0.0.1"], "total_s": 10, **options})


def fetch(answers: dict[str, bytes | Talk], **options: Any) -> Response:
    """The answer to a GET of `/` at a site with these answers."""

    async def scenario() -> Response:
        async with Site(answers) as site, client() as http:
            return await http.get(f"{site.url}/", **options)

    return asyncio.run(scenario())


def failure(answers: dict[str, bytes | Talk], **options: Any) -> HttpError:
    """The error that a GET of `/` ends in: one line that names the URL."""
    with pytest.raises(HttpError) as caught:
        fetch(answers, **options)
    assert "http://127.0.0.1:" in str(caught.value)
    assert len(str(caught.value)) <= 320
    return caught.value
