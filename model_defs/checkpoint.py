"""The checkpoint bundle: a folder with `weights.safetensors` and `card.json`, and nothing that can run code.

The card says everything a reader of the weights needs: the network, its preprocessing, its calibration and
thresholds, how well it did on which data, and where it came from.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from infra.errors import UserError
from infra.params import ParamsError, StrictModel, validate
from infra.storage import ObjectNotFound, Storage, open_storage
from model_defs.preprocess import Preprocess
from model_defs.spec import CnnSpec, ModelSpec, SpecError, check_geometry

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = "weights.safetensors"
CARD = "card.json"
FORMAT = 1
MAX_CARD_BYTES = 4 * 1024 * 1024  # a card has some 10 kB
MAX_WEIGHTS_BYTES = 2 * 1024**3  # 400 million float32 numbers, the largest network a spec allows, are 1.6 GB


class BundleError(UserError):
    """A checkpoint bundle that is missing, damaged or from another version of the format."""


class Thresholds(StrictModel):
    """Calibrated probabilities of being fake: at or above `decision` it is fake.

    Between `unsure_low` and `unsure_high` the honest answer is "unsure".
    """

    decision: float = Field(default=0.5, ge=0, le=1)
    unsure_low: float = Field(default=0.4, ge=0, le=1)
    unsure_high: float = Field(default=0.6, ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if not self.unsure_low <= self.decision <= self.unsure_high:
            raise ValueError("must be ordered: unsure_low ≤ decision ≤ unsure_high")
        return self


class DatasetRef(StrictModel):
    """Which data the weights were trained on. hash: the manifest's."""

    url: str
    version: int
    hash: str


class Origin(StrictModel):
    """Where the weights came from."""

    sweep: str
    trial: str
    epoch: int
    params: dict[str, Any]
    git_commit: str | None = None


class Card(StrictModel):
    """What `card.json` holds.

    temperature, bias: the probability of being fake is sigmoid(logit / temperature + bias), fitted on validation.
    metrics: split ▶ metric ▶ value, a confidence interval as `[low, high]` under `auc_ci95`.
    """

    format: Literal[1] = 1
    id: str = Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    created_at: str
    model: ModelSpec
    preprocess: Preprocess
    temperature: float = Field(default=1.0, gt=0)
    bias: float = 0.0
    thresholds: Thresholds = Thresholds()
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)
    dataset: DatasetRef
    origin: Origin
    limits: tuple[str, ...] = ()
    weights_sha256: str = ""

    def calibrated(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The network's logits [N] as calibrated logits [N]: their sigmoid is the probability of being fake."""
        return np.asarray(logits, dtype=np.float64) / self.temperature + self.bias


def bundle_id(sweep: str, weights: bytes) -> str:
    """A name that is the same for the same weights: the sweep's name and the start of their sha256."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", sweep)[:80].lstrip("._-") or "sweep"
    return f"{safe}-{hashlib.sha256(weights).hexdigest()[:8]}"


def weights_bytes(network: nn.Module) -> bytes:
    """The network's tensors in the safetensors format."""
    from safetensors.torch import save

    return save({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()})


def bundle_files(card: Card, weights: bytes) -> dict[str, bytes]:
    """The files of a bundle: name ▶ bytes, the card completed with the hash of the weights, card last."""
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
    return {WEIGHTS: weights, CARD: (card.model_dump_json(indent=2) + "\n").encode()}


def write_bundle(url: str, card: Card, weights: bytes) -> None:
    """Write a bundle under a storage URL. Each file is written atomically, the card last: no card, no bundle."""
    storage = open_storage(url)
    for name, data in bundle_files(card, weights).items():
        storage.put(name, data)


def read_card(url: str) -> Card:
    """The card of the bundle at a storage URL. Raises BundleError, which says what is wrong with it."""
    data = _get(open_storage(url), CARD, MAX_CARD_BYTES)
    if data is None:
        raise BundleError(f"no checkpoint bundle at {url}: there is no {CARD} in it")
    where = f"{url}/{CARD}"
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise BundleError(f"{where} is not JSON") from None
    written = content.get("format", FORMAT) if isinstance(content, dict) else FORMAT
    if written != FORMAT:
        raise BundleError(f"{where} has the format {written!r:.20}, and this version reads {FORMAT}: use the other one")
    try:
        return validate(Card, content, where)
    except ParamsError as error:
        raise BundleError(str(error)) from None


def load_bundle(url: str) -> tuple[nn.Module, Card]:
    """The network in evaluation mode, on the CPU, and its card.

    Refuses weights whose hash is not the card's, tensors that do not fit the card's network, and non-finite ones.
    Raises BundleError.
    """
    card = read_card(url)
    data = _get(open_storage(url), WEIGHTS, MAX_WEIGHTS_BYTES)
    if data is None:
        raise BundleError(f"the bundle at {url} has a card but no {WEIGHTS}; copy the whole folder")
    if hashlib.sha256(data).hexdigest() != card.weights_sha256:
        raise BundleError(f"{url}/{WEIGHTS} is not the file its card was written for (sha256 differs); copy it again")
    import torch  # seconds, which a wrong address need not wait for

    state = _tensors(data, f"{url}/{WEIGHTS}")
    network = _network(card, len(data), url)
    if _shapes(network.state_dict()) != _shapes(state):
        raise BundleError(f"{url}: the weights do not fit the network on the card")
    if any(t.is_floating_point() and not torch.isfinite(t).all() for t in state.values()):
        raise BundleError(f"{url}/{WEIGHTS} holds numbers that are not finite; the training went wrong")
    network.load_state_dict(state)
    return network.eval(), card


def _get(storage: Storage, key: str, max_bytes: int) -> bytes | None:
    """The object, None when it is not there; its size is looked at before it is read."""
    try:
        size = storage.size(key)
        if size > max_bytes:
            raise BundleError(f"{storage.url}/{key} has {size:,} bytes, over the limit of {max_bytes:,}")
        return storage.get(key)
    except ObjectNotFound:
        return None


def _tensors(data: bytes, where: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:  # KeyError: a number format unknown to torch
        raise BundleError(f"{where} is not a safetensors file: {error}") from None


def _network(card: Card, num_bytes: int, url: str) -> nn.Module:
    """The network of the card, its weights random."""
    from model_defs.network import build_network

    side, colour = card.preprocess.image_size, card.preprocess.colour
    try:
        # A card may promise more than its weights hold; building that network could take all memory.
        if isinstance(card.model, CnnSpec) and 4 * check_geometry(card.model, side, colour) > num_bytes:
            raise BundleError(f"{url}: the weights do not fit the network on the card")
        return build_network(card.model, side, colour, pretrained=False)
    except SpecError as error:
        raise BundleError(f"{url}/{CARD}: {error}") from None


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[Any, ...]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
