"""The HTTP API: leaderboards of the quiz, and what belongs to whoever plays."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from bot.chat.linking import new_code, use_code
from bot.chat.quiz_refusals import NotNow
from bot.chat.quiz_scores import figures, ranked
from bot.quiz.pictures import stats_alt, stats_picture
from bot.quiz.stats_texts import stats as stats_block
from bot.web.api.needed import ApiNeeded, WordsNeeded, problems
from bot.web.api.quiz_bodies import (
    CodeBody,
    ForgottenBody,
    LeaderBody,
    LinkBody,
    MeBody,
    NameBody,
    NamedBody,
    StandingsBody,
    said_body,
)
from bot.web.api.quiz_needed import QuizNeeded, file_of, fresh, taken
from bot.web.visitors import VisitorNeeded, forget, known, remember
from bot.words import later
from infra.errors import UserError

routes = APIRouter(dependencies=[Depends(fresh)])

_NOBODY_YET = later("Nothing is kept about you yet. Begin a round first; it takes your name, too.")

Scope = Literal["everyone", "today"]


@routes.get(
    "/leaderboard",
    summary="The best of the quiz",
    operation_id="quiz_leaderboard",
    response_model=StandingsBody,
    response_description="The best, on all platforms.",
    responses=problems(400, 500, 503),
)
async def leaderboard(
    api: ApiNeeded,
    quizzing: QuizNeeded,
    visitor: VisitorNeeded,
    scope: Annotated[Scope, Query(description="By the mean of all answers, or by today's set.")] = "everyone",
) -> StandingsBody:
    """Names are as their owners gave them."""
    api.app.metrics.requests.labels("web", "leaderboard").inc()
    with suppress(UserError):  # a board there is without a deck too
        await quizzing.decks.current()
    found = await ranked(api.app, visitor.account, None, scope, quizzing.daily_faces)
    leaders = [LeaderBody.of(line, scope) for line in found.standings]
    return StandingsBody(scope=scope, min_answers=found.least, leaders=leaders)


@routes.get(
    "/me",
    summary="How well you do, and how well you know it",
    operation_id="quiz_me",
    response_model=MeBody,
    response_description="Your figures.",
    responses=problems(400, 500, 503),
)
async def me(api: ApiNeeded, quizzing: QuizNeeded, visitor: VisitorNeeded, t: WordsNeeded) -> MeBody:
    """Of all your answers, and which rounds can go on."""
    api.app.metrics.requests.labels("web", "stats").inc()
    data = await quizzing.own_data(visitor.account)
    found = await figures(api.app, visitor.account)
    block = stats_block(t, found)
    alt = stats_alt(t, found) if found.right.of else ""
    return MeBody.of(found, data, said_body(t, block.title, block.lines), alt, visitor.account.id)


@routes.get(
    "/me/picture",
    summary="Your figures as a picture",
    operation_id="quiz_my_picture",
    response_class=Response,
    response_description="A PNG: right against sure, and right over time.",
    responses=file_of("image/png") | problems(400, 500, 503),
)
async def my_picture(api: ApiNeeded, visitor: VisitorNeeded, t: WordsNeeded) -> Response:
    """Both charts are empty before the first answer."""
    found = await figures(api.app, visitor.account)
    async with api.encoders:
        picture = await asyncio.to_thread(stats_picture, t, found)
    return Response(picture, media_type="image/png", headers={"Cache-Control": "no-store"})


@routes.get(
    "/me/data",
    summary="Everything that is kept about you",
    operation_id="quiz_my_data",
    response_model=dict[str, Any],
    response_description="All of it, on all accounts that are linked.",
    responses=problems(400, 500, 503),
)
async def my_data(api: ApiNeeded, quizzing: QuizNeeded, visitor: VisitorNeeded) -> dict[str, Any]:
    """Word for word as it is kept, less the truth about a face that you are just looking at."""
    await api.app.saved()
    return await quizzing.own_data(visitor.account)


@routes.post(
    "/me/name",
    summary="Change your name on the leaderboard, or take it away",
    operation_id="quiz_rename_me",
    response_model=NamedBody,
    response_description="The name as it stands now.",
    responses=problems(400, 403, 409, 500, 503),
    openapi_extra=taken("The name, or null."),
)
async def rename_me(
    body: NameBody, api: ApiNeeded, quizzing: QuizNeeded, visitor: VisitorNeeded, t: WordsNeeded
) -> NamedBody:
    """Also of what you have played before, here; other apps have names of their own."""
    if await asyncio.to_thread(api.app.records.person, visitor.account) is None:
        if body.name is None:
            return NamedBody(name=None)
        raise NotNow(t(_NOBODY_YET))
    return NamedBody(name=await quizzing.rename(visitor.named(body.name)))


@routes.delete(
    "/me",
    summary="Forget me",
    operation_id="quiz_forget_me",
    response_model=ForgottenBody,
    response_description="It is done.",
    responses=problems(400, 403, 429, 500, 503),
)
async def forget_me(request: Request, response: Response, api: ApiNeeded, visitor: VisitorNeeded) -> ForgottenBody:
    """Everything about you, on all accounts that are linked, is deleted at once and for good; the cookie goes too."""
    deleted = await api.app.forget(visitor.account) if visitor.is_sent else {}
    forget(response, request)
    return ForgottenBody(deleted=deleted)


@routes.post(
    "/link",
    summary="Make your accounts here and in another app one",
    operation_id="quiz_link",
    response_model=LinkBody,
    response_description="A code, or that it is done.",
    responses=problems(400, 403, 409, 500, 503),
    openapi_extra=taken("Nothing in it: you get a code for the other app. A code from there: the accounts are joined."),
)
async def link(
    body: CodeBody, request: Request, response: Response, api: ApiNeeded, sender: VisitorNeeded, t: WordsNeeded
) -> LinkBody:
    """One score, one daily set and one line on the leaderboard, wherever you play. Sets the cookie `visitor`."""
    visitor = await known(sender, api.app.records)
    if body.code is None:
        told = await new_code(api.app, visitor.account, t)
    else:
        told = await use_code(api.app, visitor.account, body.code, t)
        if not told.is_done:
            raise NotNow(told.text)
    remember(response, request, visitor)
    return LinkBody(code=told.code or None, linked=body.code is not None, lines=list(told.lines))
