"""Records: the one door to everything the bot keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bot.records import people, pictures, places, privacy, quiz, schema
from bot.records.database import Database
from bot.records.rows import Account, Answer, ClaimedPicture, Platform, Result, SavedRound, Standing, Totals
from bot.records.settings import PlaceSettings

if TYPE_CHECKING:
    from bot.verdict import Label, Side

_DAY_S = 86_400.0


class Records:
    """People and their accounts, settings, results, claims, and the quiz, in SQLite or PostgreSQL.

    url: as `infra.database.open_engine` takes it. keep_days: how long results are kept. now: the time, aware.
    Calls may come from any thread and wait for the database. A person is made when there is something to keep of one;
    to write again what is there changes nothing. Raises DatabaseError, here and in every method.
    """

    def __init__(self, url: str, *, keep_days: float, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._keep_s = keep_days * _DAY_S
        self._now = now
        self._database = Database(url)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    @property
    def is_well(self) -> bool:
        """Whether the database could be read from when last tried, and written to; `try_out` tries."""
        return self._database.is_well

    def try_out(self) -> None:
        """Ask the database for next to nothing."""
        with self._database.reading() as connection:
            connection.execute(sa.select(schema.people.c.id).limit(1))

    def __enter__(self) -> Records:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    # People

    def person(self, account: Account) -> int | None:
        """Who has this account; None for somebody of whom nothing is kept."""
        with self._database.reading() as connection:
            return people.find_person(connection, account)

    def person_language(self, account: Account) -> str | None:
        """The language that the person has chosen, None when none was."""
        with self._database.reading() as connection:
            return people.language_of(connection, account)

    def set_person_language(self, account: Account, language: str | None) -> None:
        """Keep the person's choice; None takes it back. Raises UserError for a language that is not spoken here."""
        with self._database.writing() as connection:
            people.set_language(connection, account, language, self._at())

    def rename(self, account: Account, name: str | None) -> str | None:
        """What leaderboards call the account from now on, None for nothing; the name as it is kept. Nothing happens to
        an account of which nothing is kept.
        """
        with self._database.writing() as connection:
            return people.rename(connection, account, name, self._at())

    def link_code(self, account: Account) -> str:
        """A code of 8 letters and digits with which another account becomes this person's; once, within 10 minutes."""
        with self._database.writing() as connection:
            return people.make_code(connection, account, self._at())

    def link(self, account: Account, code: str) -> None:
        """Make the account's person and the one who has the code one person: answers, claims, results, language.

        Of two daily sets of one day the first stays. Raises LinkRefused: WrongCode, TooManyWrongCodes, AlreadyLinked.
        """
        with self._database.writing() as connection:
            refused = people.use_code(connection, account, code, self._at())
        if refused is not None:
            raise refused

    # Settings

    def settings(self, platform: Platform, place: str) -> PlaceSettings:
        """Of a server, a group or a chat; the defaults where nothing was changed."""
        with self._database.reading() as connection:
            return places.read_settings(connection, platform, place)

    def change_settings(self, platform: Platform, place: str, **changes: Any) -> PlaceSettings:
        """Change some, all or none of them. Raises ParamsError (a UserError) for what cannot be."""
        with self._database.writing() as connection:
            return places.change_settings(connection, platform, place, changes, self._at())

    def open_channel(self, platform: Platform, place: str, channel: str, is_open: bool) -> PlaceSettings:
        """Open one channel or close it, whatever others are. Raises ParamsError where too many are open."""
        with self._database.writing() as connection:
            return places.open_channel(connection, platform, place, channel, is_open, self._at())

    def forget_place(self, platform: Platform, place: str) -> None:
        """The bot has left: settings and open rounds go; answers and claims stay their people's, without the server."""
        with self._database.writing() as connection:
            places.forget_place(connection, platform, place)

    # Pictures: never the picture, its name or where it came from

    def add_result(
        self, sha256: str, *, verdict: Label, p_fake: float, model: str, asker: Account | None = None
    ) -> None:
        """Keep what a model said about a picture for `keep_days`, from now on."""
        with self._database.writing() as connection:
            result = Result(sha256, verdict, p_fake, model, self._now())
            pictures.add_result(connection, result, asker, self._keep_s)

    def result(self, sha256: str) -> Result | None:
        """The newest result for a picture that has not expired."""
        with self._database.reading() as connection:
            return pictures.newest_result(connection, sha256, self._at())

    def add_claim(
        self, account: Account, sha256: str, *, claimed: Side, verdict: Label, p_fake: float, model: str,
        server: str | None = None,
    ) -> None:  # fmt: skip
        """Keep that somebody said "that's wrong", in the place of what they said before about the same picture.

        claimed: what it is instead. verdict, p_fake, model: what was contradicted.
        """
        with self._database.writing() as connection:
            pictures.add_claim(
                connection, account, self._at(),
                sha256=sha256, claimed=claimed, verdict=verdict, p_fake=p_fake, model=model, server=server,
            )  # fmt: skip

    def claims(self, limit: int = 50) -> list[ClaimedPicture]:
        """Pictures for review, those with the newest claims first."""
        with self._database.reading() as connection:
            return pictures.claimed_pictures(connection, limit)

    # The quiz

    def add_answers(self, answers: Iterable[tuple[Account, Answer]]) -> int:
        """Keep answers, and the accounts' names for the leaderboard; how many are new.

        Left out: one that is there (round, face and person), and one of a daily set that the person plays or has played
        in another round.
        """
        with self._database.writing() as connection:
            return quiz.add_answers(connection, answers, self._at())

    def answers(self, account: Account, limit: int | None = None) -> list[Answer]:
        """The person's newest `limit` answers, all by default, the newest last."""
        with self._database.reading() as connection:
            person = people.find_person(connection, account)
            return [] if person is None else quiz.answers_of(connection, person, limit)

    def begin_daily(self, account: Account, day: date, round_id: str) -> str:
        """The round in which this person plays the set of `day`, on whatever platform: `round_id` unless one began."""
        with self._database.writing() as connection:
            person = people.need_person(connection, account, self._at())
            return quiz.begin_daily(connection, person, day, round_id, self._at())

    def leaderboard(
        self, server: str | None, *, min_answers: int, since: datetime | None = None, limit: int = 10,
        you: Account | None = None,
    ) -> list[Standing]:  # fmt: skip
        """The best `limit` by mean points, of those with at least `min_answers`; `you` follow when not among them.

        server: only answers given there count; None: all answers. since: only answers from then on (aware).
        """
        with self._database.reading() as connection:
            person = None if you is None else people.find_person(connection, you)
            return quiz.leaderboard(connection, server, min_answers, since, limit, person)

    def daily_standings(
        self, day: date, server: str | None, *, min_answers: int = 1, limit: int = 10, you: Account | None = None
    ) -> list[Standing]:
        """The best `limit` by total points in the set of `day`, wherever they played it; `you` follow as above.

        server: only people who have ever answered there. min_answers: the size of the set, for those who finished it.
        """
        with self._database.reading() as connection:
            person = None if you is None else people.find_person(connection, you)
            return quiz.daily_standings(connection, day, server, min_answers, limit, person)

    def save_round(
        self, round_id: str, *, platform: Platform, kind: str, state: str, expires: datetime,
        players: Sequence[Account] = (), server: str | None = None,
    ) -> None:  # fmt: skip
        """Write a round as it stands now, to be taken up after a restart; gone once it `expires` (aware).

        state: JSON in which players appear only as `Account.key`, all that is about one of them (a name too) standing
        under that key: so one who wants to be forgotten can be taken out of a round that others play.
        """
        with self._database.writing() as connection:
            quiz.save_round(
                connection, round_id, self._at(),
                platform=platform, kind=kind, state=state, expires=expires, players=players, server=server,
            )  # fmt: skip

    def load_round(self, round_id: str) -> SavedRound | None:
        """A round that is still open."""
        with self._database.reading() as connection:
            found = quiz.open_rounds(connection, schema.rounds.c.id == round_id, at=self._at())
        return found[0] if found else None

    def rounds(self, platform: Platform) -> list[SavedRound]:
        """All rounds of a platform that are still open."""
        with self._database.reading() as connection:
            return quiz.open_rounds(connection, schema.rounds.c.platform == platform, at=self._at())

    def drop_round(self, round_id: str) -> None:
        """The round is over; its answers stay."""
        with self._database.writing() as connection:
            quiz.drop_round(connection, round_id)

    def totals(self) -> Totals:
        """How much there is of everything."""
        with self._database.reading() as connection:
            return quiz.totals(connection)

    # Privacy

    def my_data(self, account: Account) -> dict[str, Any]:
        """Everything that is kept about the account's person, on all accounts, as JSON can hold it."""
        with self._database.reading() as connection:
            return privacy.my_data(connection, account)

    def forget(self, account: Account) -> dict[str, int]:
        """Delete everything of the account's person, with all accounts; how many rows of each kind there were.

        In SQLite nothing of it is left in the files either. Rounds that others play too go on without the person.
        """
        with self._database.writing() as connection:
            gone = privacy.forget(connection, account)
        if any(gone.values()):
            self._database.erase()
        return gone

    def purge(self) -> dict[str, int]:
        """Delete what has expired, and people of whom nothing is left; how many rows of each kind there were."""
        with self._database.writing() as connection:
            return privacy.purge(connection, self._at())

    def _at(self) -> float:
        return self._now().timestamp()
