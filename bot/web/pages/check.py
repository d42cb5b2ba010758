"""The pages people open in a browser, in their language, and the files they are made of."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from bot.web.languages import reader
from bot.web.texts import check_script_words, check_words, frame_words
from bot.words import LANGUAGES, Words

_HERE = Path(__file__).parent

routes = APIRouter(include_in_schema=False)


def add_pages(app: FastAPI, max_bytes: int | None = None) -> None:
    """Serve `/` and `/static`. max_bytes: of one picture, told before it is sent; None leaves that to the API."""
    app.state.max_bytes = max_bytes
    app.include_router(routes)
    app.mount("/static", _Files(directory=_HERE / "static"), name="static")


@routes.api_route("/", methods=["GET", "HEAD"])
def check_page(request: Request, language: str | None = None) -> HTMLResponse:
    """*Check*: give it a picture, get a verdict. language: chosen by the reader before what the browser wants."""
    t = reader(request.headers.get("accept-language"), language)
    max_bytes: int | None = request.app.state.max_bytes
    return _page("check.html", t, say=check_words(t), speak=check_script_words(t, max_bytes), max_bytes=max_bytes or 0)


def _page(template: str, t: Words, **values: object) -> HTMLResponse:
    html = _templates().get_template(template).render(
        language=t.language, languages=LANGUAGES, frame=frame_words(t), **values
    )  # fmt: skip
    headers = {"Content-Language": t.language, "Vary": "Accept-Language", "Cache-Control": "no-cache"}
    return HTMLResponse(html, headers=headers)


class _Files(StaticFiles):
    """Asked for anew each time, which costs little with an ETag: an old script on a new page would not work."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


@lru_cache(maxsize=1)
def _templates() -> Environment:
    loader = FileSystemLoader(_HERE / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
