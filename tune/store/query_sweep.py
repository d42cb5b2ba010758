"""Questions about one sweep: its board, its curves, and whether anything has changed since one last looked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tune.store import schema
from tune.store.query import UnknownMetric, UnknownSweep, UnknownTrial, goal_of, load_sweeps, mode_of, sweep_id_of
from tune.store.records import Sweep, Trial
from tune.store.rows import best_of, number_of, reading, trial_of

Points = list[tuple[int, float]]

_KEPT = 5  # points of a stretch of a curve: first, last, least, most, and one that is no number
_AT_ONCE = 500  # ids in one statement; SQLite takes some 32,000 values


@dataclass(frozen=True)
class Board:
    """A sweep and all its trials by one metric, best first; those without a finite value last, by number.

    mode: 'max' or 'min'. metrics: what its trials reported, by name. heard_at: when it last wrote anything, Unix time.
    """

    sweep: Sweep
    metric: str
    mode: str
    metrics: tuple[str, ...]
    trials: tuple[Trial, ...]
    heard_at: float


@dataclass(frozen=True)
class Curve:
    """One metric of one trial. points: (step, value) by step, perhaps thinned; count: of all there are."""

    trial: Trial
    points: Points
    count: int


def change_token(engine: sa.Engine, sweep: str | None = None) -> str:
    """Another one whenever anything that the pages show has changed, in that sweep or, with None, in any.

    It reads one row for each trial and metric, no epochs. Raises UnknownSweep.
    """
    w, t, s, c, v, a = (table.c for table in _TABLES)
    with reading(engine) as connection:
        sweep_id = None if sweep is None else sweep_id_of(connection, sweep)
        trials = sa.select(t.id) if sweep_id is None else sa.select(t.id).where(t.sweep_id == sweep_id)
        # Scaled, because PostgreSQL refuses a sum that overflows. The sums tell an epoch that was trained again.
        sums = [sa.func.sum(value * 1e-9) for value in (s.last, s.best_max, s.best_min)]
        counted = sa.func.count()
        questions: list[tuple[Any, Any]] = [
            (sa.select(counted, sa.func.max(w.at)), w.id),
            (sa.select(counted, sa.func.max(t.at)), t.sweep_id),
            (sa.select(counted, sa.func.max(v.at)), v.sweep_id),
        ]
        seen = [
            tuple(connection.execute(query if sweep_id is None else query.where(of == sweep_id)).one())
            for query, of in questions
        ]
        seen += [
            tuple(connection.execute(query if sweep_id is None else query.where(of.in_(trials))).one())
            for query, of in (
                (sa.select(counted, sa.func.sum(s.last_step), *sums), s.trial_id),
                (sa.select(counted, sa.func.max(c.at)), c.trial_id),
                (sa.select(counted, sa.func.max(a.at)), a.trial_id),
            )
        ]
    return hashlib.sha256(repr((sweep_id, seen)).encode()).hexdigest()[:20]


def find_sweep(engine: sa.Engine, sweep: str) -> str:
    """The id of a sweep, given its name (the newest of it) or id. Raises UnknownSweep."""
    with reading(engine) as connection:
        return sweep_id_of(connection, sweep)


def board(engine: sa.Engine, sweep: str, metric: str | None = None) -> Board:
    """The trials of a sweep (a name: the newest of it; or an id) by a metric, by default its own.

    Raises UnknownSweep; UnknownMetric: a metric that was asked for, and that no trial reported.
    """
    t, s = schema.trials, schema.summary.c
    with reading(engine) as connection:
        sweep_id = sweep_id_of(connection, sweep)
        found = load_sweeps(connection, sweep_id).get(sweep_id)
        if found is None:  # removed since
            raise UnknownSweep(f"there is no sweep '{sweep}'")
        mine = sa.select(t.c.id).where(t.c.sweep_id == sweep_id)
        metrics = tuple(sorted(connection.scalars(sa.select(s.key).where(s.trial_id.in_(mine)).distinct())))
        key, mode = goal_of(found.params)
        if metric is not None and metric != key:
            if metric not in metrics:
                raise UnknownMetric(f"no trial of {found.name} reported a metric '{metric}'")
            key, mode = metric, mode_of(metric)
        value, step = (s.best_max, s.best_max_step) if mode == "max" else (s.best_min, s.best_min_step)
        rows = connection.execute(
            sa.select(t, value.label("best"), step.label("best_step"), s.last, s.last_step)
            .outerjoin(schema.summary, sa.and_(s.trial_id == t.c.id, s.key == key))
            .where(t.c.sweep_id == sweep_id)
            .order_by(value.is_(None), value.desc() if mode == "max" else value, t.c.number, t.c.id)
        ).mappings()
        trials = tuple(_ranked(row, key) for row in rows)
        heard_at = _heard_at(connection, found, key)
    return Board(found, key, mode, metrics, trials, heard_at)


def curves(engine: sa.Engine, sweep: str, trials: Sequence[str], metric: str, most: int = 500) -> list[Curve]:
    """A metric of some trials (whole ids) in the order given, each of `most` points at most; see :func:`thinned`.

    Raises UnknownSweep, UnknownTrial: none of this sweep.
    """
    t, m = schema.trials, schema.metrics.c
    wanted = list(dict.fromkeys(trials))
    by_id: dict[str, Trial] = {}
    points: dict[str, Points] = {trial: [] for trial in wanted}
    with reading(engine) as connection:
        sweep_id = sweep_id_of(connection, sweep)
        for begin in range(0, len(wanted), _AT_ONCE):
            ids = wanted[begin : begin + _AT_ONCE]
            rows = connection.execute(sa.select(t).where(t.c.id.in_(ids), t.c.sweep_id == sweep_id)).mappings()
            by_id.update({row["id"]: trial_of(row) for row in rows})
            for trial, step, value in connection.execute(
                sa.select(m.trial_id, m.step, m.value)
                .where(m.trial_id.in_(ids), m.key == metric)
                .order_by(m.trial_id, m.step)
            ):
                points[trial].append((step, number_of(value)))
    for trial in wanted:
        if trial not in by_id:
            raise UnknownTrial(f"there is no trial '{trial}' in {sweep}")
    return [Curve(by_id[trial], thinned(points[trial], most), len(points[trial])) for trial in wanted]


def thinned(points: Points, most: int) -> Points:
    """Some of the points, `most` (at least 5) at most, whose line looks as that of all: of each stretch the first, the
    last, the least and the most, and one that is not finite where there are such.

    M4 (Jugel, Jerzak, Hackenbroich and Markl, VLDB 2014), by position.
    """
    if len(points) <= most:
        return points
    stretches = most // _KEPT
    kept: set[int] = set()
    for number in range(stretches):
        first, end = len(points) * number // stretches, len(points) * (number + 1) // stretches
        finite = [i for i in range(first, end) if math.isfinite(points[i][1])]
        broken = next((i for i in range(first, end) if not math.isfinite(points[i][1])), first)
        kept.update((first, end - 1, broken))
        if finite:
            kept.update((min(finite, key=lambda i: points[i][1]), max(finite, key=lambda i: points[i][1])))
    return [points[i] for i in sorted(kept)]


_TABLES = (
    schema.sweeps, schema.trials, schema.summary, schema.checkpoints, schema.events, schema.aliases,
)  # fmt: skip


def _ranked(row: Mapping[Any, Any], key: str) -> Trial:
    if row["last_step"] is None:
        return trial_of(row)
    return trial_of(row, best_of(key, row["best"], row["best_step"], row["last"], row["last_step"]))


def _heard_at(connection: sa.Connection, sweep: Sweep, key: str) -> float:
    """Of epochs only those of running trials are read: of others the trial's own row is newer."""
    t, m, v = schema.trials.c, schema.metrics.c, schema.events.c
    running = sa.select(t.id).where(t.sweep_id == sweep.id, t.status == "running")
    times: list[float | None] = [
        connection.scalar(sa.select(sa.func.max(t.at)).where(t.sweep_id == sweep.id)),
        connection.scalar(sa.select(sa.func.max(v.at)).where(v.sweep_id == sweep.id)),
        connection.scalar(sa.select(sa.func.max(m.at)).where(m.trial_id.in_(running), m.key == key)),
    ]
    return max([sweep.at, *(at for at in times if at is not None)])
