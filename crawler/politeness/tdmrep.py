"""The file in which a site reserves its text and data mining rights: /.well-known/tdmrep.json (W3C TDMRep §5.2)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from crawler.politeness.origins import Get, OriginCache, origin_of
from crawler.politeness.refusals import OptedOut
from infra.errors import UserError
from infra.http.urls import parse_url

MAX_BYTES = 512 * 1024
MAX_RULES = 1000
"""What is looked through for every URL: 0.3 ms at most. Sites have a handful."""
TOTAL_S = 30.0
KEPT_S = 24 * 3600.0
FAILURE_KEPT_S = 600.0

# Characters that a path holds as they are (RFC 3986 §3.3, and `?` of the query), without `*` and `$`: a pattern spells
# those as %2A and %24 when it means the characters.
_SAFE = "/?:@!&'()+,;=%"
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Tdmrep:
    """The reservations of every origin, asked for once in 24 hours however many tasks wait for them.

    A file that is missing, unreachable or broken reserves nothing, as the report says. It also says that a header of
    the answer supersedes the file; a `tdm-reservation: 0` there is not looked for, because what the file reserves is
    not asked for at all.
    """

    def __init__(self, get: Get, *, enabled: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._get = get
        self._enabled = enabled
        self._rules: OriginCache[tuple[TdmRule, ...]] = OriginCache(self._load, clock=clock)

    async def check(self, url: str) -> None:
        """Raise `OptedOut` when the first rule that matches the path and query of `url` reserves it."""
        if not self._enabled:
            return
        rules = await self._rules.get(origin_of(url))
        if rules and reserved(rules, parse_url(url).raw_path_qs):
            raise OptedOut(url, "tdmrep.json")

    async def _load(self, origin: str, stale: tuple[TdmRule, ...] | None) -> tuple[tuple[TdmRule, ...], float]:
        try:
            answer = await self._get(f"{origin}/.well-known/tdmrep.json", max_bytes=MAX_BYTES, total_s=TOTAL_S)
        except UserError as error:
            missing = 400 <= getattr(error, "status", 0) < 500
            return ((), KEPT_S) if missing else (stale or (), FAILURE_KEPT_S)
        return (parse_tdmrep(answer.body) if 200 <= answer.status < 300 else ()), KEPT_S


class TdmRule(NamedTuple):
    """One rule of a tdmrep.json: a path pattern, split at its `*`, and whether it is reserved."""

    pieces: tuple[str, ...]
    anchored: bool
    reserved: bool

    def matches(self, path: str) -> bool:
        """Whether the pattern matches `path`, normalised, from its beginning (to its end when it had a `$`)."""
        if not path.startswith(self.pieces[0]):
            return False
        if len(self.pieces) == 1:
            return not self.anchored or path == self.pieces[0]
        at = len(self.pieces[0])
        for piece in self.pieces[1:-1]:
            found = path.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        last = self.pieces[-1]
        return path.endswith(last) and len(path) - len(last) >= at if self.anchored else path.find(last, at) >= 0


def parse_tdmrep(body: bytes) -> tuple[TdmRule, ...]:
    """The rules of a tdmrep.json in their order; one that breaks the protocol is passed over, a broken file is ()."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    rules = (_rule(each) for each in found[:MAX_RULES]) if isinstance(found, list) else ()
    return tuple(rule for rule in rules if rule is not None)


def reserved(rules: tuple[TdmRule, ...], path: str) -> bool:
    """Whether the first rule in sequence that matches `path` (with its query) reserves it; False when none matches."""
    path = _normal(path)
    return next((rule.reserved for rule in rules if rule.matches(path)), False)


def _rule(found: Any) -> TdmRule | None:
    if not isinstance(found, dict):
        return None
    location, reservation = found.get("location"), found.get("tdm-reservation")
    if not isinstance(location, str) or not location or reservation not in (0, 1, "0", "1"):
        return None
    anchored = location.endswith("$")
    pattern = location.removesuffix("$")
    if not pattern.startswith(("/", "*")):
        pattern = f"/{pattern}"
    pieces = tuple(_normal(piece) for piece in re.split(r"\*+", pattern))
    return TdmRule(pieces, anchored, reserved=reservation in (1, "1"))


def _normal(path: str) -> str:
    """`path` with each character in one spelling: unreserved ones as they are, the rest as %XX where a URL needs it."""
    return quote(_ESCAPE.sub(_unescaped, path), safe=_SAFE, errors="replace")


def _unescaped(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else match[0].upper()
