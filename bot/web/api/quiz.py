"""The HTTP API: rounds of the quiz, for programs and for the page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from bot.chat.quiz_views import FACE_NAME, HEAT_NAME, Press
from bot.web.api import quiz_people
from bot.web.api.needed import ApiNeeded, WordsNeeded, problems
from bot.web.api.quiz_bodies import AnswerBody, NextBody, Number, RoundBody, RoundId, StartBody
from bot.web.api.quiz_needed import PlayerNeeded, QuizNeeded, file_of, fresh, taken
from bot.web.visitors import VisitorNeeded, known, remember

routes = APIRouter(prefix="/api/v1/quiz", tags=["quiz"])
_json = APIRouter(dependencies=[Depends(fresh)])

_PLAYING = (400, 403, 404, 409, 500, 503)

RoundPath = Annotated[RoundId, Path(description="Of the round.")]
FacePath = Annotated[Number, Path(description="Of the face in its round, from 1.")]


@_json.post(
    "/rounds",
    summary="Begin a round of the quiz",
    operation_id="quiz_begin_round",
    response_model=RoundBody,
    response_description="The first face.",
    responses=problems(400, 403, 409, 500, 503),
    openapi_extra=taken("Which round; an object without any field is a round of five."),
)
async def begin_round(
    body: StartBody, request: Request, response: Response, api: ApiNeeded, quizzing: QuizNeeded,
    sender: VisitorNeeded, t: WordsNeeded,
) -> RoundBody:  # fmt: skip
    """Or go on with today's set, wherever its player began it.

    Sets the cookie `visitor`, which says whose round it is: send it back with everything else.
    """
    api.app.metrics.requests.labels("web", "quiz").inc()
    visitor = await known(sender, api.app.records)
    shown = await quizzing.start(visitor.named(body.name), None, body.mode, body.length, t)
    remember(response, request, visitor)
    return RoundBody.of(await quizzing.played(visitor.account, shown.round_id, t))


@_json.get(
    "/rounds/{round_id}",
    summary="A round as it stands now",
    operation_id="quiz_round",
    response_model=RoundBody,
    response_description="The round.",
    responses=problems(*_PLAYING),
)
async def round_now(round_id: RoundPath, player: PlayerNeeded) -> RoundBody:
    """Of your own rounds. What is over is there no more."""
    return await player.round(round_id)


@_json.post(
    "/rounds/{round_id}/answers",
    summary="Say what a face is, and how sure you are",
    operation_id="quiz_answer",
    response_model=RoundBody,
    response_description="The truth, and what the machine said.",
    responses=problems(*_PLAYING),
    openapi_extra=taken("Your answer; the first one to a face counts."),
)
async def answer(round_id: RoundPath, body: AnswerBody, player: PlayerNeeded) -> RoundBody:
    """Points are 100 − 400·(1 − p)², p being how likely you said the truth was."""
    return await player.press(Press(round_id, body.number, "answer", body.said, body.step))


@_json.post(
    "/rounds/{round_id}/next",
    summary="Go on to the next face, or to the end",
    operation_id="quiz_next_face",
    response_model=RoundBody,
    response_description="The next face, or how the round went.",
    responses=problems(*_PLAYING),
    openapi_extra=taken("The face that is done, so that a request sent twice does not skip one."),
)
async def next_face(round_id: RoundPath, body: NextBody, player: PlayerNeeded) -> RoundBody:
    """After the answer to the face."""
    return await player.press(Press(round_id, body.number, "next"))


@_json.post(
    "/rounds/{round_id}/stop",
    summary="End a round",
    operation_id="quiz_stop_round",
    response_model=RoundBody,
    response_description="How the round went.",
    responses=problems(*_PLAYING),
)
async def stop_round(round_id: RoundPath, player: PlayerNeeded) -> RoundBody:
    """A face without an answer does not count. Today's set can be begun again, and goes on."""
    return await player.press(Press(round_id, 1, "stop"))


@routes.get(
    "/rounds/{round_id}/faces/{number}/picture",
    summary="The face",
    operation_id="quiz_face_picture",
    response_class=Response,
    response_description="A JPEG; of all faces of a deck it has the same length.",
    responses=file_of("image/jpeg") | problems(*_PLAYING),
)
async def face_picture(round_id: RoundPath, number: FacePath, player: PlayerNeeded) -> Response:
    """Of the face that the round shows now."""
    return _file(await player.picture(round_id, number, FACE_NAME), "image/jpeg")


@routes.get(
    "/rounds/{round_id}/faces/{number}/heatmap",
    summary="The machine's evidence over the face",
    operation_id="quiz_face_heatmap",
    response_class=Response,
    response_description="A PNG.",
    responses=file_of("image/png") | problems(*_PLAYING),
)
async def face_heatmap(round_id: RoundPath, number: FacePath, player: PlayerNeeded) -> Response:
    """After the answer only."""
    return _file(await player.picture(round_id, number, HEAT_NAME), "image/png")


def _file(data: bytes, kind: str) -> Response:
    """Nothing in the answer depends on the face but its pixels: no name, no tag, no date."""
    return Response(data, media_type=kind, headers={"Cache-Control": "no-store"})


routes.include_router(_json)
routes.include_router(quiz_people.routes)
