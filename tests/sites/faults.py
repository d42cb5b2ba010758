"""Answers that break HTTP or the patience of a client: drips, endless bodies, resets, lies about lengths.

Each is a coroutine of aiohttp.web that answers by itself, or never.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

DRIP_S = 0.2  # between two bytes
_JPEG_START = b"\xff\xd8\xff\xe0\0\x10JFIF\0"


def drip(body: bytes, content_type: str = "image/jpeg", status: int = 200) -> Handler:
    """A byte every 0.2 s: no pause is long enough for a read timeout, and the whole takes minutes."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": content_type})
        response.content_length = len(body)
        await response.prepare(request)
        for byte in body:
            await response.write(bytes([byte]))
            await asyncio.sleep(DRIP_S)
        return response

    return handler


async def silent(request: web.BaseRequest) -> web.StreamResponse:
    """Takes the request and says nothing for an hour."""
    await asyncio.sleep(3600)
    return web.Response()


async def endless(request: web.BaseRequest) -> web.StreamResponse:
    """A body without a length that goes on as fast as it is read, up to 4 GB."""
    response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
    await response.prepare(request)
    await response.write(_JPEG_START)
    for _ in range(4 * 2**14):
        await response.write(bytes(2**16))
    return response


async def ten_gigabytes(request: web.BaseRequest) -> web.StreamResponse:
    """Announces 10 GB, and sends the first of them."""
    response = web.StreamResponse(headers={"Content-Type": "image/jpeg", "Content-Length": str(10 * 2**30)})
    await response.prepare(request)
    await response.write(_JPEG_START)
    for _ in range(2**14):
        await response.write(bytes(2**16))
    return response


def incomplete(body: bytes, missing: int = 1000) -> Handler:
    """The whole of `body` under a Content-Length that promises `missing` bytes more; then an orderly goodbye."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        response.content_length = len(body) + missing
        await response.prepare(request)
        await response.write(body)
        return _hang_up(request, response)

    return handler


def without_last_chunk(body: bytes) -> Handler:
    """`body` in chunked encoding, closed before the chunk that ends it."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(body)
        return _hang_up(request, response)

    return handler


def reset(body: bytes, content_type: str = "image/jpeg") -> Handler:
    """Half of `body`, then a TCP reset."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        transport = request.transport
        if transport is not None:
            _reset_on_close(transport)
            transport.abort()
        return response

    return handler


def raw(data: bytes) -> Handler:
    """Exactly these bytes instead of an HTTP answer, and the end of the connection."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.write(data)
        return _hang_up(request, web.Response())

    return handler


def _hang_up(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return response


def _reset_on_close(transport: asyncio.BaseTransport) -> None:
    # Lingering for no time turns the close into a reset.
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
