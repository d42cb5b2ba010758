"""From the best trial to the champion: calibrated on validation, judged once on the test split, kept for good.

The test split is read here and in `tune.evaluate` and nowhere else, so nothing was chosen by it.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crawler.manifest import Manifest, read_manifest
from infra.errors import UserError
from infra.storage import absolute_url, join_url
from model_defs.checkpoint import (
    WEIGHTS,
    BundleError,
    Card,
    Thresholds,
    bundle_id,
    load_bundle,
    read_card,
    write_bundle,
)
from tune.calibrate import choose_thresholds, fit_calibration
from tune.checkpointing import BUNDLE
from tune.evaluate import Evaluation, answers, describe, judge
from tune.metrics import is_better
from tune.params import DataParams

CHAMPIONS = "champions"
MAX_ERROR = 0.05  # at most this share of answers outside the unsure band is wrong, on validation


GUESSING = "It is not known to be better than guessing: the interval of its test AUC reaches 0.5."


@dataclass(frozen=True)
class Champion:
    """A promoted bundle. url: where it lies; is_new: False when the same weights were promoted before."""

    url: str
    card: Card
    is_new: bool


def make_champion(trial_folder: str, storage_url: str, cache: Path, *, manifest_url: str | None = None) -> Champion:
    """Calibrate, judge and copy the bundle of a trial to `<storage>/champions/<id>`.

    manifest_url: where the card's dataset is read from, by default where its card says. The same weights are judged
    once: promoting them again finds the bundle that is there. Raises BundleError, ManifestError or DataError.
    """
    from infra.storage import open_storage

    source = join_url(trial_folder, BUNDLE)
    network, card = load_bundle(source)
    weights = open_storage(source).get(WEIGHTS)
    url = join_url(storage_url, CHAMPIONS, bundle_id(card.origin.sweep, weights))
    try:
        return Champion(url, read_card(url), is_new=False)
    except BundleError:
        pass
    manifest = read_manifest(manifest_url or card.dataset.url, card.dataset.version)
    if manifest.hash != card.dataset.hash:
        raise UserError(f"the dataset at {manifest.url} is not the one that {card.id} was trained on (hash differs)")
    validation = answers(network, card, manifest, "val", cache)
    temperature, bias = fit_calibration(validation.labels, validation.logits)
    card = card.model_copy(update={"temperature": temperature, "bias": bias})
    thresholds, val_error = choose_thresholds(validation.labels, card.calibrated(validation.logits), MAX_ERROR)
    card = card.model_copy(update={"thresholds": thresholds})
    metrics = {"val": judge(validation, card)}
    if manifest.count("test"):
        metrics["test"] = judge(answers(network, card, manifest, "test", cache), card)
    card = card.model_copy(
        update={
            "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "metrics": metrics,
            "limits": tuple(_limits(card, manifest, validation, metrics, thresholds, val_error)),
        }
    )
    write_bundle(url, card, weights)
    return Champion(url, read_card(url), is_new=True)


def objection_to(candidate: Card, current: Card | None, metric: str, mode: str) -> str | None:
    """Why `candidate` should not replace the champion by itself, None when it should.

    On the same dataset the better validation metric wins. Metrics of two datasets cannot be compared: there the newer
    one wins, except that a network of the demo faces never replaces one of real data.
    """
    if current is None:
        return None
    demo = DataParams().manifest
    if candidate.dataset.hash != current.dataset.hash:
        if candidate.dataset.url == demo and current.dataset.url != demo:
            return "a network trained on the demo faces does not replace one of real data"
        return None
    new, old = (card.metrics.get("val", {}).get(metric) for card in (candidate, current))
    better = old is None or (new is not None and is_better(new, old, mode))
    return None if better or candidate.id == current.id else "it is better on the same validation data"


def crown(store_url: str, champion: Champion, trial_id: str) -> None:
    """Give the bundle the name `champion` in the result store, or keep that for when it is back."""
    from tune.store.writer import ResultStore

    store = ResultStore(store_url)
    store.open(must_connect=False)
    store.alias("champion", absolute_url(champion.url), trial_id)
    store.close()


def promote_trial(store_url: str, trial: str) -> Champion:
    """Make a trial of the result store the champion, whatever the champion was. trial: the beginning of its id.

    Raises UserError when there is no such trial, or it left no bundle.
    """
    from tune.store import query
    from tune.store.reader import open_reader

    record = query.show(open_reader(store_url), trial).trial
    storage = record.folder.rsplit("/", 3)[0]  # <storage>/<sweep>/<run>/<trial>
    champion = make_champion(record.folder, storage, Path(DataParams().cache))
    crown(store_url, champion, record.id)
    return champion


def describe_test(card: Card) -> list[str]:
    """How the champion did on the test split, as lines for people; none where its dataset has no such split."""
    if "test" not in card.metrics:
        return []
    test = card.metrics["test"]
    lines = ["on the test split, by which nothing was chosen:", *(f"  {line}" for line in describe(test))]
    return [*lines, f"warning: {GUESSING}"] if _may_be_guessing(test) else lines


def _may_be_guessing(test: dict[str, Any]) -> bool:
    low = test["auc_ci95"][0]
    return low is not None and low <= 0.5


def _limits(
    card: Card, manifest: Manifest, validation: Evaluation, metrics: dict[str, Any], band: Thresholds, val_error: float
) -> list[str]:
    """What a reader must know before trusting the weights, in plain words."""
    generators = sorted(
        {row.generator or "an unknown generator" for row in manifest.rows("train") if row.label == "fake"}
    )
    wrong = "it has no answer" if math.isnan(val_error) else f"{val_error:.1%} of its answers were wrong"
    side, grey = card.preprocess.image_size, " grey" if card.preprocess.colour == "grey" else ""
    lines = [
        f"It has seen fakes of {', '.join(generators)} only; fakes of any other generator may pass as real.",
        f"It looks at{grey} pictures of {side}×{side} pixels: traces finer than that are lost before it looks.",
        f"Between {band.unsure_low:.2f} and {band.unsure_high:.2f} it says 'unsure'; outside, on "
        f"{len(validation.rows)} validation images, {wrong}.",
        "A picture that was recompressed, resized or screenshotted can change its mind; the verdict's stability tells.",
        "It is no proof: never accuse anybody on its word.",
    ]
    if "test" in metrics:
        low, high = metrics["test"]["auc_ci95"]
        auc = "no AUC can be told" if low is None else f"AUC {low:.3f} to {high:.3f} (95%)"
        lines.insert(0, f"Judged on {metrics['test']['images']} test images of the same sources: {auc}.")
        if _may_be_guessing(metrics["test"]):
            lines.insert(0, GUESSING)
    else:
        lines.insert(0, "Its dataset has no test split: nothing but validation says how good it is.")
    return lines
