"""The pictures of a trial and of an evaluation, as PNG bytes: readable in grey and by the colour-blind."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tune.metrics import Ranking, decision_metrics, expected_calibration_error, ranking_metrics, sigmoid

# Okabe and Ito's colours: told apart with any kind of colour vision, and differing in lightness.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"

Floats = NDArray[np.floating]


def curves(history: Sequence[Mapping[str, float]], metric: str) -> bytes:
    """Loss of training and validation, and the chosen metric, over the epochs."""
    epochs = [int(epoch["epoch"]) for epoch in history]
    figure, (losses, chosen) = _figure("Training", columns=2)
    losses.plot(epochs, [e["train_loss"] for e in history], color=ORANGE, marker="s", markersize=3, label="training")
    losses.plot(epochs, [e["loss"] for e in history], color=BLUE, marker="o", markersize=3, label="validation")
    losses.set(xlabel="epoch", ylabel="loss (nats)")
    losses.legend(frameon=False)
    chosen.plot(epochs, [e.get(metric, np.nan) for e in history], color=BLUE, marker="o", markersize=3)
    chosen.set(xlabel="epoch", ylabel=f"validation {metric}")
    for axes in (losses, chosen):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    return _png(figure)


def confusion(labels: Floats, logits: Floats, threshold: float = 0.5) -> bytes:
    """What was called what, in counts and in shares of the true class."""
    called, is_fake = sigmoid(logits) >= threshold, np.asarray(labels) == 1
    counts = np.array([[np.sum((is_fake == t) & (called == c)) for c in (False, True)] for t in (False, True)])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    values = decision_metrics(labels, called)
    figure, (axes,) = _figure(f"accuracy {values['accuracy']:.3f}, F1 {values['f1']:.3f}")
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        ink = "black" if shares[row, column] > 0.55 else "white"
        text = f"{count}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=12)
    axes.set(xticks=[0, 1], yticks=[0, 1], xticklabels=["real", "fake"], yticklabels=["real", "fake"])
    axes.set(xlabel=f"called (p_fake ≥ {threshold:.2f} is fake)", ylabel="truth")
    return _png(figure)


def roc(labels: Floats, logits: Floats) -> bytes:
    """The ROC curve with its area and its equal error rate."""
    values = ranking_metrics(labels, logits)
    figure, (axes,) = _figure(f"AUC {values['auc']:.3f}, EER {values['eer']:.3f}")
    if np.isfinite(values["auc"]):
        fpr, tpr = Ranking(labels, logits).roc_curve()
        axes.plot(fpr, tpr, color=BLUE)
        axes.plot([values["eer"]], [1 - values["eer"]], marker="o", color=ORANGE)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    axes.set(xlabel="reals called fake", ylabel="fakes caught", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.grid(alpha=0.3)
    return _png(figure)


def calibration(labels: Floats, logits: Floats, bins: int = 10) -> bytes:
    """Observed share of fakes against the stated probability, with how often each probability was stated."""
    labels, p_fake = np.asarray(labels), sigmoid(logits)
    index = np.minimum((p_fake * bins).astype(int), bins - 1)
    counts = np.bincount(index, minlength=bins)
    seen = counts > 0
    stated = np.bincount(index, weights=p_fake, minlength=bins)[seen] / counts[seen]
    observed = np.bincount(index, weights=labels, minlength=bins)[seen] / counts[seen]
    figure, (reliability, histogram) = _figure(f"ECE {expected_calibration_error(labels, p_fake):.3f}", columns=2)
    reliability.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    reliability.plot(stated, observed, color=BLUE, marker="o")
    reliability.set(xlabel="stated p_fake", ylabel="share that is fake", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    reliability.grid(alpha=0.3)
    edges = np.linspace(0, 1, bins + 1)
    parts = [p_fake[labels == 0], p_fake[labels == 1]]
    histogram.hist(parts, bins=list(edges), color=[BLUE, ORANGE], label=["real", "fake"])
    histogram.set(xlabel="stated p_fake", ylabel="images")
    histogram.legend(frameon=False)
    return _png(figure)


def _figure(title: str, columns: int = 1) -> tuple[Figure, list]:  # type: ignore[type-arg]
    figure = Figure(figsize=(4.6 * columns, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
