"""BotParams: the validated params file of everything that answers."""

from __future__ import annotations

from pydantic import Field

from infra.params import StrictModel

AUTO = "auto"


class CheckParams(StrictModel):
    """How `check` works. threads: CPU threads of the network, null lets torch choose. max_mb: of one file.

    out: the folder, or storage URL, for panels.
    """

    threads: int | None = Field(default=None, ge=1, le=1024)
    max_mb: float = Field(default=32, gt=0, le=1024)
    out: str = Field(default="checks", min_length=1)


class BotParams(StrictModel):
    """store: the result store that knows the champion. bundle: a checkpoint bundle's URL, or auto for the champion."""

    store: str = "sqlite:///runs/results.db"
    bundle: str = Field(default=AUTO, min_length=1)
    check: CheckParams = CheckParams()
