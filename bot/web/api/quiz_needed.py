"""What the routes of the quiz share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.responses import Response

from bot.chat.quiz_refusals import NotNow
from bot.chat.quiz_views import HEAT_NAME, Press
from bot.chat.quizzing import Quizzing
from bot.web.api.needed import WordsNeeded
from bot.web.api.quiz_bodies import RoundBody
from bot.web.problems import NotHere
from bot.web.visitors import Visitor, VisitorNeeded
from bot.words import Words, later

_NO_FACE = later("There is no such picture in this round now.")
_HEAT_LATER = later("The heatmap comes with the answer: say first what you think.")


@dataclass(frozen=True)
class Player:
    """Who sends this, at rounds of their own. Everything raises what `Quizzing.played` raises."""

    quizzing: Quizzing
    visitor: Visitor
    t: Words

    async def round(self, round_id: str) -> RoundBody:
        """As it stands now."""
        return RoundBody.of(await self.quizzing.played(self.visitor.account, round_id, self.t))

    async def press(self, press: Press) -> RoundBody:
        """The round after a press. Raises NotNow with what the quiz has against it."""
        async with self.quizzing.turn(press.round_id):
            before = await self.quizzing.played(self.visitor.account, press.round_id, self.t)
            outcome = await self.quizzing.press(self.visitor.account, press, self.t)
            if outcome.note or outcome.shown is None:
                raise NotNow(outcome.note)
            if not outcome.shown.rows:
                return RoundBody.over(before, outcome.shown)
            return await self.round(press.round_id)

    async def picture(self, round_id: str, number: int, name: str) -> bytes:
        """Of the face that the round shows now. Raises NotHere for another, NotNow for heat before the answer."""
        played = await self.quizzing.played(self.visitor.account, round_id, self.t)
        if number != played.asked.number:
            raise NotHere(404, _NO_FACE)
        if name == HEAT_NAME and played.told is None:
            raise NotNow(self.t(_HEAT_LATER))
        found = next((picture.data for picture in played.shown.pictures if picture.name == name), None)
        if found is None:
            raise NotHere(404, _NO_FACE)
        return found


def fresh(response: Response, t: WordsNeeded) -> None:
    """For all answers: they are one visitor's, of this moment, in one language."""
    response.headers.update({"Content-Language": t.language, "Vary": "Accept-Language", "Cache-Control": "no-store"})


def taken(description: str) -> dict[str, Any]:
    """What OpenAPI says of a body."""
    return {"requestBody": {"description": description}}


def file_of(kind: str) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of an answer that is a file. kind: such as image/png."""
    return {200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}}}}}


def quizzing_of(request: Request) -> Quizzing:
    """One for a server: it knows who changes which round."""
    state = request.app.state
    if not hasattr(state, "quizzing"):
        state.quizzing = Quizzing(state.api.app, "web")
    found: Quizzing = state.quizzing
    return found


QuizNeeded = Annotated[Quizzing, Depends(quizzing_of)]


def _player(quizzing: QuizNeeded, visitor: VisitorNeeded, t: WordsNeeded) -> Player:
    return Player(quizzing, visitor, t)


PlayerNeeded = Annotated[Player, Depends(_player)]
