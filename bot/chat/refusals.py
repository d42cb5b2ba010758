"""What may go wrong while talking ▶ one friendly line, which tells nothing of the inside and no address.

UserError
├── NoPicture        there is nothing to look at
├── NoVideos         what was sent is a video or an animation
├── FileTooLarge     the file is larger than may be downloaded
├── NotAPictureLink  a link leads to something else
├── NotAllowed       the person, or the place, may not do this
│   └── NotAnAdmin   only a group's admins may
├── OwnMessage       the bot is asked about what it has sent itself
├── OldButton        a button that nothing belongs to any more
├── JustForgotten    the person's data were deleted a moment ago
└── ModelChanged     a button belongs to a model that has been replaced since
"""

from __future__ import annotations

from bot.champion import NoChampion
from bot.quiz.choice import OneSidedDeck
from bot.quiz.deck import DeckError
from bot.quiz.game import UnreadableRound
from bot.records import LinkRefused
from bot.words import Words, later
from bot.worker import DeskError
from infra.database import DatabaseError
from infra.errors import UserError
from infra.http import BlockedAddress, BodyTooLarge, HttpError, StatusError, TimedOut, UnsafeUrl
from infra.images import (
    AnimatedImage,
    DecoderFailed,
    ImageRefused,
    ImageTooLarge,
    NotAnImage,
    TruncatedImage,
    UnsupportedImage,
)
from infra.params import ParamsError
from infra.storage import StorageError
from model_defs.checkpoint import BundleError


class NoPicture(UserError):  # noqa: N818 – says what is missing
    """There is no picture in what was sent."""

    def __init__(self) -> None:
        super().__init__("there is no picture in the message")


class NoVideos(UserError):  # noqa: N818 – says what is not taken
    """What was sent is a video or an animation."""

    def __init__(self) -> None:
        super().__init__("a video or an animation, and no picture")


class FileTooLarge(UserError):  # noqa: N818 – says what the file is
    """A file has more bytes than may be downloaded; told before it is. max_bytes: what may be."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the file has more than the {max_bytes:,} bytes allowed")
        self.max_bytes = max_bytes


class NotAPictureLink(UserError):  # noqa: N818 – says what the link is
    """A link leads to a web page, or to anything else that is no picture."""

    def __init__(self) -> None:
        super().__init__("the link does not lead to a picture")


class NotAllowed(UserError):  # noqa: N818 – says what happened
    """Whoever asked may not do this here."""

    def __init__(self) -> None:
        super().__init__("whoever asked may not do this here")


class NotAnAdmin(NotAllowed):
    """Only the admins of the group may do this."""


class JustForgotten(UserError):  # noqa: N818 – says what happened
    """The person's data were deleted a moment ago, which is dear."""

    def __init__(self) -> None:
        super().__init__("the person's data were deleted a moment ago")


class OwnMessage(UserError):  # noqa: N818 – says what was asked about
    """The bot is asked about a message of its own."""

    def __init__(self) -> None:
        super().__init__("the message is the bot's own")


class OldButton(UserError):  # noqa: N818 – says what the button is
    """Nothing belongs to this button any more."""

    def __init__(self) -> None:
        super().__init__("nothing belongs to this button any more")


class ModelChanged(UserError):  # noqa: N818 – says what happened
    """The model that gave the answer has been replaced since."""

    def __init__(self) -> None:
        super().__init__("the model that gave this answer has been replaced")


# The first that fits is said.
_LINES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (
        NoPicture,
        later("I see no picture here. Attach one (JPEG, PNG, WebP or AVIF), or reply to a message that has one."),
    ),
    (NoVideos, later("I take pictures only, no videos or animations. Send one moment of it as PNG or JPEG.")),
    (
        NotAPictureLink,
        later("This link does not lead to a picture. Open the picture itself and send its link, or save it."),
    ),
    (NotAnAdmin, later("You may not do that here. Ask an admin of this group.")),
    (NotAllowed, later("You may not do that here. Ask somebody who manages this place.")),
    (JustForgotten, later("I have deleted everything about you a moment ago. Try again in a minute.")),
    (OwnMessage, later("That message is mine. Use this on the message with the picture you mean.")),
    (OldButton, later("This button no longer works. Ask again to get new ones.")),
    (ModelChanged, later("I have a newer model since this answer. Send the picture again to see what it says.")),
    (AnimatedImage, later("This picture has several frames or pages. Send one of them as PNG or JPEG.")),
    (UnsupportedImage, later("I can't open this kind of picture (HEIC, for one). Convert it to JPEG or PNG first.")),
    (TruncatedImage, later("This picture is cut short: its file ends too early. Download it again, then send it.")),
    (ImageTooLarge, later("This picture is too large for me. Send a smaller copy.")),
    (DecoderFailed, later("This picture is damaged, and I can't open it. Save it anew, or send another copy.")),
    (NotAnImage, later("This is no picture. Send a JPEG, PNG, WebP or AVIF.")),
    (ImageRefused, later("I can't open this picture. Save it as PNG or JPEG, then send it again.")),
    (BodyTooLarge, later("The file behind this link is too large for me. Send a smaller copy.")),
    (UnsafeUrl, later("I can't follow this link. Send the picture itself instead.")),
    (BlockedAddress, later("I don't follow links into private networks. Send the picture itself instead.")),
    (TimedOut, later("Fetching this picture took too long. Try again later, or send it again as a file.")),
    (StatusError, later("The site that has this picture would not give it to me. Send the picture again, as a file.")),
    (HttpError, later("I could not fetch this picture. Try again later, or send it again as a file.")),
    ((BundleError, NoChampion), later("I have no model that works at the moment. Please try again later.")),
    ((DeckError, OneSidedDeck), later("The quiz has no faces at the moment. Please try again later.")),
    (UnreadableRound, later("This round can't go on. Please start a new one.")),
    (ParamsError, later("I can't take that. Times are written like 22:00, time zones like Europe/Berlin.")),
    ((DatabaseError, StorageError), later("I can't reach my records at the moment. Please try again in a minute.")),
)
_FILE_TOO_LARGE = later("This file is too large for me: I take up to {size} MiB. Send a smaller copy.")
_UNEXPECTED = later("Something went wrong on my side. Please try again; if it stays so, tell those who run me.")


def friendly(error: BaseException, t: Words) -> str:
    """One line for whoever asked. It holds nothing of the error's own message, which may name addresses and files,
    except where that was written for people.
    """
    if isinstance(error, DeskError):
        return error.said(t)
    if isinstance(error, LinkRefused):
        return t(str(error))
    if isinstance(error, FileTooLarge):
        mib = error.max_bytes / 2**20
        return t(_FILE_TOO_LARGE, size=t.number(mib, 0 if mib.is_integer() else 1))
    return t(next((line for kind, line in _LINES if isinstance(error, kind)), _UNEXPECTED))


def is_unexpected(error: BaseException) -> bool:
    """Whether `error` is a mistake of the program, to be logged with its traceback, rather than somebody's or the
    network's.
    """
    return not isinstance(error, UserError)
