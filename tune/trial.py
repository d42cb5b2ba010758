"""One trial under Ray Tune: the training loop, its checkpoints and its reports."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crawler.manifest import read_manifest
from infra.storage import Storage, join_url, open_storage
from model_defs.checkpoint import Card, DatasetRef, Origin, bundle_id
from tune.checkpointing import (
    Best,
    answers_table,
    checkpoint_files,
    newest_checkpoint,
    read_best,
    read_saved,
    write_folder,
)
from tune.params import TrialParams


@dataclass(frozen=True)
class TrialSetup:
    """What all trials of a sweep share.

    folder, manifest: storage URLs that are valid on every node. dataset: the same dataset as the user named it.
    cache: absolute path of the folder of decoded pictures. cpus: threads a trial may use.
    """

    sweep: str
    folder: str
    manifest: str
    dataset: DatasetRef
    cache: str
    metric: str
    mode: str
    cpus: float
    git_commit: str | None


def trial_folder_name(number: int, trial_id: str) -> str:
    """The folder of a trial inside its sweep's."""
    return f"trial-{number:05d}-{trial_id}"


def run_trial(config: Mapping[str, Any], setup: TrialSetup) -> None:
    """Ray Tune's trainable, which reports once an epoch.

    config: {"trial": {"number": …, "seed": …, "choices": …, "params": a TrialParams dump}}.
    """
    import torch
    from ray import tune

    from tune.data import load_split
    from tune.training import Training

    torch.set_num_threads(max(1, int(setup.cpus)))
    trial = config["trial"]
    params = TrialParams.model_validate(trial["params"])
    trial_id = tune.get_context().get_trial_id()
    storage = open_storage(join_url(setup.folder, trial_folder_name(trial["number"], trial_id)))
    manifest = read_manifest(setup.manifest, setup.dataset.version)
    train, val = (load_split(manifest, name, params.preprocess, Path(setup.cache)) for name in ("train", "val"))
    training = Training(params, train, val, seed=trial["seed"], metric=setup.metric, mode=setup.mode)
    best = _go_on(training, storage, trial_id)
    for epoch in training.epochs():
        if epoch.improved:
            weights = training.weights()
            card = _card(setup, params, trial_id, epoch.number, epoch.metrics, weights)
            best = Best(card, weights, answers_table(val.rows, epoch.val_logits))
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
            write_folder(Path(folder), checkpoint_files(trial_id, _tensors(training), training.progress, best))
            tune.report(
                {
                    **epoch.metrics,
                    "epoch": epoch.number,
                    "epochs": params.train.epochs,
                    "parameters": training.parameters,
                },
                checkpoint=tune.Checkpoint.from_directory(folder),
            )


def _go_on(training: Any, storage: Storage, trial_id: str) -> Best | None:
    """Restore the training from Ray's checkpoint or the trial's own newest one, whichever is further on."""
    from ray import tune
    from safetensors.torch import load

    from tune.training import Progress

    sources: list[tuple[Storage, str]] = []
    handed = tune.get_checkpoint()
    if handed is not None and handed.filesystem.type_name == "local":
        sources.append((open_storage(handed.path), ""))
    elif handed is not None:
        sources.append((open_storage(handed.to_directory()), ""))
    own = newest_checkpoint(storage)
    if own is not None:
        sources.append((storage, own))
    found = [(saved, *source) for source in sources if (saved := read_saved(*source)) is not None]
    # Population based training hands over another trial's checkpoint on purpose: that one counts, whatever its epoch.
    exploited = [f for f in found if f[0].trial_id != trial_id]
    chosen = exploited[0] if exploited else max(found, key=lambda f: f[0].progress["epoch"], default=None)
    if chosen is None:
        return None
    saved, where, folder = chosen
    training.restore(load(saved.tensors), Progress(**saved.progress))
    return read_best(where, folder)


def _tensors(training: Any) -> bytes:
    from safetensors.torch import save

    return save(training.state())


def _card(
    setup: TrialSetup, params: TrialParams, trial_id: str, epoch: int, metrics: Mapping[str, float], weights: bytes
) -> Card:
    return Card(
        id=bundle_id(setup.sweep, weights),
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        model=params.model,
        preprocess=params.preprocess,
        metrics={"val": dict(metrics)},
        dataset=setup.dataset,
        origin=Origin(
            sweep=setup.sweep,
            trial=trial_id,
            epoch=epoch,
            params=params.model_dump(mode="json"),
            git_commit=setup.git_commit,
        ),
        limits=("A trial's checkpoint, not calibrated and not judged on the test split.",),
    )
