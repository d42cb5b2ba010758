"""Measured features ▶ columns of numbers for a probe, and the strongest of them in words for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crawler.audit.features import FEATURES, Feature, Measured
from crawler.audit.probe import Floats, Integers, ranking_auc

_MOST_VALUES = 20  # of a category that get a column of their own: the commonest
_ALL = 0.995  # a share that is called "all"
_WEAK = 0.55  # an AUC below which a single feature says nothing worth a sentence


@dataclass(frozen=True)
class Column:
    """numbers: float [N], NaN where unknown. value: the category whose presence it tells; None for a number."""

    feature: Feature
    value: str | None
    numbers: Floats


def columns_of(family: str, measured: Sequence[Measured]) -> list[Column]:
    """The columns of one family over all images; a category gets one for each of its commonest values."""
    found = []
    for feature in (f for f in FEATURES if f.family == family):
        values = [image[feature.name] for image in measured]
        if feature.kind == "number":
            found.append(Column(feature, None, np.array(values, dtype=np.float64)))
            continue
        held = [v if isinstance(v, frozenset) else frozenset([str(v)]) for v in values]
        counts = Counter(value for one in held for value in one)
        for value, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:_MOST_VALUES]:
            found.append(Column(feature, value, np.array([value in one for one in held], dtype=np.float64)))
    return found


def strongest_in_words(columns: Sequence[Column], labels: Integers) -> str | None:
    """What one column alone tells of the labels, e.g. `all fakes and no reals are PNG`; None where that is little.

    labels: 1 for fake, [N].
    """
    ranked = [(abs(ranking_auc(column.numbers, labels) - 0.5), -n) for n, column in enumerate(columns)]
    if not ranked or max(ranked)[0] < _WEAK - 0.5:
        return None
    best = columns[-max(ranked)[1]]
    rivals = [column for column in columns if column.feature == best.feature]
    return _category_in_words(rivals, labels) if best.value is not None else _number_in_words(best, labels)


def _category_in_words(columns: Sequence[Column], labels: Integers) -> str:
    shares = [
        (float(column.numbers[labels == 1].mean()), float(column.numbers[labels == 0].mean()), column)
        for column in columns
    ]
    # The value of most fakes if it tells as much as any: "98% of fakes are 1024×1024" reads better than what they lack.
    fake, real, best = max(shares, key=lambda share: (round(abs(share[0] - share[1]), 2), share[0]))
    feature = best.feature
    if feature.kind == "category" and fake >= _ALL:
        of_reals = next((column.value for _, share, column in shares if share >= _ALL and column is not best), None)
        if of_reals:
            return f"fakes {feature.words} {best.value}, reals {of_reals}"
    value = best.value or f"no {feature.name}"
    return f"{_share(fake)} of fakes and {_share(real)} of reals {feature.words} {value}"


def _number_in_words(column: Column, labels: Integers) -> str:
    feature = column.feature
    known = ~np.isnan(column.numbers)
    parts = [column.numbers[known & (labels == label)] for label in (1, 0)]
    if not all(len(part) for part in parts):
        return f"only {'fakes' if len(parts[0]) else 'reals'} have a {feature.words}"
    fake, real = (float(np.median(part)) for part in parts)
    unit = f" {feature.unit}" if feature.unit else ""
    if _figure(fake) == _figure(real):
        of_fakes, of_reals = (" to ".join(_figure(value) for value in np.quantile(part, (0.1, 0.9))) for part in parts)
        return f"{feature.words}: {of_fakes}{unit} for most fakes, {of_reals} for most reals"
    return f"{feature.words}: median {_figure(fake)}{unit} for fakes, {_figure(real)} for reals"


def _figure(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.2g}" if abs(number) < 1 else f"{number:.3g}"


def _share(share: float) -> str:
    return f"{share:.0%}" if share in (0, 1) or 0.01 <= share <= 0.99 else f"{share:.1%}"
