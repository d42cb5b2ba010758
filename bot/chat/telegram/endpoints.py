"""Where Telegram is: its own Bot API server, or one of the operator's."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

PUBLIC = "https://api.telegram.org"
# What getFile hands out, https://core.telegram.org/bots/api#getfile; a server of one's own has the same limit, but with
# --local, in which it serves no files.
GET_FILE_MAX_BYTES = 20 * 2**20


@dataclass(frozen=True)
class Endpoints:
    """api_url: as in the params file; None for Telegram's own."""

    api_url: str | None

    @property
    def base(self) -> str:
        """What stands before /bot and /file/bot."""
        return (self.api_url or PUBLIC).rstrip("/").removesuffix("/bot")

    @property
    def hosts(self) -> tuple[str, ...]:
        """The operator's hosts, which serve files too."""
        host = urlsplit(self.api_url).hostname if self.api_url else None
        return (host,) if host else ()
