"""One GET after another, each within its bounds: every hop's address, the number of hops, the bytes, the time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from infra.errors import UserError
from infra.http.errors import (
    BlockedAddress,
    BodyTooLarge,
    ConnectionFailed,
    StatusError,
    TimedOut,
    TooManyRedirects,
    UnsafeUrl,
    status_phrase,
)
from infra.http.failures import NETWORK_ERRORS, http_error
from infra.http.guard import Guard, Hop, current_hop
from infra.http.retry_after import retry_after_seconds
from infra.http.urls import literal_address, parse_url, redirect_target, shown_url

MIB = 1024 * 1024
ACCEPT_IMAGES = "image/avif,image/webp,image/*,*/*;q=0.8"
DNS_CACHE_S = 60
MAX_HEADER_BYTES = 16 * 1024  # one header line; aiohttp's 8190 refuses real sites with long security policies

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DECODED_ENCODINGS = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})  # the last two if aiohttp can
# What a caller's header may tell another host than the one it was meant for; all else stays behind at a redirect.
_HEADERS_FOR_ALL = frozenset({"accept", "accept-encoding", "accept-language", "user-agent", "if-modified-since"})


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with status 200 to 299, complete."""

    url: str  # as asked for
    final_url: str  # after redirects
    status: int
    headers: CIMultiDictProxy[str]  # of the last hop; names in any case
    body: bytes  # decompressed, never longer than max_bytes

    def header_values(self, name: str) -> tuple[str, ...]:
        """Every value of a header that may be repeated, e.g. X-Robots-Tag, in the answer's order."""
        return tuple(self.headers.getall(name, ()))


class HttpClient:
    """GETs public http(s) URLs, and those of the hosts in `allow` (see :class:`infra.http.guard.Guard`).

    An async context manager, one for each event loop. It keeps connections alive, and keeps no cookies, no referrer,
    no credentials; proxies in the environment are not used. At most `connections` requests are on the way at once;
    the others wait, and their time does not begin before it is their turn.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        allow: Sequence[str] = (),
        connections: int = 64,
        max_bytes: int = 32 * MIB,
        total_s: float = 30.0,
        connect_s: float = 10.0,
        max_redirects: int = 5,
        resolver: AbstractResolver | None = None,  # in place of the system's
    ) -> None:
        """Raises UserError when `user_agent` cannot be sent, or an entry of `allow` is not understood."""
        if not user_agent.strip() or not user_agent.isprintable() or not user_agent.isascii():
            raise UserError(f"user_agent: {user_agent!r} cannot be sent; use printable ASCII, with a way to reach you")
        self._guard = Guard(allow)
        self._headers = {"User-Agent": user_agent, "Accept": ACCEPT_IMAGES}
        self._slots = asyncio.Semaphore(connections)
        self._max_bytes = max_bytes
        self._total_s = total_s
        self._connect_s = connect_s
        self._max_redirects = max_redirects
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            socket_factory=self._guard.make_socket,
            resolver=self._resolver or aiohttp.ThreadedResolver(),
            ttl_dns_cache=DNS_CACHE_S,
            limit=0,  # _slots is the limit: aiohttp's would count the wait for a connection as time of the request
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    async def get(
        self,
        url: str,
        *,
        max_bytes: int | None = None,
        total_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        before_hop: Callable[[str], Awaitable[None]] | None = None,
    ) -> Response:
        """The answer to a GET of `url`, redirects followed; raises an HttpError, and no other error of the network.

        `max_bytes` caps the decompressed body, `total_s` the time of all hops together; both default to the client's.
        `headers` go with the first host's requests; when a redirect leads elsewhere, only harmless ones still do.
        `before_hop(url)` is awaited before each request of the chain; its time does not count and what it raises
        passes through.
        """
        cap = self._max_bytes if max_bytes is None else max_bytes
        budget_s = left_s = self._total_s if total_s is None else total_s
        hop_url, where = parse_url(url), shown_url(url)
        for _ in range(self._max_redirects + 1):
            self._refuse_literal(hop_url, where)
            if before_hop:
                await before_hop(str(hop_url))
            async with self._slots:
                began = asyncio.get_running_loop().time()
                try:
                    async with asyncio.timeout(left_s):
                        answer = await self._request(url, hop_url, where, headers, cap)
                except TimeoutError as exc:
                    raise TimedOut(f"{where}: not complete within {budget_s:g} s") from exc
                left_s -= asyncio.get_running_loop().time() - began
            if isinstance(answer, Response):
                return answer
            target = _redirected(hop_url, answer, where)
            if headers and target.origin() != hop_url.origin():
                headers = {name: value for name, value in headers.items() if name.lower() in _HEADERS_FOR_ALL}
            hop_url, where = target, f"{shown_url(url)} (redirected to {shown_url(str(target))})"
        raise TooManyRedirects(f"{shown_url(url)}: given up after {self._max_redirects} redirects")

    async def _request(
        self, asked: str, url: URL, where: str, headers: Mapping[str, str] | None, cap: int
    ) -> Response | str:
        """The answer of one hop, or the Location that it redirects to."""
        if self._session is None:
            raise RuntimeError("an HttpClient is used inside `async with`")
        hop = Hop(self._guard.allows_name(url.raw_host or "", url.port or 0))
        token = current_hop.set(hop)
        try:
            async with self._session.get(url, allow_redirects=False, headers=headers) as answer:
                if answer.status in _REDIRECTS and "Location" in answer.headers:
                    return answer.headers["Location"]
                if not 200 <= answer.status < 300:
                    raise _status_error(answer, where)
                body = await _read(answer, cap, where)
                return Response(asked, str(url), answer.status, answer.headers, body)
        except NETWORK_ERRORS as exc:
            raise http_error(exc, where, hop) from exc
        finally:
            current_hop.reset(token)

    def _refuse_literal(self, url: URL, where: str) -> None:
        # The guard would stop these too; this says so before anybody asks for the host's robots.txt.
        address = literal_address(url.raw_host or "")
        refused = address and self._guard.refusal(address, url.port or 0)
        if refused:
            raise BlockedAddress(f"{where}: not reached, {refused}; list it under allow if it is yours")


async def _read(answer: aiohttp.ClientResponse, cap: int, where: str) -> bytes:
    # aiohttp decompresses piece by piece, at most some 64 KiB ahead of its reader: a bomb stops at the cap.
    declared = answer.content_length
    if declared is not None and declared > cap:
        raise BodyTooLarge(f"{where}: {declared} bytes, more than the limit of {cap}")
    encoding = ", ".join(answer.headers.getall("Content-Encoding", ())).strip().lower()
    if encoding not in _DECODED_ENCODINGS:
        raise ConnectionFailed(f"{where}: its Content-Encoding {encoding[:40]!r} was not asked for", retriable=False)
    pieces = []
    size = 0
    while piece := await answer.content.readany():
        size += len(piece)
        if size > cap:
            raise BodyTooLarge(f"{where}: more than the limit of {cap} bytes")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _status_error(answer: aiohttp.ClientResponse, where: str) -> StatusError:
    return StatusError(
        f"{where}: the server answered {status_phrase(answer.status)}",
        status=answer.status,
        retry_after_s=retry_after_seconds(answer.headers.get("Retry-After"), datetime.now(UTC)),
        headers=answer.headers,
    )


def _redirected(url: URL, location: str, where: str) -> URL:
    try:
        return parse_url(redirect_target(url, location))
    except UnsafeUrl as exc:
        raise UnsafeUrl(f"{where} redirects to {exc}") from exc
