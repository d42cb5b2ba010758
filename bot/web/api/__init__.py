"""The HTTP API, described at /docs."""

from __future__ import annotations

from fastapi import FastAPI

from bot.chat.app import App
from bot.web.api import check, experiments, look, quiz
from bot.web.api.needed import Api, max_bytes

__all__ = ["add_api", "max_bytes"]


def add_api(web: FastAPI, app: App) -> None:
    """Serve the API of `app`."""
    web.state.api = Api(app)
    for part in (check, look, quiz, experiments):
        web.include_router(part.routes)
