"""What goes wrong ▶ an answer of type application/problem+json (RFC 9457).

UserError
├── BadRequest       the request itself is not as it must be
├── CrossSite        a page of another site has sent it
├── TooSlow          the picture did not arrive in time
├── WrongType        neither a picture nor a form with one
└── NotHere          no such address, or not with this method
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bot.champion import NoChampion
from bot.chat.refusals import FileTooLarge, NoPicture, friendly, is_unexpected
from bot.web.languages import reader
from bot.words import ENGLISH, Words, later
from bot.worker import DeskError, QueueFull, TooManyWaiting
from infra.database import DatabaseError
from infra.errors import UserError
from infra.images import ImageRefused, ImageTooLarge, NotAnImage, UnsupportedImage
from model_defs.checkpoint import BundleError

MEDIA_TYPE = "application/problem+json"
_RETRY_S = 60  # "in a minute", as the texts say

_log = logging.getLogger("bot.web")


class WebError(UserError):
    """text: English, for a `Words`."""

    def __init__(self, text: str, **values: object) -> None:
        super().__init__(ENGLISH(text, **values))
        self.text = text
        self.values = values


class BadRequest(WebError):  # noqa: N818 – says what the request is
    """The request is not as it must be."""


class CrossSite(WebError):  # noqa: N818
    """A page of another site made the browser send this."""

    def __init__(self) -> None:
        super().__init__(later("This request came from a page of another site. Open my own page and use that."))


class TooSlow(WebError):  # noqa: N818
    """The picture did not arrive in time."""

    def __init__(self) -> None:
        super().__init__(later("The picture took too long to arrive. Try again, or send a smaller copy."))


class WrongType(WebError):  # noqa: N818
    """What was sent says that it is neither a picture nor a form with one."""

    def __init__(self) -> None:
        super().__init__(
            later(
                "Send the picture as the field “image” of a form (multipart/form-data), or as it is, as image/… or "
                "application/octet-stream, without Content-Encoding."
            )
        )


class NotHere(WebError):  # noqa: N818
    """status: 404 for no such address, 405 for one that takes other methods."""

    def __init__(self, status: int) -> None:
        super().__init__(
            later("This address does not take such requests; /docs lists what there is.")
            if status == 405
            else later("There is nothing at this address; /docs lists what there is.")
        )
        self.status = status


class Problem(BaseModel):
    """Why there is no answer (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="Names the kind of problem; the part of /docs about it.", examples=["/docs#busy"])
    title: str = Field(description="The kind of problem, in the reader's language.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What to do about it: one sentence or two, in the reader's language.")


@dataclass(frozen=True)
class Kind:
    """A kind of problem. name: in its `type`, after "/docs#". title: English, for a `Words`. waits: it is worth another
    try, when Retry-After says.
    """

    name: str
    status: int
    title: str
    waits: bool = False


_NO_PICTURE = later("I see no picture here. Send one (JPEG, PNG, WebP or AVIF), in a form as its field “image”.")

_BAD_REQUEST = Kind("bad-request", 400, later("The request is not complete"))
_CROSS_SITE = Kind("cross-site", 403, later("Sent from another site"))
_NOT_FOUND = Kind("not-found", 404, later("Nothing here"))
_METHOD = Kind("method", 405, later("Not with this method"))
_TOO_SLOW = Kind("too-slow", 408, later("Too slow"))
_TOO_LARGE = Kind("too-large", 413, later("Too large"))
_TYPE = Kind("type", 415, later("Not a kind of picture that I take"))
_PICTURE = Kind("picture", 422, later("The picture cannot be read"))
_BUSY = Kind("busy", 429, later("Too much at once"), waits=True)
_INTERNAL = Kind("internal", 500, later("My mistake"))
_UNAVAILABLE = Kind("unavailable", 503, later("Not at the moment"), waits=True)
KINDS = (_BAD_REQUEST, _CROSS_SITE, _NOT_FOUND, _METHOD, _TOO_SLOW, _TOO_LARGE, _TYPE, _PICTURE, _BUSY, _INTERNAL,
         _UNAVAILABLE)  # fmt: skip

# The first that fits counts.
_KIND_OF: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Kind], ...] = (
    ((BadRequest, NoPicture), _BAD_REQUEST),
    (CrossSite, _CROSS_SITE),
    (TooSlow, _TOO_SLOW),
    ((FileTooLarge, ImageTooLarge), _TOO_LARGE),
    ((WrongType, NotAnImage, UnsupportedImage), _TYPE),
    (ImageRefused, _PICTURE),
    ((QueueFull, TooManyWaiting), _BUSY),
    ((DeskError, BundleError, NoChampion, DatabaseError), _UNAVAILABLE),
)


def problem(error: BaseException, t: Words) -> Response:
    """The answer that tells of an error, in the reader's language; nothing of the inside is in it."""
    kind = kind_of(error)
    if isinstance(error, NoPicture):  # what is said in chats speaks of messages
        error = BadRequest(_NO_PICTURE)
    detail = t(error.text, **error.values) if isinstance(error, WebError) else friendly(error, t)
    body = Problem(type=f"/docs#{kind.name}", title=t(kind.title), status=kind.status, detail=detail)
    headers = {"Content-Language": t.language, "Vary": "Accept-Language", "Cache-Control": "no-store"}
    if kind.waits:
        headers["Retry-After"] = str(_RETRY_S)
    return Response(body.model_dump_json(), kind.status, headers, MEDIA_TYPE)


def kind_of(error: BaseException) -> Kind:
    """What an error is to whoever sent the request."""
    if isinstance(error, NotHere):
        return _METHOD if error.status == 405 else _NOT_FOUND
    return next((kind for errors, kind in _KIND_OF if isinstance(error, errors)), _INTERNAL)


def add_problems(web: FastAPI) -> None:
    """Tell of every error in this way."""
    web.add_exception_handler(UserError, _on_error)
    web.add_exception_handler(RequestValidationError, _on_wrong_parameter)
    web.add_exception_handler(HTTPException, _on_http_error)


def tell(request: Request, error: BaseException) -> Response:
    """The answer to a request that went wrong; a mistake of ours is in the log, with its traceback."""
    if kind_of(error) is _INTERNAL:
        _log.error("a request could not be answered", exc_info=error if is_unexpected(error) else None)
    return problem(error, reader(request.headers.get("accept-language")))


async def _on_error(request: Request, error: Exception) -> Response:
    return tell(request, error)


async def _on_wrong_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    name = str(error.errors()[0]["loc"][-1])
    return tell(request, BadRequest(later("The parameter “{name}” is not as it must be; see /docs."), name=name))


async def _on_http_error(request: Request, error: Exception) -> Response:
    """Starlette's own: no such address, or another method."""
    assert isinstance(error, HTTPException)
    answer = tell(request, NotHere(error.status_code))
    answer.headers.update({name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"})
    return answer
