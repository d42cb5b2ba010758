"""What keeps browsers and the server safe: headers of all answers, who is let in, no cross-site posts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.web.admission import Admission
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
    "Referrer-Policy": "same-origin",  # other sites learn nothing; without TLS it is what tells a page from a program
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HTTPS_ONLY = "max-age=31536000"  # HSTS (RFC 6797); names below this one may be somebody else's
_STOPPED = later("I am being restarted. Try again in a minute.")


class Guard:
    """All answers pass here, those to errors that nobody expected among them."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, is_head=scope["method"] == "HEAD")
        try:
            await self._app(self._let_in(scope, answer), receive, answer.send)
        except (Exception, asyncio.CancelledError) as error:
            if answer.has_begun:
                raise
            # Cancelled: the server goes, and has waited for this as long as it may.
            reason = DeskClosed(_STOPPED) if isinstance(error, asyncio.CancelledError) else error
            await tell(Request(scope, receive), reason)(scope, receive, answer.send)

    def _let_in(self, scope: Scope, answer: _Answer) -> Scope:
        """The request as routes see it: from the client behind the proxies, and HEAD as the GET that it is without a
        body (RFC 9110, section 9.3.2). Raises what `Admission.admit` raises, and CrossSite."""
        method, headers = scope["method"], Headers(scope=scope)
        peer, port = scope.get("client") or ("unknown", 0)
        admitted = self._admission.admit(method, scope["path"], peer, scope["scheme"], headers)
        answer.headers = {**admitted.headers}
        if admitted.scheme == "https":
            answer.headers["Strict-Transport-Security"] = _HTTPS_ONLY
        if is_cross_site(method, headers):
            raise CrossSite
        return {
            **scope,
            "method": "GET" if method == "HEAD" else method,
            "client": (admitted.address, port if admitted.address == peer else 0),
            "scheme": admitted.scheme,
            "state": {**scope.get("state", {}), "asker": admitted.asker},
        }


class _Answer:
    """On its way out: headers are added, and to HEAD nothing else goes."""

    def __init__(self, send: Send, is_head: bool) -> None:
        self.headers: dict[str, str] = {}
        self.has_begun = False
        self._send = send
        self._is_head = is_head
        self._is_over = False

    async def send(self, message: Message) -> None:
        if self._is_over:
            return
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            headers.update({**HEADERS, **self.headers})
            await self._send(message)
            if not self._is_head:
                return
            self._is_over = True  # so that a stream, too, ends here
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)


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
