"""What the worker process does with a picture: decode, ask the network, paint."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from bot.detector import Detector, Prepared
from bot.layer_view import render_layer
from bot.render import render_panel
from bot.verdict import Verdict
from bot.words import later, words
from bot.worker.errors import LayerGone
from bot.worker.requests import Checked, Want
from infra.allocator import give_back_freed_memory
from infra.images import ImageTooLarge, decode_image, encode_png
from model_defs.checkpoint import BundleError, Card

_GONE = later("The model has changed since, and has no layer “{layer}”. Show me the picture again.")

# Such pictures are decoded one at a time: the largest with transparency takes 1.5 GB meanwhile, as a file of 260 kB.
_LARGE_PIXELS = 16e6


@dataclass(frozen=True, eq=False)
class Sight:
    """A picture that the network may see."""

    prepared: Prepared
    sha256: str
    want: Want


class Looker:
    """`prepare` and `paint` may run in many threads at once, `judge` in one at a time."""

    def __init__(self, bundle_url: str, threads: int | None, max_bytes: int) -> None:
        """Raises BundleError."""
        self._detector = Detector(bundle_url, threads=threads, max_bytes=max_bytes)
        self._one_large = threading.Lock()

    @property
    def card(self) -> Card:
        """The loaded bundle's."""
        return self._detector.card

    def warm_up(self) -> None:
        """Pay the one-time costs of verdicts and pictures, imports and fonts among them."""
        self._detector.warm_up()
        side = self.card.preprocess.image_size
        blank = encode_png(np.full((side, side, 3), 128, dtype=np.uint8))
        sight = self.prepare(blank, Want(seen=True))
        for verdict in self.judge([sight]):
            if not isinstance(verdict, BundleError):
                self.paint(sight, verdict)

    def prepare(self, data: bytes, want: Want) -> Sight:
        """Raises ImageRefused."""
        started = time.perf_counter()
        max_bytes, sha256 = self._detector.max_bytes, hashlib.sha256(data).hexdigest()
        try:
            image = decode_image(data, max_bytes=max_bytes, max_pixels=_LARGE_PIXELS)
            return Sight(self._detector.prepare(image, started), sha256, want)
        except ImageTooLarge:  # told from the header, before anything is decoded
            with self._one_large:
                image = decode_image(data, max_bytes=max_bytes)
                prepared = self._detector.prepare(image, started)
                del image
                give_back_freed_memory()  # glibc learns to keep pieces of 16 MiB: after eight of the largest 1.4 GB
                return Sight(prepared, sha256, want)

    def judge(self, sights: Sequence[Sight]) -> list[Verdict | BundleError]:
        """One forward pass for all; the heatmaps of those that want them. A picture that the network cannot judge
        spoils no other's verdict."""
        verdicts: dict[int, Verdict | BundleError] = {}
        for heatmaps in (True, False):
            group = [sight for sight in sights if _wants_heatmaps(sight.want) is heatmaps]
            verdicts |= zip(map(id, group), self._judge(group, heatmaps), strict=True)
        return [verdicts[id(sight)] for sight in sights]

    def paint(self, sight: Sight, verdict: Verdict) -> Checked:
        """The pictures that are wanted. Raises LayerGone."""
        want, today, t = sight.want, date.today(), words(sight.want.language)
        panel = layer = seen = None
        if want.panel:
            panel = render_panel(verdict, want.name, today, t=t, max_bytes=want.max_bytes)
        if want.layer is not None:
            wanted = next((each for each in verdict.layers if each.name == want.layer), None)
            if wanted is None:
                raise LayerGone(_GONE, layer=want.layer)
            layer = render_layer(verdict, wanted, today, t, want.max_bytes)
        if want.seen:
            pixels = verdict.picture.seen
            seen = encode_png(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)
        if not want.heatmaps and verdict.layers:
            verdict = dataclasses.replace(verdict, layers=())
        return Checked(verdict, sight.sha256, panel, layer, seen)

    def _judge(self, group: Sequence[Sight], heatmaps: bool) -> Sequence[Verdict | BundleError]:
        try:
            return self._detector.judge([sight.prepared for sight in group], heatmaps)
        except BundleError as error:
            if len(group) == 1:
                return [error]
        return [verdict for sight in group for verdict in self._judge([sight], heatmaps)]


def _wants_heatmaps(want: Want) -> bool:
    return want.heatmaps or want.layer is not None
