"""Who looks at the pictures: what `detector` in the params says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.params import LOCAL, BotParams
from bot.worker.desk import DetectorDesk
from bot.worker.reception import Desk
from bot.worker.remote import RemoteDesk


@asynccontextmanager
async def open_desk(params: BotParams) -> AsyncIterator[Desk]:
    """A desk that takes pictures. Raises what entering DetectorDesk or RemoteDesk raises."""
    async with DetectorDesk(params) if params.detector == LOCAL else RemoteDesk(params) as desk:
        yield desk
