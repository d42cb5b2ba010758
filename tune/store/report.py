"""What the commands of the result store print: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tune.store import table
from tune.store.records import Best, Comparison, Sweep, Trial, TrialRecord, differing_params, flatten
from tune.store.table import Table

_BARS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 24
_EVENTS_SHOWN = 8
_ERROR_LINES_SHOWN = 12
_NEITHER_GOOD_NOR_BAD = {"time_total_s", "epoch_seconds", "parameters"}
NOTHING = "–"


def print_json(content: Any) -> None:
    """Strict JSON: NaN and infinities, which it does not know, are null."""
    json.dump(jsonable(content), sys.stdout, indent=2, ensure_ascii=False)
    print()


def print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """A head and a line a row; all columns that any row has, in the order of their first appearance."""
    write_csv(rows, sys.stdout)


def write_csv(rows: Sequence[Mapping[str, Any]], file: Any) -> None:
    """The same into an open text file."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _csv_cell(value) for name, value in row.items()})


def jsonable(value: Any) -> Any:
    """Records as mappings, and what JSON does not know as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def top_rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """A ranking for programs."""
    return [
        {
            "rank": rank,
            "trial": trial.id,
            "number": trial.number,
            "sweep": trial.sweep_id,
            "status": trial.status,
            "metric": best.key,
            "best": best.value,
            "best_epoch": best.step,
            "last": best.last,
            "last_epoch": best.last_step,
            "folder": trial.folder,
            "params": trial.params,
        }
        for rank, (trial, best) in enumerate(((t, t.best) for t in trials if t.best is not None), start=1)
    ]


def flat(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their params as columns of their own."""
    return [
        {**{k: v for k, v in row.items() if k != "params"}, **flatten(row.get("params") or {}, "params.")}
        for row in rows
    ]


def print_top(trials: Sequence[Trial], metric: str, mode: str) -> None:
    """A ranking for people: the params that differ are columns, as many as fit."""
    params = differing_params(trials)
    names = short_names(list(params))
    rows = []
    for i, row in enumerate(top_rows(trials)):
        facts = [row["rank"], row["trial"], row["status"], row["best"], row["best_epoch"], row["last"]]
        rows.append([shown(value) for value in facts] + [shown(values[i]) for values in params.values()])
    head = ["#", "trial", "status", f"best {metric}", "epoch", "last", *(names[name] for name in params)]
    left_out = table.print_table(Table(head, rows, frozenset({0, 3, 4, 5}), fixed=6))
    more = f"; {left_out} more params differ: --json, --csv, or compare two trials" if left_out else ""
    print(f"\nranked by the best {metric} of any epoch ({'higher' if mode == 'max' else 'lower'} is better){more}")


def print_sweeps(sweeps: Sequence[Sweep]) -> None:
    """All sweeps for people."""
    rows = []
    for sweep in sweeps:
        counts = ", ".join(f"{n} {status}" for status, n in sorted(sweep.trials.items())) or "no trials yet"
        best = f"{sweep.best.key} {shown(sweep.best.value)}" if sweep.best else NOTHING
        rows.append([sweep.name, when(sweep.started_at), sweep.status, best, sweep.best_trial or NOTHING, counts])
    table.print_table(Table(["sweep", "started", "status", "best", "by trial", "trials"], rows, fixed=6))


def print_trial(record: TrialRecord) -> None:
    """A trial for people."""
    trial, sweep = record.trial, record.sweep
    names = f"  ({', '.join(record.aliases)})" if record.aliases else ""
    print(f"trial {trial.id}{names}, number {trial.number} of sweep {sweep.name if sweep else trial.sweep_id}")
    facts = {
        "status": trial.status,
        "started": f"{when(trial.started_at)}{_duration(trial)}",
        "folder": trial.folder,
        "dataset": sweep.dataset_hash[:12] if sweep else NOTHING,
        "commit": (sweep.git_commit if sweep else None) or NOTHING,
    }
    if record.checkpoints:
        last = record.checkpoints[-1]
        facts["checkpoint"] = f"{last.url} (epoch {last.step})"
    for name, value in facts.items():
        print(f"  {name:<10}  {value}")
    if trial.error:
        print("\nerror")
        for line in trial.error.splitlines()[-_ERROR_LINES_SHOWN:]:
            print(f"  {line}")
    if record.metrics:
        print()
        table.print_table(_metrics_table(record))
    print("\nparams")
    for name, value in flatten(trial.params).items():
        print(f"  {name} = {shown(value)}")
    if record.events:
        print("\nevents")
        for event in record.events[-_EVENTS_SHOWN:]:
            print(f"  {when(event.at)}  {event.kind}  {event.message}")


def print_comparison(comparison: Comparison) -> None:
    """Trials side by side for people."""
    head = ["", *(trial.id for trial in comparison.trials)]
    rows = [["number", *(str(trial.number) for trial in comparison.trials)]]
    rows.append(["sweep", *(trial.sweep_id for trial in comparison.trials)])
    rows.append(["status", *(trial.status for trial in comparison.trials)])
    names = short_names(list(comparison.params))
    rows += [[names[name], *(shown(value) for value in values)] for name, values in comparison.params.items()]
    rows += [[name, *(shown(value) for value in values)] for name, values in _measures(comparison)]
    left_out = table.print_table(Table(head, rows, frozenset(range(1, len(head))), fixed=2))
    same = "all params are the same" if not comparison.params else "params that are the same are not shown"
    print(f"\n{same}" + (f"; {left_out} trials did not fit: --csv" if left_out else ""))


def comparison_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """A comparison as rows for programs: what, and a column for each trial."""
    ids = [trial.id for trial in comparison.trials]
    rows = [{"name": f"params.{name}", **dict(zip(ids, v, strict=True))} for name, v in comparison.params.items()]
    rows += [{"name": name, **dict(zip(ids, values, strict=True))} for name, values in _measures(comparison)]
    return rows


def curve_rows(record: TrialRecord) -> list[dict[str, Any]]:
    """A trial's curves as rows for programs."""
    return [
        {"trial": record.trial.id, "metric": key, "epoch": step, "value": value}
        for key, points in record.curves.items()
        for step, value in points
    ]


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The shortest ends of dotted names that still tell them apart: train.lr ▶ lr."""
    parts = {name: name.split(".") for name in names}
    short = {}
    for name in names:
        for count in range(1, len(parts[name]) + 1):
            end = parts[name][-count:]
            if sum(other[-count:] == end for other in parts.values()) == 1:
                break
        short[name] = ".".join(end)
    return short


def shown(value: Any) -> str:
    """A cell: floats to four significant digits, NaN as nan."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if 0.001 <= abs(value) < 10 else f"{value:.4g}"
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def when(unix_time: float | None) -> str:
    """Local time, to the minute."""
    if unix_time is None:
        return NOTHING
    return dt.datetime.fromtimestamp(unix_time).strftime("%Y-%m-%d %H:%M")


def curve(values: Sequence[float], size: int = _CURVE_WIDTH) -> str:
    """A curve of at most `size` characters; a point is the last finite value of its stretch, a blank has none."""
    step = max(1.0, len(values) / size)
    stretches = [values[int(i * step) : int((i + 1) * step)] for i in range(min(size, len(values)))]
    points = [next((v for v in reversed(part) if math.isfinite(v)), math.nan) for part in stretches]
    finite = [v for v in points if math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span = (high - low) or 1.0
    return "".join(" " if math.isnan(v) else _BARS[round((v - low) / span * (len(_BARS) - 1))] for v in points)


def _measures(comparison: Comparison) -> Iterator[tuple[str, list[float | None]]]:
    """The best of what can be better or worse, the last of what only adds up, such as time."""
    for key, values in comparison.metrics.items():
        if key in _NEITHER_GOOD_NOR_BAD:
            yield key, [None if best is None else best.last for best in values]
        else:
            yield f"best {key}", [None if best is None else best.value for best in values]


def _metrics_table(record: TrialRecord) -> Table:
    def row(best: Best) -> list[str]:
        values = [value for _, value in record.curves.get(best.key, [])]
        facts = [best.key, best.value, best.step, best.last]
        return [*(shown(fact) for fact in facts), curve(values)]

    rows = [row(best) for best in record.metrics]
    return Table(["metric", "best", "epoch", "last", "curve"], rows, frozenset({1, 2, 3}), fixed=4)


def _duration(trial: Trial) -> str:
    if trial.started_at is None or trial.ended_at is None:
        return ""
    return f", took {dt.timedelta(seconds=max(0, round(trial.ended_at - trial.started_at)))}"


def _csv_cell(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(jsonable(value), ensure_ascii=False)
    return value
