"""*About*: the card of the model that answers, what is kept, how to read a heatmap, and how to do without."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from bot.chat.about import about_blocks, credit_lines
from bot.chat.info import how_to_read, privacy_blocks
from bot.web.api.needed import ApiNeeded
from bot.web.api.quiz_needed import quizzing_of
from bot.web.languages import reader
from bot.web.pages.about_card import band, measure_rows, missing_lines, origin_rows, source_rows
from bot.web.pages.about_texts import about_words, cue_cards, data_command, web_privacy_lines
from bot.web.pages.frame import page
from bot.words import Words
from infra.errors import UserError

routes = APIRouter(include_in_schema=False)


@routes.api_route("/about", methods=["GET", "HEAD"])
async def about_page(request: Request, api: ApiNeeded, language: str | None = None) -> HTMLResponse:
    """language: chosen by the reader before what the browser wants."""
    t = reader(request.headers.get("accept-language"), language)
    card = api.app.desk.card
    return page(
        request, "about.html", t, say=about_words(t), blocks=about_blocks(card, t), band=band(card, t),
        measures=measure_rows(card, t), sources=source_rows(card, t), origin=origin_rows(card, t),
        missing=missing_lines(card, t), reading=how_to_read(t),
        privacy=privacy_blocks(t, api.app.params.keep_days, data_command(t)), here=web_privacy_lines(t),
        cues=cue_cards(t), credits=await _credits(request, t),
    )  # fmt: skip


async def _credits(request: Request, t: Words) -> list[str]:
    """Whom the quiz's faces are owed to; nobody where there are none."""
    try:
        deck = await quizzing_of(request).decks.current()
    except UserError:
        return []
    return credit_lines(deck.attributions, t)
