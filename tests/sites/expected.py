"""What a perfect crawler would make of an address: stored with this sha256, or refused for that reason."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace

from PIL import Image

KEPT = ("stored", "duplicate", "near-duplicate", "ai-marked")
REFUSED = (
    "not-found",  # 404, never tried again
    "gone",  # 410
    "forbidden",  # 401, 403, 451
    "unavailable",  # 5xx or 429 at every try
    "robots",  # robots.txt forbids it, or cannot be had
    "opted-out",  # X-Robots-Tag, TDMRep or a meta tag asks not to
    "not-an-image",
    "unsupported",  # an image, of a kind that is not decoded
    "animated",
    "truncated",  # the file ends in the middle of its picture
    "too-small",
    "too-many-pixels",
    "too-large",  # in decoded bytes
    "too-slow",  # over the deadline of a request
    "broken-transfer",  # reset, cut off, badly encoded, or not HTTP
    "bad-redirect",  # a loop, too many, no target, or a scheme that is not http
    "private-address",  # leads to an address that is not the site's
)
OUTCOMES = KEPT + REFUSED


@dataclass(frozen=True)
class Expected:
    """The row that belongs to one address.

    `sha256`, `width` and `height` (as shown) are those of the file behind it, where it has a good one. A duplicate or
    near-duplicate says `of` which path; which of the two is called the copy depends on who came first. "ai-marked" is
    an image to set aside when its source calls it real, and to store with its markers when it does not.
    """

    outcome: str
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    of: str | None = None

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"{self.outcome} is none of {', '.join(OUTCOMES)}")

    @property
    def kept(self) -> bool:
        """Whether there is a good picture behind the address, whose bytes hash to `sha256`."""
        return self.outcome in KEPT

    def but(self, outcome: str) -> Expected:
        """The same file, kept away for another reason."""
        return replace(self, outcome=outcome)


def kept(data: bytes, outcome: str = "stored", of: str | None = None) -> Expected:
    """What to expect of a good picture."""
    image = Image.open(io.BytesIO(data))
    width, height = image.size
    if image.getexif().get(0x0112, 1) >= 5:
        width, height = height, width
    return Expected(outcome, hashlib.sha256(data).hexdigest(), width, height, of)


def refused(outcome: str) -> Expected:
    """What to expect where nothing is stored."""
    return Expected(outcome)
