"""Colours and measures that the parts of a panel share.

Text has a contrast of at least 4.5:1 on the background (WCAG 2.2, AA). Real is blue and fake orange: the pair that
colour-blind people tell apart, and each is always named in words too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from bot.verdict import Label

Colour: TypeAlias = tuple[int, int, int]

BACKGROUND: Colour = (24, 25, 28)
CARD: Colour = (58, 61, 68)
TEXT: Colour = (242, 243, 245)
MUTED: Colour = (172, 177, 187)
ACCENT: Colour = (214, 190, 92)
VERDICTS: Mapping[Label, Colour] = {"real": (102, 178, 255), "fake": (255, 159, 67), "unsure": (214, 216, 222)}

MARGIN = 24  # pixels at every edge
NOTE = 17  # the smallest text, in pixels: still read when a phone shows the panel at half its size
BODY = 21
