"""The folder of a sweep on its storage: which run of that name is the current one, and whether it is finished.

`<storage>/<name>/sweep.json` names the current run; its trials lie in `<storage>/<name>/<run>/`. Starting afresh makes
a new run beside the old one, so nothing is ever deleted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import ValidationError

from infra.errors import UserError
from infra.locks import exclusive_lock
from infra.params import StrictModel
from infra.storage import ObjectNotFound, join_url, open_storage
from tune.params import SweepParams

RECORD = "sweep.json"
LOCK = "sweep.lock"

# Changing these between two starts changes nothing that was decided: they say where and how fast, not what. The
# dataset may lie elsewhere as long as its hash is the same, which is asked first.
_MAY_CHANGE = {"resources", "store", "storage", "audit", "data.manifest", "data.version", "data.cache"}


class SweepChangedError(UserError):
    """The same name with other params: two different sweeps."""


class SweepRecord(StrictModel):
    """The content of `sweep.json`. run: the folder of the current run. dataset_hash: the manifest's."""

    run: str
    params: dict[str, Any]
    dataset_hash: str
    status: Literal["running", "finished"] = "running"
    champion: str | None = None


def read_record(params: SweepParams) -> SweepRecord | None:
    """The record of the sweep's current run, None when it never ran."""
    url = sweep_url(params)
    try:
        return SweepRecord.model_validate_json(open_storage(url).get(RECORD))
    except ObjectNotFound:
        return None
    except ValidationError:
        raise UserError(f"{url}/{RECORD} is damaged; move it away, or use --fresh or another name") from None


def write_record(params: SweepParams, record: SweepRecord) -> None:
    """Make `record` the current one, atomically."""
    url = sweep_url(params)
    open_storage(url).put(RECORD, (record.model_dump_json(indent=2) + "\n").encode())


def new_record(params: SweepParams, dataset_hash: str) -> SweepRecord:
    """A record of a run that starts now; its folder is named by the time, in UTC."""
    run = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    return SweepRecord(run=run, params=params.model_dump(mode="json"), dataset_hash=dataset_hash)


@contextmanager
def only_one_process(params: SweepParams) -> Iterator[None]:
    """Hold the sweep while the block runs. Raises UserError when another process holds it.

    A lock of the file system, gone with its process however that ends. Object stores have none: there, two processes
    that run one sweep at once are not kept apart.
    """
    path = open_storage(sweep_url(params)).local_path(LOCK)
    if path is None:
        yield
        return
    with exclusive_lock(path, f"sweep '{params.name}'", "wait for it, or use another name"):
        yield


def sweep_url(params: SweepParams) -> str:
    """Storage URL of the folder that holds all runs of that name."""
    return join_url(params.storage, params.name)


def run_url(params: SweepParams, record: SweepRecord) -> str:
    """Storage URL of the folder that holds the run's trials."""
    return join_url(params.storage, params.name, record.run)


def check_unchanged(params: SweepParams, record: SweepRecord, dataset_hash: str, where: str) -> None:
    """Raise SweepChangedError when the params or the dataset are not those the run was started with."""
    ways_out = f"give the sweep another name (--set name=…), or start it anew beside the old one with --fresh ({where})"
    if dataset_hash != record.dataset_hash:
        raise SweepChangedError(
            f"sweep '{params.name}' was started on dataset {record.dataset_hash[:12]}, now it is {dataset_hash[:12]}; "
            + ways_out
        )
    before, now = record.params, params.model_dump(mode="json")
    changes = [change for key in now for change in _differences(before.get(key), now[key], key)]
    if changes:
        more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        raise SweepChangedError(f"sweep '{params.name}' was started with {changes[0]}{more}; {ways_out}")


def _differences(before: Any, now: Any, path: str) -> list[str]:
    if path in _MAY_CHANGE:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(key for key in now if key not in before)]
        return [d for key in keys for d in _differences(before.get(key), now.get(key), f"{path}.{key}")]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [d for n, (b, w) in enumerate(zip(before, now, strict=True)) for d in _differences(b, w, f"{path}.{n}")]
    return [] if before == now else [f"{path}: {_short(before)}, now {_short(now)}"]


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
