"""How long a server asks to wait: the Retry-After header, in its two forms (RFC 9110 §10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_S = 3600.0  # a server that says more is asked again after an hour, or not in this run

_SECONDS = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Seconds from `now` (aware), between 0 and MAX_RETRY_AFTER_S; None when there is no value or it says nothing.

    Seconds may be negative or broken, and a date may have passed: then it is 0, as in "now".
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
