"""What the place where an image was found says of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from infra.errors import UserError


class SourceError(UserError):
    """A source that cannot be read as what its params say it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an image comes from. `name` is what reports call it: its URL, or its path inside a folder.

    url: as asked for; final_url: after redirects. split: the one its source wishes for it.
    """

    name: str
    label: str
    source: str
    generator: str | None = None
    split: str | None = None
    licence: str | None = None
    identity: str | None = None
    author: str | None = None
    url: str | None = None
    final_url: str | None = None
    fetched_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage(Origin):
    """One file to import."""

    path: Path
