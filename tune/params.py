"""SweepParams: the validated params file of a sweep, and TrialParams: one point of its search space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from infra.params import ParamsError, StrictModel, apply_sets, read_params_file, validate
from model_defs.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model_defs.spec import BackboneSpec, CnnSpec, Colour, ModelSpec, SpecError, check_geometry, parse_model_spec

# Metrics a sweep may choose by: every one that a trial reports on the validation split, with its better direction.
METRIC_MODES: Mapping[str, Literal["max", "min"]] = {
    "auc": "max", "ap": "max", "f1": "max", "accuracy": "max", "precision": "max", "recall": "max",
    "balanced_accuracy": "max", "loss": "min", "eer": "min", "ece": "min", "brier": "min",
}  # fmt: skip


class Augment(StrictModel):
    """Random changes to training pictures of both classes alike.

    flip: mirrored with probability 0.5. shift: moved by up to this share of the side. brightness: every value scaled
    by a factor from 1 − x to 1 + x; contrast: its distance from the picture's mean.
    """

    flip: bool = True
    shift: float = Field(default=0.0, ge=0, le=0.5)
    brightness: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)


class TrainParams(StrictModel):
    """How one network is trained. beta_1, beta_2: Adam's family; momentum: SGD and RMSprop.

    patience: stop after so many epochs without a better validation metric; 0 never stops early.
    """

    epochs: int = Field(default=20, ge=1, le=10_000)
    batch_size: int = Field(default=64, ge=1, le=65_536)
    optimizer: Literal["adam", "adamw", "nadam", "rmsprop", "sgd"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, le=100)
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.999, ge=0, lt=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["none", "cosine"] = "cosine"
    warmup_epochs: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    grad_clip: float = Field(default=0.0, ge=0)
    patience: int = Field(default=0, ge=0)
    mixed_precision: Literal["auto", "off"] = "auto"
    augment: Augment = Augment()


class DataParams(StrictModel):
    """Which dataset, and how its pictures reach the network.

    manifest: storage URL of the dataset. version: of the manifest; its newest when not given.
    cache: folder of decoded pictures, shared by all trials of a machine.
    """

    manifest: str = "file://./data/demo"
    version: int | None = Field(default=None, ge=1)
    image_size: int = Field(default=64, ge=8, le=1024)
    colour: Colour = "rgb"
    fit: Literal["crop", "squash", "pad"] = "crop"
    cache: str = "./runs/cache"


class SearchParams(StrictModel):
    """Which points of the space are tried, and what makes one better. mode: the metric's own direction by default."""

    algorithm: Literal["grid", "random", "optuna"] = "random"
    num_samples: int = Field(default=8, ge=1, le=1_000_000)
    metric: str = "auc"
    mode: Literal["max", "min"] | None = None

    @field_validator("metric")
    @classmethod
    def _metric_is_known(cls, metric: str) -> str:
        if metric not in METRIC_MODES:
            raise ValueError(f"{metric!r} is not a metric; choose one of {', '.join(METRIC_MODES)}")
        return metric

    @property
    def direction(self) -> Literal["max", "min"]:
        """Whether a larger or a smaller value of the metric is better."""
        return self.mode or METRIC_MODES[self.metric]


class SchedulerParams(StrictModel):
    """Which trials go on. asha: stops the weaker ones early (grace_period, reduction_factor).

    pbt: copies the better ones and perturbs `train` values (perturbation_interval in epochs). none: all run to the end.
    """

    type: Literal["asha", "pbt", "none"] = "none"
    grace_period: int = Field(default=1, ge=1)
    reduction_factor: float = Field(default=3, gt=1)
    perturbation_interval: int = Field(default=2, ge=1)
    quantile_fraction: float = Field(default=0.25, gt=0, le=0.5)


class ResourceParams(StrictModel):
    """What one trial takes. gpu: auto = one where there are any; a fraction shares a card. max_failures: retries."""

    cpu: float = Field(default=1, gt=0)
    gpu: Literal["auto"] | float = "auto"
    max_concurrent: Literal["auto"] | int = "auto"
    max_failures: int = Field(default=2, ge=0)

    @model_validator(mode="after")
    def _not_negative(self) -> ResourceParams:
        if self.gpu != "auto" and self.gpu < 0:
            raise ValueError(f"gpu must be auto or a number from 0, not {self.gpu}")
        if self.max_concurrent != "auto" and self.max_concurrent < 1:
            raise ValueError(f"max_concurrent must be auto or a number from 1, not {self.max_concurrent}")
        return self


class AuditParams(StrictModel):
    """How well the label may be predicted from what is not the picture, before a sweep is begun.

    limit: the AUC that no family of file features may surely exceed. on_leak: refuse the dataset, warn, or skip the
    audit altogether.
    """

    limit: float = Field(default=0.75, ge=0.5, le=1)
    on_leak: Literal["refuse", "warn", "skip"] = "refuse"


class TrialParams(StrictModel):
    """One point of the search space: everything that decides what a trial trains."""

    data: DataParams
    model: ModelSpec
    train: TrainParams

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of this trial; networks with ImageNet weights get ImageNet's normalisation."""
        imagenet = isinstance(self.model, BackboneSpec) and self.model.weights != "none" and self.data.colour == "rgb"
        return Preprocess(
            image_size=self.data.image_size,
            colour=self.data.colour,
            fit=self.data.fit,
            mean=IMAGENET_MEAN if imagenet else (0.5,),
            std=IMAGENET_STD if imagenet else (0.5,),
        )

    def fingerprint(self) -> str:
        """Equal only for two trials that would train the same network in the same way.

        What has no effect is left out: momentum without a use for it, the size of a pool that is not there, the name
        of a padding.
        """
        content = self.model_dump(mode="json", exclude={"data": {"cache"}})
        if self.train.optimizer in ("sgd", "rmsprop"):
            del content["train"]["beta_1"], content["train"]["beta_2"]
        if self.train.optimizer not in ("sgd", "rmsprop"):
            del content["train"]["momentum"]
        if isinstance(self.model, CnnSpec):
            for block, spec in zip(content["model"]["blocks"], self.model.blocks, strict=True):
                block["padding"] = spec.pad
                if spec.pool == "none":
                    del block["pool_size"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class SweepParams(StrictModel):
    """A params file. `data`, `model` and `train` may hold search-space leaves and are checked point by point."""

    name: str = Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0, lt=2**32)
    data: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Any]
    train: dict[str, Any] = Field(default_factory=dict)
    storage: str = "file://./runs"
    store: str = "sqlite:///runs/results.db"
    search: SearchParams = SearchParams()
    scheduler: SchedulerParams = SchedulerParams()
    resources: ResourceParams = ResourceParams()
    audit: AuditParams = AuditParams()

    @property
    def space(self) -> dict[str, Any]:
        """The part of the file that may hold search-space leaves."""
        return {"data": self.data, "model": self.model, "train": self.train}


def load_sweep_params(path: str | Path, sets: list[str]) -> SweepParams:
    """The params file with every `--set` applied. Raises ParamsError."""
    return validate(SweepParams, apply_sets(read_params_file(Path(path)), sets), str(path))


def parse_trial_params(point: Mapping[str, Any], where: str) -> TrialParams:
    """A concrete point as TrialParams, its network checked against its pictures.

    where: the params file, named in errors. Raises ParamsError or SpecError.
    """
    data = validate(DataParams, point.get("data", {}), where, "data")
    train = validate(TrainParams, point.get("train", {}), where, "train")
    model = parse_model_spec(point.get("model"), where)
    try:
        check_geometry(model, data.image_size, data.colour, train.batch_size)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None
    if isinstance(model, BackboneSpec) and model.weights.endswith(".safetensors") and not Path(model.weights).is_file():
        raise ParamsError(f"{where}: model.weights: no file at {model.weights}")
    if train.warmup_epochs >= train.epochs:
        raise ParamsError(f"{where}: train.warmup_epochs: {train.warmup_epochs} must be below epochs ({train.epochs})")
    return TrialParams(data=data, model=model, train=train)
