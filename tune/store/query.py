"""Questions to a result store, answered from few rows. Functions take an engine and only read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from infra.errors import UserError
from tune.params import METRIC_MODES
from tune.store import schema
from tune.store.reader import BEGIN, open_reader
from tune.store.records import (
    Alias,
    Best,
    Checkpoint,
    Comparison,
    Event,
    Sweep,
    Trial,
    TrialRecord,
    differing_params,
    flatten,
)
from tune.store.rows import best_of, number_of, reading, trial_of

# Errors and losses shrink; everything else that a detector reports grows.
_SMALLER_IS_BETTER = ("loss", "eer", "nll", "ece", "brier", "fpr", "fnr", "error", "seconds", "time")
_SHOWN = 8  # near matches or known names in an error


class QueryError(UserError):
    """A sweep, a trial or a metric that the store does not have."""


class UnknownSweep(QueryError):  # noqa: N818 – says what it is
    """The store has no such sweep."""


class UnknownTrial(QueryError):  # noqa: N818 – says what it is
    """The store has no such trial, or several whose ids begin so."""


class UnknownMetric(QueryError):  # noqa: N818 – says what it is
    """No trial reported such a metric."""


def mode_of(metric: str) -> str:
    """'min' for losses and errors, 'max' for everything else."""
    if metric in METRIC_MODES:
        return METRIC_MODES[metric]
    words = metric.lower().replace("-", "_").replace("/", "_").split("_")
    return "min" if any(word in _SMALLER_IS_BETTER for word in words) else "max"


def goal_of(params: Mapping[str, Any]) -> tuple[str, str]:
    """The metric that a sweep of these params looks at, and its mode."""
    search = params.get("search")
    search = search if isinstance(search, Mapping) else {}
    metric = search.get("metric") or "auc"
    return metric, search.get("mode") or mode_of(metric)


def top(
    engine: sa.Engine, sweep: str | None = None, metric: str = "auc", mode: str | None = None, limit: int | None = 20
) -> list[Trial]:
    """Trials by the best value that they ever reached, best first; those without a finite value last.

    sweep: a name (the newest of that name) or an id; None: all. mode: 'max' or 'min', by default :func:`mode_of`.
    Trials that never reported the metric are left out. Raises QueryError: unknown sweep or metric, no trials.
    """
    query = _ranking(metric, mode or mode_of(metric), schema.trials).limit(limit)
    with reading(engine) as connection:
        if sweep is not None:
            query = query.where(schema.trials.c.sweep_id == sweep_id_of(connection, sweep))
        rows = connection.execute(query).mappings().all()
        if not rows:
            raise _no_metric(connection, sweep, metric)
    return [
        trial_of(row, best_of(metric, row["best"], row["best_step"], row["last"], row["last_step"])) for row in rows
    ]


def show(engine: sa.Engine, trial: str) -> TrialRecord:
    """Everything about a trial; the beginning of its id is enough. Raises QueryError: unknown or ambiguous."""
    with reading(engine) as connection:
        trial_id = trial_id_of(connection, trial)
        t, m, c, v = schema.trials, schema.metrics.c, schema.checkpoints.c, schema.events.c
        found = trial_of(connection.execute(sa.select(t).where(t.c.id == trial_id)).mappings().one())
        curves: dict[str, list[tuple[int, float]]] = {}
        for key, step, value in connection.execute(
            sa.select(m.key, m.step, m.value).where(m.trial_id == trial_id).order_by(m.key, m.step)
        ):
            curves.setdefault(key, []).append((step, number_of(value)))
        checkpoints = connection.execute(
            sa.select(c.step, c.url, c.score, c.at).where(c.trial_id == trial_id).order_by(c.step)
        )
        events = connection.execute(
            sa.select(v.kind, v.message, v.at).where(v.trial_id == trial_id).order_by(v.at, v.id)
        )
        a = schema.aliases.c
        aliases = connection.scalars(sa.select(a.name).where(a.trial_id == trial_id).order_by(a.name))
        return TrialRecord(
            trial=found,
            sweep=load_sweeps(connection, found.sweep_id).get(found.sweep_id),
            metrics=_metrics(connection, [trial_id]).get(trial_id, ()),
            curves=curves,
            checkpoints=tuple(Checkpoint(*row) for row in checkpoints),
            events=tuple(Event(*row) for row in events),
            aliases=tuple(aliases),
        )


def compare(engine: sa.Engine, trials: Sequence[str]) -> Comparison:
    """Trials side by side; beginnings of ids are enough. Raises QueryError: unknown or ambiguous."""
    with reading(engine) as connection:
        ids = list(dict.fromkeys(trial_id_of(connection, trial) for trial in trials))
        t = schema.trials
        rows = connection.execute(sa.select(t).where(t.c.id.in_(ids))).mappings()
        by_id = {row["id"]: trial_of(row) for row in rows}
        metrics = _metrics(connection, ids)
    found = tuple(by_id[trial_id] for trial_id in ids)
    best = [{b.key: b for b in metrics.get(trial_id, ())} for trial_id in ids]
    keys = sorted({key for by_key in best for key in by_key})
    return Comparison(found, differing_params(found), {key: tuple(by_key.get(key) for by_key in best) for key in keys})


def sweeps(engine: sa.Engine) -> list[Sweep]:
    """All sweeps, newest first, with their trials counted by status and their best trial. Raises QueryError: none."""
    with reading(engine) as connection:
        found = sorted(load_sweeps(connection, None).values(), key=lambda s: s.started_at, reverse=True)
    if not found:
        raise QueryError(f"no sweeps yet; {BEGIN}")
    return found


def alias(engine: sa.Engine, name: str) -> Alias | None:
    """What a name stands for, None when nobody has it."""
    a = schema.aliases
    with reading(engine) as connection:
        row = connection.execute(
            sa.select(a.c.name, a.c.bundle_url, a.c.trial_id, a.c.at).where(a.c.name == name)
        ).one_or_none()
    return None if row is None else Alias(*row)


def champion_url(store_url: str) -> str | None:
    """The bundle URL of the champion in the store at `store_url`, None when there is none. Raises DatabaseError."""
    engine = open_reader(store_url)
    try:
        champion = alias(engine, "champion")
    finally:
        engine.dispose()
    return None if champion is None else champion.bundle_url


def export(engine: sa.Engine, sweep: str | None = None) -> list[dict[str, Any]]:
    """One flat row for each trial: its facts, `params.…`, and of each metric `.last`, `.max` and `.min` with steps.

    Trials that never reported are there too. Raises QueryError: unknown sweep, no trials.
    """
    t, w, s = schema.trials, schema.sweeps.c, schema.summary
    with reading(engine) as connection:
        query = sa.select(t, w.name.label("sweep"), w.dataset_hash, w.git_commit).outerjoin(
            schema.sweeps, w.id == t.c.sweep_id
        )
        inner = sa.select(t.c.id)
        if sweep is not None:
            sweep_id = sweep_id_of(connection, sweep)
            query, inner = query.where(t.c.sweep_id == sweep_id), inner.where(t.c.sweep_id == sweep_id)
        rows = connection.execute(query.order_by(t.c.sweep_id, t.c.number, t.c.id)).mappings().all()
        found = connection.execute(sa.select(s).where(s.c.trial_id.in_(inner)).order_by(s.c.key)).mappings().all()
    if not rows:
        raise QueryError(f"no trials yet; {BEGIN}")
    metrics: dict[str, dict[str, Any]] = {}
    for row in found:
        key = row["key"]
        metrics.setdefault(row["trial_id"], {}).update({
            f"{key}.last": number_of(row["last"]), f"{key}.last_step": row["last_step"],
            f"{key}.max": row["best_max"], f"{key}.max_step": row["best_max_step"],
            f"{key}.min": row["best_min"], f"{key}.min_step": row["best_min_step"],
        })  # fmt: skip
    facts = (
        "sweep", "sweep_id", "number", "status", "folder", "error", "started_at", "ended_at", "dataset_hash",
        "git_commit",
    )  # fmt: skip
    return [
        {
            "trial": row["id"],
            **{name: row[name] for name in facts},
            **{f"params.{name}": value for name, value in flatten(row["params"]).items()},
            **metrics.get(row["id"], {}),
        }
        for row in rows
    ]


def sweep_id_of(connection: sa.Connection, sweep: str) -> str:
    """The id behind a name (the newest of that name) or an id. Raises UnknownSweep."""
    s = schema.sweeps.c
    query = sa.select(s.id).where(sa.or_(s.name == sweep, s.id == sweep)).order_by(s.id == sweep, s.started_at)
    ids = connection.scalars(query).all()
    if ids:
        return str(ids[-1])
    names = sorted(set(connection.scalars(sa.select(s.name))))
    if not names:
        raise UnknownSweep(f"there is no sweep '{sweep}': no sweep was run into this store yet; {BEGIN}")
    raise UnknownSweep(f"there is no sweep '{sweep}'; {_near(sweep, names, 'sweeps')}")


def trial_id_of(connection: sa.Connection, prefix: str) -> str:
    """The id that begins so. Raises UnknownTrial."""
    t = schema.trials.c
    found = connection.scalars(
        sa.select(t.id).where(t.id.startswith(prefix, autoescape=True)).order_by(t.id).limit(_SHOWN + 1)
    ).all()
    if prefix and prefix in found:
        return prefix
    if prefix and len(found) == 1:
        return str(found[0])
    if prefix and found:
        more = ", …" if len(found) > _SHOWN else ""
        raise UnknownTrial(
            f"several trials begin with '{prefix}': {', '.join(found[:_SHOWN])}{more}; give more of the id"
        )
    known = connection.scalars(sa.select(t.id).order_by(t.at.desc()).limit(1000)).all()
    if not known:
        raise UnknownTrial(f"there is no trial '{prefix}': no trial was run into this store yet; {BEGIN}")
    raise UnknownTrial(f"there is no trial '{prefix}'; {_near(prefix, known, 'trials, the newest first')}")


def _no_metric(connection: sa.Connection, sweep: str | None, metric: str) -> QueryError:
    s, t = schema.summary.c, schema.trials.c
    keys, count = sa.select(s.key).distinct(), sa.select(sa.func.count()).select_from(schema.trials)
    if sweep is not None:
        mine = t.sweep_id == sweep_id_of(connection, sweep)
        keys, count = keys.join(schema.trials, t.id == s.trial_id).where(mine), count.where(mine)
    known, trials = sorted(connection.scalars(keys)), connection.scalar(count)
    if known:
        return UnknownMetric(f"no trial reported a metric '{metric}'; {_near(metric, known, 'metrics')}")
    if trials:
        return QueryError(f"none of the {trials:,} trials has reported anything yet; ask again after their first epoch")
    return QueryError(f"no trials yet; {BEGIN}")


def _near(word: str, known: Sequence[str], what: str) -> str:
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    shown = list(known) if len(known) <= 2 * _SHOWN else [*known[: 2 * _SHOWN], "…"]
    return f"{meant}known {what}: {', '.join(shown)}"


def load_sweeps(connection: sa.Connection, sweep_id: str | None) -> dict[str, Sweep]:
    """Sweeps by id, that one or all, with their trials counted by status and their best trial."""
    w, t = schema.sweeps, schema.trials.c
    rows = connection.execute(sa.select(w) if sweep_id is None else sa.select(w).where(w.c.id == sweep_id)).mappings()
    count = sa.select(t.sweep_id, t.status, sa.func.count()).group_by(t.sweep_id, t.status)
    if sweep_id is not None:
        count = count.where(t.sweep_id == sweep_id)
    trials: dict[str, dict[str, int]] = {}
    for of, status, number in connection.execute(count):
        trials.setdefault(of, {})[status] = number
    found = {}
    for row in rows:
        best, best_trial = _best_of_sweep(connection, row["id"], row["params"])
        found[row["id"]] = Sweep(**row, trials=trials.get(row["id"], {}), best=best, best_trial=best_trial)
    return found


def _best_of_sweep(
    connection: sa.Connection, sweep_id: str, params: Mapping[str, Any]
) -> tuple[Best | None, str | None]:
    metric, mode = goal_of(params)
    row = connection.execute(
        _ranking(metric, mode, schema.trials.c.id).where(schema.trials.c.sweep_id == sweep_id).limit(1)
    ).one_or_none()
    if row is None or row.best is None:
        return None, None
    return best_of(metric, row.best, row.best_step, row.last, row.last_step), row.id


def _ranking(metric: str, mode: str, *columns: Any) -> sa.Select[Any]:
    t, s = schema.trials.c, schema.summary.c
    value, step = (s.best_max, s.best_max_step) if mode == "max" else (s.best_min, s.best_min_step)
    return (
        sa.select(*columns, value.label("best"), step.label("best_step"), s.last, s.last_step)
        .join(schema.summary, s.trial_id == t.id)
        .where(s.key == metric)
        .order_by(value.is_(None), value.desc() if mode == "max" else value, t.number, t.id)
    )


def _metrics(connection: sa.Connection, trial_ids: Sequence[str]) -> dict[str, tuple[Best, ...]]:
    s = schema.summary
    found: dict[str, list[Best]] = {}
    for row in connection.execute(sa.select(s).where(s.c.trial_id.in_(trial_ids)).order_by(s.c.key)).mappings():
        end = mode_of(row["key"])
        best = best_of(row["key"], row[f"best_{end}"], row[f"best_{end}_step"], row["last"], row["last_step"])
        found.setdefault(row["trial_id"], []).append(best)
    return {trial_id: tuple(metrics) for trial_id, metrics in found.items()}
