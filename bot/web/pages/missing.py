"""Addresses that are none: a page for people, and the way on where only a slash is too many."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import RedirectResponse, Response

from bot.web.languages import reader
from bot.web.pages.frame import page
from bot.web.problems import on_http_error

routes = APIRouter(include_in_schema=False)

_PAGES = ("quiz", "experiments", "about")


def add_missing(app: FastAPI) -> None:
    """Tell people in a page what programs are told in JSON."""
    app.add_exception_handler(404, _missing)


async def _missing(request: Request, error: Exception) -> Response:
    if not _is_for_people(request):
        return await on_http_error(request, error)
    t = reader(request.headers.get("accept-language"), request.query_params.get("language"))
    say = {
        "title": t("There is no such page"),
        "lead": t("Perhaps the address was mistyped, or what was here is gone."),
        "home": t("Check a picture"),
    }
    answer = page(request, "missing.html", t, say=say)
    answer.status_code = 404
    answer.headers["Vary"] = "Accept, Accept-Language"
    return answer


def _is_for_people(request: Request) -> bool:
    """Browsers name HTML when somebody opens an address; scripts and programs do not."""
    is_page = request.method in ("GET", "HEAD") and not request.url.path.startswith("/api/")
    return is_page and "text/html" in request.headers.get("accept", "").lower()


def _without_slash(request: Request) -> Response:
    """Relative, so that a proxy may serve all of it below a path of its own."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"..{request.url.path.rstrip('/')}{query}", 308)


for _name in _PAGES:
    routes.add_api_route(f"/{_name}/", _without_slash, methods=["GET", "HEAD"])
