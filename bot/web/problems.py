"""What goes wrong ▶ an answer of type application/problem+json (RFC 9457).

UserError
├── BadRequest       the request itself is not as it must be
├── KeyNeeded        a program asks without an API key, or with one that is not known
├── CrossSite        a page of another site has sent it
├── TooSlow          the request did not arrive in time
├── BodyTooLarge     what is sent is larger than anything that is asked for here
├── WrongType        neither a picture nor a form with one
├── NotHere          no such address, or not with this method
├── Misdirected      called by a name that is not the server's
└── TooManyRequests  more than a key or an address may ask in a minute
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount

from bot.champion import NoChampion
from bot.chat.quiz_refusals import NotNow, said
from bot.chat.refusals import FileTooLarge, JustForgotten, NoPicture, is_unexpected
from bot.quiz.choice import OneSidedDeck
from bot.quiz.deck import DeckError
from bot.quiz.game import Refused, UnreadableRound
from bot.web.languages import reader
from bot.words import ENGLISH, Words, later
from bot.worker import DeskError, DiedOfPicture, QueueFull, TooManyWaiting
from infra.database import DatabaseError
from infra.errors import UserError
from infra.images import ImageRefused, ImageTooLarge, NotAnImage, UnsupportedImage
from infra.storage import StorageError
from model_defs.checkpoint import BundleError

MEDIA_TYPE = "application/problem+json"
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_RETRY_S = 60  # "in a minute", as the texts say

_log = logging.getLogger("bot.web")


class WebError(UserError):
    """text: English, for a `Words`. headers: that the answer has besides."""

    headers: Mapping[str, str] = {}

    def __init__(self, text: str, **values: object) -> None:
        super().__init__(ENGLISH(text, **values))
        self.text = text
        self.values = values


class BadRequest(WebError):  # noqa: N818 – says what the request is
    """The request is not as it must be."""


class KeyNeeded(WebError):  # noqa: N818
    """A program asks without an API key, or with one that is not known. is_wrong: it has one (RFC 6750, section 3)."""

    def __init__(self, is_wrong: bool) -> None:
        super().__init__(
            later("This API key is not known here. It may have been withdrawn; ask those who run this.")
            if is_wrong
            else later(
                "Programs need an API key: send it as “Authorization: Bearer …”. Those who run this hand them out."
            )
        )
        self.headers = {"WWW-Authenticate": 'Bearer realm="faces"' + (', error="invalid_token"' if is_wrong else "")}


class CrossSite(WebError):  # noqa: N818
    """A page of another site made the browser send this."""

    def __init__(self) -> None:
        super().__init__(later("This request came from a page of another site. Open my own page and use that."))


class TooSlow(WebError):  # noqa: N818
    """The request did not arrive in time."""

    def __init__(self) -> None:
        super().__init__(later("The picture took too long to arrive. Try again, or send a smaller copy."))


class BodyTooLarge(WebError):  # noqa: N818
    """What is sent is larger than anything that is asked for at this address."""

    def __init__(self) -> None:
        super().__init__(later("This is more than is asked for at this address; /docs says what it takes."))


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
    """status: 404 for no such address, 405 for one that takes other methods. text: what there is not."""

    def __init__(self, status: int, text: str = later("There is nothing at this address; /docs lists what there is.")):
        super().__init__(
            later("This address does not take such requests; /docs lists what there is.") if status == 405 else text
        )
        self.status = status


class Misdirected(WebError):  # noqa: N818
    """Called by a name that is not the server's: by mistake, or as a page made a name lead here (DNS rebinding)."""

    def __init__(self) -> None:
        super().__init__(later("I am not called by this name. If I should be, those who run me add it to web.hosts."))


class NotOpen(Misdirected):
    """It comes from elsewhere, directly or through a proxy, and nobody said that others may come."""

    def __init__(self) -> None:
        WebError.__init__(
            self, later("I am for this machine only. Those who run me open me to others: web.host, hosts and proxies.")
        )


class TooManyRequests(WebError):  # noqa: N818
    """More than a key or an address may ask in a minute. wait_s: until it may again. headers: how it stands."""

    def __init__(self, wait_s: float, headers: Mapping[str, str]) -> None:
        seconds = math.ceil(wait_s)
        super().__init__(later("You ask faster than is shared out here. Try again in {seconds} s."), seconds=seconds)
        self.headers = {**headers, "Retry-After": str(seconds)}


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


_UNREADABLE = later("What was sent cannot be read; /docs says what is taken here.")
_NOT_YOURS = later("There is no such round of yours, or it is over. Start another.")  # who asks is not told which
_NO_PICTURE = later("I see no picture here. Send one (JPEG, PNG, WebP or AVIF), in a form as its field “image”.")

_BAD_REQUEST = Kind("bad-request", 400, later("The request is not complete"))
_KEY = Kind("key", 401, later("Not without an API key"))
_CROSS_SITE = Kind("cross-site", 403, later("Sent from another site"))
_NOT_FOUND = Kind("not-found", 404, later("Nothing here"))
_METHOD = Kind("method", 405, later("Not with this method"))
_CONFLICT = Kind("conflict", 409, later("Not now"))
_TOO_SLOW = Kind("too-slow", 408, later("Too slow"))
_TOO_LARGE = Kind("too-large", 413, later("Too large"))
_TYPE = Kind("type", 415, later("Not a kind of picture that I take"))
_PICTURE = Kind("picture", 422, later("The picture cannot be read"))
_MISDIRECTED = Kind("misdirected", 421, later("Not meant for me"))
_LIMIT = Kind("limit", 429, later("Too many requests"), waits=True)
_BUSY = Kind("busy", 429, later("Too much at once"), waits=True)
_INTERNAL = Kind("internal", 500, later("My mistake"))
_UNAVAILABLE = Kind("unavailable", 503, later("Not at the moment"), waits=True)
KINDS = (_BAD_REQUEST, _KEY, _CROSS_SITE, _NOT_FOUND, _METHOD, _TOO_SLOW, _CONFLICT, _TOO_LARGE, _TYPE, _MISDIRECTED,
         _PICTURE, _LIMIT, _BUSY, _INTERNAL, _UNAVAILABLE)  # fmt: skip

# The first that fits counts.
_KIND_OF: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Kind], ...] = (
    ((BadRequest, NoPicture), _BAD_REQUEST),
    (KeyNeeded, _KEY),
    (CrossSite, _CROSS_SITE),
    (Misdirected, _MISDIRECTED),
    (TooManyRequests, _LIMIT),
    (TooSlow, _TOO_SLOW),
    ((BodyTooLarge, FileTooLarge, ImageTooLarge), _TOO_LARGE),
    ((WrongType, NotAnImage, UnsupportedImage), _TYPE),
    ((ImageRefused, DiedOfPicture), _PICTURE),
    ((Refused, NotNow, UnreadableRound), _CONFLICT),
    ((QueueFull, TooManyWaiting, JustForgotten), _BUSY),
    ((DeskError, BundleError, NoChampion, DatabaseError, DeckError, OneSidedDeck, StorageError), _UNAVAILABLE),
)


def problem(error: BaseException, t: Words) -> Response:
    """The answer that tells of an error, in the reader's language; nothing of the inside is in it."""
    error = _as_here(error)
    kind = kind_of(error)
    detail = t(error.text, **error.values) if isinstance(error, WebError) else said(error, t)
    body = Problem(type=f"/docs#{kind.name}", title=t(kind.title), status=kind.status, detail=detail)
    headers = {"Content-Language": t.language, "Vary": "Accept-Language", "Cache-Control": "no-store"}
    if kind.waits:
        headers["Retry-After"] = str(_RETRY_S)
    if isinstance(error, WebError):
        headers |= error.headers
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
    web.add_exception_handler(HTTPException, on_http_error)


def tell(request: Request, error: BaseException) -> Response:
    """The answer to a request that went wrong; a mistake of ours is in the log, with its traceback."""
    if kind_of(error) is _INTERNAL:
        _log.error("a request could not be answered", exc_info=error if is_unexpected(error) else None)
    return problem(error, reader(request.headers.get("accept-language")))


async def _on_error(request: Request, error: Exception) -> Response:
    return tell(request, error)


async def _on_wrong_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return tell(request, BadRequest(later("The body is no JSON that can be read.")))
    if first["loc"] == ("body",):
        return tell(request, BadRequest(later("Send a JSON object as application/json.")))
    name = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        return tell(request, BadRequest(later("There is no parameter “{name}” here; /docs lists them."), name=name))
    return tell(request, BadRequest(later("The parameter “{name}” is not as it must be; see /docs."), name=name))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Starlette's own: no such address, another method; FastAPI's: a body that could not be read, with the reason."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, UserError):
        return tell(request, error.__cause__)
    if error.status_code not in (404, 405):
        return tell(request, BadRequest(_UNREADABLE))
    answer = tell(request, NotHere(error.status_code))
    if error.status_code == 405:
        answer.headers["Allow"] = ", ".join(_methods(request))
    return answer


def _as_here(error: BaseException) -> BaseException:
    """What is said in chats speaks of messages, and of rounds in them."""
    if isinstance(error, NoPicture):
        return BadRequest(_NO_PICTURE)
    if isinstance(error, Refused) and error.reason in ("not_yours", "over"):
        return NotHere(404, _NOT_YOURS)
    return error


def _methods(request: Request) -> list[str]:
    """What the address takes: several routes may share it, and each knows its own methods only."""
    routes = request.app.routes
    found = {"HEAD"} if any(isinstance(route, Mount) for route in _matching(request, routes, "GET")) else set()
    found |= {"GET"} if found else {each for each in _METHODS if _matching(request, routes, each)}
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def _matching(request: Request, routes: Sequence[BaseRoute], method: str) -> list[BaseRoute]:
    scope = dict(request.scope)
    scope |= {"method": method, "root_path": scope.get("app_root_path", scope.get("root_path", ""))}  # not of a mount
    return [route for route in routes if route.matches(scope)[0] is Match.FULL]
