"""What every trial leaves behind for people: params, curves, plots and its checkpoint bundle, in one folder."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow.parquet as pq
import yaml

from infra.storage import ObjectNotFound, open_storage
from model_defs.checkpoint import bundle_files
from tune.checkpointing import BUNDLE, VALIDATION, newest_checkpoint, read_best

SUMMARY = "trial.json"


@dataclass(frozen=True)
class TrialSummary:
    """What a trial reached. epoch: the last trained; best_value: of the sweep's metric, None when it never had one."""

    trial_id: str
    folder: str
    epoch: int
    best_epoch: int
    best_value: float | None


def finish_trial(folder: str, metric: str) -> TrialSummary | None:
    """Lay out the folder of a trial from its newest checkpoint, once; None when it has no checkpoint.

    Leaves `history.json` and `curves.png`; of the best epoch `params.yaml`, `confusion.png`, `roc.png`,
    `calibration.png`, `validation.parquet` and `bundle/`, unless the metric never was a number; and, last,
    `trial.json`. All numbers are those of the validation split.
    """
    from tune import plots

    storage = open_storage(folder)
    saved = newest_checkpoint(storage)
    if saved is None:
        return None
    progress = saved.progress
    summary = TrialSummary(saved.trial_id, folder, progress["epoch"], progress["best_epoch"], progress["best_value"])
    if read_summary(folder) == summary:
        return summary
    history = [{k: v if math.isfinite(v) else None for k, v in epoch.items()} for epoch in progress["history"]]
    storage.put("history.json", json.dumps(history, indent=1).encode())
    storage.put("curves.png", plots.curves(progress["history"], metric))
    best = read_best(storage, saved.folder)
    if best is not None:
        storage.put("params.yaml", yaml.safe_dump(best.card.origin.params, sort_keys=False).encode())
        for name, data in bundle_files(best.card, best.weights).items():
            storage.put(f"{BUNDLE}/{name}", data)
        storage.put(VALIDATION, best.validation)
        answers = pq.read_table(io.BytesIO(best.validation))
        labels = np.array([label == "fake" for label in answers["label"].to_pylist()], dtype=np.float64)
        logits = answers["logit"].to_numpy().astype(np.float64)
        storage.put("confusion.png", plots.confusion(labels, logits))
        storage.put("roc.png", plots.roc(labels, logits))
        storage.put("calibration.png", plots.calibration(labels, logits))
    storage.put(SUMMARY, json.dumps(asdict(summary), indent=1).encode())
    return summary


class FolderWriter:
    """`finish_trial` in an actor: one process for all folders, one folder at a time.

    Here, where no torch is imported, as its imports cost more than its drawings.
    """

    def finish(self, folder: str, metric: str) -> TrialSummary | None:
        """See `finish_trial`."""
        return finish_trial(folder, metric)


def read_summary(folder: str) -> TrialSummary | None:
    """The summary that `finish_trial` left, None when it has not been there."""
    try:
        return TrialSummary(**json.loads(open_storage(folder).get(SUMMARY)))
    except (ObjectNotFound, ValueError, TypeError):
        return None
