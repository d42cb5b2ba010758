"""Tables of text that fit a terminal: rich on one, plain columns in a pipe or a log."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

_GAP = 2
_MIN_WIDTH = 60


@dataclass(frozen=True)
class Table:
    """Cells as text. numeric: columns set flush right. The first `fixed` columns are always shown."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    fixed: int = 1

    def fitting(self, width: int) -> tuple[Table, int]:
        """The table with as many columns as fit `width`, and how many were left out."""
        shown = len(self.head)
        widths = [max(len(row[i]) for row in (self.head, *self.rows)) for i in range(shown)]
        while shown > self.fixed and sum(widths[:shown]) + _GAP * (shown - 1) > width:
            shown -= 1
        rows = [row[:shown] for row in self.rows]
        return Table(self.head[:shown], rows, self.numeric, self.fixed), len(self.head) - shown


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return max(_MIN_WIDTH, shutil.get_terminal_size((80, 24)).columns)


def print_table(table: Table) -> int:
    """Print what fits; returns how many columns were left out."""
    shown, left_out = table.fitting(width())
    if sys.stdout.isatty():
        _print_rich(shown)
    else:
        print(plain(shown), end="")
    return left_out


def plain(table: Table) -> str:
    """Aligned columns, two blanks apart."""
    widths = [max(len(row[i]) for row in (table.head, *table.rows)) for i in range(len(table.head))]
    out = io.StringIO()
    for row in (table.head, *table.rows):
        cells = [
            cell.rjust(size) if i in table.numeric else cell.ljust(size)
            for i, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        print((" " * _GAP).join(cells).rstrip(), file=out)
    return out.getvalue()


def _print_rich(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for i, name in enumerate(table.head):
        drawn.add_column(
            Text(name), justify="right" if i in table.numeric else "left", overflow="fold", no_wrap=i < table.fixed - 1
        )
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(width=width()).print(drawn)
