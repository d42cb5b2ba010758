"""*Quiz*: the same game as in the chats."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from bot.chat.quiz_refusals import said
from bot.web.api.quiz_needed import quizzing_of
from bot.web.languages import reader
from bot.web.pages.frame import page
from bot.web.pages.quiz_texts import answer_buttons, quiz_script_words, quiz_words
from bot.web.visitors import MAX_NAME
from bot.words import Words
from infra.errors import UserError

routes = APIRouter(include_in_schema=False)


@routes.api_route("/quiz", methods=["GET", "HEAD"])
async def quiz_page(request: Request, language: str | None = None) -> HTMLResponse:
    """language: chosen by the reader before what the browser wants. What the page shows of the visitor it asks the API
    for: the cookie does not come along when somebody follows a link from another site.
    """
    t = reader(request.headers.get("accept-language"), language)
    return page(
        request, "quiz.html", t, say=quiz_words(t), speak=quiz_script_words(t), sides=answer_buttons(t),
        missing=await _missing(request, t), max_name=MAX_NAME,
    )  # fmt: skip


async def _missing(request: Request, t: Words) -> str:
    """Why there are no faces, in one line; empty where there are."""
    try:
        await quizzing_of(request).decks.current()
    except UserError as error:
        return said(error, t)
    return ""
