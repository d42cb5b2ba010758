"""PlaceSettings: what the admins of a server, a group or a chat have decided."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from bot.words import LANGUAGES
from infra.params import StrictModel

AUTO = "auto"

_CLOCK = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]")


class PlaceSettings(StrictModel):
    """channels: ids of those in which posted pictures are answered; in none until an admin opens it.

    quiet_from, quiet_to: "HH:MM" in `timezone` (an IANA name), between which no posted picture is answered; both or
    neither. language: of the answers; auto goes by who asks. ephemeral: only the asker sees the answer to a command.
    """

    channels: tuple[str, ...] = Field(default=(), max_length=500)
    quiet_from: str | None = None
    quiet_to: str | None = None
    timezone: str = "UTC"
    language: str = AUTO
    ephemeral: bool = False

    @field_validator("quiet_from", "quiet_to")
    @classmethod
    def _is_a_clock(cls, time: str | None) -> str | None:
        if time is not None and not _CLOCK.fullmatch(time):
            raise ValueError(f"'{time[:20]}' is not a time of day; write it as HH:MM, such as 22:00")
        return time

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            _zone(name)
        except (LookupError, ValueError, OSError):
            raise ValueError(f"'{name[:40]}' is not a timezone; use a name such as Europe/Berlin or UTC") from None
        return name

    @field_validator("language")
    @classmethod
    def _is_spoken(cls, code: str) -> str:
        if code != AUTO and code not in LANGUAGES:
            raise ValueError(f"'{code[:20]}' is not spoken here; use {AUTO} or {' or '.join(LANGUAGES)}")
        return code

    @model_validator(mode="after")
    def _both_or_neither(self) -> PlaceSettings:
        if (self.quiet_from is None) != (self.quiet_to is None):
            raise ValueError("quiet hours need both a beginning and an end")
        return self

    def is_quiet(self, now: datetime) -> bool:
        """Whether `now` (aware) lies in the quiet hours: from the beginning up to the end, the end excluded.

        A range may pass midnight; one that ends where it begins is never.
        """
        if self.quiet_from is None or self.quiet_to is None:
            return False
        clock = f"{now.astimezone(_zone(self.timezone)):%H:%M}"
        if self.quiet_from <= self.quiet_to:
            return self.quiet_from <= clock < self.quiet_to
        return clock >= self.quiet_from or clock < self.quiet_to


def _zone(name: str) -> tzinfo:
    # A slim machine has no timezone data, and then not even UTC.
    return UTC if name == "UTC" else ZoneInfo(name)
