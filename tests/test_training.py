"""The training loop: it learns, it is the same from the same seed, and a stop in the middle changes no bit."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from infra.storage import open_storage
from tests.test_manifest import _row
from tests.tiny_dataset import tiny_pictures
from tune.checkpointing import checkpoint_files, read_saved, write_folder
from tune.data import Split
from tune.metrics import METRIC_NAMES
from tune.params import TrainParams, TrialParams, parse_trial_params
from tune.seeds import derive_seed
from tune.training import Progress, Training, count_batches, learning_rate, predict

MODEL = {"blocks": [{"filters": 4, "norm": "batch", "dropout": 0.1}], "dense": [{"nodes": 4, "norm": "batch"}]}
AUGMENT = {"flip": True, "shift": 0.1, "brightness": 0.1, "contrast": 0.1}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _split(count: int = 24, seed: int = 0, side: int = 16) -> Split:
    pictures, labels = tiny_pictures(count, side, seed)
    rows = tuple(_row(n, label="fake" if label else "real") for n, label in enumerate(labels))
    return Split(pictures, labels, rows)


def _params(model: dict[str, Any] | None = None, **train: Any) -> TrialParams:
    point = {"data": {"image_size": 16}, "model": model or MODEL, "train": {"epochs": 4, "batch_size": 8, **train}}
    return parse_trial_params(point, "test")


def _training(
    params: TrialParams, seed: int = 0, train: Split | None = None, metric: str = "auc", mode: str = "max"
) -> Training:
    return Training(params, train or _split(), _split(16, 1), seed=seed, metric=metric, mode=mode)


def _without_time(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in epoch.items() if k != "epoch_seconds"} for epoch in history]


def test_it_learns_to_tell_an_easy_set_apart() -> None:
    params = _params({"blocks": [{"filters": 8}], "global_pool": "avg"}, epochs=12, lr=0.03)
    training = Training(params, _split(64), _split(32, 1), seed=0, metric="auc", mode="max")
    epochs = list(training.epochs())
    assert epochs[-1].metrics["train_loss"] < 0.5 * epochs[0].metrics["train_loss"]
    assert epochs[-1].metrics["auc"] > 0.95
    assert epochs[-1].metrics["accuracy"] > 0.9


def test_an_epoch_reports_what_it_measured() -> None:
    (epoch, *_) = _training(_params(epochs=1)).epochs()
    assert set(epoch.metrics) == {*METRIC_NAMES, "train_loss", "lr", "epoch_seconds"}
    assert epoch.val_logits.dtype == np.float32
    assert epoch.val_logits.shape == (16,)
    assert (epoch.number, epoch.improved) == (1, True)


def test_the_same_seed_gives_the_same_bits_and_another_gives_others() -> None:
    def run(seed: int) -> bytes:
        torch.manual_seed(np.random.default_rng().integers(2**31))  # what ran before must not matter
        training = _training(_params(augment=AUGMENT), seed)
        list(training.epochs())
        return training.weights()

    assert run(3) == run(3) != run(4)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "nadam", "sgd", "rmsprop"])
@pytest.mark.parametrize("schedule", ["cosine", "none"])
def test_a_training_that_was_stopped_ends_as_if_it_had_not(optimizer: str, schedule: str, tmp_path: Path) -> None:
    params = _params(
        optimizer=optimizer, schedule=schedule, weight_decay=0.01, warmup_epochs=0.5, augment=AUGMENT, momentum=0.8
    )
    whole = _training(params)
    list(whole.epochs())

    stopped = _training(params)
    for epoch in stopped.epochs():
        if epoch.number == 2:
            break
    write_folder(tmp_path, checkpoint_files("t", save(stopped.state()), stopped.progress, None))

    saved = read_saved(open_storage(str(tmp_path)), "")
    assert saved is not None
    gone_on = _training(params)
    gone_on.restore(load(saved.tensors), Progress(**saved.progress))
    assert [epoch.number for epoch in gone_on.epochs()] == [3, 4]
    assert gone_on.weights() == whole.weights()
    assert save(gone_on.state()) == save(whole.state())
    assert _without_time(gone_on.progress.history) == _without_time(whole.progress.history)
    assert (gone_on.progress.best_epoch, gone_on.progress.best_value) == (
        whole.progress.best_epoch, whole.progress.best_value,
    )  # fmt: skip


def test_plain_sgd_without_momentum_can_be_stopped_too() -> None:
    params = _params(optimizer="sgd", momentum=0.0)
    whole, stopped, gone_on = (_training(params) for _ in range(3))
    list(whole.epochs())
    next(stopped.epochs())
    gone_on.restore(load(save(stopped.state())), Progress(**asdict(stopped.progress)))
    list(gone_on.epochs())
    assert gone_on.weights() == whole.weights()


def test_a_restored_training_keeps_its_own_learning_rate() -> None:
    donor, heir = _training(_params(lr=0.1, schedule="none")), _training(_params(lr=0.001, schedule="none"))
    next(donor.epochs())
    heir.restore(donor.state(), Progress(**asdict(donor.progress)))
    assert next(heir.epochs()).metrics["lr"] == 0.001


@pytest.mark.parametrize(("metric", "mode"), [("auc", "max"), ("loss", "min")])
def test_an_epoch_has_improved_when_it_beats_all_before(metric: str, mode: str) -> None:
    training = _training(_params(epochs=8, lr=0.05), metric=metric, mode=mode)
    best = None
    for epoch in training.epochs():
        value = epoch.metrics[metric]
        assert epoch.improved == (best is None or (value > best if mode == "max" else value < best))
        if epoch.improved:
            best = value
            assert (training.progress.best_epoch, training.progress.best_value) == (epoch.number, value)


@pytest.mark.parametrize(
    ("patience", "epoch", "best_epoch", "goes_on"),
    [(2, 4, 3, True), (2, 5, 3, False), (2, 6, 3, False), (3, 2, 0, True), (3, 3, 0, False), (0, 20, 1, True)],
)
def test_patience_counts_from_the_best_epoch(patience: int, epoch: int, best_epoch: int, goes_on: bool) -> None:
    training = _training(_params(epochs=21, patience=patience))
    training.restore(training.state(), Progress(epoch=epoch, best_epoch=best_epoch))
    assert (next(training.epochs(), None) is not None) == goes_on


def test_patience_ends_a_real_training_early() -> None:
    training = _training(_params(lr=1e-9, epochs=30, patience=2, schedule="none"), metric="recall")
    numbers = [epoch.number for epoch in training.epochs()]
    assert len(numbers) == training.progress.best_epoch + 2 < 30


def test_a_loss_that_is_no_number_ends_the_training_with_nan_and_without_a_crash() -> None:
    training = _training(_params({"blocks": [{"filters": 4}]}, optimizer="sgd", lr=100.0, epochs=30))
    epochs = list(training.epochs())
    assert len(epochs) < 30
    last = epochs[-1]
    assert math.isnan(last.metrics["train_loss"])
    assert all(math.isnan(last.metrics[name]) for name in METRIC_NAMES)
    assert not last.improved
    assert list(training.epochs()) == []
    # nor does a restart begin it again
    again = _training(training.params)
    again.restore(training.state(), Progress(**asdict(training.progress)))
    assert list(again.epochs()) == []


def _first_loss(train: Split, model: dict[str, Any] | None = None, **changes: Any) -> float:
    """The training loss of one batch of everything, before any weight has moved."""
    model = model or {"blocks": [{"filters": 2}]}
    params = _params(model, epochs=1, batch_size=64, optimizer="sgd", augment={"flip": False}, **changes)
    return next(_training(params, train=train).epochs()).metrics["train_loss"]


def _logits_at_start(train: Split, model: dict[str, Any]) -> torch.Tensor:
    training = _training(_params(model))
    return torch.from_numpy(predict(training.network, train.pictures, training.preprocess, training.device)).double()


def test_label_smoothing_is_in_the_loss() -> None:
    train, model = _split(), {"blocks": [{"filters": 2}]}
    logits, truth = _logits_at_start(train, model), torch.from_numpy(train.labels).double()
    for smoothing in (0.0, 0.1):
        target = truth * (1 - smoothing) + (1 - truth) * smoothing
        by_hand = -(target * torch.sigmoid(logits).log() + (1 - target) * torch.sigmoid(-logits).log()).mean()
        assert _first_loss(train, model, label_smoothing=smoothing) == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_l2_penalty_is_in_the_loss() -> None:
    train = _split()
    plain = {"blocks": [{"filters": 2}], "dense": [{"nodes": 3}, {"nodes": 2}]}
    with_l2 = {"blocks": [{"filters": 2, "l2": 0.5}], "dense": [{"nodes": 3, "l2": 0.25}, {"nodes": 2}]}
    weights = load(_training(_params(plain)).weights())
    by_hand = 0.5 * weights["blocks.block1.conv.weight"].square().sum().item()
    by_hand += 0.25 * weights["dense.dense1.linear.weight"].square().sum().item()
    assert _first_loss(train, with_l2) - _first_loss(train, plain) == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("count", [3, 9, 17])
def test_a_picture_left_over_does_not_stop_batch_norm(count: int) -> None:
    for batch_size in (2, 8):
        training = _training(_params(epochs=1, batch_size=batch_size), train=_split(count))
        assert math.isfinite(next(training.epochs()).metrics["train_loss"])


@given(st.integers(2, 10_000), st.integers(1, 300))
def test_batches_are_even_none_too_large_and_none_of_one(count: int, batch_size: int) -> None:
    sizes = [len(part) for part in np.array_split(np.arange(count), count_batches(count, batch_size))]
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(batch_size, 3 if batch_size == 2 else 0)
    assert min(sizes) >= min(2, batch_size)
    assert len(sizes) <= -(-count // batch_size)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    cosine = TrainParams(epochs=10, lr=0.1, warmup_epochs=2.0, schedule="cosine")
    steps = np.linspace(0, 10, 401)
    rates = [learning_rate(cosine, done) for done in steps]
    rising = [rate for done, rate in zip(steps, rates, strict=True) if done < 2]
    falling = [rate for done, rate in zip(steps, rates, strict=True) if done >= 2]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert 0 < rates[0] < 0.001
    assert max(rates) == pytest.approx(0.1)
    assert learning_rate(cosine, 6) == pytest.approx(0.1 * (0.01 + 0.99 / 2))  # halfway down the half cosine
    assert rates[-1] == pytest.approx(0.001)
    assert max(abs(a - b) for a, b in itertools.pairwise(rates)) < 0.003  # no jump
    constant = TrainParams(epochs=10, lr=0.1, schedule="none")
    assert {learning_rate(constant, done) for done in steps} == {0.1}


def test_gradient_clipping_bounds_the_step() -> None:
    def moved(clip: float) -> float:
        params = _params(
            {"blocks": [{"filters": 2}]}, epochs=1, batch_size=64, optimizer="sgd", momentum=0.0, lr=1.0,
            schedule="none", grad_clip=clip,
        )  # fmt: skip
        training = _training(params)
        before = load(training.weights())
        list(training.epochs())
        return math.sqrt(sum((t - before[k]).square().sum().item() for k, t in load(training.weights()).items()))

    assert moved(1e-3) == pytest.approx(1e-3, rel=0.01)
    assert moved(0.0) > 0.01


def test_seeds_are_the_same_everywhere_and_differ_by_every_part() -> None:
    assert derive_seed(0, 1) == 4011020074  # resuming on another machine must meet the same randomness
    seeds = {derive_seed(s, *parts) for s in range(20) for parts in [(), (0,), (1,), ("a",), (0, 1), (1, 0)]}
    assert len(seeds) == 120
