"""The HTTP client with servers that do not behave: bombs, endless and broken answers, drips."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.http import (
    BodyTooLarge,
    ConnectionFailed,
    HttpError,
    TimedOut,
)
from tests.http_site import Names, Site, Talk, client, failure, fetch, redirect, reply

MIB = 1024 * 1024

# --- sizes


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def _declared_only(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n")
    await writer.drain()
    await asyncio.Event().wait()


def test_a_body_of_exactly_the_cap_passes_and_one_byte_more_does_not() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n" + b"x" * 500 + b"\r\n0\r\n\r\n"
    for answer, size in ((reply(b"x" * 1000), 1000), (chunked, 500)):
        assert len(fetch({"/": answer}, max_bytes=size).body) == size
        error = failure({"/": answer}, max_bytes=size - 1)
        assert isinstance(error, BodyTooLarge)
        assert (error.retriable, error.error_class) == (False, "too large")


def test_an_endless_body_stops_at_the_cap() -> None:
    assert isinstance(failure({"/": _endless}, max_bytes=MIB), BodyTooLarge)


def test_a_declared_length_over_the_cap_is_refused_before_the_body() -> None:
    error = failure({"/": _declared_only})
    assert isinstance(error, BodyTooLarge)
    assert "5000000000" in str(error)


def _encoders() -> dict[str, Callable[[bytes], bytes]]:
    encoders: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "raw deflate": lambda data: zlib.compress(data)[2:-4],
    }
    try:
        import brotli  # type: ignore[import-not-found, unused-ignore]

        encoders["br"] = brotli.compress
    except ImportError:
        pass
    try:
        from backports import zstd  # type: ignore[import-not-found, attr-defined, unused-ignore]

        encoders["zstd"] = zstd.compress
    except ImportError:
        pass
    return encoders


@pytest.mark.parametrize("encoding", _encoders())
def test_encodings_are_undone(encoding: str) -> None:
    body = os.urandom(100_000) + bytes(900_000)
    encoded = reply(_encoders()[encoding](body), f"Content-Encoding: {encoding.rsplit(maxsplit=1)[-1]}")
    assert fetch({"/": encoded}).body == body


@pytest.mark.parametrize("encoding", _encoders())
def test_a_bomb_stops_at_the_cap_without_its_memory(encoding: str) -> None:
    bomb = reply(_encoders()[encoding](bytes(64 * MIB)), f"Content-Encoding: {encoding.rsplit(maxsplit=1)[-1]}")
    tracemalloc.start()
    try:
        error = failure({"/": bomb}, max_bytes=2 * MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(error, BodyTooLarge)
    assert peak < 10 * MIB


@pytest.mark.parametrize("encoding", ["compress", "gzip, gzip", "br, gzip", "caf\udce9", "exi"])
def test_an_encoding_nobody_asked_for_is_refused(encoding: str) -> None:
    error = failure({"/": reply(b"data", f"Content-Encoding: {encoding}")})
    assert isinstance(error, ConnectionFailed)
    assert "Content-Encoding" in str(error)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_damaged_encoding_is_a_failed_connection(encoding: str) -> None:
    error = failure({"/": reply(b"\xfe this is none of them" * 50, f"Content-Encoding: {encoding}")})
    assert isinstance(error, ConnectionFailed)


# --- time


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def _drip_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def _silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _drip_continue(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("talk", [_drip, _drip_headers, _silent, _drip_continue])
def test_a_slow_server_is_left_at_the_deadline(talk: Talk) -> None:
    began = time.monotonic()
    error = failure({"/": talk}, total_s=0.3)
    assert 0.25 < time.monotonic() - began < 3
    assert isinstance(error, TimedOut)
    assert (error.retriable, error.error_class) == (True, "timeout")


def test_the_deadline_covers_all_hops_together() -> None:
    async def slow_redirect(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(redirect("/"))
        await writer.drain()

    assert isinstance(failure({"/": slow_redirect}, total_s=0.5), TimedOut)


def test_a_handshake_that_never_ends_is_left_after_connect_s() -> None:
    async def scenario() -> None:
        async with Site() as site, client(connect_s=0.2) as http:
            with pytest.raises(TimedOut, match="connecting"):
                await http.get(f"https://127.0.0.1:{site.port}/")

    asyncio.run(scenario())


def test_a_lookup_that_never_ends_is_left_at_the_deadline() -> None:
    class Silent(Names):
        async def resolve(self, *_: Any, **__: Any) -> Any:
            await asyncio.Event().wait()

    async def scenario() -> None:
        async with client(resolver=Silent(), total_s=0.2) as http:
            with pytest.raises(TimedOut):
                await http.get("http://slow.example/")

    asyncio.run(scenario())


def test_pacing_and_queueing_do_not_count_as_the_requests_time() -> None:
    at_once: list[int] = []

    async def slow(writer: asyncio.StreamWriter) -> None:
        at_once.append(1)
        await asyncio.sleep(0.2)
        at_once.pop()
        assert not at_once  # `connections` is 1
        writer.write(reply(b"x"))
        await writer.drain()

    async def pace(url: str) -> None:
        await asyncio.sleep(0.5)

    async def scenario() -> None:
        async with Site({"/": slow}) as site, client(connections=1, total_s=0.4) as http:
            answers = await asyncio.gather(*(http.get(f"{site.url}/", before_hop=pace) for _ in range(4)))
            assert [answer.body for answer in answers] == [b"x"] * 4

    asyncio.run(scenario())


def test_a_cancelled_request_frees_its_place() -> None:
    async def scenario() -> None:
        async with Site({"/": reply(b"x"), "/silent": _silent}) as site, client(connections=1) as http:
            request = asyncio.create_task(http.get(f"{site.url}/silent"))
            while not site.asked:
                await asyncio.sleep(0)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            assert (await http.get(f"{site.url}/")).body == b"x"

    asyncio.run(scenario())


# --- broken servers


async def _reset(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nxx")
    await writer.drain()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


def _raw(data: bytes) -> Talk:
    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return talk


@pytest.mark.parametrize(
    ("talk", "says"),
    [
        (_raw(reply(b"half a photo", length=5000)), "broke off"),
        (_raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), "broke off"),
        (_reset, "closed|broke off"),
        (_hang_up, "closed"),
        (_raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "closed"),
        (_raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "not valid HTTP"),
        (_raw(b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n"), "not valid HTTP"),
        (_raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), "not valid HTTP"),
        (_raw(b"\x16\x03\x01\x00\x05hello"), "not valid HTTP"),
    ],
)
def test_a_broken_answer_is_a_failed_connection(talk: Talk, says: str) -> None:
    error = failure({"/": talk})
    assert isinstance(error, ConnectionFailed)
    assert (error.retriable, error.error_class) == (True, "connection failed")
    with pytest.raises(HttpError, match=says):
        raise error


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 Found\r\nLocation: "]))
def test_whatever_a_server_says_is_an_answer_or_an_http_error(data: bytes, start: bytes) -> None:
    try:
        fetch({"/": _raw(start + data)}, max_bytes=1000, total_s=2)
    except HttpError as exc:
        assert "\n" not in str(exc)


def test_nobody_listening_and_no_such_host() -> None:
    async def scenario() -> None:
        async with Site() as site:
            port = site.port
        async with client(resolver=Names()) as http:
            with pytest.raises(ConnectionFailed, match="connection refused"):
                await http.get(f"http://127.0.0.1:{port}/")
            with pytest.raises(ConnectionFailed, match="no address found"):
                await http.get("http://nowhere.example/")

    asyncio.run(scenario())


def test_a_connection_that_died_while_idle_is_replaced_unseen() -> None:
    async def scenario() -> None:
        async def once(writer: asyncio.StreamWriter) -> None:  # says it would keep the connection, and closes it
            writer.write(reply(b"x"))
            await writer.drain()

        async with Site({"/": once}) as site, client() as http:
            for _ in range(20):
                assert (await http.get(f"{site.url}/")).body == b"x"

    asyncio.run(scenario())
