"""What a button carries: ids short enough for every platform that say all there is to know after a restart.

Telegram allows 64 bytes, Discord 100 characters. They come back from people's programs, so they are untrusted.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from bot.verdict import Label, Side

MAX_BYTES = 64
HOW_TO_READ: Final = "how"

_LETTERS: dict[Label, str] = {"fake": "f", "real": "r", "unsure": "u"}
_LABELS: dict[str, Label] = {letter: label for label, letter in _LETTERS.items()}
_SIDES: dict[str, Side] = {"f": "fake", "r": "real"}

LAYER_ID = re.compile(r"layer:(?P<picture>[0-9]{1,2}):(?P<layer>[0-9]{1,4}):(?P<model>[0-9a-f]{12})", re.ASCII)
WRONG_ID = re.compile(r"wrong:(?P<sha256>[A-Za-z0-9_-]{43}):(?P<said>[fru])(?P<claimed>[fr])", re.ASCII)


@dataclass(frozen=True)
class LayerButton:
    """Shows one layer large. picture: of several in one message, from 0 to 99. layer: index in `Verdict.layers`, from
    0 to 9999. model: `model_mark` of the model that answered; another model's layers are others.
    """

    picture: int
    layer: int
    model: str

    @property
    def id(self) -> str:
        """At most 25 bytes of ASCII."""
        return f"layer:{self.picture}:{self.layer}:{self.model}"


@dataclass(frozen=True)
class WrongButton:
    """Says that a verdict is wrong. sha256: of the picture's bytes, 64 hex digits. said: the verdict. claimed: what the
    picture is instead.
    """

    sha256: str
    said: Label
    claimed: Side

    @property
    def id(self) -> str:
        """52 bytes of ASCII."""
        packed = base64.urlsafe_b64encode(bytes.fromhex(self.sha256)).decode().rstrip("=")
        return f"wrong:{packed}:{_LETTERS[self.said]}{_LETTERS[self.claimed]}"


@dataclass(frozen=True)
class HowToReadButton:
    """Explains numbers and heatmaps."""

    @property
    def id(self) -> str:
        """3 bytes of ASCII."""
        return HOW_TO_READ


Button: TypeAlias = LayerButton | WrongButton | HowToReadButton


def wrong_buttons(sha256: str, said: Label) -> tuple[WrongButton, ...]:
    """One for the other side; of an unsure verdict one for each side."""
    sides: tuple[Side, ...] = ("real", "fake")
    return tuple(WrongButton(sha256, said, side) for side in sides if side != said)


def model_mark(model: str) -> str:
    """12 hex digits that stand for a model's id, which may have 200 characters."""
    return hashlib.sha256(model.encode()).hexdigest()[:12]


def parse_button(text: str) -> Button | None:
    """The button that an id belongs to; None for everything that no `id` here ever was."""
    button: Button
    if text == HOW_TO_READ:
        return HowToReadButton()
    if match := LAYER_ID.fullmatch(text):
        button = LayerButton(int(match["picture"]), int(match["layer"]), match["model"])
    elif (match := WRONG_ID.fullmatch(text)) and match["said"] != match["claimed"]:
        sha256 = base64.urlsafe_b64decode(f"{match['sha256']}=").hex()
        button = WrongButton(sha256, _LABELS[match["said"]], _SIDES[match["claimed"]])
    else:
        return None
    return button if button.id == text else None  # one way to write each: no leading zeros, no stray bits
