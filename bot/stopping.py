"""The first signal asks a server to finish what it is at; the second ends it there and then."""

from __future__ import annotations

import asyncio
import signal

from infra.cli import Terminated


def first_signal() -> asyncio.Future[int]:
    """Done with the first SIGTERM or SIGINT; after it the next one ends the process there and then."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[int] = loop.create_future()

    def arrived(number: int) -> None:
        if not first.done():
            first.set_result(number)
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(one)
            signal.signal(one, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, arrived, number)
    return first


def as_exception(number: int) -> BaseException:
    """What `infra.cli.run_cli` makes the exit code of: 143 for SIGTERM, 130 for SIGINT."""
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
