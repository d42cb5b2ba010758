"""What runs inside a process of :class:`crawler.isolation.IsolatedPool`; imports next to nothing, to stay small."""

from __future__ import annotations

import contextlib
import pickle
import resource
import signal
import socket
import struct
from pathlib import Path
from typing import Any

HEADER = struct.Struct("!Q?")  # the length of what follows; whether it is bytes as they are, and not a pickle


def serve(channel: socket.socket, task: bytes) -> None:
    """Answer each item that comes through `channel` with (True, result) or (False, exception), until it is closed.

    task: pickle of (function, prepare, timeout_s, memory_bytes) as IsolatedPool describes them. The first message,
    before any item, is None, or the exception of `prepare`.
    """
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The system's own alarm ends a native endless loop too, and one whose parent is long gone.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with contextlib.suppress(OSError):  # the parent is gone
        try:
            function, prepare, timeout_s, memory_bytes = pickle.loads(task)
            if prepare is not None:
                prepare()
        except Exception as error:
            _send(channel, error)
            return
        _limit_memory(memory_bytes)
        _send(channel, None)
        while received := _receive(channel):
            signal.setitimer(signal.ITIMER_REAL, timeout_s or 0)
            reply = _answer(function, *received)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _send(channel, reply)


def _answer(function: Any, item: bytearray, is_raw: bool) -> tuple[bool, Any]:
    try:
        return True, function(bytes(item) if is_raw else pickle.loads(item))
    except Exception as error:
        return False, error


def _limit_memory(memory_bytes: int | None) -> None:
    # RLIMIT_DATA and not RLIMIT_AS: libraries reserve addresses that they never use.
    if memory_bytes is None:
        return
    with contextlib.suppress(OSError, StopIteration, ValueError):  # no /proc: no limit
        lines = Path("/proc/self/status").read_text().splitlines()
        used = int(next(line for line in lines if line.startswith("VmData:")).split()[1]) * 1024
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (used + memory_bytes, hard))


def _send(channel: socket.socket, message: Any) -> None:
    body = pickle.dumps(message)
    channel.sendall(HEADER.pack(len(body), False) + body)


def _receive(channel: socket.socket) -> tuple[bytearray, bool] | None:
    header = _exactly(channel, HEADER.size)
    if header is None:
        return None
    size, is_raw = HEADER.unpack(header)
    body = _exactly(channel, size)
    return None if body is None else (body, is_raw)


def _exactly(channel: socket.socket, size: int) -> bytearray | None:
    """The next `size` bytes; None at the end."""
    body = bytearray(size)
    rest = memoryview(body)
    while rest:
        count = channel.recv_into(rest)
        if count == 0:
            return None
        rest = rest[count:]
    return body
