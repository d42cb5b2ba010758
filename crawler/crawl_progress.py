"""How far a crawl has come: a table that moves on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from crawler.engine import Traffic
from crawler.source_state import SourceState

if TYPE_CHECKING:
    from rich.table import Table

States: TypeAlias = "Callable[[], Collection[SourceState]]"

LOG_EVERY_S = 10.0
_REFRESH_S = 0.5


@contextmanager
def show_progress(states: States, traffic: Callable[[], Traffic]) -> Iterator[None]:
    """Show what `states` and `traffic` give again and again while the block runs; writes to standard error only."""
    # A thread: it must go on also when the loop is busy, and a slow terminal must not hold the loop up.
    stop = threading.Event()
    show = _show_table if sys.stderr.isatty() else _log_lines
    thread = threading.Thread(target=show, args=(states, traffic, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def one_line(states: Collection[SourceState], traffic: Traffic, seconds: float) -> str:
    """All of it in a line: `ffhq 120/1000, 3 failed · tpdne 40/50 · 16/s, 1.2 MB/s`."""
    parts = [f"{s.source.name} {_progress_of(s)}{_troubles_of(s)}" for s in states]
    return " · ".join([*parts, _rate(traffic, seconds)])


def _log_lines(states: States, traffic: Callable[[], Traffic], stop: threading.Event) -> None:
    began = time.monotonic()
    while not stop.wait(LOG_EVERY_S):
        print(f"crawling: {one_line(states(), traffic(), time.monotonic() - began)}", file=sys.stderr, flush=True)


def _show_table(states: States, traffic: Callable[[], Traffic], stop: threading.Event) -> None:
    from rich.console import Console
    from rich.live import Live

    began = time.monotonic()
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        while not stop.wait(_REFRESH_S):
            live.update(_table(states(), traffic(), time.monotonic() - began), refresh=True)


def _table(states: Collection[SourceState], traffic: Traffic, seconds: float) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("source", "good images", "not used", "failed", ""):
        table.add_column(name, justify="left" if name in ("source", "") else "right")
    for s in states:
        # As text: what a params file says must not be read as markup.
        cells = (s.source.name, _progress_of(s), str(s.refused), str(s.failed), s.ended or "")
        table.add_row(*(Text(cell) for cell in cells))
    table.add_row("", "", "", "", _rate(traffic, seconds), style="dim")
    return table


def _progress_of(state: SourceState) -> str:
    return f"{state.good:,}" + (f"/{state.source.target:,}" if state.source.target else "")


def _troubles_of(state: SourceState) -> str:
    said = [f"{state.refused} not used"] if state.refused else []
    said += [f"{state.failed} failed"] if state.failed else []
    said += [state.ended] if state.ended else []
    return "".join(f", {part}" for part in said)


def _rate(traffic: Traffic, seconds: float) -> str:
    per_s = max(seconds, 1e-9)
    return f"{traffic.fetched / per_s:.0f}/s, {traffic.bytes / per_s / 1e6:.1f} MB/s"
