"""Cues: what people can look at without a machine, and which of them fit a face and its heatmap."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bot.verdict import Side
from bot.words import Words
from infra.params import StrictModel, parse_yaml, validate

CUES_FILE = Path(__file__).parent.parent / "cues.yaml"

Region = Literal["eyes", "mouth", "hair", "ears", "skin", "clothes", "background", "whole"]
Box: TypeAlias = tuple[float, float, float, float]  # left, top, width, height; the picture's sides are 1

# Where the finder of `crawler.faces` puts its box in a portrait that is cropped as FFHQ is: for faces it misses.
USUAL_BOX: Box = (0.22, 0.28, 0.56, 0.56)

_ANY = "any"
_FAMILIES = {  # family ▶ how names of its generators begin, or what they hold
    "gan": ("gan", "thispersondoesnotexist", "generated.photos"),
    "diffusion": ("diffusion", "sd1", "sd2", "sd3", "sdxl", "flux", "midjourney", "dall", "imagen", "firefly"),
}
_OF_THE_PLACE = 2  # cues a face gets for where the heat lies; one that is general comes last
_LUCK = 0.4  # of a region's average heat: so that faces alike do not all get one cue
_NAMED = 0.5  # for a cue that names the generator or its family


class Cue(StrictModel):
    """One place to look at. All texts are English and plain; `Words` translate them.

    title: two to five words. look: what to do. fake_sign, real_sign: what would speak for either; empty where nothing
    does. region: the part of the picture. fits: `any`, families and beginnings of generators' names. min_side,
    max_side: pixels a side between which it is worth a look. general: advice that belongs to no place. source: where
    it is from.
    """

    key: str = Field(pattern=r"^[a-z_]+$")
    title: str = Field(min_length=1)
    look: str = Field(min_length=1)
    fake_sign: str
    real_sign: str
    region: Region
    fits: tuple[str, ...] = Field(min_length=1)
    min_side: int = Field(ge=1)
    max_side: int | None = None
    general: bool = False
    source: str = Field(min_length=1)

    def sign(self, truth: Side) -> str:
        """What would speak for `truth`; empty where this cue says nothing of it."""
        return self.fake_sign if truth == "fake" else self.real_sign

    def is_seen_at(self, side: int) -> bool:
        """Whether a square picture of that many pixels a side can show it."""
        return self.min_side <= side <= (self.max_side or side)


class _CueFile(StrictModel):
    cues: tuple[Cue, ...] = Field(min_length=1)


@lru_cache(maxsize=1)
def cues() -> Mapping[str, Cue]:
    """All cues by key, in the order of the file."""
    content = parse_yaml(CUES_FILE.read_text(encoding="utf-8"), CUES_FILE.name)
    listed = validate(_CueFile, {"cues": content}, CUES_FILE.name).cues
    return MappingProxyType({cue.key: cue for cue in listed})


def cue_texts() -> list[str]:
    """Every text of the cues that is spoken to people, once each: for the translators' catalogs."""
    texts = [text for cue in cues().values() for text in (cue.title, cue.look, cue.fake_sign, cue.real_sign)]
    return [text for text in dict.fromkeys(texts) if text]


def cue_words(key: str, truth: Side, t: Words) -> str:
    """A cue for a face whose truth is known, in one paragraph. Raises KeyError.

    It says where to look and what tends to be seen there; never that it is to be seen in this picture.
    """
    cue = cues()[key]
    if cue.general:
        return t("Remember: {title}. {look} {sign}", title=t(cue.title), look=t(cue.look), sign=t(cue.sign(truth)))
    if truth == "fake":
        return t(
            "A place to look at: {title}. {look} In generated faces: {sign}",
            title=t(cue.title), look=t(cue.look), sign=t(cue.fake_sign),
        )  # fmt: skip
    return t(
        "A place to look at: {title}. {look} In photographs: {sign}",
        title=t(cue.title), look=t(cue.look), sign=t(cue.real_sign),
    )  # fmt: skip


def choose_cues(
    truth: Side, kind: str, side: int, heat: NDArray[np.float32], box: Box | None, rng: random.Random
) -> tuple[str, ...]:
    """Keys of the cues that fit a face: two for where the machine's evidence lies, then a general one.

    kind: the generator, or "real". side: pixels that the picture was made from. heat: float32 [S, S], ≥ 0; all zero
    where there is none. box: of the face, None where none was found.
    """
    warmth = region_heat(heat, box or USUAL_BOX)
    scores: list[tuple[float, Cue]] = []
    for cue in cues().values():
        if cue.general or not cue.is_seen_at(side) or not _fits(cue, truth, kind):
            continue
        named = _NAMED if truth == "fake" and _ANY not in cue.fits else 0.0
        scores.append((warmth[cue.region] + named + rng.uniform(0, _LUCK), cue))
    ranked = [cue for score, cue in sorted(scores, key=lambda scored: -scored[0])]
    chosen: list[Cue] = []
    for cue in ranked:
        if len(chosen) < _OF_THE_PLACE and all(cue.region != other.region for other in chosen):
            chosen.append(cue)
    general = rng.choice([cue for cue in cues().values() if cue.general])
    return tuple(cue.key for cue in (*chosen, general))


def region_heat(heat: NDArray[np.float32], box: Box) -> dict[Region, float]:
    """How hot each region of a portrait is: its mean over that of the whole picture, so 1 is average.

    heat: float32 [S, S], ≥ 0. A region that lies outside the picture is 0; all are 1 where there is no heat.
    """
    average = float(heat.mean())
    masks = _regions(heat.shape[0], box)
    if average <= 0:
        return {**dict.fromkeys(masks, 1.0), "whole": 1.0}
    found = {region: float(heat[mask].mean()) / average if mask.any() else 0.0 for region, mask in masks.items()}
    return {**found, "whole": 1.0}


def _regions(side: int, box: Box) -> dict[Region, NDArray[np.bool_]]:
    """Masks [side, side] by the proportions of a frontal face, in units of the finder's box: it spans a face from the
    middle of the forehead to the chin, and from temple to temple."""
    left, top, width, height = box
    centres = (np.arange(side) + 0.5) / side
    across, down = np.meshgrid((centres - left) / width, (centres - top) / height)

    def field(u0: float, u1: float, v0: float, v1: float) -> NDArray[np.bool_]:
        return (across >= u0) & (across < u1) & (down >= v0) & (down < v1)

    eyes, mouth = field(0.1, 0.9, 0.2, 0.5), field(0.2, 0.8, 0.65, 0.95)
    face = field(0.05, 0.95, 0.05, 1.05)
    ears = field(-0.25, 0.05, 0.25, 0.75) | field(0.95, 1.25, 0.25, 0.75)
    head = field(-0.3, 1.3, -0.5, 1.1)
    clothes = field(-0.6, 1.6, 1.1, 9.0)
    return {
        "eyes": eyes,
        "mouth": mouth,
        "skin": face & ~eyes & ~mouth,
        "hair": head & ~face & ~ears & (down < 0.6),
        "ears": ears,
        "clothes": clothes,
        "background": ~head & ~clothes,
    }


def _fits(cue: Cue, truth: Side, kind: str) -> bool:
    """Whether the cue says something of this truth, and of this generator; a photograph is compared with all."""
    if not cue.sign(truth):
        return False
    if truth == "real" or _ANY in cue.fits:
        return True
    name = kind.lower()
    family = {family for family, marks in _FAMILIES.items() if any(mark in name for mark in marks)}
    return any(fit in family or name.startswith(fit) for fit in cue.fits)
