"""What the routes of the API share."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect

from bot.chat.app import App
from bot.chat.app import Request as Asking
from bot.chat.found import MIB
from bot.params import BotParams
from bot.records import Account
from bot.web.languages import reader
from bot.web.problems import KINDS, MEDIA_TYPE
from bot.web.upload import Uploads
from bot.words import Words
from bot.worker import Checked, Want, Withdrawn

_ENCODERS = 2  # answers whose pictures are made at once; each takes a core for a second


class Api:
    """What the routes need, once for a server."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.uploads = Uploads(max_bytes(app.params))
        self.encoders = asyncio.Semaphore(_ENCODERS)

    async def check(self, request: Request, want: Want, keep: bool = True) -> Checked:
        """Take the picture in, and have it looked at. keep: hash and verdict, and count the answer; not for a bot that
        asks for somebody, as it does both itself. Raises what `Uploads.read` and `DetectorDesk.check` raise.
        """
        began = time.monotonic()
        self.app.metrics.requests.labels("web", "check" if keep else "look").inc()
        # Whom the queue counts it for, so that nobody fills it alone; an address is neither kept nor logged.
        client = request.state.asker
        try:
            data = await self.uploads.read(request, client)
            asking = Asking(Account("web", client), None, want.language)
            checked = await _unless_gone(request, self.app.look_again(data, asking, want))
        except (ClientDisconnect, Withdrawn):
            raise
        except Exception as error:
            if keep:
                self.app.count(error, began)
            raise
        if keep:
            self.app.count(checked, began)
            self.app.keep(checked, None)  # of nobody: there are no accounts here
        return checked


def max_bytes(params: BotParams) -> int:
    """Of a picture: as much as is fetched from elsewhere, and no more than the detector takes."""
    return int(min(params.network.max_mb, params.check.max_mb) * MIB)


def _api(request: Request) -> Api:
    api: Api = request.app.state.api
    return api


def _spoken(request: Request) -> Words:
    return reader(request.headers.get("accept-language"))


ApiNeeded = Annotated[Api, Depends(_api)]
WordsNeeded = Annotated[Words, Depends(_spoken)]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How OpenAPI describes these."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    retry = {"Retry-After": {"description": "Seconds until another try is worth it.", "schema": {"type": "integer"}}}
    found: dict[int | str, dict[str, Any]] = {}
    for kind in KINDS:
        if kind.status in statuses:
            said = found[kind.status]["description"] + ", or: " if kind.status in found else ""
            found[kind.status] = {"description": said + kind.title, "content": content} | (
                {"headers": retry} if kind.waits else {}
            )
    return found


async def _unless_gone(request: Request, looking: Any) -> Checked:
    """What `looking` gives; called off, with Withdrawn, when the client does not wait for it."""
    answer_task: asyncio.Task[Checked] = asyncio.ensure_future(looking)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((answer_task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer_task.done():
            raise ClientDisconnect
        return answer_task.result()
    finally:
        gone.cancel()
        answer_task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
