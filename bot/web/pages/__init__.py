"""The pages people open in a browser, in their language, and the files they are made of."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.staticfiles import StaticFiles

from bot.web.pages import about, check, experiments, missing, quiz
from bot.web.pages.frame import HERE
from bot.web.pages.missing import add_missing


def add_pages(app: FastAPI, max_bytes: int | None = None) -> None:
    """Serve the pages and `/static`. max_bytes: of one picture, told before it is sent; None leaves that to the API."""
    app.state.max_bytes = max_bytes
    for page in (check, quiz, experiments, about, missing):
        app.include_router(page.routes)
    add_missing(app)
    app.mount("/static", _Files(directory=HERE / "static"), name="static")


class _Files(StaticFiles):
    """Asked for anew each time, which costs little with an ETag: an old script on a new page would not work."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response
