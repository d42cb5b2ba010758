"""One trial under Ray Tune: the training loop, its checkpoints and its reports."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawler.manifest import read_manifest
from infra.storage import Storage, join_url, open_storage
from model_defs.checkpoint import Card, DatasetRef, Origin, bundle_id
from tune.checkpointing import (
    Best,
    Saved,
    answers_table,
    checkpoint_files,
    newest_checkpoint,
    read_best,
    read_saved,
    write_folder,
)
from tune.params import TrialParams

if TYPE_CHECKING:
    from tune.training import Training


@dataclass(frozen=True)
class TrialSetup:
    """What all trials of a sweep share.

    folder, manifest: storage URLs that are valid on every node. dataset: the same dataset as the user named it.
    cache: absolute path of the folder of decoded pictures. cpus: threads a trial may use.
    population_based: trials take over each other's checkpoints.
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
    population_based: bool = False


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
    keep = _PopulationCheckpoints(storage, trial_id) if setup.population_based else _OwnCheckpoints(storage, trial_id)
    best = keep.restore(training)
    for past in training.progress.history if keep.replays else ():
        # Ray and the result store may not have heard of the last epochs before a hard kill; to both, twice is once.
        tune.report({**_report(past, training), "replayed": True})
    trained = False
    for epoch in training.epochs():
        trained = True
        if epoch.improved:
            weights = training.weights()
            card = _card(setup, params, trial_id, epoch.number, epoch.metrics, weights)
            best = Best(card, weights, answers_table(val.rows, epoch.val_logits))
        keep.save(training, best)
    if setup.population_based and not trained:  # it was handed a network that is trained to its end
        keep.save(training, best)


def _report(epoch: Mapping[str, float], training: Training) -> dict[str, Any]:
    """What Ray and the result store are told of an epoch of the history."""
    return {
        **epoch,
        "epoch": int(epoch["epoch"]),
        "epochs": training.params.train.epochs,
        "parameters": training.parameters,
    }


@dataclass(frozen=True)
class _OwnCheckpoints:
    """A trial's checkpoints in its own folder, the newest kept, found again without Ray.

    Ray's snapshot of the experiment is up to seconds old when it is killed, and names checkpoints that later ones
    have replaced; Tune then gives the trial up. The folder itself is never out of date.
    """

    storage: Storage
    trial_id: str
    replays = True

    def save(self, training: Training, best: Best | None) -> None:
        """Write a checkpoint, remove those before it, report the epoch."""
        from ray import tune

        name = f"checkpoint_{training.progress.epoch:06d}"
        for file, data in checkpoint_files(self.trial_id, _tensors(training), training.progress, best).items():
            self.storage.put(f"{name}/{file}", data)
        for key in list(self.storage.list("checkpoint_")):
            if not key.startswith(f"{name}/"):
                self.storage.delete(key)
        tune.report({**_report(training.progress.history[-1], training), "saved": name})

    def restore(self, training: Training) -> Best | None:
        """Bring the training to where the newest checkpoint is; the best epoch so far, None at the start."""
        return _restore(training, self.storage, newest_checkpoint(self.storage))


@dataclass(frozen=True)
class _PopulationCheckpoints:
    """Checkpoints in Ray's hands: population based training gives a trial another one's."""

    storage: Storage
    trial_id: str
    replays = False

    def save(self, training: Training, best: Best | None) -> None:
        """Report the epoch with its checkpoint, which Ray stores."""
        from ray import tune

        with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
            write_folder(Path(folder), checkpoint_files(self.trial_id, _tensors(training), training.progress, best))
            report = _report(training.progress.history[-1], training)
            tune.report(report, checkpoint=tune.Checkpoint.from_directory(folder))

    def restore(self, training: Training) -> Best | None:
        """Bring the training to where Ray's checkpoint is, or the trial's own newest where Ray hands none over."""
        from ray import tune

        handed = tune.get_checkpoint()
        if handed is None:
            return _OwnCheckpoints(self.storage, self.trial_id).restore(training)
        local = handed.path if handed.filesystem.type_name == "local" else handed.to_directory()
        storage = open_storage(local)
        return _restore(training, storage, read_saved(storage, ""))


def _restore(training: Training, storage: Storage, saved: Saved | None) -> Best | None:
    from safetensors.torch import load

    from tune.training import Progress

    if saved is None:
        return None
    training.restore(load(saved.tensors), Progress(**saved.progress))
    return read_best(storage, saved.folder)


def _tensors(training: Training) -> bytes:
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
