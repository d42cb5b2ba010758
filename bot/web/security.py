"""What keeps browsers and the server safe from other sites: headers of all answers, no cross-site posts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.web.problems import CrossSite, tell
from bot.words import later
from bot.worker import DeskClosed

# Nothing from elsewhere, nothing inline. Pictures may be made by the page itself: chosen ones and heatmaps.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_STOPPED = later("I am being restarted. Try again in a minute.")


class Guard:
    """All answers pass here, those to errors that nobody expected among them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def guarded(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            if is_cross_site(scope["method"], Headers(scope=scope)):
                raise CrossSite
            await self._app(scope, receive, guarded)
        except (Exception, asyncio.CancelledError) as error:
            if has_begun:
                raise
            # Cancelled: the server goes, and has waited for this as long as it may.
            reason = DeskClosed(_STOPPED) if isinstance(error, asyncio.CancelledError) else error
            await tell(Request(scope, receive), reason)(scope, receive, guarded)


def is_cross_site(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser sends this for a page of another origin (Fetch Metadata; Origin from browsers without it).

    Programs send neither header and are let through: they have no cookies of anybody's to misuse.
    """
    if method in ("GET", "HEAD", "OPTIONS"):
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
