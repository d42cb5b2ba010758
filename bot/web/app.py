"""create_app: pages, API, description, errors and headers, put together."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from bot.chat.app import App
from bot.web.api import add_api, max_bytes
from bot.web.docs_page import add_docs
from bot.web.pages import add_pages
from bot.web.problems import Problem, add_problems
from bot.web.security import Guard
from bot.web.upload import HeardOut

_HEARD = 4  # times the largest picture: so much is read of what is refused

_DESCRIPTION = (
    "Is a photo of a face real, or generated? Answers carry a calibrated probability; they can be wrong, and are no "
    "evidence against anybody. Errors are application/problem+json (RFC 9457)."
)


def create_app(app: App) -> FastAPI:
    """The web application over a core that is open, and stays so longer."""
    web = _Described(
        title="Faces", version="1", description=_DESCRIPTION, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    web.add_middleware(Guard)
    web.add_middleware(HeardOut, most=_HEARD * max_bytes(app.params))
    add_problems(web)
    add_api(web, app)
    add_docs(web)
    add_pages(web, max_bytes(app.params))
    return web


class _Described(FastAPI):
    """FastAPI, whose description knows the body of every error."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            self.openapi_schema = schema
        return self.openapi_schema
