"""What is asked of the desk, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from bot.verdict import Verdict

# Discord takes 10 MiB for all that a message holds; the margin is for its other parts.
MAX_BYTES = 10 * 2**20 - 64 * 1024


@dataclass(frozen=True)
class Asker:
    """Who asks: opaque keys, such as "discord:4000" and "discord:2000". Alone with somebody, both are that person's."""

    user: str
    server: str


@dataclass(frozen=True)
class Want:
    """What is wanted besides the verdict.

    heatmaps: layers in the verdict. panel: the picture with the verdict and all heatmaps. layer: the name of one layer,
    for a large picture of it. seen: what the network saw, as a PNG. name: the photo's, for the panel. max_bytes: of
    panel and layer each, at least 4,096. language: of the words in them. maps: of the layers, the maps themselves, and
    the pixels that the network saw, for who paints them: they are most of what an answer weighs. Without, maps are
    their ninths, for words. variants: what the network saw of the picture's variants, as PNGs.
    """

    heatmaps: bool = True
    panel: bool = True
    layer: str | None = None
    seen: bool = False
    name: str = "photo"
    max_bytes: int = MAX_BYTES
    language: str = "en"
    maps: bool = True
    variants: bool = False


@dataclass(frozen=True, eq=False)
class Checked:
    """An answer. sha256: of the bytes that were asked about.

    panel, layer: a PNG, or a JPEG where a PNG would be larger than allowed. seen: a PNG without loss; to look at it
    again gives the same p_fake and the same heatmaps, so that a photo need not be kept for later questions. variants:
    PNGs without loss, too, in the order of the verdict's. None of these carries metadata. The verdict's preview is left
    out: who looks has painted it already.
    """

    verdict: Verdict
    sha256: str
    panel: bytes | None
    layer: bytes | None
    seen: bytes | None
    variants: tuple[bytes, ...] = ()
