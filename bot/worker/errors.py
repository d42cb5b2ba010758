"""Why there is no answer, in a line for whoever asked.

DeskError ─┬─ QueueFull        nobody may wait any more
           ├─ TooManyWaiting   this person or server may not
           ├─ DeskClosed       the bot is going
           ├─ DetectorFailed   the detector does not answer
           │  ├─ DiedOfPicture it ended over this picture each time
           │  └─ Stumbled      the program made a mistake over this picture
           ├─ LayerGone        the layer asked for is not the network's
           └─ Withdrawn        the ticket was cancelled
"""

from __future__ import annotations

from typing import Any

from bot.words import ENGLISH, Words, later
from infra.errors import UserError

CLOSED = later("I am being restarted. Try again in a minute.")
FULL = later("There is more waiting than I can hold. Try again in a minute.")
DOWN = later("The detector is not working at the moment. Try again in a few minutes.")


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
    """Nobody looks at pictures at the moment; the log says why."""


class DiedOfPicture(DetectorFailed):
    """The process that looked at this picture ended, and so did the next; another copy may do."""

    def __init__(self) -> None:
        super().__init__(
            later("I cannot look at this picture: the detector breaks down over it each time. Saving it anew may help.")
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return DiedOfPicture, ()


class Stumbled(DetectorFailed):
    """A mistake of the program's, or a network that gives no number, with this picture; the log has more."""

    def __init__(self) -> None:
        super().__init__(later("Something went wrong with this picture. The operator finds it in the log."))

    def __reduce__(self) -> tuple[Any, ...]:
        return Stumbled, ()


class LayerGone(DeskError):  # noqa: N818
    """The network has no such layer: the champion has changed since the layer was named."""

    def __init__(self, layer: str) -> None:
        super().__init__(
            later("The model has changed since, and has no layer “{layer}”. Show me the picture again."), layer=layer
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return LayerGone, (self.values["layer"],)


class Withdrawn(DeskError):  # noqa: N818
    """Whoever asked does not want the answer any more."""


def _again(kind: type[DeskError], text: str, values: dict[str, object]) -> DeskError:
    return kind(text, **values)
