"""What stands below a picture: all that is said about it, and where the evidence lies as far as that fits.

Telegram has no field for alt texts, so whoever does not see the panel has the caption alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.chat.answers import Answer
from bot.chat.telegram.replies import MAX_CAPTION, units


def caption_of(said: Answer, notes: Sequence[str] = (), before: str = "") -> str:
    """The answer, with what goes before it, and notes below."""
    short = _joined(said, notes, before)
    if not said.evidence:
        return short
    full = _joined(replace(said, lines=(*said.lines, said.evidence)), notes, before)
    return full if units(full) <= MAX_CAPTION else short


def _joined(said: Answer, notes: Sequence[str], before: str) -> str:
    return "\n".join((*([f"{before}\n"] if before else []), said.text, *notes))
