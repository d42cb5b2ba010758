"""Why there is no answer, in a line for whoever asked.

DeskError ─┬─ QueueFull        nobody may wait any more
           ├─ TooManyWaiting   this person or server may not
           ├─ DeskClosed       the bot is going
           ├─ DetectorFailed   the process died of this picture, or does not start
           ├─ LayerGone        the layer asked for is not the network's
           └─ Withdrawn        the ticket was cancelled
"""

from __future__ import annotations

from typing import Any

from bot.words import ENGLISH, Words
from infra.errors import UserError


class DeskError(UserError):
    """text: English, for a `Words`, filled with `values`."""

    def __init__(self, text: str, **values: object) -> None:
        super().__init__(ENGLISH(text, **values))
        self.text = text
        self.values = values

    def said(self, t: Words) -> str:
        """The line in another language."""
        return t(self.text, **self.values)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.text, self.values)


class QueueFull(DeskError):  # noqa: N818 – says what is so
    """As many pictures wait as may, or as many bytes of them."""


class TooManyWaiting(DeskError):  # noqa: N818
    """One person's, or one server's, pictures wait already."""


class DeskClosed(DeskError):  # noqa: N818
    """Nothing is taken any more, and what waited is not looked at."""


class DetectorFailed(DeskError):  # noqa: N818
    """The process that looks at pictures ended, hung, or cannot be started; the log says why."""


class LayerGone(DeskError):  # noqa: N818
    """The network has no such layer: the champion has changed since the layer was named."""


class Withdrawn(DeskError):  # noqa: N818
    """Whoever asked does not want the answer any more."""


def _again(kind: type[DeskError], text: str, values: dict[str, object]) -> DeskError:
    return kind(text, **values)
