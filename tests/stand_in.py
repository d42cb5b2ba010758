"""What the stand-ins for chat platforms share: a journal that can be waited on, and serving in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
AddressT = TypeVar("AddressT")
ServerT = TypeVar("ServerT")


@dataclass(eq=False)
class Entry:
    """One thing that happened. at_s: monotonic. Its details are attributes: entry.message, entry.call, …"""

    kind: str
    at_s: float
    details: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["details"][name]
        except KeyError:
            raise AttributeError(name) from None


class Journal:
    """log: every entry, in order. What of it is kept beside that, `recorded` decides."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self._untaken: dict[str, list[Entry]] = {}
        self._waiters: set[asyncio.Future[None]] = set()

    def record(self, kind: str, **details: Any) -> None:
        """Write something down, and wake who waits for it."""
        entry = Entry(kind, time.monotonic(), details)
        self.log.append(entry)
        self._untaken.setdefault(kind, []).append(entry)
        self.recorded(entry)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def recorded(self, entry: Entry) -> None:
        """Called for each entry, before who waits for it looks."""

    def entries(self, kind: str) -> list[Entry]:
        return [entry for entry in self.log if entry.kind == kind]

    async def next(self, kind: str, matching: Callable[[Entry], Any] = bool, timeout: float = 10.0) -> Entry:
        """The first entry of this kind that matches and that no `next` has given before; waits for it."""

        def look() -> Entry | None:
            return next((entry for entry in self._untaken.get(kind, []) if matching(entry)), None)

        entry = await self.until(look, f"no {kind!r} came", timeout)
        self._untaken[kind].remove(entry)
        return entry

    async def until(
        self, check: Callable[[], T | None], failure: str = "it did not happen", timeout: float = 10.0
    ) -> T:
        """Wait until `check` gives something that is true; asked after everything recorded."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            found = check()
            if found:
                return found
            waiter = loop.create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait_for(waiter, deadline - loop.time())
            except TimeoutError:
                raise AssertionError(f"{failure} within {timeout} s; last: {self._tail()}") from None
            finally:
                self._waiters.discard(waiter)

    def _tail(self) -> str:
        lines = [str(entry.details.get("call") or entry.kind) for entry in self.log[-12:]]
        return "; ".join(lines) or "nothing"


class Loop:
    """An event loop in a thread of its own, for tests without one. timeout_s: that anything may take there."""

    def __init__(self, timeout_s: float = 60.0) -> None:
        self._timeout_s = timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()

    def run(self, work: Awaitable[T], timeout_s: float | None = None) -> T:
        """Do something on the loop and wait for it."""

        async def wait() -> T:
            return await work

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(timeout_s or self._timeout_s)

    @contextmanager
    def in_thread(self) -> Iterator[Loop]:
        """The loop runs meanwhile."""
        ready = threading.Event()

        async def stay() -> None:
            self._loop = asyncio.get_running_loop()
            ready.set()
            await self._end.wait()

        thread = threading.Thread(target=asyncio.run, args=(stay(),), name="stand-in", daemon=True)
        thread.start()
        ready.wait()
        try:
            yield self
        finally:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._end.set)
            thread.join(self._timeout_s)

    @contextmanager
    def entered(self, context: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """What `async with context` gives on the loop."""
        found = self.run(context.__aenter__())
        try:
            yield found
        finally:
            self.run(context.__aexit__(None, None, None))


@dataclass
class Threaded(Generic[AddressT, ServerT]):
    """A stand-in in a thread of its own: it answers while the test waits for a subprocess."""

    address: AddressT
    server: ServerT
    loop: Loop

    def run(self, work: Awaitable[T], timeout_s: float | None = None) -> T:
        """Do something of the server's on its loop and wait for it."""
        return self.loop.run(work, timeout_s)
