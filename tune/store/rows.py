"""Rows of the result store ▶ records, and the transaction in which they are read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from infra.database import clear_errors, read_only
from tune.store.records import Best, Trial


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One state of the store for all queries inside. Raises DatabaseError."""
    engine = read_only(engine)
    with clear_errors(engine), engine.begin() as connection:
        yield connection


def best_of(key: str, value: float | None, step: int | None, last: float | None, last_step: int) -> Best:
    """Columns of `summary`, of the end that counts."""
    return Best(key, value, step, number_of(last), last_step)


def trial_of(row: Mapping[Any, Any], best: Best | None = None) -> Trial:
    """A row of `trials`."""
    names = ("id", "sweep_id", "number", "status", "folder", "error", "params", "started_at", "ended_at")
    return Trial(**{name: row[name] for name in names}, best=best)


def number_of(value: float | None) -> float:
    """NULL is NaN: SQLite has no NaN."""
    return math.nan if value is None else value
