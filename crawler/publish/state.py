"""`shards.json`: what a publication is made of and which shards are finished; a run that goes on begins here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from infra.errors import UserError
from infra.storage import ObjectNotFound, Storage

STATE_KEY = "shards.json"
FORMAT = 1


class PublishError(UserError):
    """A dataset that cannot be published, or a place that cannot take it; the message says what to do."""


@dataclass(frozen=True)
class Finished:
    """A shard that lies complete in the publication. recipe: the sha256 of what it was made from."""

    split: str
    start: str
    images: int
    bytes: int
    sha256: str
    recipe: str


@dataclass(frozen=True)
class State:
    """How a publication was asked for, how it is cut, and its finished shards by name."""

    version: int
    title: str
    contact: str | None
    shard_mb: int
    allow_unlicensed: bool
    cuts: tuple[tuple[str, str], ...] = ()  # (split, start) of every shard, also of those that are yet to be written
    shards: dict[str, Finished] = field(default_factory=dict)

    def with_shard(self, name: str, shard: Finished) -> State:
        return replace(self, shards={**self.shards, name: shard})

    def to_json(self) -> bytes:
        content = {"format": FORMAT, **asdict(self), "shards": {n: asdict(s) for n, s in sorted(self.shards.items())}}
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def read_state(target: Storage) -> State | None:
    """The state of the publication at `target`, None where there is none. Raises PublishError for a damaged one."""
    try:
        content: dict[str, Any] = json.loads(target.get(STATE_KEY))
        written_by = content.pop("format")
        if written_by != FORMAT:
            raise PublishError(
                f"{target.url} was published by another version of this program (format {written_by}, not {FORMAT}); "
                "publish into an empty folder"
            )
        content["cuts"] = tuple((split, start) for split, start in content["cuts"])
        content["shards"] = {name: Finished(**shard) for name, shard in content["shards"].items()}
        return State(**content)
    except ObjectNotFound:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise PublishError(
            f"{STATE_KEY} in {target.url} is not what a publication writes; publish into an empty folder"
        ) from None
