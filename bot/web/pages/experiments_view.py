"""Records of the result store ▶ what the templates of *Experiments* show: texts, links, places in the table."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from bot.web.experiments import address
from bot.web.pages.experiments_texts import event_words, pictured_words, state_words
from bot.words import Words
from tune.store.query_sweep import Board
from tune.store.records import Sweep, Trial, TrialRecord, differing_params, flatten
from tune.store.report import NOTHING, short_names, shown

PAGE_ROWS = 100
_PARAM = "param:"


@dataclass(frozen=True)
class State:
    """A state as it is shown. name: as the store has it."""

    name: str
    sign: str
    word: str

    @classmethod
    def of(cls, name: str, t: Words) -> State:
        """In words."""
        return cls(name, *state_words(name, t))


@dataclass(frozen=True)
class Moment:
    """A time. iso: for programs, in UTC; text: for people without JavaScript."""

    iso: str
    text: str

    @classmethod
    def of(cls, unix_time: float) -> Moment:
        """To the minute for people."""
        at = dt.datetime.fromtimestamp(unix_time, dt.UTC)
        return cls(at.isoformat(timespec="seconds"), f"{at:%Y-%m-%d %H:%M} UTC")


@dataclass(frozen=True)
class SweepRow:
    """A sweep in the list, or in the head of its page."""

    address: str
    name: str
    state: State
    trials: tuple[tuple[int, State], ...]
    best: str
    best_trial: str | None
    began: Moment
    took: str
    data: str
    commit: str

    @classmethod
    def of(cls, sweep: Sweep, t: Words) -> SweepRow:
        """took: until it ended; of one that runs nothing."""
        return cls(
            address=address(sweep.id), name=sweep.name, state=State.of(sweep.status, t),
            trials=tuple((count, State.of(state, t)) for state, count in sorted(sweep.trials.items())),
            best=f"{sweep.best.key} {value_text(sweep.best.value, t)}" if sweep.best else NOTHING,
            best_trial=sweep.best_trial, began=Moment.of(sweep.started_at),
            took=NOTHING if sweep.status == "running" else duration(sweep.at - sweep.started_at),
            data=sweep.dataset_hash[:12], commit=(sweep.git_commit or NOTHING)[:12],
        )  # fmt: skip


def sweep_rows(sweeps: Sequence[Sweep], t: Words) -> list[SweepRow]:
    """In their order."""
    return [SweepRow.of(sweep, t) for sweep in sweeps]


@dataclass(frozen=True)
class Column:
    """A column of the leaderboard. link: to the table sorted by it; sorted: as aria-sort says it, or None."""

    name: str
    title: str
    link: str
    sorted: str | None
    is_number: bool


@dataclass(frozen=True)
class TrialRow:
    """A trial on the leaderboard. cells: texts of the columns from the fifth on."""

    id: str
    path: str
    number: int
    rank: str
    best: str
    state: State
    cells: tuple[str, ...]


@dataclass(frozen=True)
class BoardView:
    """A sweep's page: its head and the part of its leaderboard that is shown."""

    sweep: SweepRow
    metric: str
    metrics: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[TrialRow, ...]
    first: int
    total: int
    previous: str | None
    next: str | None
    heard: Moment
    language: str | None

    @classmethod
    def of(
        cls, board: Board, t: Words, sort: str, is_descending: bool, offset: int, language: str | None = None
    ) -> BoardView:
        """sort: a column's name; another is as rank. offset: rows before those shown. language: kept in its links."""
        params = differing_params(board.trials)
        columns = _columns(board, params, t)
        sort = sort if sort in columns else "rank"
        order = _order(board, params, sort, is_descending)
        offset = offset if offset < len(order) else 0

        def link(**changed: object) -> str:
            values = {"metric": board.metric, "sort": sort, "order": "desc" if is_descending else "asc", "offset": 0}
            chosen = {"language": language} if language else {}
            return "?" + urlencode({**values, **chosen, **changed})

        def head(name: str) -> Column:
            title, is_number = columns[name]
            direction = ("descending" if is_descending else "ascending") if name == sort else None
            turned = "desc" if name == sort and not is_descending else "asc"
            return Column(name, title, link(sort=name, order=turned), direction, is_number)

        ranks = {trial.id: rank for rank, trial in enumerate(board.trials, 1)}
        places = {trial.id: place for place, trial in enumerate(board.trials)}
        shown_trials = order[offset : offset + PAGE_ROWS]
        return cls(
            sweep=SweepRow.of(board.sweep, t), metric=board.metric, metrics=board.metrics or (board.metric,),
            columns=tuple(head(name) for name in columns),
            rows=tuple(_row(trial, ranks[trial.id], places[trial.id], params, t) for trial in shown_trials),
            first=offset + 1, total=len(order),
            previous=link(offset=max(0, offset - PAGE_ROWS)) if offset else None,
            next=link(offset=offset + PAGE_ROWS) if offset + PAGE_ROWS < len(order) else None,
            heard=Moment.of(board.heard_at), language=language,
        )  # fmt: skip

    @property
    def last(self) -> int:
        """Of the rows shown, counted from 1."""
        return self.first + len(self.rows) - 1


def trial_view(
    record: TrialRecord, board: Board, pictures: Sequence[str], epoch: int | None, t: Words
) -> dict[str, Any]:
    """A trial's page, by the names of the template. epoch: of `pictures`."""
    ranked = [trial for trial in board.trials if trial.best and trial.best.value is not None]
    best = ranked[0] if ranked else None
    is_best = best is not None and best.id == record.trial.id
    mine, theirs = flatten(record.trial.params), flatten(best.params) if best else {}
    error = (record.trial.error or "").strip()
    titles = {
        "roc": t("The ROC curve"), "calibration": t("The calibration curve"), "confusion": t("The confusion matrix"),
        "curves": t("The learning curves"),
    }  # fmt: skip
    return {
        "sweep": SweepRow.of(board.sweep, t),
        "id": record.trial.id,
        "number": record.trial.number,
        "state": State.of(record.trial.status, t),
        "rank": next((rank for rank, trial in enumerate(ranked, 1) if trial.id == record.trial.id), None),
        "count": len(board.trials),
        "aliases": ", ".join(record.aliases),
        "began": Moment.of(record.trial.started_at) if record.trial.started_at is not None else None,
        "took": _took(record.trial),
        "error": error.splitlines()[-1].strip() if error else "",
        "metric": board.metric,
        "is_best": is_best,
        "best": None if is_best else best,
        "best_path": quote(best.id, safe="") if best else "",
        "params": [
            (name, param_text(mine.get(name), t), param_text(theirs.get(name), t), mine.get(name) != theirs.get(name))
            for name in dict.fromkeys([*mine, *theirs])
        ],
        "metrics": [
            (each.key, value_text(each.value, t), NOTHING if each.step is None else each.step, value_text(each.last, t))
            for each in record.metrics
        ],
        "checkpoints": [(each.step, value_text(each.score, t), Moment.of(each.at)) for each in record.checkpoints],
        "events": [(State.of(it.kind, t), event_words(it.message, t), Moment.of(it.at)) for it in record.events],
        "pictures": [(name, titles[name]) for name in pictures],
        "pictured": pictured_words(epoch, board.metric, t),
        "heard": Moment.of(board.heard_at),
    }


def value_text(value: float | None, t: Words) -> str:
    """Four significant digits or more, as the language writes them."""
    if value is None or math.isnan(value):
        return NOTHING if value is None else "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) >= 10:
        return t.number(value)
    if 0.001 <= abs(value) < 10 or value == 0:
        return t.number(value, 4)
    return f"{value:.4g}".replace(".", t.number(0.1, 1)[1])


def param_text(value: Any, t: Words) -> str:
    """Whole numbers as they are: 128, not 128.0000."""
    if isinstance(value, float):
        return value_text(value, t)
    return shown(value)


def duration(seconds: float) -> str:
    """1:02:03, as clocks write it."""
    return str(dt.timedelta(seconds=max(0, round(seconds))))


def _columns(board: Board, params: dict[str, tuple[Any, ...]], t: Words) -> dict[str, tuple[str, bool]]:
    """Name ▶ (title, whether its cells are numbers)."""
    labels = short_names(list(params))
    return {
        "rank": ("#", True),
        "number": (t("Trial"), True),
        "best": (t("Best {metric}", metric=board.metric), True),
        "state": (t("State"), False),
        "epoch": (t("Epoch"), True),
        "last": (t("Last"), True),
        "took": (t("Took"), True),
    } | {
        f"{_PARAM}{name}": (labels[name], all(isinstance(value, (int, float)) for value in values if value is not None))
        for name, values in params.items()
    }


def _order(board: Board, params: dict[str, tuple[Any, ...]], sort: str, is_descending: bool) -> list[Trial]:
    """Those without a value last in either direction, and among equals the better first."""
    trials = list(board.trials)
    if sort == "rank":
        return trials[::-1] if is_descending else trials
    if sort.startswith(_PARAM):
        values: list[Any] = list(params[sort.removeprefix(_PARAM)])
    else:
        values = [_value(trial, sort) for trial in trials]
    there = [(value, trial) for value, trial in zip(values, trials, strict=True) if _is_there(value)]
    missing = [trial for value, trial in zip(values, trials, strict=True) if not _is_there(value)]
    numbers = all(isinstance(value, (int, float)) for value, _ in there)
    there.sort(key=lambda pair: pair[0] if numbers else shown(pair[0]), reverse=is_descending)
    return [trial for _, trial in there] + missing


def _is_there(value: Any) -> bool:
    return value is not None and value == value  # noqa: PLR0124 – NaN is not


def _value(trial: Trial, column: str) -> Any:
    best = trial.best
    return {
        "number": trial.number,
        "state": trial.status,
        "best": best.value if best else None,
        "epoch": best.step if best else None,
        "last": best.last if best else None,
        "took": None if trial.started_at is None or trial.ended_at is None else trial.ended_at - trial.started_at,
    }[column]


def _row(trial: Trial, rank: int, place: int, params: dict[str, tuple[Any, ...]], t: Words) -> TrialRow:
    best = trial.best
    has_value = best is not None and best.value is not None
    cells = [
        NOTHING if best is None or best.step is None else str(best.step),
        value_text(best.last, t) if best else NOTHING,
        _took(trial),
        *(param_text(values[place], t) for values in params.values()),
    ]
    return TrialRow(
        trial.id, quote(trial.id, safe=""), trial.number, str(rank) if has_value else NOTHING,
        value_text(best.value if best else None, t), State.of(trial.status, t), tuple(cells),
    )  # fmt: skip


def _took(trial: Trial) -> str:
    if trial.started_at is None or trial.ended_at is None:
        return NOTHING
    return duration(trial.ended_at - trial.started_at)
