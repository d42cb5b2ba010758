"""Why a URL was not fetched.

UserError
└── HttpError
    ├── UnsafeUrl         not http(s), no host, a name or password in it, control characters, a bad port
    ├── BlockedAddress    it leads to a private, local or reserved address that nobody allowed
    ├── TooManyRedirects  the chain did not end
    ├── BodyTooLarge      more bytes than the cap, counted after decompression
    ├── TimedOut          the whole request took longer than it may, or the connection did
    ├── ConnectionFailed  DNS, refused, reset, TLS, broken HTTP, a body cut short
    └── StatusError       an answer, and its status is not 2xx

`retriable` says whether the same request may succeed later; `error_class` is the phrase to count it under.
The messages name the URL without its user name and password; the exceptions may be pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from multidict import CIMultiDict

from infra.errors import UserError

# Too early, too many, or the server's own trouble: RFC 9110 §15.5.9 and §15.6, RFC 6585 §4, RFC 8470 §5.2.
RETRIABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class HttpError(UserError):
    """A URL was not fetched; the line names it and says why."""

    retriable: bool = False
    error_class: str = "http error"


class UnsafeUrl(HttpError):  # noqa: N818 – says what the URL is
    """The text is no URL that may be fetched."""

    error_class = "unsafe url"


class BlockedAddress(HttpError):  # noqa: N818 – says what happened
    """The URL, its name or a redirect leads to an address that is not public, and that nobody allowed."""

    error_class = "blocked address"


class TooManyRedirects(HttpError):  # noqa: N818 – the field's name
    """The chain of redirects is longer than allowed."""

    error_class = "too many redirects"


class BodyTooLarge(HttpError):  # noqa: N818 – says what happened
    """The body, decompressed, is longer than allowed, or says that it will be."""

    error_class = "too large"


class TimedOut(HttpError):  # noqa: N818 – says what happened
    """The request, or its connection, took longer than allowed."""

    retriable = True
    error_class = "timeout"


class ConnectionFailed(HttpError):  # noqa: N818 – says what happened
    """No complete answer came. Retriable, unless the server's certificate is not to be trusted."""

    error_class = "connection failed"

    def __init__(self, message: str, *, retriable: bool = True) -> None:
        super().__init__(message)
        self.retriable = retriable


class StatusError(HttpError):
    """An answer whose status is not 2xx.

    `retry_after_s`: how long the server asks to wait (see `infra.http.retry_after`), None when it does not say.
    `headers`: the answer's, case-insensitive.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,  # the defaults are for pickle, which passes the message alone and restores the rest
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.headers: Mapping[str, str] = CIMultiDict(headers or {})
        self.retriable = status in RETRIABLE_STATUSES
        self.error_class = f"http {status}"


def status_phrase(status: int) -> str:
    """`404 Not Found`; the number alone where it has no name."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
