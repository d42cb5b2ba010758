"""The pictures of a trial and of an evaluation, as PNG bytes: readable in grey and by the colour-blind."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tune.metrics import Ranking, decision_metrics, expected_calibration_error, ranking_metrics, sigmoid

# Okabe and Ito's colours: told apart with any kind of colour vision, and differing in lightness.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"

Floats = NDArray[np.floating]


def curves(history: Sequence[Mapping[str, float]], metric: str) -> bytes:
    """Loss of training and validation, and the chosen metric, over the epochs; gaps where a value is no number."""
    epochs = [int(epoch["epoch"]) for epoch in history]
    training, validation, values = (
        np.array([epoch.get(key, np.nan) for epoch in history]) for key in ("train_loss", "loss", metric)
    )
    figure, (losses, chosen) = _figure(f"Loss and {metric} over {len(epochs)} epoch{'s' * (len(epochs) != 1)}", 2)
    losses.plot(epochs, training, color=ORANGE, marker="s", markersize=4, label="training")
    losses.plot(epochs, validation, color=BLUE, marker="o", markersize=4, label="validation")
    losses.set(xlabel="epoch", ylabel="loss (nats)")
    chosen.plot(epochs, values, color=BLUE, marker="o", markersize=4)
    chosen.set(xlabel="epoch", ylabel=f"{metric} on validation")
    both = np.concatenate([training, validation])
    finite = both[np.isfinite(both) & (both > 0)]
    if len(finite) and finite.max() > 100 * finite.min():
        losses.set_yscale("log")  # a training that blew up would flatten the rest of the curve
    for axes, shown in ((losses, both), (chosen, values)):
        axes.set_xlim(0.5, max(epochs, default=1) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if np.isfinite(shown).any():
            continue
        axes.set_yticks([])
        _note(axes, "never a number")
    if len(finite):
        losses.legend(frameon=False)
    return _png(figure)


def confusion(labels: Floats, logits: Floats, threshold: float = 0.5) -> bytes:
    """What was called what, in counts and in shares of the true class."""
    called, is_fake = sigmoid(logits) >= threshold, np.asarray(labels) == 1
    counts = np.array([[np.sum((is_fake == t) & (called == c)) for c in (False, True)] for t in (False, True)])
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full((2, 2), np.nan), where=totals > 0)
    values = decision_metrics(labels, called)
    figure, (axes,) = _figure(f"accuracy {values['accuracy']:.3f}, F1 {values['f1']:.3f}")
    axes.set_facecolor("#DDDDDD")  # shows where a class is missing
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        ink = "white" if share < 0.5 else "black"
        text = f"{count:,}\n{share:.0%}" if np.isfinite(share) else "none"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=13)
    axes.set(xticks=[0, 1], yticks=[0, 1], xticklabels=["real", "fake"], yticklabels=["real", "fake"])
    axes.set(xlabel=f"called (fake where p_fake ≥ {threshold:.2f})", ylabel="truth")
    return _png(figure)


def roc(labels: Floats, logits: Floats) -> bytes:
    """The ROC curve with its area and its equal error rate."""
    values = ranking_metrics(labels, logits)
    has_curve = np.isfinite(values["auc"])
    figure, (axes,) = _figure(f"AUC {values['auc']:.3f}, EER {values['eer']:.3f}" if has_curve else "no ROC curve")
    if has_curve:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="guessing")
        fpr, tpr = Ranking(labels, logits).roc_curve()
        axes.plot(fpr, tpr, color=BLUE, label="this network")
        eer = values["eer"]
        axes.plot([eer], [1 - eer], "o", color=ORANGE, clip_on=False, zorder=3, label="as many false alarms as misses")
        axes.legend(frameon=False, loc="lower right", fontsize=9)
    else:
        _note(axes, _NO_CLASSES)
    axes.set(xlabel="reals called fake", ylabel="fakes caught", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.grid(alpha=0.3)
    return _png(figure)


def calibration(labels: Floats, logits: Floats, bins: int = 10) -> bytes:
    """Observed share of fakes against the stated probability, with how often each probability was stated."""
    finite = np.isfinite(logits)
    labels, p_fake = np.asarray(labels)[finite], sigmoid(np.asarray(logits)[finite])
    title = f"ECE {expected_calibration_error(labels, p_fake):.3f}" if finite.all() else "answers that are no number"
    figure, (reliability, histogram) = _figure(title, columns=2)
    index = np.minimum((p_fake * bins).astype(int), bins - 1)
    counts = np.bincount(index, minlength=bins)
    seen = counts > 0
    stated = np.bincount(index, weights=p_fake, minlength=bins)[seen] / counts[seen]
    observed = np.bincount(index, weights=labels, minlength=bins)[seen] / counts[seen]
    reliability.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="honest")
    reliability.plot(stated, observed, color=BLUE, marker="o", clip_on=False, label="this network")
    reliability.set(xlabel="stated p_fake", ylabel="share that is fake", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    reliability.legend(frameon=False, loc="upper left", fontsize=9)
    reliability.grid(alpha=0.3)
    edges = np.linspace(0, 1, bins + 1)
    parts = [p_fake[labels == 0], p_fake[labels == 1]]
    histogram.hist(parts, bins=list(edges), color=[BLUE, ORANGE], label=["real", "fake"])
    histogram.set(xlabel="stated p_fake", ylabel="images", xlim=(-0.02, 1.02))
    histogram.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    histogram.margins(y=0.15)  # room for the legend above the bars
    histogram.legend(frameon=False, loc="upper center", ncols=2, fontsize=9)
    return _png(figure)


_NO_CLASSES = "it needs reals and fakes,\nand answers that are numbers"


def _note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def _figure(title: str, columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(4.6 * columns, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
