"""How far a long command has come: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOG_EVERY_S = 10.0


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Yields a function to call after each of `total` steps; writes to standard error only."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)
        return
    done, started = 0, time.monotonic()
    next_line = started + _LOG_EVERY_S

    def advance() -> None:
        nonlocal done, next_line
        done += 1
        now = time.monotonic()
        if now >= next_line:
            next_line = now + _LOG_EVERY_S
            print(f"{what}: {done} of {total} ({done / (now - started):.0f}/s)", file=sys.stderr, flush=True)

    yield advance
