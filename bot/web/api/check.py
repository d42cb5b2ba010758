"""The HTTP API: a picture in, a verdict out, as JSON."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from bot.chat.answers import answer
from bot.chat.app import App
from bot.chat.app import Request as Asking
from bot.chat.found import MIB
from bot.monitor import health
from bot.params import BotParams
from bot.records import Account
from bot.web.bodies import CheckBody, HealthBody, ModelBody, ThresholdsBody, WordsBody
from bot.web.heat import heat_pictures
from bot.web.languages import reader
from bot.web.problems import KINDS, MEDIA_TYPE
from bot.web.upload import FIELD, Uploads
from bot.words import Words
from bot.worker import Checked, Want, Withdrawn

_ENCODERS = 2  # answers whose pictures are made at once; each takes a core for a second
_GONE = 499  # nginx's number for a client that did not wait; nobody sees it


class Api:
    """What the routes need, once for a server."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.uploads = Uploads(max_bytes(app.params))
        self.encoders = asyncio.Semaphore(_ENCODERS)

    async def check(self, request: Request, want: Want) -> Checked:
        """Take the picture in, and have it looked at. Raises what `Uploads.read` and `DetectorDesk.check` raise."""
        began = time.monotonic()
        self.app.metrics.requests.labels("web", "check").inc()
        # The address is the key in the queue, so that nobody fills it alone; it is neither kept nor logged.
        client = request.client.host if request.client else "unknown"
        try:
            data = await self.uploads.read(request, client)
            asking = Asking(Account("web", client), None, want.language)
            checked = await _unless_gone(request, self.app.look_again(data, asking, want))
        except (ClientDisconnect, Withdrawn):
            raise
        except Exception as error:
            self.app.count(error, began)
            raise
        self.app.count(checked, began)
        self.app.keep(checked, None)  # of nobody: there are no accounts here
        return checked


def max_bytes(params: BotParams) -> int:
    """Of a picture: as much as is fetched from elsewhere, and no more than the detector takes."""
    return int(min(params.network.max_mb, params.check.max_mb) * MIB)


def add_api(web: FastAPI, app: App) -> None:
    """Serve the API of `app`."""
    web.state.api = Api(app)
    web.include_router(_routes)


def _api(request: Request) -> Api:
    api: Api = request.app.state.api
    return api


def _spoken(request: Request) -> Words:
    return reader(request.headers.get("accept-language"))


ApiNeeded = Annotated[Api, Depends(_api)]
WordsNeeded = Annotated[Words, Depends(_spoken)]

_routes = APIRouter()


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How OpenAPI describes these."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    retry = {"Retry-After": {"description": "Seconds until another try is worth it.", "schema": {"type": "integer"}}}
    return {
        kind.status: {"description": kind.title, "content": content} | ({"headers": retry} if kind.waits else {})
        for kind in KINDS
        if kind.status in statuses
    }


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PICTURE = {
    "required": True,
    "description": "A JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF with one picture, looked at in memory and not kept.",
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY["schema"]}}
        },
        "image/*": _BINARY,
        "application/octet-stream": _BINARY,
    },
}


@_routes.post(
    "/api/v1/check",
    summary="Is this photo real?",
    operation_id="check",
    response_model=CheckBody,
    response_description="The verdict.",
    responses=_problems(400, 403, 408, 413, 415, 422, 429, 500, 503),
    openapi_extra={"requestBody": _PICTURE},
)
async def check(
    request: Request,
    api: ApiNeeded,
    t: WordsNeeded,
    heatmaps: Annotated[
        Literal["png", "none"], Query(description="png: one heatmap a layer, several times as slow.")
    ] = "none",
) -> Response:
    """A calibrated probability, how steady it is, and with `heatmaps=png` what each layer of the network looked at.

    Of the picture its sha256 and the verdict are kept for some days, and nothing of who asked.
    """
    wanted = heatmaps == "png"
    try:
        checked = await api.check(request, Want(heatmaps=wanted, panel=False, seen=wanted, language=t.language))
    except (ClientDisconnect, Withdrawn):
        return Response(status_code=_GONE)
    body = checked.verdict.to_json() | {
        "sha256": checked.sha256,
        "thresholds": ThresholdsBody.of(checked.verdict.thresholds).model_dump(),
        "words": _words(checked, t).model_dump(),
    }
    if wanted:
        async with api.encoders:
            pictures = await asyncio.to_thread(heat_pictures, checked.verdict)
        body["layers"] = [
            layer | {"heatmap": _data_url(picture)} for layer, picture in zip(body["layers"], pictures, strict=True)
        ]
        body["seen"] = _data_url(checked.seen or b"")
    headers = {"Content-Language": t.language, "Vary": "Accept-Language", "Cache-Control": "no-store"}
    return JSONResponse(body, headers=headers)


@_routes.get(
    "/api/v1/model",
    summary="The model that answers now",
    operation_id="model",
    response_model=ModelBody,
    response_description="The model.",
    responses=_problems(500),
)
async def model(api: ApiNeeded) -> ModelBody:
    """What it is, how good it is, and its limits."""
    return ModelBody.of(api.app.desk.card, api.uploads.max_bytes)


@_routes.get(
    "/healthz",
    summary="Is all well?",
    operation_id="healthz",
    response_model=HealthBody,
    response_description="All is well.",
    responses={503: {"model": HealthBody, "description": "Something is not well."}, **_problems(500)},
)
async def healthz(api: ApiNeeded) -> Response:
    """Each part by name."""
    status, body = health(api.app.checks)
    return JSONResponse(body, status, {"Cache-Control": "no-store"})


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


def _words(checked: Checked, t: Words) -> WordsBody:
    said = answer(checked.verdict, t)
    return WordsBody(language=t.language, title=said.title, lines=list(said.lines), alt=said.alt, caution=said.caution)


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
