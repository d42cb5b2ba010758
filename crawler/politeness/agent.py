"""Who we say we are: an honest User-Agent header with a way to reach the person behind the crawl."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from infra.errors import UserError

USER_AGENT_TOKEN = "faces-crawler"
"""The product token that robots.txt groups, X-Robots-Tag scopes and meta names address us by."""

_TOKEN = re.compile(r"[A-Za-z_-]+")  # RFC 9309, 2.2.1
_VERSION = re.compile(r"[A-Za-z0-9._+-]+")
# What may stand inside a header's comment (RFC 9110, 5.6.5) unquoted: visible ASCII without parentheses and backslash.
_SAFE = re.compile(r"[!-'*-\[\]-~]+")
_EMAIL = re.compile(r"[^@:/]+@[^@:/]+\.[^@:/.]+")


def user_agent(contact: str, name: str = USER_AGENT_TOKEN, version: str = "0.1", url: str | None = None) -> str:
    """`faces-crawler/0.1 (+contact)`, or `(+url; contact)` when the project has a page of its own.

    Raises `UserError` when `contact` is neither an e-mail address nor an http(s) URL, or a part does not fit a header.
    """
    if not (_is_email(contact) or _is_web_url(contact)):
        raise UserError(
            f"contact {contact[:80]!r} is neither an e-mail address nor an http(s) URL: "
            "say how the owner of a site can reach you"
        )
    if url is not None and not _is_web_url(url):
        raise UserError(f"url {url[:80]!r} of the user agent is not an http(s) URL: correct or remove it")
    if not (_TOKEN.fullmatch(name) and _VERSION.fullmatch(version)):
        raise UserError(f"{name[:80]!r} / {version[:40]!r} is not a product token: letters, - and _, then a version")
    return f"{name}/{version} (+{url}; {contact})" if url else f"{name}/{version} (+{contact})"


def _is_email(text: str) -> bool:
    return bool(_SAFE.fullmatch(text) and _EMAIL.fullmatch(text))


def _is_web_url(text: str) -> bool:
    if not _SAFE.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
