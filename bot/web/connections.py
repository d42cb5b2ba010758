"""Connections: how many there may be, how long they may say nothing, and an honest answer to what is no HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.params import WebParams
from bot.web.clients import Proxies, neighbourhood
from bot.web.problems import BadRequest, problem
from bot.web.security import HEADERS
from bot.words import ENGLISH, later

_HEAD_S = 10.0  # for the head of a request to arrive, from the first moment a connection owes one
_IN_ALL = 768  # open at once; processes may have 1024 files open by default
_PER_ADDRESS = 64  # of them; a browser opens six
_FETCHED_S = 120.0  # for an answer to be fetched; the largest have some megabytes
HEAD_BYTES = 16 * 1024  # of the head of a request; those of browsers have 2 kB

_NO_HTTP = later("This is no request that I can read (HTTP/1.1).")

_log = logging.getLogger("bot.web")


class Doors:
    """Counts the connections of a server. Proxies that are believed, and this machine while only it may come, may open
    as many as there are."""

    def __init__(self, params: WebParams) -> None:
        self._proxies = Proxies(params.proxies)
        self._is_open = params.is_open
        self._by_address: Counter[str] = Counter()
        self._is_told = False

    def protocol(self, *args: Any, **options: Any) -> asyncio.Protocol:
        """For uvicorn, which makes one for each connection."""
        return _Connection(self, *args, **options)

    def enter(self, address: str) -> bool:
        """Whether one more may come in."""
        has_room = self._by_address.total() < _IN_ALL and (
            not self._is_open or self._proxies.has(address) or self._by_address[neighbourhood(address)] < _PER_ADDRESS
        )
        if has_room:
            self._by_address[neighbourhood(address)] += 1
        elif not self._is_told:
            _log.warning("more connections than may be open at once: the latest are turned away (told once)")
            self._is_told = True
        return has_room

    def leave(self, address: str) -> None:
        """One that was let in has ended."""
        key = neighbourhood(address)
        self._by_address[key] -= 1
        if not self._by_address[key]:
            del self._by_address[key]


class _Connection(H11Protocol):
    """One connection. Uvicorn leaves a new one alone for ever, and one that sends a head byte by byte too."""

    def __init__(self, doors: Doors, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._doors = doors
        self._entered: str | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = self.client[0] if self.client else "unknown"
        if self._doors.enter(address):
            self._entered = address
            self._expect_head()
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()
        if self._entered is not None:
            self._doors.leave(self._entered)
            self._entered = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_head()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(_FETCHED_S, self._give_up)

    def send_400_response(self, msg: str) -> None:
        """In the form of all problems; uvicorn's is plain, and breaks where an answer is on its way already."""
        if self.conn.our_state is not h11.IDLE and self.conn.our_state is not h11.SEND_RESPONSE:
            self.transport.close()
            return
        answer = problem(BadRequest(_NO_HTTP), ENGLISH)
        answer.headers.update({**HEADERS, "Connection": "close"})
        for event in (
            h11.Response(status_code=answer.status_code, headers=answer.raw_headers, reason=b"Bad Request"),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _give_up(self) -> None:
        """It is closed when nothing more is asked, which waits for an answer that nobody fetches."""
        if self.transport.is_closing():
            self.transport.abort()

    def _expect_head(self) -> None:
        """A head is owed: by a new connection, and once a part of the next one is there."""
        if (
            self.conn.their_state is h11.IDLE
            and not self.transport.is_closing()
            and (self.cycle is None or self.conn.trailing_data[0])
        ):
            if self._patience is None:
                self._patience = self.loop.call_later(_HEAD_S, self.transport.abort)
        else:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
