"""The training loop, from a trial's params to one report an epoch. No Ray, no files: `tune.trial` adds those."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from model_defs.checkpoint import weights_bytes
from model_defs.network import build_network, count_parameters
from model_defs.preprocess import Preprocess
from tune.augment import augment_batch
from tune.data import Split
from tune.metrics import METRIC_NAMES, binary_metrics, is_better
from tune.params import TrainParams, TrialParams
from tune.seeds import derive_seed


@dataclass
class Progress:
    """How far a training is; together with the tensors of the network and the optimiser, all that a resume needs."""

    epoch: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Epoch:
    """What one epoch brought.

    metrics: those of the validation split, all NaN when the training diverged, and `train_loss`, `lr`,
    `epoch_seconds`. val_logits: float32 [N_val]. improved: the validation metric is the best so far.
    """

    number: int
    metrics: dict[str, float]
    val_logits: NDArray[np.float32]
    improved: bool


class Training:
    """One network being trained.

    Iterate `epochs()`; between two epochs `state()` and `progress` may be saved, and a later Training given both goes
    on as if it had never stopped: every epoch seeds its own randomness from (seed, epoch).
    """

    def __init__(self, params: TrialParams, train: Split, val: Split, *, seed: int, metric: str, mode: str) -> None:
        """Raises SpecError when the network cannot be built."""
        self.params, self.train_split, self.val_split = params, train, val
        self.seed, self.metric, self.mode = seed, metric, mode
        self.preprocess = params.preprocess
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        _seed_everything(seed)
        self.network = build_network(params.model, params.data.image_size, params.data.colour).to(self.device)
        self.optimizer = build_optimizer(params.train, self.network)
        self.black = self.preprocess.to_tensor(np.zeros((1, 1, 1, self.preprocess.channels), np.uint8)).to(self.device)
        self.progress = Progress()
        self.parameters = count_parameters(self.network)

    def epochs(self) -> Iterator[Epoch]:
        """Train up to `train.epochs`, ending early when patience is spent or the loss is no longer a number."""
        params = self.params.train
        while self.progress.epoch < params.epochs and not self._out_of_patience() and not self._has_diverged():
            number = self.progress.epoch + 1
            _seed_everything(derive_seed(self.seed, number))
            started = time.monotonic()
            train_loss = self._train_one_epoch(number)
            val_logits = predict(self.network, self.val_split.pictures, self.preprocess, self.device)
            # A network whose loss is no number has learned nothing, whatever validation happens to say of its remains.
            diverged = not math.isfinite(train_loss)
            metrics = _NO_METRICS if diverged else binary_metrics(self.val_split.labels, val_logits)
            metrics = {**metrics, "train_loss": train_loss, "lr": self.optimizer.param_groups[0]["lr"]}
            metrics["epoch_seconds"] = time.monotonic() - started
            yield self._record(number, metrics, val_logits)

    def weights(self) -> bytes:
        """The network's weights in the safetensors format."""
        return weights_bytes(self.network)

    def state(self) -> dict[str, Tensor]:
        """The tensors of the network and of the optimiser, by name."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        for index, entries in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in entries.items() if v is not None}
        return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}

    def restore(self, tensors: dict[str, Tensor], progress: Progress) -> None:
        """Go on from what `state()` and `progress` were; the learning rate and its like stay those of this trial."""
        network = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        self.network.load_state_dict(network)
        state: dict[int, dict[str, Any]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".", 2)
                state.setdefault(int(index), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.progress = progress

    def _train_one_epoch(self, number: int) -> float:
        """The mean loss over the training split, NaN as soon as one batch has no finite loss."""
        params, network, optimizer = self.params.train, self.network, self.optimizer
        pictures, labels, count = self.train_split.pictures, self.train_split.labels, len(self.train_split)
        order = np.random.default_rng(derive_seed(self.seed, number)).permutation(count)
        batches = count_batches(count, params.batch_size)
        total = 0.0
        network.train()
        for step, drawn in enumerate(np.array_split(order, batches)):
            picked = np.sort(drawn)  # the pictures lie in a file, which is read forwards
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(params, number - 1 + step / batches)
            images = self.preprocess.to_tensor(pictures[picked]).to(self.device)
            truth = torch.from_numpy(labels[picked]).to(self.device)
            images = augment_batch(images, params.augment, self.black)
            with autocast(self.device, params):
                logits = network(images)
            smoothed = truth * (1 - 2 * params.label_smoothing) + params.label_smoothing
            loss = F.binary_cross_entropy_with_logits(logits.float(), smoothed) + network.l2_penalty()
            if not torch.isfinite(loss):
                return float("nan")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if params.grad_clip:
                nn.utils.clip_grad_norm_(network.parameters(), params.grad_clip)
            optimizer.step()
            total += loss.item() * len(picked)
        return total / count

    def _record(self, number: int, metrics: dict[str, float], val_logits: NDArray[np.float32]) -> Epoch:
        value, best = metrics[self.metric], self.progress.best_value
        improved = math.isfinite(value) and is_better(value, best, self.mode)
        self.progress.epoch = number
        if improved:
            self.progress.best_value, self.progress.best_epoch = value, number
        self.progress.history.append({"epoch": float(number), **metrics})
        return Epoch(number, metrics, val_logits, improved)

    def _out_of_patience(self) -> bool:
        patience = self.params.train.patience
        return bool(patience) and self.progress.epoch - self.progress.best_epoch >= patience

    def _has_diverged(self) -> bool:
        return bool(self.progress.history) and not math.isfinite(self.progress.history[-1]["train_loss"])


@torch.no_grad()
def predict(
    network: nn.Module, pictures: NDArray[np.uint8], preprocess: Preprocess, device: torch.device, batch_size: int = 128
) -> NDArray[np.float32]:
    """Logits float32 [N] of uint8 [N, S, S, C]; positive means fake. In full precision, in evaluation mode."""
    network.eval()
    batches = [
        network(preprocess.to_tensor(pictures[start : start + batch_size]).to(device)).float().cpu().numpy()
        for start in range(0, len(pictures), batch_size)
    ]
    return np.concatenate(batches).astype(np.float32)


def count_batches(count: int, batch_size: int) -> int:
    """Batches an epoch: all of nearly one size, none above `batch_size`, and no batch of one unless that is asked for.

    (Batch norm cannot train on a single picture, so of three pictures in twos one batch of three is made.)
    """
    batches = -(-count // batch_size)
    return batches if batch_size == 1 else max(1, min(batches, count // 2))


def build_optimizer(params: TrainParams, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of the params over the trainable parameters."""
    weights = [p for p in network.parameters() if p.requires_grad]
    betas = (params.beta_1, params.beta_2)
    if params.optimizer == "sgd":
        return torch.optim.SGD(weights, params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
    if params.optimizer == "rmsprop":
        return torch.optim.RMSprop(weights, params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
    if params.optimizer == "nadam":
        return torch.optim.NAdam(weights, params.lr, betas=betas, weight_decay=params.weight_decay)
    adam = torch.optim.Adam if params.optimizer == "adam" else torch.optim.AdamW
    return adam(weights, params.lr, betas=betas, weight_decay=params.weight_decay)


def learning_rate(params: TrainParams, epochs_done: float) -> float:
    """Linear warm-up, then constant or a half cosine down to 1% (Loshchilov and Hutter, SGDR, 2017)."""
    if epochs_done < params.warmup_epochs:
        return params.lr * (epochs_done + 1e-2) / (params.warmup_epochs + 1e-2)
    if params.schedule == "none":
        return params.lr
    share = (epochs_done - params.warmup_epochs) / (params.epochs - params.warmup_epochs)
    return params.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


def autocast(device: torch.device, params: TrainParams) -> Any:
    """bfloat16 where there is a GPU that has it; full precision elsewhere."""
    if device.type == "cuda" and params.mixed_precision == "auto" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


_NO_METRICS = dict.fromkeys(METRIC_NAMES, float("nan"))


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
