"""The HTTP API for the project's own bots, `detector: http://…` in their params: what a local detector gives them."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Header, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from bot.web.api.needed import ApiNeeded, problems
from bot.worker import Checked, Want, Withdrawn
from bot.worker.requests import MAX_BYTES
from bot.worker.wire import Looked, is_of_picture, written
from infra.errors import UserError
from model_defs.checkpoint import Card

_GONE = 499  # nginx's number for a client that did not wait; nobody sees it
_NAME_CHARS = 200

_PICTURE = {
    "required": True,
    "description": "A picture's file, looked at in memory and not kept.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}

routes = APIRouter()


@routes.post(
    "/api/v1/look",
    summary="Look at a picture, for a bot",
    operation_id="look",
    response_model=Looked,
    response_description="The answer, or why this picture gets none.",
    responses=problems(400, 401, 403, 408, 413, 415, 421, 429, 500, 503),
    openapi_extra={"requestBody": _PICTURE},
)
async def look(
    request: Request,
    api: ApiNeeded,
    heatmaps: Annotated[bool, Query(description="The layers, and what each contributed.")] = True,
    maps: Annotated[bool, Query(description="The layers' maps themselves.")] = False,
    panel: Annotated[bool, Query(description="The picture with the verdict and all heatmaps.")] = False,
    layer: Annotated[str | None, Query(max_length=300, description="A large picture of this layer.")] = None,
    seen: Annotated[bool, Query(description="What the network saw.")] = False,
    variants: Annotated[bool, Query(description="What the network saw of the variants.")] = False,
    max_bytes: Annotated[int, Query(ge=4096, le=MAX_BYTES, description="Of each picture.")] = MAX_BYTES,
    language: Annotated[str, Query(max_length=20, description="Of the words in pictures.")] = "en",
    picture_name: Annotated[str, Header(max_length=2000, description="For the panel, percent-encoded.")] = "photo",
) -> Response:
    """For programs `POST /api/v1/check` is simpler. An answer to a picture that cannot be looked at is one, too.

    Nothing is kept here, and no verdict counted: the bot that asks does that for its own people.
    """
    name = unquote(picture_name)[:_NAME_CHARS] or "photo"
    want = Want(heatmaps, panel, layer, seen, name, max_bytes, language, maps, variants)
    outcome: Checked | UserError
    try:
        outcome = await api.check(request, want, keep=False)
    except (ClientDisconnect, Withdrawn):
        return Response(status_code=_GONE)
    except UserError as error:
        if not is_of_picture(error):
            raise
        outcome = error
    async with api.encoders:
        body = await asyncio.to_thread(written, outcome, want)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


@routes.get(
    "/api/v1/look",
    summary="The whole card of the model that looks",
    operation_id="looker",
    response_model=Card,
    response_description="The card.",
    responses=problems(401, 421, 429, 500),
)
async def looker(api: ApiNeeded) -> Response:
    """For bots; `GET /api/v1/model` says what people want to know."""
    return Response(
        api.app.desk.card.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"}
    )
