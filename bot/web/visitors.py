"""Who a browser is: a random secret in a cookie, of which the records know no more than a fingerprint."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import unicodedata
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Cookie, Depends, Request
from starlette.responses import Response

from bot.records import Account, Records

COOKIE = "visitor"  # the name of `visitor_of`'s parameter, too
MAX_NAME = 30  # characters

_SECRET_BYTES = 24  # 192 bits; 128 would do
_SECRET = re.compile(r"[A-Za-z0-9_-]{32}", re.ASCII)  # as `token_urlsafe` writes so many bytes
_KEPT_S = 400 * 24 * 3600  # the longest that browsers keep a cookie
_MARKS = 2  # accents on one letter; more of them run over the lines around


@dataclass(frozen=True)
class Visitor:
    """secret: of the cookie; whoever has it is the visitor. is_sent: the browser sent it, so it need not be told."""

    secret: str
    is_sent: bool

    @property
    def account(self) -> Account:
        """As the records know the visitor: who reads them cannot make the cookie from it."""
        return Account("web", hashlib.sha256(f"visitor {self.secret}".encode()).hexdigest()[:32])

    def named(self, name: str | None) -> Account:
        """The account, with the name that the visitor wants on leaderboards; None leaves it as it is."""
        return replace(self.account, name=tidy_name(name or "") or None)


def visitor_of(
    visitor: Annotated[str | None, Cookie(description="As it was set with the first round or code.")] = None,
) -> Visitor:
    """Who sends this; somebody new, of whom nothing is kept, without a cookie or with one that was not made here."""
    if visitor is not None and _SECRET.fullmatch(visitor):
        return Visitor(visitor, is_sent=True)
    return _somebody_new()


VisitorNeeded = Annotated[Visitor, Depends(visitor_of)]


async def known(visitor: Visitor, records: Records) -> Visitor:
    """The visitor, or somebody new where nothing is kept of this one: who was forgotten does not come back, and nobody
    plays under a secret that somebody else has thought up. Raises DatabaseError.
    """
    if visitor.is_sent and await asyncio.to_thread(records.person, visitor.account) is None:
        return _somebody_new()
    return visitor


def remember(response: Response, request: Request, visitor: Visitor) -> None:
    """Give the browser its cookie; for when there is something to keep. It is sent to this site only, by pages of this
    site only, and no script can read it.
    """
    response.set_cookie(
        COOKIE, visitor.secret, max_age=_KEPT_S, path="/", secure=request.url.scheme == "https", httponly=True,
        samesite="strict",
    )  # fmt: skip


def forget(response: Response, request: Request) -> None:
    """Take the cookie back."""
    response.delete_cookie(
        COOKIE, path="/", secure=request.url.scheme == "https", httponly=True, samesite="strict"
    )  # fmt: skip


def tidy_name(name: str) -> str:
    """A name in one short line of printable letters; empty where nothing of it can be shown. Never raises."""
    kept: list[str] = []
    marks = 0
    for letter in unicodedata.normalize("NFC", name[: 8 * MAX_NAME]):
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= _MARKS:
            kept.append(letter if letter.isprintable() else " ")
    return " ".join("".join(kept).split())[:MAX_NAME].strip()


def _somebody_new() -> Visitor:
    return Visitor(secrets.token_urlsafe(_SECRET_BYTES), is_sent=False)
