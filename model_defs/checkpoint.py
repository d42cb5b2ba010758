"""The checkpoint bundle: a folder with `weights.safetensors` and `card.json`, and nothing that can run code.

The card says everything a reader of the weights needs: the network, its preprocessing, its calibration and
thresholds, how well it did on which data, and where it came from.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from infra.errors import UserError
from infra.params import StrictModel
from infra.storage import ObjectNotFound, open_storage
from model_defs.preprocess import Preprocess
from model_defs.spec import BackboneSpec, CnnSpec

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "weights.safetensors"
CARD = "card.json"
MAX_CARD_BYTES = 4 * 1024 * 1024
MAX_WEIGHTS_BYTES = 4 * 1024**3


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
    id: str = Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._-]+$")
    created_at: str
    model: CnnSpec | BackboneSpec
    preprocess: Preprocess
    temperature: float = Field(default=1.0, gt=0)
    bias: float = 0.0
    thresholds: Thresholds = Thresholds()
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)
    dataset: DatasetRef
    origin: Origin
    limits: tuple[str, ...] = ()
    weights_sha256: str = ""

    @model_validator(mode="before")
    @classmethod
    def _choose_model(cls, content: Any) -> Any:
        # One clear error instead of one for each member of the union.
        if isinstance(content, dict) and isinstance(content.get("model"), dict):
            kind = CnnSpec if content["model"].get("family") == "cnn" else BackboneSpec
            content = {**content, "model": kind.model_validate(content["model"])}
        return content

    def calibrated(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The network's logits [N] as calibrated logits [N]: their sigmoid is the probability of being fake."""
        return np.asarray(logits, dtype=np.float64) / self.temperature + self.bias


def bundle_id(sweep: str, weights: bytes) -> str:
    """A name that is the same for the same weights: the sweep's name and the start of their sha256."""
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in sweep)[:80]
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
    try:
        data = open_storage(url).get(CARD)
    except ObjectNotFound:
        raise BundleError(f"no checkpoint bundle at {url}: there is no {CARD} in it") from None
    if len(data) > MAX_CARD_BYTES:
        raise BundleError(f"{url}/{CARD} is larger than {MAX_CARD_BYTES} bytes; it is not a model card")
    try:
        content = json.loads(data)
        return Card.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{url}/{CARD}: {where}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise BundleError(f"{url}/{CARD} is not JSON") from None


def load_bundle(url: str) -> tuple[nn.Module, Card]:
    """The network in evaluation mode, on the CPU, and its card.

    Refuses weights whose hash is not the card's, tensors that do not fit the card's network, and non-finite ones.
    Raises BundleError.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from model_defs.network import build_network

    card = read_card(url)
    storage = open_storage(url)
    try:
        size = storage.size(WEIGHTS)
        if size > MAX_WEIGHTS_BYTES:
            raise BundleError(f"{url}/{WEIGHTS} has {size:,} bytes, over the limit of {MAX_WEIGHTS_BYTES:,}")
        data = storage.get(WEIGHTS)
    except ObjectNotFound:
        raise BundleError(f"the bundle at {url} has a card but no {WEIGHTS}; copy the whole folder") from None
    if hashlib.sha256(data).hexdigest() != card.weights_sha256:
        raise BundleError(f"{url}/{WEIGHTS} is not the file its card was written for (sha256 differs); copy it again")
    try:
        state = load(data)
    except (SafetensorError, ValueError) as error:
        raise BundleError(f"{url}/{WEIGHTS} is not a safetensors file: {error}") from None
    network = build_network(card.model, card.preprocess.image_size, card.preprocess.colour, pretrained=False)
    expected = {k: v.shape for k, v in network.state_dict().items()}
    if expected != {k: v.shape for k, v in state.items()}:
        raise BundleError(f"{url}: the weights do not fit the network on the card")
    if any(t.is_floating_point() and not torch.isfinite(t).all() for t in state.values()):
        raise BundleError(f"{url}/{WEIGHTS} holds numbers that are not finite; the training went wrong")
    network.load_state_dict(state)
    return network.eval(), card
