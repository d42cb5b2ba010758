"""What comes in the bodies of requests, counted while it comes: a picture, held in memory only, or a little else."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Protocol

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.chat.refusals import FileTooLarge, NoPicture
from bot.chat.waiting import Shares
from bot.web.problems import BadRequest, BodyTooLarge, TooSlow, WrongType
from bot.words import later

FIELD = "image"
_FRAME = 64 * 1024  # bytes that a form may have besides the picture
_TIMEOUT_S = 60.0
_SMALL = 64 * 1024  # bytes of a body that is no picture
_NAME_CHARS = 60  # of a field, in what is said of it
_PER_CLIENT, _IN_ALL = 4, 16  # on their way at once; others wait unread

_MALFORMED = later("This form cannot be read: it is no complete multipart/form-data.")
_UNKNOWN = later("The form has a field “{name}”, which is not known here: the picture is the field “image”.")
_SEVERAL = later("Send one picture at a time.")


class Uploads:
    """max_bytes: of one picture."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._clients = Shares(_PER_CLIENT)
        self._all = asyncio.Semaphore(_IN_ALL)

    async def read(self, request: Request, client: str) -> bytes:
        """The bytes of the picture, not looked at. client: who sends it.

        Raises NoPicture, BadRequest, WrongType, FileTooLarge, TooSlow; starlette's ClientDisconnect.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._clients.of(client), self._all:
                return await _read(request, self.max_bytes)
        except TimeoutError:
            raise TooSlow from None


class _Taking(Protocol):
    """Takes the body's pieces."""

    data: bytearray

    def write(self, piece: bytes) -> object: ...

    def finish(self) -> None:
        """There is no more."""


class HeardOut:
    """Reads what still comes of a body before a request is answered: who sends on and gets an answer meanwhile sees a
    broken connection instead. Reads nothing of who asks first (Expect), and no more than `most` bytes.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_coming = "content-length" in headers or "transfer-encoding" in headers
        asks_first = "expect" in headers

        async def received() -> Message:
            nonlocal is_coming, asks_first
            asks_first = False
            message = await receive()
            is_coming = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def sent(message: Message) -> None:
            left, task = self._most, asyncio.current_task()
            # Cancelled: the server goes. 408: it has waited long enough.
            is_over = (task is not None and task.cancelling() > 0) or message.get("status") == 408
            if not asks_first and not is_over:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TIMEOUT_S):
                        while is_coming and left > 0:
                            left -= len((await received()).get("body", b""))
            await send(message)

        await self._app(scope, received, sent)


class Small:
    """Lets no body through that is larger or slower than anything but a picture is. pictures: paths of those, which
    are counted where they are read.
    """

    def __init__(self, app: ASGIApp, pictures: Collection[str]) -> None:
        self._app = app
        self._pictures = pictures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._pictures:
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > _SMALL:
            raise BodyTooLarge
        left, is_coming, until = _SMALL, True, asyncio.get_running_loop().time() + _TIMEOUT_S

        async def received() -> Message:
            nonlocal left, is_coming
            try:
                async with asyncio.timeout_at(until if is_coming else None):
                    message = await receive()
            except TimeoutError:
                raise TooSlow from None
            left -= len(message.get("body", b""))
            is_coming = message.get("more_body", False)
            if left < 0:
                raise BodyTooLarge
            return message

        await self._app(scope, received, send)


async def _read(request: Request, max_bytes: int) -> bytes:
    taking = _taking(request)
    most = max_bytes + (_FRAME if isinstance(taking, _Form) else 0)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise FileTooLarge(max_bytes)
    received = 0
    async for piece in request.stream():
        received += len(piece)
        taking.write(piece)
        # What is no picture may not fill the form, or a million tiny parts would keep a core busy.
        if received > most or len(taking.data) > max_bytes or received - len(taking.data) > _FRAME:
            raise FileTooLarge(max_bytes)
    taking.finish()
    if not taking.data:
        raise NoPicture
    return bytes(taking.data)


def _taking(request: Request) -> _Taking:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise WrongType
    if kind == b"multipart/form-data":
        return _Form(options.get(b"boundary", b""))
    if kind.startswith(b"image/") or kind == b"application/octet-stream":
        return _Raw()
    raise WrongType


class _Raw:
    """The body is the picture."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, piece: bytes) -> None:
        self.data += piece

    def finish(self) -> None:
        pass


class _Form:
    """The body is a form (RFC 7578), and the picture its only field, `image`."""

    def __init__(self, boundary: bytes) -> None:
        self.data = bytearray()
        self._pictures = 0
        self._is_picture = self._is_complete = False
        self._name, self._value = b"", b""
        if not boundary:
            raise BadRequest(_MALFORMED)
        try:
            self._parser = MultipartParser(boundary, {
                "on_part_begin": self._on_part_begin, "on_part_data": self._on_data, "on_end": self._on_end,
                "on_header_field": self._on_header_name, "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
            })  # fmt: skip
        except FormParserError:
            raise BadRequest(_MALFORMED) from None

    def write(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError:
            raise BadRequest(_MALFORMED) from None

    def finish(self) -> None:
        if not self._is_complete:
            raise BadRequest(_MALFORMED)

    def _on_part_begin(self) -> None:
        self._is_picture = False

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            name = options.get(b"name", b"").decode(errors="replace")
            if name != FIELD:
                raise BadRequest(_UNKNOWN, name=name[:_NAME_CHARS])
            self._is_picture = True
            self._pictures += 1
            if self._pictures > 1:
                raise BadRequest(_SEVERAL)
        self._name, self._value = b"", b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_picture:
            self.data += memoryview(data)[start:end]

    def _on_end(self) -> None:
        self._is_complete = True
