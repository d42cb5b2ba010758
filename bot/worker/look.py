"""What looks at a picture: decode, ask the network, paint."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from bot.detector import Detector, Prepared
from bot.layer_view import render_layer
from bot.picture_file import seen_png
from bot.render import render_panel
from bot.verdict import NO_PIXELS, Verdict
from bot.wording import ninths
from bot.words import words
from bot.worker.errors import LayerGone
from bot.worker.requests import Checked, Want
from infra.allocator import give_back_freed_memory
from infra.images import ImageTooLarge, decode_image, encode_png
from model_defs.checkpoint import BundleError, Card

# Such pictures are decoded one at a time: the largest with transparency takes 1.5 GB meanwhile, as a file of 260 kB.
_LARGE_PIXELS = 16e6


@dataclass(frozen=True, eq=False)
class Sight:
    """A picture that the network may see."""

    prepared: Prepared
    sha256: str
    want: Want


class Looker:
    """`prepare`, `prepare_large` and `paint` may run in many threads at once, `judge` in one at a time.

    device: where the network runs, as torch names it.
    """

    def __init__(self, bundle_url: str, threads: int | None, max_bytes: int, device: str = "cpu") -> None:
        """Raises BundleError."""
        self._detector = Detector(bundle_url, threads=threads, max_bytes=max_bytes, device=device)

    @property
    def card(self) -> Card:
        """The loaded bundle's."""
        return self._detector.card

    def warm_up(self) -> None:
        """Pay the one-time costs of verdicts and pictures, imports and fonts among them."""
        self._detector.warm_up()
        side = self.card.preprocess.image_size
        blank = encode_png(np.full((side, side, 3), 128, dtype=np.uint8))
        sight = self.prepare_large(blank, Want(seen=True))
        for _, verdict in self.judge([sight]):
            if not isinstance(verdict, BundleError):
                self.paint(sight, verdict)

    def prepare(self, data: bytes, want: Want) -> Sight | None:
        """None for a picture that is to be prepared by `prepare_large`. Raises ImageRefused."""
        started = time.perf_counter()
        try:
            image = decode_image(data, max_bytes=self._detector.max_bytes, max_pixels=_LARGE_PIXELS)
        except ImageTooLarge:  # told from the header, before anything is decoded
            return None
        prepared = self._detector.prepare(image, started, preview=want.panel)
        return Sight(prepared, hashlib.sha256(data).hexdigest(), want)

    def prepare_large(self, data: bytes, want: Want) -> Sight:
        """A picture of any size that is allowed; one at a time. Raises ImageRefused."""
        started = time.perf_counter()
        image = decode_image(data, max_bytes=self._detector.max_bytes)
        prepared = self._detector.prepare(image, started, preview=want.panel)
        del image
        give_back_freed_memory()  # glibc learns to keep pieces of 16 MiB: after eight of the largest 1.4 GB
        return Sight(prepared, hashlib.sha256(data).hexdigest(), want)

    def judge(self, sights: Sequence[Sight]) -> Iterator[tuple[Sight, Verdict | BundleError]]:
        """One forward pass for all, then the heatmaps of those that want them; each as soon as it is there. A picture
        that the network cannot judge spoils no other's verdict.
        """
        wants = [sight.want.heatmaps or sight.want.layer is not None for sight in sights]
        try:
            for index, verdict in self._detector.judge_each([sight.prepared for sight in sights], wants):
                yield sights[index], verdict
        except BundleError as error:  # before the first verdict
            if len(sights) == 1:
                yield sights[0], error
                return
            for sight in sights:
                yield from self.judge([sight])

    def paint(self, sight: Sight, verdict: Verdict) -> Checked:
        """The pictures that are wanted. Raises LayerGone."""
        want, today, t = sight.want, date.today(), words(sight.want.language)
        panel = layer = seen = None
        if want.panel:
            panel = render_panel(verdict, want.name, today, t=t, max_bytes=want.max_bytes)
        if want.layer is not None:
            wanted = next((each for each in verdict.layers if each.name == want.layer), None)
            if wanted is None:
                raise LayerGone(want.layer)
            layer = render_layer(verdict, wanted, today, t, want.max_bytes)
        if want.seen:
            seen = seen_png(verdict.picture.seen)
        variants = tuple(map(seen_png, sight.prepared.inputs[1:])) if want.variants else ()
        return Checked(_only_wanted(verdict, want), sight.sha256, panel, layer, seen, variants)


def _only_wanted(verdict: Verdict, want: Want) -> Verdict:
    """Without what is only carried about: a preview alone is 1.5 MB."""
    picture = dataclasses.replace(
        verdict.picture, preview=NO_PIXELS, seen=verdict.picture.seen if want.maps else NO_PIXELS
    )
    layers = verdict.layers if want.heatmaps else ()
    if not want.maps:
        layers = tuple(dataclasses.replace(layer, map=ninths(layer.map)) for layer in layers)
    return dataclasses.replace(verdict, picture=picture, layers=layers)
