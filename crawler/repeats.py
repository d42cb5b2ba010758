"""Has an endpoint begun to repeat itself, and how many different images does it hold?

The draws are a sample with replacement. The chance that the next draw is new is estimated by Good and Turing as f1/n
(Good, "The population frequencies of species", Biometrika 40, 1953), the number of different images by Chao
("Estimating the population size for capture-recapture data with unequal catchability", Biometrics 43, 1987), where n
draws hold d different images of which f1 were drawn once and f2 twice.

Many endpoints give one image to everybody who asks within a second. Such an echo says nothing about how many there
are, so a repeat of one of the last few draws is not counted as a draw.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from crawler.fingerprint import FLAT, MAX_DISTANCE

MIN_DRAWS = 20  # before anything is concluded
# Draws in a row without a single new image, echoes included: that ends even an endpoint that only echoes.
BARREN_DRAWS = 200


@dataclass(frozen=True)
class Estimate:
    """How many different images an endpoint holds: `low` … `high` is a 95% interval."""

    images: int
    low: int
    high: int


class RepeatWatch:
    """Follows the draws of one endpoint. concurrency: how many are made at once. stop_below: see `exhausted`."""

    def __init__(self, concurrency: int, stop_below: float) -> None:
        self._stop_below = stop_below
        self._recent: deque[int] = deque(maxlen=2 * concurrency)
        self._hashes = np.empty(64, dtype=np.uint64)
        self._names: dict[str, int] = {}
        self._times: Counter[int] = Counter()  # image ▶ how often it was drawn
        self._images_drawn: Counter[int] = Counter()  # how often ▶ how many images were drawn so often
        self._draws = 0
        self._barren = 0

    def draw(self, sha256: str, phash: str) -> bool:
        """Count a draw; True when it shows an image, or a near-duplicate of one, that was drawn before."""
        image = self._known(sha256, phash)
        is_new = image is None
        if image is None:
            image = self._add(sha256, phash)
        self._barren = 0 if is_new else self._barren + 1
        if image not in self._recent:
            self._images_drawn[self._times[image]] -= 1
            self._times[image] += 1
            self._images_drawn[self._times[image]] += 1
            self._draws += 1
        self._recent.append(image)
        return not is_new

    @property
    def distinct(self) -> int:
        """How many different images were drawn."""
        return len(self._times)

    @property
    def chance_of_new(self) -> float:
        """The estimated chance, 0 … 1, that the next draw is a new image."""
        return self._images_drawn[1] / self._draws if self._draws else 1.0

    @property
    def exhausted(self) -> bool:
        """Whether going on is not worth it: the chance of a new image is below `stop_below`, or none came for long."""
        # Of few draws none may be a repeat although nearly all images were seen: also the estimate must be reached.
        seen_enough = self._draws >= MIN_DRAWS and self.chance_of_new < self._stop_below
        return seen_enough or self._barren >= BARREN_DRAWS

    @property
    def estimate(self) -> Estimate:
        """How many different images there are.

        The bias-corrected form of Chao's estimator and its log-normal interval (Chao 1987, equations 9 to 12). After
        a long run without a new image, which says more than the counts (an endpoint that goes round in a circle shows
        each image once before it shows any twice): all that were seen, and at most as many more as have a chance of
        3/run (the rule of three).
        """
        n, d = max(self._draws, 1), self.distinct
        if self._barren >= BARREN_DRAWS:
            return Estimate(d, d, math.ceil(d / (1 - 3 / self._barren)))
        f1, f2 = self._images_drawn[1], self._images_drawn[2]
        scale = (n - 1) / n
        unseen = scale * f1 * (f1 - 1) / (2 * (f2 + 1))
        if unseen <= 0:
            return Estimate(d, d, d)
        if f2:
            ratio = f1 / f2
            variance = f2 * (0.5 * scale * ratio**2 + scale**2 * ratio**3 + 0.25 * scale**2 * ratio**4)
        else:
            total = d + unseen
            variance = (
                scale * f1 * (f1 - 1) / 2 + scale**2 * f1 * (2 * f1 - 1) ** 2 / 4 - scale**2 * f1**4 / (4 * total)
            )
        spread = math.exp(1.96 * math.sqrt(math.log1p(max(variance, 0.0) / unseen**2)))
        return Estimate(round(d + unseen), round(d + unseen / spread), round(d + unseen * spread))

    def _known(self, sha256: str, phash: str) -> int | None:
        by_name = self._names.get(sha256)
        if by_name is not None or phash == FLAT or not self._names:
            return by_name
        near = np.bitwise_count(self._hashes[: self.distinct] ^ np.uint64(int(phash, 16))) <= MAX_DISTANCE
        first = int(near.argmax())
        return first if near[first] else None

    def _add(self, sha256: str, phash: str) -> int:
        image = len(self._names)
        if image == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[image] = int(phash, 16)
        self._names[sha256] = image
        return image
