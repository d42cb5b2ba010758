"""Entries into tables: idempotent, and the summary kept in step with the metrics in the same transaction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tune.store import schema
from tune.store.entries import TABLES, Entry

_ID_CHUNK = 500  # of an IN list; SQLite's limit of variables is far above


@dataclass(frozen=True)
class Summary:
    """What one metric of one trial came to. Steps are None where no value was finite; `last` is None when NaN."""

    last: float | None
    last_step: int
    best_max: float | None
    best_max_step: int | None
    best_min: float | None
    best_min_step: int | None


def apply(connection: sa.Connection, entries: Iterable[Entry]) -> None:
    """Write `entries` in the open transaction. Applied again, or in another order, they leave the same tables."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for table, row in entries:
        if table == "metrics":
            shared = {"trial_id": row["trial_id"], "step": row["step"], "at": row["at"]}
            rows[table].extend({**shared, "key": key, "value": value} for key, value in row["values"].items())
        else:
            rows[table].append(row)
    for table in TABLES:
        if rows[table]:
            connection.execute(upsert(table, connection.dialect.name), rows[table])
    if rows["metrics"]:
        _summarise(connection, rows["metrics"])


def fold(summary: Summary | None, points: Iterable[tuple[int, float | None]]) -> Summary | None:
    """`summary` with the points (step, value) that follow it, steps rising.

    Only finite values can be best; of equal ones the earliest step is kept.
    """
    for step, value in points:
        s = summary or Summary(None, step, None, None, None, None)
        high, low = (s.best_max, s.best_max_step), (s.best_min, s.best_min_step)
        if value is not None and math.isfinite(value):
            if high[0] is None or value > high[0]:
                high = (value, step)
            if low[0] is None or value < low[0]:
                low = (value, step)
        summary = Summary(value, step, *high, *low)
    return summary


@cache
def upsert(table_name: str, dialect: str) -> Any:
    """The statement that writes a row of a table unless a later one is there."""
    table = schema.metadata.tables[table_name]
    insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    new, key = insert.excluded, list(table.primary_key.columns)
    if table is schema.events:
        return insert.on_conflict_do_nothing(index_elements=key)
    values = {c.name: new[c.name] for c in table.columns if not c.primary_key}
    if table is schema.summary:
        return insert.on_conflict_do_update(index_elements=key, set_=values)
    is_newer = new["at"] >= table.c["at"]
    if "started_at" not in table.c:
        return insert.on_conflict_do_update(index_elements=key, set_=values, where=is_newer)
    # The first start stands, whichever row is newer: a trial that goes on after a crash did not start then.
    values = {name: sa.case((is_newer, value), else_=table.c[name]) for name, value in values.items()}
    old_start, new_start = table.c["started_at"], new["started_at"]
    is_earlier = sa.or_(old_start.is_(None), new_start < old_start)
    values["started_at"] = sa.case((is_earlier, new_start), else_=old_start)
    return insert.on_conflict_do_update(index_elements=key, set_=values)


def _summarise(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    points: dict[tuple[str, str], list[tuple[int, float | None]]] = defaultdict(list)
    for row in rows:
        points[row["trial_id"], row["key"]].append((row["step"], row["value"]))
    known = _known(connection, sorted({trial_id for trial_id, _ in points}))
    changed = []
    for (trial_id, key), new in points.items():
        before = known.get((trial_id, key))
        steps = {step for step, _ in new}
        # A step that was there before may have lost the best value: then only the table itself knows.
        is_redone = len(steps) < len(new) or (before is not None and min(steps) <= before.last_step)
        after = fold(None, _curve(connection, trial_id, key)) if is_redone else fold(before, sorted(new))
        if after is not None and after != before:
            changed.append({"trial_id": trial_id, "key": key, **vars(after)})
    if changed:
        connection.execute(upsert("summary", connection.dialect.name), changed)


def _known(connection: sa.Connection, trial_ids: Sequence[str]) -> dict[tuple[str, str], Summary]:
    found = {}
    for start in range(0, len(trial_ids), _ID_CHUNK):
        chunk = trial_ids[start : start + _ID_CHUNK]
        for trial_id, key, *values in connection.execute(
            sa.select(schema.summary).where(schema.summary.c.trial_id.in_(chunk))
        ):
            found[trial_id, key] = Summary(*values)
    return found


def _curve(connection: sa.Connection, trial_id: str, key: str) -> list[tuple[int, float | None]]:
    m = schema.metrics.c
    query = sa.select(m.step, m.value).where(m.trial_id == trial_id, m.key == key).order_by(m.step)
    return [(step, value) for step, value in connection.execute(query)]
