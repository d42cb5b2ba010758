"""Messages between the bot and its worker process: a pickle and large buffers beside it, over a socket pair.

Both ends are our own. Buffers (the picture, arrays) go as they are, so that the bot's event loop copies nothing large:
it moves at most a socket's buffer at a time and does something else in between.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bot.worker.requests import Checked, Want
from infra.errors import UserError
from model_defs.checkpoint import Card

_COUNT = struct.Struct("!I")
_TURN = 2**20  # bytes that the loop reads before others have their turn


@dataclass(frozen=True)
class Born:
    """The first message from the process."""

    pid: int


@dataclass(frozen=True)
class Setup:
    """The first message to the process. threads: of the network; None: torch's choice. max_bytes: of one file."""

    bundle_url: str
    threads: int | None
    max_bytes: int
    batch: int


@dataclass(frozen=True)
class Ready:
    """The second message from the process: it has loaded the network, and is warm."""

    card: Card


@dataclass(frozen=True)
class Job:
    """A picture to look at. data: bytes, or a buffer on the far side."""

    number: int
    data: Any
    want: Want


@dataclass(frozen=True)
class Done:
    """What became of a job."""

    number: int
    outcome: Checked | UserError


Message: TypeAlias = Setup | Born | Ready | Job | Done | UserError  # the last: why the process cannot answer at all


class LoopChannel:
    """The event loop's end; one task may send and one receive at a time."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._loop = asyncio.get_running_loop()

    async def send(self, message: Message) -> None:
        """Raises OSError when the process is gone."""
        for part in _parts(message):
            await self._loop.sock_sendall(self._socket, part)

    async def receive(self) -> Message:
        """Raises EOFError or OSError when the process is gone."""
        lengths = _lengths(await self._exactly(_COUNT.size))
        sizes = struct.unpack(f"!{lengths}Q", await self._exactly(8 * lengths))
        return _message([await self._exactly(size) for size in sizes])

    def close(self) -> None:
        """The process ends when it sees this."""
        self._socket.close()

    async def _exactly(self, size: int) -> bytearray:
        buffer = bytearray(size)
        rest, turn = memoryview(buffer), 0
        while rest:
            count = await self._loop.sock_recv_into(self._socket, rest)
            if count == 0:
                raise EOFError
            rest, turn = rest[count:], turn + count
            if turn >= _TURN:  # what is there already is read without a pause, which a quick sender could go on with
                turn = 0
                await asyncio.sleep(0)
        return buffer


class ThreadChannel:
    """The process's end, which waits; one thread may send and one receive at a time."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(True)
        self._socket = end

    def send(self, message: Message) -> None:
        """Raises OSError when the bot is gone."""
        for part in _parts(message):
            self._socket.sendall(part)

    def receive(self) -> Message:
        """Raises EOFError or OSError when the bot is gone."""
        lengths = _lengths(self._exactly(_COUNT.size))
        sizes = struct.unpack(f"!{lengths}Q", self._exactly(8 * lengths))
        return _message([self._exactly(size) for size in sizes])

    def _exactly(self, size: int) -> bytearray:
        buffer = bytearray(size)
        rest = memoryview(buffer)
        while rest:
            count = self._socket.recv_into(rest)
            if count == 0:
                raise EOFError
            rest = rest[count:]
        return buffer


def _parts(message: Message) -> list[bytes | memoryview]:
    buffers: list[pickle.PickleBuffer] = []
    if isinstance(message, Job):
        message = Job(message.number, pickle.PickleBuffer(message.data), message.want)
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    bodies: list[bytes | memoryview] = [head, *(buffer.raw() for buffer in buffers)]
    sizes = [len(body) for body in bodies]
    return [_COUNT.pack(len(sizes)) + struct.pack(f"!{len(sizes)}Q", *sizes), *bodies]


def _lengths(header: bytearray) -> int:
    count: int = _COUNT.unpack(header)[0]
    return count


def _message(bodies: Sequence[bytearray]) -> Message:
    message: Message = pickle.loads(bodies[0], buffers=bodies[1:])
    return message
