"""Checkpoint ▶ verdict: the core that the command, the chat clients and the web page share."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bot.variants import VARIANT_NAMES, variants
from bot.verdict import NO_PIXELS, Label, LayerHeatmap, Picture, Side, Stability, Variant, Verdict, label_of, side_of
from infra.images import MAX_BYTES, DecodedImage, ImageRefused, decode_image, open_image
from model_defs.checkpoint import BundleError, Card, load_bundle

if TYPE_CHECKING:
    from torch import Tensor, nn

Explainer: TypeAlias = Callable[["nn.Module", "Tensor", Side], tuple[LayerHeatmap, ...]]

PREVIEW_SIDE = 720  # twice what a panel shows of the photo, so that it stays sharp on a dense screen
BATCH = 8  # pictures a forward pass: more gains nothing on a CPU and delays the first answer
DECODERS = 2  # threads that read, decode and recompress ahead of the network


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture ready for the network. inputs: uint8 [1 + variants, S, S, C], the picture as it came first."""

    picture: Picture
    inputs: NDArray[np.uint8]
    seconds: float


class Detector:
    """One loaded checkpoint. `prepare` may run in many threads at once, everything else in one at a time."""

    card: Card
    max_bytes: int

    def __init__(
        self, bundle_url: str, threads: int | None = None, max_bytes: int = MAX_BYTES, device: str = "cpu"
    ) -> None:
        """threads: CPU threads of the whole process's networks; None leaves torch's choice. max_bytes: of one file.
        device: where the network runs, as torch names it.

        Raises BundleError.
        """
        self.max_bytes = max_bytes
        self._network, self.card = load_bundle(bundle_url)
        self._network.to(device)
        self._device = device
        self._url = bundle_url
        if threads is not None:
            import torch

            torch.set_num_threads(threads)

    def warm_up(self) -> None:
        """Pay the one-time costs of the first heatmaps (imports, memory) before anybody waits for them."""
        side = self.card.preprocess.image_size
        blank = np.zeros((side, side, 3), dtype=np.uint8)
        self.judge([self.prepare(DecodedImage(blank, "png", side, side, 0, None, False))])

    def check(self, data: bytes, heatmaps: bool = True) -> Verdict:
        """The verdict on one encoded image. Raises ImageRefused."""
        started = time.perf_counter()
        image = decode_image(data, max_bytes=self.max_bytes)
        return self.judge([self.prepare(image, started)], heatmaps)[0]

    def check_many(
        self, images: Iterable[bytes | Path], heatmaps: bool = False, previews: bool = True
    ) -> Generator[Verdict | ImageRefused, None, None]:
        """One answer an image, in order: its verdict, or why it was refused. Reads no further ahead than it must.

        images: encoded bytes, or files to read. previews: as in `prepare`.
        """
        pool = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        waiting: deque[Future[Prepared | ImageRefused]] = deque()
        source = iter(images)
        try:
            while True:
                for image in islice(source, 2 * BATCH - len(waiting)):
                    waiting.append(pool.submit(self._load, image, previews))
                if not waiting:
                    return
                batch = [waiting.popleft().result() for _ in range(min(BATCH, len(waiting)))]
                verdicts = iter(self.judge([item for item in batch if isinstance(item, Prepared)], heatmaps))
                for item in batch:
                    yield item if isinstance(item, ImageRefused) else next(verdicts)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def prepare(self, image: DecodedImage, started: float | None = None, preview: bool = True) -> Prepared:
        """The network's inputs for a picture and its variants. started: perf_counter when work on it began. preview:
        made too, for panels; else it is of no size.
        """
        started = time.perf_counter() if started is None else started
        preprocess = self.card.preprocess
        seen = preprocess.fit_image(image.rgb)
        inputs = np.stack([seen, *(preprocess.fit_image(variant) for variant in variants(image.rgb))])
        small = _preview(image.rgb) if preview else NO_PIXELS
        picture = Picture(image.width, image.height, image.format, preprocess.fit, small, seen)
        return Prepared(picture, inputs, time.perf_counter() - started)

    def judge(self, prepared: Sequence[Prepared], heatmaps: bool = True) -> list[Verdict]:
        """The verdicts on prepared pictures, from one forward pass; heatmaps take a pass forward and back a picture.

        `seconds` of each is its own preparation and heatmaps and an equal part of the pass.
        """
        verdicts = dict(self.judge_each(prepared, [heatmaps] * len(prepared)))
        return [verdicts[index] for index in range(len(prepared))]

    def judge_each(self, prepared: Sequence[Prepared], heatmaps: Sequence[bool]) -> Iterator[tuple[int, Verdict]]:
        """As `judge`, with heatmaps for some: each verdict and its index as soon as it is there, those without first.

        Raises BundleError, before the first of them.
        """
        if not prepared:
            return
        explain = _explainer() if any(heatmaps) else None
        started = time.perf_counter()
        probabilities = self._probabilities(np.concatenate([item.inputs for item in prepared]))
        rows = probabilities.reshape(len(prepared), -1)
        shared = (time.perf_counter() - started) / len(prepared)
        for index in sorted(range(len(prepared)), key=lambda index: heatmaps[index]):
            explainer = explain if heatmaps[index] else None
            yield index, self._verdict(prepared[index], rows[index].tolist(), explainer, shared)

    def _load(self, image: bytes | Path, preview: bool) -> Prepared | ImageRefused:
        started = time.perf_counter()
        most = self.max_bytes
        try:
            loaded = (
                decode_image(image, max_bytes=most) if isinstance(image, bytes) else open_image(image, max_bytes=most)
            )
            return self.prepare(loaded, started, preview)
        except ImageRefused as refusal:
            return refusal

    def _probabilities(self, inputs: NDArray[np.uint8]) -> NDArray[np.float64]:
        """uint8 [N, S, S, C] ▶ calibrated p_fake [N]."""
        import torch

        with torch.inference_mode():
            logits = self._network(self.card.preprocess.to_tensor(inputs).to(self._device)).cpu().numpy()
        if not np.isfinite(logits).all():
            raise BundleError(
                f"the network of {self._url} answers with numbers that are not finite; use another bundle"
            )
        answer: NDArray[np.float64] = torch.from_numpy(self.card.calibrated(logits)).sigmoid().numpy()
        return answer

    def _verdict(self, item: Prepared, row: list[float], explain: Explainer | None, seconds: float) -> Verdict:
        started = time.perf_counter()
        thresholds = self.card.thresholds
        p_fake, label, side = row[0], label_of(row[0], thresholds), side_of(row[0], thresholds)
        layers: tuple[LayerHeatmap, ...] = ()
        if explain is not None:
            layers = explain(self._network, self.card.preprocess.to_tensor(item.inputs[:1]).to(self._device), side)
        labels: list[Label] = [label_of(p, thresholds) for p in row[1:]]
        stability = Stability(
            variants=tuple(Variant(*each) for each in zip(VARIANT_NAMES, row[1:], labels, strict=True)),
            p_min=min(row),
            p_max=max(row),
            flips=any(other != label for other in labels),
        )
        return Verdict(
            p_fake=p_fake,
            verdict=label,
            stability=stability,
            model=self.card.id,
            layers=layers,
            explains=side,
            thresholds=thresholds,
            picture=item.picture,
            seconds=item.seconds + seconds + time.perf_counter() - started,
        )


def _explainer() -> Explainer:
    """`bot.explain.explain`, whose import takes seconds that belong to no picture."""
    from bot.explain import explain

    return explain


def _preview(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with its longer side at most PREVIEW_SIDE."""
    picture = Image.fromarray(rgb)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(picture)
