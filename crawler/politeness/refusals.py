"""Why politeness lets a URL be: one error class a reason, counted by `error_class` in the end report.

Refusal
├── RobotsDisallowed   robots.txt forbids it, or cannot be read
├── OptedOut           a header, a meta element or tdmrep.json reserves it
└── HostUnavailable    the host keeps failing, or asked for a longer pause than a run waits
"""

from __future__ import annotations

from infra.errors import UserError
from infra.http import shown_url


class Refusal(UserError):  # noqa: N818 – each says what happened
    """A URL that is not asked for. `retriable`: worth asking in a later run (`--retry-failed`), never in this one."""

    error_class: str = "refused"
    retriable: bool = False


class RobotsDisallowed(Refusal):
    """The site's robots.txt forbids the URL, or could not be read, which forbids everything (RFC 9309 §2.3.1.4)."""

    def __init__(self, url: str, origin: str, *, unreachable: str | None = None) -> None:
        self.error_class = "robots.txt unreachable" if unreachable else "robots.txt forbids"
        self.retriable = unreachable is not None
        if unreachable:
            super().__init__(
                f"{origin}/robots.txt cannot be read ({unreachable}), so {shown_url(url)} is not asked for: "
                "try again later with --retry-failed"
            )
        else:
            super().__init__(
                f"{origin}/robots.txt forbids {shown_url(url)}: remove it from the source, or ask the owner of the site"
            )


class OptedOut(Refusal):
    """The rights holder reserved the URL against machine learning; `reason` is the directive, such as `noai`."""

    def __init__(self, url: str, reason: str) -> None:
        self.reason = reason
        self.error_class = f"opted out: {reason}"
        super().__init__(f"{shown_url(url)} is opted out ({reason}): it is not stored")


class HostUnavailable(Refusal):
    """A host that is not waited for in this run: its other URLs fail at once."""

    error_class = "host unavailable"
    retriable = True

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"{host} {why}: its URLs are skipped for now, try again later with --retry-failed")
