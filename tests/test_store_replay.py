"""Rows that come late, twice or in another order leave the same tables; the summary is that of the metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tune.store import entries as e
from tune.store import schema
from tune.store.entries import Entry
from tune.store.target import Target

TRIALS, KEYS, STATUSES = ["t1", "t2"], ["auc", "loss"], ["running", "completed", "failed"]

numbers = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 0.5, 0.5, 1.0])


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    """What a driver may write in its life, each write later than the one before."""
    kinds = draw(st.lists(st.sampled_from(["metrics", "trial", "sweep", "checkpoint", "alias", "event"]), max_size=25))
    history = []
    for position, kind in enumerate(kinds):
        at, trial, status = float(position), draw(st.sampled_from(TRIALS)), draw(st.sampled_from(STATUSES))
        step = draw(st.integers(0, 4))
        if kind == "metrics":
            history.append(e.metrics_entry(trial, step, draw(st.dictionaries(st.sampled_from(KEYS), numbers)), at))
        elif kind == "trial":
            times = draw(st.tuples(*[st.none() | st.floats(0, 100)] * 2))
            history.append(e.trial_entry(trial, "s", {"n": position}, status, 0, "f", None, *times, at))
        elif kind == "sweep":
            history.append(e.sweep_entry("s", "s", {"n": position}, "hash", None, status, at))
        elif kind == "checkpoint":
            history.append(e.checkpoint_entry(trial, step, f"url{position}", draw(st.none() | numbers), at))
        elif kind == "alias":
            history.append(e.alias_entry("champion", f"url{position}", trial, at))
        else:
            history.append(e.event_entry("s", draw(st.none() | st.just(trial)), "kind", str(position), at))
    return history


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('store')}/results.db"
    else:
        url = request.getfixturevalue("postgres_server")
    target = Target(url)
    target.connect()
    yield target
    target.close()


def tables_after(target: Target, batches: Sequence[Sequence[Entry]]) -> dict[str, list[Any]]:
    """The content of every table when the batches are written into an empty store."""
    engine = sa.create_engine(target.url)
    with engine.begin() as connection:
        for table in schema.metadata.sorted_tables:
            connection.execute(sa.delete(table))
    for batch in batches:
        assert target.write(batch) == []
    with engine.begin() as connection:
        content = {
            table.name: sorted(map(repr, connection.execute(sa.select(table))))
            for table in schema.metadata.sorted_tables
        }
    engine.dispose()
    return content


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories(), data=st.data())
def test_any_order_and_any_repetition_leave_the_same_tables(
    target: Target, history: list[Entry], data: st.DataObject
) -> None:
    once = tables_after(target, [[entry] for entry in history])
    again = data.draw(st.lists(st.sampled_from(history), max_size=10)) if history else []
    mixed = data.draw(st.permutations(history + again))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(mixed)), max_size=4)))
    batches = [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]
    assert tables_after(target, batches) == once


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_the_summary_is_that_of_the_metrics(target: Target, history: list[Entry]) -> None:
    tables_after(target, [history])
    engine = sa.create_engine(target.url)
    with engine.connect() as connection:
        metrics = connection.execute(sa.select(schema.metrics)).mappings().all()
        summary = {(r["trial_id"], r["key"]): r for r in connection.execute(sa.select(schema.summary)).mappings()}
    engine.dispose()
    curves: dict[tuple[str, str], dict[int, float | None]] = {}
    for row in metrics:
        curves.setdefault((row["trial_id"], row["key"]), {})[row["step"]] = row["value"]
    assert curves.keys() == summary.keys()
    for name, curve in curves.items():
        row = summary[name]
        finite = {step: value for step, value in curve.items() if value is not None and math.isfinite(value)}
        assert (row["last_step"], row["last"]) == (max(curve), curve[max(curve)])
        high, low = max(finite.values(), default=None), min(finite.values(), default=None)
        assert (row["best_max"], row["best_min"]) == (high, low)
        assert row["best_max_step"] == min((s for s, v in finite.items() if v == high), default=None)
        assert row["best_min_step"] == min((s for s, v in finite.items() if v == low), default=None)


@given(entry=histories().filter(bool).map(lambda history: history[-1]), cut=st.integers(0, 10_000))
def test_a_line_of_the_spill_is_read_whole_or_not_at_all(entry: Entry, cut: int) -> None:
    line = entry.to_line()
    assert e.from_line(line) == entry
    assert e.from_line(line[: cut % len(line)]) is None


@given(line=st.text() | st.binary().map(lambda data: data.decode("utf-8", "replace")))
def test_rubbish_in_the_spill_is_no_entry(line: str) -> None:
    assert e.from_line(line) is None


def test_a_step_trained_again_can_take_the_best_value_back(tmp_path: Path) -> None:
    target = Target(f"sqlite:///{tmp_path}/results.db")
    target.write([e.metrics_entry("t", 1, {"auc": 0.6}, 1.0), e.metrics_entry("t", 2, {"auc": 0.9}, 2.0)])
    target.write([e.metrics_entry("t", 2, {"auc": 0.7}, 3.0)])
    target.close()
    engine = sa.create_engine(target.url)
    with engine.connect() as connection:
        row = connection.execute(sa.select(schema.summary)).mappings().one()
    assert (row["best_max"], row["best_max_step"], row["last"]) == (0.7, 2, 0.7)
