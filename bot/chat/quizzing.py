"""Quizzing: rounds of the quiz kept in the records, from /quiz to the summary, alike on every platform."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

from bot.chat.app import App
from bot.chat.quiz_deck import Decks
from bot.chat.quiz_moves import Moved, moved_within, take_over
from bot.chat.quiz_refusals import NotNow
from bot.chat.quiz_showing import Outcome, Played, shown_now
from bot.chat.quiz_state import OpenRound, answers_of, own_part
from bot.chat.quiz_views import Press, Shown, ended
from bot.quiz.choice import daily
from bot.quiz.deck import Deck
from bot.quiz.game import Refused, Round, UnreadableRound
from bot.quiz.scoring import STEPS
from bot.quiz.summary import summarise
from bot.quiz.texts import answer_label, refusal, rules
from bot.quiz.turns import Mode
from bot.records import Account, Answer, Platform, SavedRound
from bot.words import Words, words
from infra.errors import UserError

_log = logging.getLogger("bot.quiz")

_HISTORY = 300  # of a player's answers, by which faces are chosen
_OF_DAY = 200  # newest answers among which those of today's set are looked for; a set has 50 at most


class Quizzing:
    """The quiz on one platform. Everything about a round is read from the records and written back at each step, so
    nothing is lost in a restart and whoever is forgotten is forgotten here too.

    Whoever calls `press` or `time_up` holds `turn(round_id)` until the message shows the outcome. Of two processes that
    change a round at the same moment the last one's state stays; a face still counts once (`Records.add_answers`).
    rng, clock (seconds since 1970): for tests.
    """

    def __init__(
        self, app: App, platform: Platform, rng: random.Random | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._app = app
        self._platform: Platform = platform
        self._params = app.params.quiz
        self._rng = rng or random.SystemRandom()
        self._clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.decks = Decks(self._params.deck)

    def turn(self, round_id: str) -> asyncio.Lock:
        """Held by one at a time: who changes this round."""
        return self._turns.setdefault(round_id, asyncio.Lock())

    @property
    def daily_faces(self) -> int:
        """How many faces a daily set has."""
        deck, most = self.decks.at_hand, self._params.daily
        return most if deck is None else len(daily(deck, datetime.fromtimestamp(self._clock(), UTC).date(), most))

    async def open_deck(self) -> None:
        """At the start; without a deck everything but the quiz works."""
        try:
            deck = await self.decks.current()
        except UserError as error:
            _log.warning("no quiz for now: %s", error)
        else:
            _log.info("quiz deck %s with %d faces", deck.id, len(deck.faces))

    # Rounds

    async def start(self, account: Account, place: str | None, mode: Mode, length: int | None, t: Words) -> Shown:
        """Begin a round, or go on with today's set, wherever the person began it. place: the server or group, None in
        direct messages, where there is nobody else to play with.

        Raises NotNow, DeckErrors, OneSidedDeck, StorageError, DatabaseError.
        """
        deck = await self.decks.current()
        round_id = secrets.token_urlsafe(6)
        if mode == "daily":
            return await self._start_daily(account, place, deck, round_id, t)
        if mode == "channel" and place is not None:
            round = Round.channel(account.key, deck, length, self._params.answer_s)
        else:
            round = Round.solo(account.key, deck, length)
        return await self._begin(account, place, deck, round_id, round, t)

    async def stands(self, round_id: str, where: dict[str, str]) -> None:
        """Keep where the message of a round stands."""
        async with self.turn(round_id):
            try:
                open_ = await self._load(round_id)
            except Refused:
                return
            open_.where = where
            await self._save(open_)

    async def press(self, account: Account, press: Press, t: Words, is_moderator: bool = False) -> Outcome:
        """Do what a button says. is_moderator: may stop and reveal what others began. Raises UserErrors, for `said`."""
        if press.deed == "rules":
            return Outcome(note=rules(t).text)
        try:
            open_ = await self._load(press.round_id)
        except Moved as moved:
            raise NotNow(moved.said(t)) from None
        if await self._went_on(open_, account):
            raise NotNow(moved_within(t))
        if open_.round.mode != "channel" and account.key == open_.round.owner:
            open_.language = t.language
        try:
            if press.deed == "answer":
                return await self._answer(open_, account, press, t)
            is_owner = account.key == open_.round.owner
            if press.deed == "stop":
                open_.round.stop(None if is_moderator else account.key)
                return Outcome(await self._end(open_))
            if not is_owner and open_.round.mode != "channel":
                raise Refused("not_yours")
            if open_.round.turns and press.number != open_.round.question.number:
                raise Refused("other_face")
            if press.deed == "next":
                return Outcome(await self._next(open_))
            if not (is_owner or is_moderator):
                raise Refused("not_yours")
            return Outcome(await self._reveal(open_, early=open_.round.mode == "channel"))
        except Refused as refused:
            # A message may show less than happened: the program may have ended before it was changed.
            is_behind = refused.reason in ("already_answered", "too_late", "other_face", "not_revealed")
            is_players = open_.round.mode == "channel" or account.key == open_.round.owner
            shown = await self._shown(open_) if is_behind and is_players else None
            return Outcome(shown, refusal(t, refused))

    async def time_up(self, round_id: str) -> Shown | None:
        """Do what is due in a round; what its message shows from now on, None when nothing was due."""
        try:
            open_ = await self._load(round_id)
        except Refused:
            return None
        now = self._clock()
        if open_.round.phase == "asking" and open_.round.mode == "channel" and open_.round.can_reveal(now):
            return await self._reveal(open_)
        if now >= open_.idle_at:
            open_.round.stop(None)
            return await self._end(open_)
        return None

    async def now(self, round_id: str) -> Shown | None:
        """What the message of a round is to show; None when the round is over."""
        try:
            return await self._shown(await self._load(round_id))
        except Refused:
            return None

    async def played(self, account: Account, round_id: str, t: Words) -> Played:
        """How a round that `account` plays alone stands, in the language of `t`.

        Raises Refused (over, not_yours), NotNow where it goes on elsewhere, and UnreadableRound.
        """
        try:
            open_ = await self._load(round_id)
        except Moved as moved:
            raise NotNow(moved.said(t)) from None
        if await self._went_on(open_, account):
            raise NotNow(moved_within(t))
        if open_.round.mode == "channel" or open_.round.owner != account.key:
            raise Refused("not_yours")
        open_.language = t.language
        told = None if open_.round.phase == "asking" else open_.round.reveal(self._clock())
        return Played(await self._shown(open_), open_.round.question, told, summarise(open_.round))

    async def due(self) -> list[tuple[str, float]]:
        """The open rounds in which something happens without a click, and when: to be asked for after a start."""
        found = []
        for saved in await asyncio.to_thread(self._app.records.rounds, self._platform):
            try:
                due_at = _opened(saved).due_at
            except UnreadableRound as error:
                _log.warning("round %s: %s", saved.id, error)
                continue
            if due_at is not None:
                found.append((saved.id, due_at))
        return found

    async def abandon(self, round_id: str) -> None:
        """The message of a round has been deleted; what was answered stays."""
        await asyncio.to_thread(self._app.records.drop_round, round_id)

    async def own_data(self, account: Account) -> dict[str, Any]:
        """`Records.my_data`, less the truth about a face that somebody is just looking at, and less other players."""
        data = await asyncio.to_thread(self._app.records.my_data, account)
        keys = {f"{row['platform']}:{row['id']}" for row in data["accounts"]}
        for row in data["open_rounds"]:
            row["state"] = own_part(row["state"], keys)
        return data

    async def rename(self, account: Account) -> str | None:
        """Have leaderboards call the account by its name from now on, or by none; the name as it is kept."""
        kept = await asyncio.to_thread(self._app.records.rename, account, account.name)
        data = await asyncio.to_thread(self._app.records.my_data, account)
        for row in data["open_rounds"]:  # they know the name too, and write it down with the next answer
            async with self.turn(row["id"]):
                with suppress(Refused, UnreadableRound):
                    open_ = await self._load(row["id"])
                    if account.key in (open_.round.owner, *open_.names):
                        open_.names.pop(account.key, None)
                        open_.names |= {account.key: kept} if kept else {}
                        await self._save(open_)
        return kept

    # Steps of a round

    async def _start_daily(self, account: Account, place: str | None, deck: Deck, round_id: str, t: Words) -> Shown:
        records, today = self._app.records, datetime.fromtimestamp(self._clock(), UTC).date()
        begun = await asyncio.to_thread(records.begin_daily, account, today, round_id)
        async with self.turn(begun):
            saved = await asyncio.to_thread(records.load_round, begun)
            if saved is not None:
                open_ = _opened(saved)
                is_new = open_.round.owner != account.key
                if is_new:
                    take_over(open_, account, self._server(place), t.language)
                if is_new or account.name not in (None, open_.names.get(account.key)):
                    open_.names |= {account.key: account.name} if account.name else {}
                    self._touch(open_)
                    await self._save(open_)
                return await self._shown(open_)
            answers = await asyncio.to_thread(records.answers, account, _OF_DAY)
            done = {answer.face_id: answer.deck_id for answer in answers if answer.day == today}
            round = Round.daily(account.key, deck, today, self._params.daily, done)
            if not round.queue or any(deck_id != deck.id for deck_id in done.values()):
                raise NotNow(t("You have played today's set. The next one begins at midnight (UTC)."))
            return await self._begin(account, place, deck, begun, round, t)

    async def _begin(
        self, account: Account, place: str | None, deck: Deck, round_id: str, round: Round, t: Words
    ) -> Shown:
        names = {account.key: account.name} if account.name else {}
        open_ = OpenRound(round_id, round, self._server(place), t.language, self._clock(), names=names)
        history = await self._history(open_)
        round.next(deck, history, self._rng, self._clock(), self._params.stumbles)
        shown = await self._shown(open_)  # before it is saved: a face that cannot be shown is not asked
        await self._save(open_)
        return shown

    async def _answer(self, open_: OpenRound, account: Account, press: Press, t: Words) -> Outcome:
        confidence = STEPS[press.step].confidence
        open_.round.answer(account.key, press.said, confidence, self._clock(), press.number)
        if account.name:
            open_.names[account.key] = account.name
        if open_.round.mode != "channel":
            return Outcome(await self._reveal(open_))
        self._touch(open_)
        await self._save(open_)
        label = answer_label(t, press.said, confidence)
        return Outcome(note=t("Noted: {answer}. The truth comes when the time is up.", answer=label), counted=True)

    async def _next(self, open_: OpenRound) -> Shown:
        deck = await self.decks.current()
        history = await self._history(open_)
        try:
            question = open_.round.next(deck, history, self._rng, self._clock(), self._params.stumbles)
        except Refused as refused:
            if refused.reason != "deck_changed":
                raise
            open_.round.stop(None)
            question = None
        if question is None:
            return await self._end(open_)
        self._touch(open_)
        shown = await self._shown(open_)
        await self._save(open_)
        return shown

    async def _reveal(self, open_: OpenRound, early: bool = False) -> Shown:
        """Reveal, and keep the answers. early: whoever began a round for a channel need not wait for its timer."""
        at = self._clock()
        told = open_.round.reveal(at, early=early)
        self._touch(open_)
        added = await asyncio.to_thread(self._app.records.add_answers, answers_of(open_, told, at))
        self._app.metrics.quiz_answers.labels(self._platform).inc(added)
        await self._save(open_)
        return await self._shown(open_)

    async def _end(self, open_: OpenRound) -> Shown:
        await asyncio.to_thread(self._app.records.drop_round, open_.id)
        return ended(words(open_.language), open_)

    async def _shown(self, open_: OpenRound) -> Shown:
        return await shown_now(open_, self.decks, self._clock())

    async def _history(self, open_: OpenRound) -> list[Answer]:
        if open_.round.mode != "solo":
            return []
        return await asyncio.to_thread(self._app.records.answers, Account.of(open_.round.owner), _HISTORY)

    def _server(self, place: str | None) -> str | None:
        return f"{self._platform}:{place}" if place else None

    def _touch(self, open_: OpenRound) -> None:
        open_.touched_at = self._clock()

    async def _load(self, round_id: str) -> OpenRound:
        """Raises Refused (over) for a round that is there no more, Moved for one that goes on elsewhere, and
        UnreadableRound.
        """
        saved = await asyncio.to_thread(self._app.records.load_round, round_id)
        if saved is None:
            raise Refused("over")
        if saved.platform != self._platform:
            raise Moved(saved.platform)
        return _opened(saved)

    async def _went_on(self, open_: OpenRound, account: Account) -> bool:
        """Whether this person plays the set, but from another account in this app."""
        owner = open_.round.owner
        if open_.round.mode != "daily" or owner in ("", account.key):
            return False
        find = self._app.records.person
        mine, owners = [await asyncio.to_thread(find, each) for each in (account, Account.of(owner))]
        return mine is not None and mine == owners

    async def _save(self, open_: OpenRound) -> None:
        owner = [open_.round.owner] if open_.round.owner else []
        players = [Account.of(key) for key in dict.fromkeys([*owner, *open_.names])]
        await asyncio.to_thread(
            self._app.records.save_round, open_.id, platform=self._platform, kind=open_.round.mode,
            state=open_.to_json(), expires=datetime.fromtimestamp(open_.expires_at, UTC), players=players,
            server=open_.server,
        )  # fmt: skip


def _opened(saved: SavedRound) -> OpenRound:
    return OpenRound.from_json(saved.id, saved.server, saved.state)
