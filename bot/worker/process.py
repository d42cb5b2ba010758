"""The bot's end of one worker process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

from bot.params import BotParams
from bot.worker.channel import Born, Done, Job, LoopChannel, Ready, Setup
from bot.worker.nursery import Nursery
from bot.worker.requests import Checked
from bot.worker.ticket import Ticket
from infra.errors import UserError
from model_defs.checkpoint import Card

_SLOWEST = 5  # times worker.timeout_s: one picture among others that are answered; eight of the largest take 40 s
_START_TIMEOUT_S = 180.0  # to import torch from a cold disk, load the network and look at one picture


class StartFailed(UserError):  # noqa: N818 – says what is so
    """The process ended, or was not ready in time."""


class WorkerProcess:
    """One process and the tickets that it holds, in its order.

    answered: called with each ticket and its outcome. `gone` is done when the process has ended; `held` then has
    what it died with.
    """

    card: Card
    pid = 0

    def __init__(self, url: str, params: BotParams, answered: Callable[[Ticket, Checked | UserError], None]) -> None:
        self.url = url
        self.held: dict[int, Ticket] = {}
        self.answers = 0
        self.is_open = True  # takes more
        self.is_hung = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready: asyncio.Future[Card] = asyncio.get_running_loop().create_future()
        self._params = params
        self._answered = answered
        self._outbox: asyncio.Queue[Ticket] = asyncio.Queue()
        self._is_finishing = False
        self._deadline: asyncio.TimerHandle | None = None
        self._delivered: dict[int, float] = {}  # when, by the loop's clock

    async def start(self, nursery: Nursery) -> None:
        """Raises BundleError for a bundle that cannot be loaded, StartFailed; then, or cancelled, nothing is left."""
        ours, theirs = socket.socketpair()
        self._channel = LoopChannel(ours)
        self._life = asyncio.get_running_loop().create_task(self._live())
        try:
            with theirs:
                nursery.fork(theirs)
            async with asyncio.timeout(_START_TIMEOUT_S):
                self.card = await asyncio.shield(self._ready)
        except TimeoutError:
            if not self.pid:
                nursery.discard()
            raise StartFailed(f"the worker process was not ready within {_START_TIMEOUT_S:g} s") from None
        except OSError as error:
            raise StartFailed(f"the worker process cannot be started: {error.strerror}") from None
        finally:
            if not self._ready.done() or self._ready.exception():
                await self.stop()

    def deliver(self, ticket: Ticket) -> None:
        """Have the process look at this picture after those that it holds."""
        self.held[ticket.number] = ticket
        self._delivered[ticket.number] = asyncio.get_running_loop().time()
        self._outbox.put_nowait(ticket)
        if len(self.held) == 1:
            self._expect_answer()

    def finish(self) -> None:
        """Let it answer what it holds, and go."""
        self._is_finishing = True
        self.is_open = False
        if not self.held:
            self._kill()

    async def stop(self) -> None:
        """End it now, whatever it does; returns when it is gone."""
        self._kill()
        if not self.pid:  # not forked yet: it will find nobody
            self._life.cancel()
        await asyncio.shield(self.gone)

    async def _live(self) -> None:
        sending = asyncio.get_running_loop().create_task(self._send())
        try:
            await self._receive()
        except (EOFError, OSError):
            pass
        finally:
            sending.cancel()
            self._kill()
            self._channel.close()
            if self._deadline is not None:
                self._deadline.cancel()
            if not self._ready.done():
                self._ready.set_exception(StartFailed("the worker process ended as it started; the log has more"))
            self._ready.exception()
            self.gone.set_result(None)

    async def _send(self) -> None:
        params = self._params
        max_bytes = int(params.check.max_mb * 2**20)
        with contextlib.suppress(OSError):  # the other end is gone, which `_receive` sees too
            await self._channel.send(Setup(self.url, params.check.threads, max_bytes, params.worker.batch))
            while True:
                ticket = await self._outbox.get()
                await self._channel.send(Job(ticket.number, ticket.data, ticket.want))
                del ticket

    async def _receive(self) -> None:
        while True:
            message = await self._channel.receive()
            if isinstance(message, Born):
                self.pid = message.pid
                if not self.is_open:
                    self._kill()
            elif isinstance(message, Ready):
                self._ready.set_result(message.card)
            elif isinstance(message, UserError):
                self._ready.set_exception(message)
                return
            elif isinstance(message, Done):
                ticket = self.held.pop(message.number)
                del self._delivered[message.number]
                self.answers += 1
                self._expect_answer()
                self._answered(ticket, message.outcome)
                del message, ticket
                if self._is_finishing and not self.held:
                    return

    def _expect_answer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self.held:
            loop, timeout_s = asyncio.get_running_loop(), self._params.worker.timeout_s
            oldest = next(iter(self._delivered.values()))
            self._deadline = loop.call_at(min(loop.time() + timeout_s, oldest + _SLOWEST * timeout_s), self._hung)

    def _hung(self) -> None:
        self.is_hung = True
        self._kill()

    def _kill(self) -> None:
        self.is_open = False
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
