"""How far one source of a crawl has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crawler.params import AnySource

if TYPE_CHECKING:
    from crawler.repeats import RepeatWatch


@dataclass
class SourceState:
    """How far a source has come. good: different images that are in the store or on their way there. leased: items that
    are being asked for."""

    source: AnySource
    good: int = 0
    leased: int = 0
    failed: int = 0
    refused: int = 0
    ended: str | None = None
    watch: RepeatWatch | None = None
    fruitless: int = 0

    @property
    def wanted(self) -> int | None:
        """How many more good images may be asked for now, None for any number."""
        return None if self.source.target is None else max(0, self.source.target - self.good - self.leased)

    @property
    def reached(self) -> bool:
        """Whether the target is there."""
        return self.source.target is not None and self.good >= self.source.target
