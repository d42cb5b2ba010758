"""An answer on its way between machines: JSON, with its pictures in base64. What comes back is believed in nothing.

Both ends are our own, but not always of one version, and between them are proxies; so all of it is checked, and
pictures pass the one door for bytes that nobody trusts.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.picture_file import seen_png
from bot.verdict import NO_PIXELS, Label, LayerHeatmap, Picture, Side, Stability, Variant, Verdict
from bot.worker.errors import DiedOfPicture, LayerGone, Stumbled
from bot.worker.requests import Checked, Want
from infra.errors import UserError
from infra.images import (
    AnimatedImage,
    DecoderFailed,
    ImageRefused,
    ImageTooLarge,
    NotAnImage,
    TruncatedImage,
    UnsupportedImage,
    decode_image,
    encode_png,
)
from model_defs.checkpoint import Thresholds

_OF_PICTURE = (ImageRefused, NotAnImage, TruncatedImage, ImageTooLarge, AnimatedImage, UnsupportedImage, DecoderFailed)
_KINDS = {kind.__name__: kind for kind in _OF_PICTURE}
_LEVELS = 2**16 - 1  # of a map: two bytes a pixel, so that colours and contours of a page stay where they were
_PIXELS = 2**24  # of a picture in an answer: a panel of a hundred layers has 9 million
_VARIANTS = 100  # there are four
_SPARE_BYTES = 64 * 2**20  # of an answer besides panel and layer: maps of a hundred layers of 256 × 256, 17 MB at most

Probability: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Pixels: TypeAlias = Annotated[int, Field(ge=0, le=2**20)]


class WireError(UserError):
    """What came back is no answer of this version."""


class _Wired(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class WiredVariant(_Wired):
    """The answer for a variant of the picture."""

    name: str = Field(max_length=100)
    p_fake: Probability
    verdict: Label


class WiredStability(_Wired):
    """How the probability moves."""

    p_min: Probability
    p_max: Probability
    flips: bool
    variants: list[WiredVariant] = Field(max_length=_VARIANTS)


class WiredLayer(_Wired):
    """A layer's part in the answer."""

    name: str = Field(min_length=1, max_length=300)
    size: tuple[Pixels, Pixels]
    channels: int = Field(ge=0)
    peak: float
    share: Probability
    dead: bool
    ninths: list[list[Probability]] | None = Field(
        default=None, min_length=3, max_length=3, description="Means of the map's 3 × 3 fields, where there is no map."
    )
    map: str | None = Field(
        default=None, description="A PNG in base64: heat from 0 to 65,535, the high byte in red, the low one in green."
    )


class WiredVerdict(_Wired):
    """The verdict, as /api/v1/check has it, and what the chats need besides."""

    p_fake: Probability
    verdict: Label
    stability: WiredStability
    model: str = Field(min_length=1, max_length=200)
    explains: Side
    layers: list[WiredLayer] = Field(max_length=10_000)
    width: Pixels
    height: Pixels
    seconds: float = Field(ge=0)
    thresholds: Thresholds
    format: str = Field(max_length=20)
    fit: Literal["crop", "squash", "pad"]


class WiredAnswer(_Wired):
    """An answer about a picture. Pictures are in base64."""

    verdict: WiredVerdict
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    panel: str | None = None
    layer: str | None = None
    seen: str | None = Field(default=None, description="A PNG of what the network saw.")
    variants: list[str] = Field(
        default=[], max_length=_VARIANTS, description="PNGs of what the network saw of the variants."
    )


class WiredRefusal(_Wired):
    """Why this picture gets no answer, now and whenever it is sent."""

    kind: str = Field(max_length=50)
    reason: str = Field(max_length=1000)


class Looked(_Wired):
    """What became of a picture: one of the two."""

    answer: WiredAnswer | None = None
    refusal: WiredRefusal | None = None


def written(outcome: Checked | UserError, want: Want) -> bytes:
    """JSON of a `Looked`. An error: one of the picture's, see `is_of_picture`. Takes some time for maps."""
    if isinstance(outcome, UserError):
        refusal = WiredRefusal(kind=type(outcome).__name__, reason=str(outcome)[:1000])
        return Looked(refusal=refusal).model_dump_json(exclude_none=True).encode()
    verdict = outcome.verdict
    content = verdict.to_json() | {
        "thresholds": verdict.thresholds, "format": verdict.picture.format, "fit": verdict.picture.fit,
    }  # fmt: skip
    content["layers"] = [
        wired | ({"map": _base64(_map_png(layer.map))} if want.maps else {"ninths": layer.map.tolist()})
        for wired, layer in zip(content["layers"], verdict.layers, strict=True)
    ]
    seen = outcome.seen
    if seen is None and want.maps and verdict.picture.seen.size:
        seen = seen_png(verdict.picture.seen)
    answer = WiredAnswer(
        verdict=WiredVerdict.model_validate(content), sha256=outcome.sha256,
        panel=_base64(outcome.panel), layer=_base64(outcome.layer), seen=_base64(seen),
        variants=[base64.b64encode(each).decode() for each in outcome.variants],
    )  # fmt: skip
    return Looked(answer=answer).model_dump_json(exclude_none=True).encode()


def read(data: bytes, want: Want, sha256: str) -> Checked | UserError:
    """What became of the picture with this hash. Raises WireError for anything but an answer to `want`."""
    try:
        looked = Looked.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise WireError(f"the detector's answer is not one of this version ({where}: {first['msg']})") from None
    if looked.refusal is not None:
        return _refusal(looked.refusal, want)
    if looked.answer is None or looked.answer.sha256 != sha256:
        raise WireError("the detector's answer is about another picture, or none")
    return _checked(looked.answer, want)


def is_of_picture(error: UserError) -> bool:
    """Whether another try would end in the same way."""
    return isinstance(error, ImageRefused | LayerGone | DiedOfPicture | Stumbled)


def most_bytes(want: Want) -> int:
    """Of an answer to this."""
    return 2 * (want.max_bytes * 4 // 3 + 4) + _SPARE_BYTES


def _refusal(refusal: WiredRefusal, want: Want) -> UserError:
    """Ours, of that kind: what is said to people is never taken from elsewhere."""
    if refusal.kind == LayerGone.__name__ and want.layer is not None:
        return LayerGone(want.layer)
    if refusal.kind == DiedOfPicture.__name__:
        return DiedOfPicture()
    if refusal.kind == Stumbled.__name__:
        return Stumbled()
    if refusal.kind not in _KINDS:
        raise WireError("the detector refuses the picture for a reason unknown to this version")
    return _KINDS[refusal.kind](refusal.reason)


def _checked(answer: WiredAnswer, want: Want) -> Checked:
    panel, layer, seen = (_file(each, want) for each in (answer.panel, answer.layer, answer.seen))
    is_asked = {"panel": want.panel, "layer": want.layer is not None, "seen": want.seen or want.maps}
    if {"panel": panel is not None, "layer": layer is not None, "seen": seen is not None} != is_asked:
        raise WireError("the detector's answer lacks a picture that was asked for, or has another")
    if len(answer.variants) != (len(answer.verdict.stability.variants) if want.variants else 0):
        raise WireError("the detector's answer lacks pictures of variants that were asked for, or has others")
    variants = tuple(_whole(each, want) for each in answer.variants)
    pixels = NO_PIXELS if seen is None else decode_image(seen, max_pixels=_PIXELS).rgb
    wired = answer.verdict
    if wired.layers and not want.heatmaps:
        raise WireError("the detector's answer has layers that were not asked for")
    stability = Stability(
        variants=tuple(Variant(each.name, each.p_fake, each.verdict) for each in wired.stability.variants),
        p_min=wired.stability.p_min, p_max=wired.stability.p_max, flips=wired.stability.flips,
    )  # fmt: skip
    verdict = Verdict(
        p_fake=wired.p_fake, verdict=wired.verdict, stability=stability, model=wired.model,
        layers=tuple(_layer(each, pixels.shape[:2], want) for each in wired.layers), explains=wired.explains,
        thresholds=wired.thresholds, seconds=wired.seconds,
        picture=Picture(wired.width, wired.height, wired.format, wired.fit, NO_PIXELS,
                        pixels if want.maps else NO_PIXELS),
    )  # fmt: skip
    return Checked(verdict, answer.sha256, panel, layer, seen if want.seen else None, variants)


def _layer(wired: WiredLayer, size: tuple[int, ...], want: Want) -> LayerHeatmap:
    """size: (height, width) that a map must have."""
    if (wired.map is not None) is not want.maps or (wired.ninths is None) is not want.maps:
        raise WireError("the detector's answer lacks maps that were asked for, or has others")
    if wired.map is None:
        if [len(row) for row in wired.ninths or ()] != [3, 3, 3]:
            raise WireError("the detector's answer has a map that has not nine fields")
        heat = np.array(wired.ninths, dtype=np.float32)
    else:
        levels = _opened(_bytes(wired.map)).astype(np.float32)
        if levels.shape[:2] != size:
            raise WireError("the detector's answer has a map of another size than the picture")
        heat = (levels[..., 0] * 256 + levels[..., 1]) / np.float32(_LEVELS)
    return LayerHeatmap(
        wired.name, wired.size, wired.channels, peak=wired.peak, share=wired.share, dead=wired.dead, map=heat
    )


def _file(text: str | None, want: Want) -> bytes | None:
    return None if text is None else _whole(text, want)


def _whole(text: str, want: Want) -> bytes:
    """A picture's file, whole and not too large."""
    data = _bytes(text)
    if len(data) > want.max_bytes:
        raise WireError("the detector's answer has a picture larger than was asked for")
    _opened(data)
    return data


def _opened(data: bytes) -> NDArray[np.uint8]:
    try:
        return decode_image(data, max_pixels=_PIXELS).rgb
    except ImageRefused as error:
        raise WireError(f"the detector's answer has a picture that cannot be read: {error}") from None


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise WireError("the detector's answer has a picture that is not base64") from None


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _map_png(heat: NDArray[np.float32]) -> bytes:
    """float32 [S, S] in [0, 1] ▶ a PNG with two bytes a pixel."""
    levels = np.rint(heat * _LEVELS).astype(np.uint16)
    high, low = (levels >> 8).astype(np.uint8), (levels & 255).astype(np.uint8)
    return encode_png(np.stack([high, low, np.zeros_like(high)], axis=2))
