"""The one door to the web: a GET that cannot be led to a private address, drowned in bytes or held for ever.

`HttpClient` is the door; `infra.http.errors` draws what it raises, `infra.http.guard` says which addresses it reaches.
"""

from infra.http.client import HttpClient, Response
from infra.http.errors import (
    BlockedAddress,
    BodyTooLarge,
    ConnectionFailed,
    HttpError,
    StatusError,
    TimedOut,
    TooManyRedirects,
    UnsafeUrl,
)
from infra.http.retry_after import retry_after_seconds
from infra.http.urls import parse_url, shown_url

__all__ = [
    "BlockedAddress",
    "BodyTooLarge",
    "ConnectionFailed",
    "HttpClient",
    "HttpError",
    "Response",
    "StatusError",
    "TimedOut",
    "TooManyRedirects",
    "UnsafeUrl",
    "parse_url",
    "retry_after_seconds",
    "shown_url",
]
