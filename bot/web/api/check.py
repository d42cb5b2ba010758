"""The HTTP API: a picture in, a verdict out, as JSON."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from bot.monitor import health
from bot.web.api.check_body import check_body
from bot.web.api.needed import ApiNeeded, WordsNeeded, problems
from bot.web.bodies import CheckBody, HealthBody, ModelBody
from bot.web.upload import FIELD
from bot.worker import Want, Withdrawn

_GONE = 499  # nginx's number for a client that did not wait; nobody sees it

routes = APIRouter()

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PICTURE = {
    "required": True,
    "description": "A JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF with one picture, looked at in memory and not kept.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {FIELD: _BINARY["schema"]},
                "additionalProperties": False,
            }
        },
        "image/*": _BINARY,
        "application/octet-stream": _BINARY,
    },
}


class Asked(BaseModel):
    """What is wanted besides the verdict."""

    model_config = ConfigDict(extra="forbid")

    heatmaps: Literal["png", "none"] = Field("none", description="png: one heatmap a layer, several times as slow.")
    panel: bool = Field(False, description="true: besides, the picture that the chats send.")


@routes.post(
    "/api/v1/check",
    summary="Is this photo real?",
    operation_id="check",
    response_model=CheckBody,
    response_description="The verdict.",
    responses=problems(400, 403, 408, 413, 415, 422, 429, 500, 503),
    openapi_extra={"requestBody": _PICTURE},
)
async def check(
    request: Request,
    api: ApiNeeded,
    t: WordsNeeded,
    asked: Annotated[Asked, Query()],
) -> Response:
    """A calibrated probability, how steady it is, and with `heatmaps=png` what each layer of the network looked at.

    Of the picture its sha256 and the verdict are kept for some days, and nothing of who asked.
    """
    pictures, panel = asked.heatmaps == "png", asked.panel
    want = Want(
        heatmaps=pictures or panel, panel=panel, seen=pictures, name=t("photo"), language=t.language, maps=pictures,
        variants=pictures,
    )  # fmt: skip
    try:
        checked = await api.check(request, want)
    except (ClientDisconnect, Withdrawn):
        return Response(status_code=_GONE)
    if pictures or panel:
        async with api.encoders:
            body = await asyncio.to_thread(check_body, checked, t, pictures)
    else:
        body = check_body(checked, t, pictures)
    headers = {"Content-Language": t.language, "Vary": "Accept-Language", "Cache-Control": "no-store"}
    return JSONResponse(body, headers=headers)


@routes.get(
    "/api/v1/model",
    summary="The model that answers now",
    operation_id="model",
    response_model=ModelBody,
    response_description="The model.",
    responses=problems(500),
)
async def model(api: ApiNeeded) -> ModelBody:
    """What it is, how good it is, and its limits."""
    return ModelBody.of(api.app.desk.card, api.uploads.max_bytes)


@routes.get(
    "/healthz",
    summary="Is all well?",
    operation_id="healthz",
    response_model=HealthBody,
    response_description="All is well.",
    responses={503: {"model": HealthBody, "description": "Something is not well."}, **problems(500)},
)
async def healthz(api: ApiNeeded) -> Response:
    """Each part by name."""
    status, body = health(api.app.checks)
    return JSONResponse(body, status, {"Cache-Control": "no-store"})
