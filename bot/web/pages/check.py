"""*Check*: give it a picture, get a verdict."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from bot.web.languages import reader
from bot.web.pages.check_texts import check_script_words, check_words
from bot.web.pages.frame import page

routes = APIRouter(include_in_schema=False)


@routes.api_route("/", methods=["GET", "HEAD"])
def check_page(request: Request, language: str | None = None) -> HTMLResponse:
    """language: chosen by the reader before what the browser wants."""
    t = reader(request.headers.get("accept-language"), language)
    max_bytes: int | None = request.app.state.max_bytes
    speak = check_script_words(t, max_bytes)
    return page(request, "check.html", t, say=check_words(t), speak=speak, max_bytes=max_bytes or 0)
