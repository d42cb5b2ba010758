"""One call of the result store as one entry: cleaned so that every database takes it, and as a line of JSON."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A row for `table`. For `metrics` the row stands for several: it holds `values`, a value by key."""

    table: str
    row: dict[str, Any]

    @property
    def size(self) -> int:
        """How many rows of the database it makes."""
        return len(self.row["values"]) if self.table == "metrics" else 1

    def to_line(self) -> str:
        """As a line of JSON, without its end. Infinities are written as Python's json writes them."""
        return json.dumps([self.table, self.row], separators=(",", ":"))


TABLES = ("sweeps", "trials", "metrics", "checkpoints", "aliases", "events")


def from_line(line: str) -> Entry | None:
    """The entry of a line, None when the line is not whole: a crash cuts the last one in half."""
    try:
        table, row = json.loads(line)
    except (ValueError, TypeError):
        return None
    if table not in TABLES or not isinstance(row, dict):
        return None
    return Entry(table, row)


def sweep_entry(
    sweep_id: str, name: str, params: Mapping[str, Any], dataset_hash: str, git_commit: str | None, status: str,
    at: float,
) -> Entry:  # fmt: skip
    """A sweep as it stands at the time `at`."""
    row = {
        "id": text(sweep_id),
        "name": text(name),
        "params": plain(params),
        "dataset_hash": text(dataset_hash),
        "git_commit": None if git_commit is None else text(git_commit),
        "status": text(status),
        "started_at": at,
        "at": at,
    }
    return Entry("sweeps", row)


def trial_entry(
    trial_id: str, sweep_id: str, params: Mapping[str, Any], status: str, number: int, folder: str,
    error: str | None, started_at: float | None, ended_at: float | None, at: float,
) -> Entry:  # fmt: skip
    """A trial as it stands at the time `at`."""
    row = {
        "id": text(trial_id),
        "sweep_id": text(sweep_id),
        "number": int(number),
        "params": plain(params),
        "status": text(status),
        "folder": text(folder),
        "error": None if error is None else text(error),
        "started_at": number_or_none(started_at),
        "ended_at": number_or_none(ended_at),
        "at": at,
    }
    return Entry("trials", row)


def metrics_entry(trial_id: str, step: int, values: Mapping[str, float], at: float) -> Entry:
    """The values that a trial reported for one step."""
    row = {
        "trial_id": text(trial_id),
        "step": int(step),
        "values": {text(key): number_or_none(value) for key, value in values.items()},
        "at": float(at),
    }
    return Entry("metrics", row)


def checkpoint_entry(trial_id: str, step: int, url: str, score: float | None, at: float) -> Entry:
    """Where a trial's checkpoint of one step lies."""
    row = {"trial_id": text(trial_id), "step": int(step), "url": text(url), "score": number_or_none(score), "at": at}
    return Entry("checkpoints", row)


def alias_entry(name: str, bundle_url: str, trial_id: str, at: float) -> Entry:
    """A name for a bundle, such as `champion`."""
    row = {"name": text(name), "bundle_url": text(bundle_url), "trial_id": text(trial_id), "at": at}
    return Entry("aliases", row)


def event_entry(sweep_id: str, trial_id: str | None, kind: str, message: str, at: float) -> Entry:
    """Something that happened. Its id is drawn here, so that a replay finds it already there."""
    row = {
        "id": uuid.uuid4().hex,
        "sweep_id": text(sweep_id),
        "trial_id": None if trial_id is None else text(trial_id),
        "kind": text(kind),
        "message": text(message),
        "at": at,
    }
    return Entry("events", row)


def number_or_none(value: float | None) -> float | None:
    """A float as every database keeps it: NaN is None, infinities stay."""
    if value is None:
        return None
    value = float(value)
    return None if math.isnan(value) else value


def text(value: object) -> str:
    """A string that UTF-8 and PostgreSQL can hold: no lone surrogates, no NUL."""
    return str(value).encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def plain(value: Any) -> Any:
    """`value` as strict JSON has it; what JSON does not know, NaN and infinities too, becomes its text."""
    if hasattr(value, "item") and not getattr(value, "shape", None):
        value = value.item()  # a numpy or torch scalar
    if isinstance(value, Mapping):
        return {text(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return text(value)
