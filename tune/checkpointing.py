"""What a trial saves after an epoch, and how it finds the newest of those again.

A checkpoint folder holds `state.safetensors` and `state.json` (to go on from), `bundle/` (the best epoch so far, as a
checkpoint bundle) and `validation.parquet` (that epoch's answers). `state.json` names the sha256 of every other file,
so that half a folder left by a crash is never taken for a whole one, whatever the order in which it was uploaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.storage import ObjectNotFound, Storage
from model_defs.checkpoint import CARD, WEIGHTS, Card, bundle_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crawler.manifest import ManifestRow
    from tune.training import Progress

STATE_TENSORS = "state.safetensors"
STATE = "state.json"
BUNDLE = "bundle"
VALIDATION = "validation.parquet"

_CHECKPOINT_STATE = re.compile(r"(checkpoint_\d+)/" + re.escape(STATE))


@dataclass(frozen=True)
class Best:
    """The best epoch so far: its card, its weights (safetensors) and the answers it gave on validation (Parquet)."""

    card: Card
    weights: bytes
    validation: bytes


@dataclass(frozen=True)
class Saved:
    """A checkpoint as read back. folder: where in the trial's storage; tensors: safetensors bytes."""

    folder: str = field(compare=False)  # a copy elsewhere is the same checkpoint
    trial_id: str
    progress: dict[str, Any]
    tensors: bytes


def checkpoint_files(trial_id: str, tensors: bytes, progress: Progress, best: Best | None) -> dict[str, bytes]:
    """The files of a checkpoint folder: relative name ▶ bytes, `state.json` last."""
    files: dict[str, bytes] = {}
    if best is not None:
        files |= {f"{BUNDLE}/{name}": data for name, data in bundle_files(best.card, best.weights).items()}
        files[VALIDATION] = best.validation
    files[STATE_TENSORS] = tensors
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    state = {"trial": trial_id, "files": hashes, "progress": asdict(progress)}
    files[STATE] = json.dumps(state).encode()
    return files


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Write `files` into a folder of this machine that nobody else reads yet."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def read_saved(storage: Storage, folder: str) -> Saved | None:
    """The checkpoint under `folder` of a trial's storage ('' for its root); None when it is absent or incomplete."""
    prefix = f"{folder}/" if folder else ""
    try:
        state = json.loads(storage.get(prefix + STATE))
        files = {name: storage.get(prefix + name) for name in state["files"]}
        if any(hashlib.sha256(data).hexdigest() != state["files"][name] for name, data in files.items()):
            return None
        return Saved(folder, state["trial"], state["progress"], files[STATE_TENSORS])
    except (ObjectNotFound, ValueError, KeyError, TypeError):
        return None


def read_best(storage: Storage, folder: str) -> Best | None:
    """The best epoch that the checkpoint under `folder` carries; None when there was none yet."""
    prefix = f"{folder}/" if folder else ""
    try:
        card = Card.model_validate_json(storage.get(f"{prefix}{BUNDLE}/{CARD}"))
        return Best(card, storage.get(f"{prefix}{BUNDLE}/{WEIGHTS}"), storage.get(prefix + VALIDATION))
    except (ObjectNotFound, ValueError):
        return None


def newest_checkpoint(storage: Storage) -> Saved | None:
    """The checkpoint of a trial that is complete and furthest on.

    Asked of the storage itself: after a hard kill Ray's own record of a trial lags behind what the trial has saved.
    """
    names = (match[1] for key in storage.list("checkpoint_") if (match := _CHECKPOINT_STATE.fullmatch(key)))
    whole = (saved for name in names if (saved := read_saved(storage, name)) is not None)
    return max(whole, key=lambda saved: saved.progress["epoch"], default=None)


def answers_table(rows: Sequence[ManifestRow], logits: NDArray[Any]) -> bytes:
    """A Parquet file: sha256, label, generator, cluster and logit of every image, in the given order."""
    table = pa.table(
        {
            "sha256": [row.sha256 for row in rows],
            "label": [row.label for row in rows],
            "generator": pa.array([row.generator for row in rows], pa.string()),
            "cluster": [row.cluster for row in rows],
            "logit": pa.array(logits, pa.float32()),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())
