"""The bot's records on SQLite and PostgreSQL: what is kept can be read back, adds up, is linked, can be forgotten."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import sleep
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from bot.records import (
    Account,
    AlreadyLinked,
    Answer,
    PlaceSettings,
    Records,
    Result,
    SavedRound,
    Standing,
    TooManyWrongCodes,
    Totals,
    WrongCode,
)
from infra.database import DatabaseError, open_engine
from infra.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY = date(2026, 3, 1)
ANN = Account("discord", "700000000000000001", "Ann")
ANN_ON_TELEGRAM = Account("telegram", "8000002", "Annie T.")
BEN = Account("discord", "700000000000000003", "Ben")
HASH = "ab" * 32


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def wait(self, **delta: float) -> None:
        self.at += timedelta(**delta)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bot.db"


@pytest.fixture
def records(file: Path, clock: Clock) -> Iterator[Records]:
    """On SQLite, for what is decided in Python."""
    with Records(f"sqlite:///{file}", keep_days=30, now=clock) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgres"])
def both(request: pytest.FixtureRequest, file: Path, clock: Clock) -> Iterator[Records]:
    """On both databases, for what is decided in SQL."""
    url = f"sqlite:///{file}" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    with Records(url, keep_days=30, now=clock) as opened:
        yield opened


def answer(face: int = 0, *, right: bool = True, points: float = 10, minute: float = 0, **changes: object) -> Answer:
    plain = Answer(
        round_id="r1", face_id=f"face-{face}", deck_id="deck", kind="stylegan2", truth="fake",
        said="fake" if right else "real", confidence=0.75, points=points, mode="solo",
        at=START + timedelta(minutes=minute), machine_p_fake=0.9, machine_label="fake", server="discord:2000",
        day=None, seconds=4.5,
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def play(records: Records, account: Account, *answers: Answer) -> int:
    return records.add_answers([(account, each) for each in answers])


def daily(face: int, round_id: str, **changes: object) -> Answer:
    return answer(face, mode="daily", day=TODAY, round_id=round_id, **changes)  # type: ignore[arg-type]


def link(records: Records, to: Account, account: Account) -> None:
    records.link(account, records.link_code(to))


def fill(records: Records) -> None:
    """Something of Ann in every table, and something of Ben beside it."""
    for account in (ANN, BEN):
        play(records, account, answer(1), answer(2, right=False, points=-5))
        records.add_claim(account, HASH, claimed="real", verdict="fake", p_fake=0.9, model="m1", server="discord:2000")
        records.add_result(f"{account.id:0>64}", verdict="fake", p_fake=0.9, model="m1", asker=account)
    link(records, ANN, ANN_ON_TELEGRAM)
    play(records, ANN_ON_TELEGRAM, daily(1, "d1"))
    records.set_person_language(ANN, "de")
    records.link_code(ANN)
    with pytest.raises(WrongCode):
        records.link(ANN_ON_TELEGRAM, "WRONG234")
    records.change_settings("telegram", ANN_ON_TELEGRAM.id, ephemeral=True)
    expires = START + timedelta(hours=1)
    alone = json.dumps({"players": {ANN.key: {"name": "Ann", "points": 3}}})
    records.save_round("alone", platform="discord", kind="solo", state=alone, expires=expires, players=[ANN])
    shared = json.dumps(
        {"players": {ANN.key: {"name": "Ann", "points": 3}, BEN.key: {"name": "Ben"}}, "order": [ANN.key, BEN.key],
         "leader": ANN.key}
    )  # fmt: skip
    records.save_round("shared", platform="discord", kind="channel", state=shared, expires=expires, players=[ANN, BEN])


# What is kept can be read back


def test_answers_come_back_as_they_were_the_newest_last(both: Records) -> None:
    given_answers = [answer(n, minute=n) for n in range(4)]
    given_answers[1] = answer(
        1, minute=1, machine_p_fake=None, machine_label=None, server=None, seconds=None, day=TODAY, mode="daily"
    )
    assert play(both, ANN, *given_answers[::-1]) == 4
    assert both.answers(ANN) == given_answers
    assert both.answers(ANN, limit=2) == given_answers[2:]
    assert both.answers(BEN) == []


def test_an_answer_written_twice_is_kept_once_as_it_was_first(both: Records) -> None:
    assert play(both, ANN, answer(1)) == 1
    assert play(both, ANN, answer(1, right=False), answer(2)) == 1
    assert play(both, BEN, answer(1)) == 1, "the same face, another person"
    assert [each.is_right for each in both.answers(ANN)] == [True, True]


def test_results_last_for_their_days_and_the_newest_stands(both: Records, clock: Clock) -> None:
    assert both.result(HASH) is None
    both.add_result(HASH, verdict="fake", p_fake=0.9, model="m1", asker=ANN)
    clock.wait(days=1)
    both.add_result(HASH, verdict="real", p_fake=0.2, model="m2")
    both.add_result(HASH, verdict="real", p_fake=0.2, model="m2")
    assert both.result(HASH) == Result(HASH, "real", 0.2, "m2", clock.at)
    assert both.totals().results == 2, "written again, it is one"
    clock.wait(days=29.5)
    assert both.purge()["results"] == 1
    assert both.result(HASH) is not None
    clock.wait(days=1)
    assert both.result(HASH) is None


def test_claims_are_one_a_person_and_picture_and_the_newest_picture_is_first(both: Records, clock: Clock) -> None:
    both.add_claim(ANN, HASH, claimed="real", verdict="fake", p_fake=0.9, model="m1", server="discord:2000")
    clock.wait(minutes=1)
    both.add_claim(BEN, HASH, claimed="real", verdict="fake", p_fake=0.9, model="m1")
    both.add_claim(BEN, "cd" * 32, claimed="fake", verdict="unsure", p_fake=0.5, model="m1")
    clock.wait(minutes=1)
    both.add_claim(ANN, HASH, claimed="fake", verdict="real", p_fake=0.1, model="m2", server="discord:2000")
    first, second = both.claims()
    assert (first.sha256, first.said_real, first.said_fake) == (HASH, 1, 1)
    assert (first.verdict, first.model, first.server, first.at) == ("real", "m2", "discord:2000", clock.at)
    assert (second.sha256, second.said_real, second.said_fake) == ("cd" * 32, 0, 1)
    assert both.claims(limit=1) == [first]


def test_rounds_outlive_a_restart_until_they_expire(both: Records, clock: Clock) -> None:
    soon, later = START + timedelta(minutes=5), START + timedelta(hours=1)
    both.save_round("a", platform="discord", kind="solo", state='{"n": 1}', expires=soon, players=[ANN])
    both.save_round("a", platform="discord", kind="solo", state='{"n": 2}', expires=later, players=[ANN, BEN])
    both.save_round("b", platform="discord", kind="channel", state="{}", expires=soon, server="discord:2000")
    both.save_round("c", platform="telegram", kind="solo", state="{}", expires=later)
    assert both.load_round("a") == SavedRound("a", "discord", None, "solo", '{"n": 2}', later)
    assert [r.id for r in both.rounds("discord")] == ["a", "b"]
    clock.wait(minutes=6)
    assert both.load_round("b") is None
    assert [r.id for r in both.rounds("discord")] == ["a"]
    assert both.purge()["rounds"] == 1
    both.drop_round("a")
    assert both.load_round("a") is None


def test_a_person_plays_a_daily_set_once_on_whatever_platform(both: Records) -> None:
    link(both, ANN, ANN_ON_TELEGRAM)
    assert both.begin_daily(ANN, TODAY, "d1") == "d1"
    assert both.begin_daily(ANN, TODAY, "d1") == "d1", "asked again after a restart"
    assert both.begin_daily(ANN_ON_TELEGRAM, TODAY, "t1") == "d1"
    assert both.begin_daily(BEN, TODAY, "d2") == "d2"
    assert both.begin_daily(ANN_ON_TELEGRAM, TODAY + timedelta(days=1), "t2") == "t2"
    assert play(both, ANN_ON_TELEGRAM, daily(1, "t1")) == 0, "in a round that is not the day's"
    assert play(both, ANN, daily(1, "d1")) == 1


def test_languages_are_a_persons_own(both: Records) -> None:
    assert both.person_language(ANN) is None
    both.set_person_language(ANN, "de")
    assert (both.person_language(ANN), both.person_language(BEN)) == ("de", None)
    both.set_person_language(ANN, None)
    assert both.person_language(ANN) is None
    with pytest.raises(UserError, match="'tlh' is not spoken here; use en or de"):
        both.set_person_language(ANN, "tlh")


def test_settings_are_a_places_own_until_the_bot_leaves(both: Records) -> None:
    assert both.settings("discord", "2000") == PlaceSettings()
    changed = both.change_settings("discord", "2000", channels=("1", "2"), language="de")
    assert changed == PlaceSettings(channels=("1", "2"), language="de")
    both.change_settings("discord", "2000", quiet_from="22:00", quiet_to="06:30", timezone="Europe/Berlin")
    kept = both.settings("discord", "2000")
    assert (kept.channels, kept.quiet_from, kept.timezone) == (("1", "2"), "22:00", "Europe/Berlin")
    assert both.settings("discord", "2001") == both.settings("telegram", "2000") == PlaceSettings()
    play(both, ANN, answer(1))
    both.save_round(
        "r", platform="discord", kind="solo", state="{}", expires=START + timedelta(1), server="discord:2000"
    )
    both.forget_place("discord", "2000")
    assert both.settings("discord", "2000") == PlaceSettings()
    assert both.load_round("r") is None
    assert both.leaderboard("discord:2000", min_answers=1) == []
    assert both.answers(ANN) == [answer(1, server=None)]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"quiet_from": "22:00"}, "settings: quiet hours need both a beginning and an end"),
        ({"quiet_from": "24:00", "quiet_to": "06:00"}, "quiet_from: '24:00' is not a time of day; write it as HH:MM"),
        ({"quiet_from": "7:00", "quiet_to": "٠٦:00"}, "quiet_from: '7:00' is not a time of day"),
        ({"timezone": "Mars/Olympus"}, "'Mars/Olympus' is not a timezone; use a name such as Europe/Berlin or UTC"),
        ({"timezone": "../../etc/passwd"}, "is not a timezone"),
        ({"language": "xx"}, "language: 'xx' is not spoken here; use auto or en or de"),
        ({"channels": (1,)}, "channels.0: should be text"),
        ({"loud": True}, "loud: unknown key"),
    ],
)
def test_settings_that_cannot_be_are_one_line_and_change_nothing(
    records: Records, changes: dict[str, object], line: str
) -> None:
    records.change_settings("discord", "2000", ephemeral=True)
    with pytest.raises(UserError) as refused:
        records.change_settings("discord", "2000", **changes)
    assert line in str(refused.value)
    assert records.settings("discord", "2000") == PlaceSettings(ephemeral=True)


def test_names_are_one_line_that_every_database_takes(both: Records) -> None:
    play(both, Account("discord", "1", "a\x00b\n\ud83dc"), answer(1))
    play(both, Account("discord", "2", "x" * 500), answer(1))
    play(both, Account("discord", "3", "\n"), answer(1))
    names = {each.name for each in both.leaderboard(None, min_answers=1)}
    assert names == {"a b c", "x" * 80, None}
    assert both.rename(Account("discord", "2"), "\n y\x00") == "y"
    assert both.rename(Account("discord", "1"), None) is None
    assert both.rename(Account("discord", "9"), "nobody") is None and both.person(Account("discord", "9")) is None
    assert {each.name for each in both.leaderboard(None, min_answers=1)} == {"y", None}


def test_the_key_of_an_account_is_read_back() -> None:
    assert Account.of(ANN.key, "Ann") == ANN
    for wrong in ("discord", "discord:", "irc:4", ""):
        with pytest.raises(ValueError, match="is not the key of an account"):
            Account.of(wrong)


# Quiet hours

CLOCKS = st.times().map(lambda t: t.replace(second=0, microsecond=0))


@given(start=CLOCKS, end=CLOCKS, now=CLOCKS)
def test_quiet_hours_are_those_a_walk_from_their_beginning_meets(start: time, end: time, now: time) -> None:
    minutes = [t.hour * 60 + t.minute for t in (start, end, now)]
    length, passed = ((at - minutes[0]) % 1440 for at in minutes[1:])
    place = PlaceSettings(quiet_from=f"{start:%H:%M}", quiet_to=f"{end:%H:%M}")
    assert place.is_quiet(datetime.combine(TODAY, now, UTC)) == (passed < length)


@given(now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))
def test_quiet_hours_follow_the_clock_of_their_timezone(now: datetime) -> None:
    place = PlaceSettings(quiet_from="22:00", quiet_to="06:00", timezone="Europe/Berlin")
    assert place.is_quiet(now) == (not 6 <= now.astimezone(ZoneInfo("Europe/Berlin")).hour < 22)
    assert not PlaceSettings().is_quiet(now)


# Leaderboards


def test_a_leaderboard_ranks_by_mean_points_with_ties_and_shows_you_below_it(both: Records) -> None:
    cat, dan = Account("discord", "7", "Cat"), Account("discord", "8", "Dan")
    play(both, ANN, answer(1, points=10), answer(2, points=4, right=False))
    play(both, BEN, answer(1, points=7), answer(2, points=7), answer(3, points=7))
    play(both, cat, answer(1, points=-2), answer(2, points=1))
    play(both, dan, answer(1, points=100))
    ann, ben, third = both.leaderboard(None, min_answers=2, limit=2, you=cat)
    assert [(s.rank, s.name, s.answers) for s in (ann, ben, third)] == [(1, "Ben", 3), (1, "Ann", 2), (3, "Cat", 2)]
    assert ben == Standing(1, both.person(ANN) or 0, "Ann", 2, 0.5, 7.0, 14.0, False)
    assert (third.is_you, third.mean_points, third.accuracy) == (True, -0.5, 1.0)
    assert [s.is_you for s in both.leaderboard(None, min_answers=2, you=ANN)] == [False, True, False]
    assert both.leaderboard(None, min_answers=2, limit=1, you=dan)[-1].name == "Ben", "too few answers to be ranked"
    assert both.totals() == Totals(people=4, answers=8, right=7, results=0, claims=0)


def test_a_servers_leaderboard_counts_what_was_answered_there_since_then(both: Records) -> None:
    play(both, ANN, answer(1, points=1), answer(2, server="discord:2001", points=9), answer(3, minute=60, points=3))
    play(both, BEN, answer(1, server=None))
    assert [(s.name, s.total_points) for s in both.leaderboard("discord:2000", min_answers=1)] == [("Ann", 4)]
    since = START + timedelta(minutes=60)
    assert [s.answers for s in both.leaderboard("discord:2000", min_answers=1, since=since)] == [1]


def test_a_daily_set_is_ranked_by_all_its_points_wherever_it_was_played(both: Records) -> None:
    play(both, ANN, answer(9))  # she is known in this server
    link(both, ANN, ANN_ON_TELEGRAM)
    play(both, ANN_ON_TELEGRAM, daily(1, "t1", server=None, points=3), daily(2, "t1", server=None, points=4))
    play(both, BEN, daily(1, "b1", server=None, points=6), daily(2, "b1", server=None, points=6))
    play(both, Account("web", "w", "Wes"), daily(1, "w1", server=None, points=50))
    everybody = both.daily_standings(TODAY, None, min_answers=2)
    assert [(s.rank, s.name, s.total_points) for s in everybody] == [(1, "Ben", 12), (2, "Annie T.", 7)]
    assert [s.name for s in both.daily_standings(TODAY, None)] == ["Wes", "Ben", "Annie T."]
    here = both.daily_standings(TODAY, "discord:2000")
    assert [(s.rank, s.name, s.total_points) for s in here] == [(1, "Ann", 7)], "under the name she has here"
    assert both.daily_standings(TODAY + timedelta(days=1), None) == []


# Linking


def test_linking_makes_one_person_of_two(both: Records, clock: Clock) -> None:
    play(both, ANN, answer(1), answer(2))
    play(both, ANN_ON_TELEGRAM, answer(3, minute=1, server=None))
    for account, claimed in ((ANN, "real"), (ANN_ON_TELEGRAM, "fake")):
        clock.wait(minutes=1)
        both.add_claim(account, HASH, claimed=claimed, verdict="unsure", p_fake=0.5, model="m")  # type: ignore[arg-type]
        both.add_result(HASH, verdict="fake", p_fake=0.9, model="m", asker=account)
    both.set_person_language(ANN_ON_TELEGRAM, "de")
    link(both, ANN, ANN_ON_TELEGRAM)
    assert (
        both.answers(ANN) == both.answers(ANN_ON_TELEGRAM) == [answer(1), answer(2), answer(3, minute=1, server=None)]
    )
    assert both.person_language(ANN) == "de"
    assert [(c.said_real, c.said_fake, c.at) for c in both.claims()] == [(0, 1, clock.at)], "the newest stands"
    assert both.totals() == Totals(people=1, answers=3, right=3, results=1, claims=1)


@pytest.mark.parametrize("first", ["code's", "other"])
def test_of_two_daily_sets_the_first_played_stays(both: Records, clock: Clock, first: str) -> None:
    order = [ANN, ANN_ON_TELEGRAM] if first == "code's" else [ANN_ON_TELEGRAM, ANN]
    for number, account in enumerate(order):
        assert both.begin_daily(account, TODAY, f"d{number}") == f"d{number}"
        clock.wait(minutes=1)
        play(both, account, *(daily(face, f"d{number}", points=number) for face in range(3)))
        state = {"platform": account.platform, "kind": "daily", "state": "{}", "expires": START + timedelta(1)}
        both.save_round(f"d{number}", players=[account], **state)  # type: ignore[arg-type]
    link(both, ANN, ANN_ON_TELEGRAM)
    assert [each.round_id for each in both.answers(ANN)] == ["d0"] * 3
    assert both.begin_daily(ANN_ON_TELEGRAM, TODAY, "new") == "d0"
    assert both.load_round("d0") is not None
    assert both.load_round("d1") is None
    assert play(both, order[1], daily(4, "d1")) == 0, "a set that is still on somebody's screen"


def test_a_code_works_once_for_ten_minutes_and_the_newest_only(records: Records, clock: Clock, file: Path) -> None:
    code = records.link_code(ANN)
    assert len(code) == 8
    assert not set(code) & set("0O1IL")
    assert code.encode() not in everything_in(file), "only its hash is kept"
    with pytest.raises(AlreadyLinked):
        records.link(ANN, code)
    newer = records.link_code(ANN)
    with pytest.raises(WrongCode):
        records.link(BEN, code)
    records.link(BEN, f" {newer[:4].lower()}-{newer[4:].lower()} ")
    assert records.person(BEN) == records.person(ANN)
    with pytest.raises(WrongCode):
        records.link(ANN_ON_TELEGRAM, newer)
    old = records.link_code(ANN)
    clock.wait(minutes=10)
    with pytest.raises(WrongCode, match=r"That code is wrong or too old\. Please get a new one"):
        records.link(ANN_ON_TELEGRAM, old)
    assert records.person(ANN_ON_TELEGRAM) is None, "who only guesses is nobody yet"


def test_guessing_ends_after_five_wrong_codes(both: Records, clock: Clock) -> None:
    for _ in range(5):
        with pytest.raises(WrongCode):
            both.link(BEN, "AAAAAAAA")
    code = both.link_code(ANN)
    with pytest.raises(TooManyWrongCodes, match="Please wait 10 minutes"):
        both.link(BEN, code)
    both.link(ANN_ON_TELEGRAM, code)
    clock.wait(minutes=10)
    both.link(BEN, both.link_code(ANN))
    assert both.person(BEN) == both.person(ANN)


# Privacy


def everything_in(file: Path) -> bytes:
    return b"".join(part.read_bytes() for part in sorted(file.parent.glob(file.name + "*")))


def every_row(records_url: str) -> str:
    """All rows of all tables that the database has, as text."""
    engine = open_engine(records_url)
    found = sa.MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        rows = [(table.name, row) for table in found.sorted_tables for row in connection.execute(sa.select(table))]
    engine.dispose()
    return "\n".join(f"{table}: {tuple(row)}" for table, row in rows)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_nothing_of_a_person_is_left(database: str, file: Path, request: pytest.FixtureRequest, clock: Clock) -> None:
    url = f"sqlite:///{file}" if database == "sqlite" else str(request.getfixturevalue("postgres_url"))
    with Records(url, keep_days=30, now=clock) as records:
        fill(records)
        person, ben = records.person(ANN), records.person(BEN)
        traces = [ANN.id, ANN_ON_TELEGRAM.id, "Ann", str(person)]
        before = every_row(url)
        for trace in traces:
            assert trace in before
        filled = {line.split(":")[0] for line in before.splitlines()}
        assert {"people", "accounts", "answers", "claims", "results", "rounds", "round_players"} <= filled
        assert {"daily_sets", "link_codes", "wrong_codes", "settings"} <= filled

        gone = records.forget(ANN_ON_TELEGRAM)

        after = every_row(url)
        for trace in traces:
            assert trace not in after
        assert gone == {
            "rounds": 1, "wrong_codes": 1, "settings": 1, "answers": 3, "daily_sets": 1, "claims": 1, "results": 1,
            "link_codes": 1, "accounts": 2,
        }  # fmt: skip
        assert not any(records.forget(ANN).values())
        shared = records.load_round("shared")
        assert shared is not None
        assert json.loads(shared.state) == {"players": {BEN.key: {"name": "Ben"}}, "order": [BEN.key], "leader": None}
        assert len(records.answers(BEN)) == 2
        assert records.person(BEN) == ben
        assert records.totals() == Totals(people=1, answers=2, right=1, results=1, claims=1)


def test_nothing_of_a_person_is_left_in_the_files(records: Records, file: Path) -> None:
    # Many rows in no order: pages split, and rows move within them and between them.
    order = random.Random(1)
    others = [Account("discord", f"71{n:07}", f"Other {n}") for n in range(40)]
    for n in range(30):
        batch = [(ANN, answer(n, round_id=f"round of Ann's {order.random()}")) for _ in range(20)]
        batch += [(order.choice(others), answer(n, round_id=f"{order.random()}")) for _ in range(20)]
        order.shuffle(batch)
        records.add_answers(batch)
        records.add_result(f"{n:02}" * 32, verdict="fake", p_fake=0.9, model="m1", asker=ANN)
        records.save_round(
            "open", platform="discord", kind="solo", state=json.dumps({ANN.key: n * 10_000 * "x"}), players=[ANN],
            expires=START + timedelta(hours=1),
        )  # fmt: skip
    play(records, replace(ANN, name="Ann the Second"), answer(100))
    fill(records)
    person = records.person(ANN) or 0
    traces = [trace.encode() for trace in (ANN.id, ANN_ON_TELEGRAM.id, "Ann")]
    traces.append(person.to_bytes(6 if person < 2**47 else 8, "big"))  # as SQLite's record format has it
    before = everything_in(file)
    for trace in traces:
        assert trace in before
    records.forget(ANN)
    left = everything_in(file)
    for trace in traces:
        assert trace not in left
    assert b"Other 17" in left
    # Whether a page that was split has kept something is a matter of luck; a file written anew has no free pages.
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_what_is_kept_is_shown_in_full_and_as_json(both: Records, clock: Clock) -> None:
    fill(both)
    shown = json.loads(json.dumps(both.my_data(ANN)))
    assert shown["language"] == "de"
    assert [(a["platform"], a["id"], a["name"]) for a in shown["accounts"]] == [
        ("discord", ANN.id, "Ann"), ("telegram", ANN_ON_TELEGRAM.id, "Annie T."),
    ]  # fmt: skip
    counts = {name: len(rows) for name, rows in shown.items() if isinstance(rows, list)}
    assert counts == {
        "accounts": 2, "answers": 3, "daily_sets": 1, "claims": 1, "results": 1, "link_codes": 1, "open_rounds": 2,
        "wrong_codes": 1, "settings": 1,
    }  # fmt: skip
    first = next(a for a in shown["answers"] if a["face_id"] == "face-1" and a["day"] is None)
    assert (first["said"], first["confidence"], first["at"]) == ("fake", 0.75, "2026-03-01T12:00:00+00:00")
    assert BEN.id not in json.dumps({**shown, "open_rounds": []})
    both.forget(ANN)
    assert not any(both.my_data(ANN).values())


def test_a_purge_forgets_who_has_nothing_but_an_account(both: Records, clock: Clock) -> None:
    both.add_result(HASH, verdict="fake", p_fake=0.9, model="m", asker=ANN)
    both.set_person_language(BEN, "de")
    both.link_code(Account("web", "coder"))
    link(both, Account("web", "linked"), Account("discord", "linked"))
    with pytest.raises(WrongCode):
        both.link(BEN, "AAAAAAAA")
    clock.wait(days=29)
    assert both.purge() == {"results": 0, "link_codes": 1, "rounds": 0, "wrong_codes": 1, "people": 1}
    assert both.person(ANN) is not None
    clock.wait(days=1)
    assert both.purge() == {"results": 1, "link_codes": 0, "rounds": 0, "wrong_codes": 0, "people": 1}
    assert both.person(ANN) is None
    assert both.person(BEN) is not None, "a chosen language is something"
    assert both.person(Account("web", "linked")) == both.person(Account("discord", "linked")) is not None


def test_what_a_purge_deletes_is_not_left_in_the_file(records: Records, file: Path, clock: Clock) -> None:
    records.add_result(HASH, verdict="fake", p_fake=0.9, model="m", asker=ANN)
    clock.wait(days=31)
    records.purge()
    records.close()
    left = everything_in(file)
    assert HASH.encode() not in left
    assert ANN.id.encode() not in left


# Against a model in plain Python


ACCOUNTS = [Account(p, str(n), f"{p} {n}") for p in ("discord", "telegram") for n in range(3)]
SERVERS = ["discord:1", "discord:2", None]


class Model(RuleBasedStateMachine):
    """Answers, links and deletions in any order, told to the records and to dicts."""

    people: Bundle[Account] = Bundle("people")

    @initialize()
    def open(self) -> None:
        self.clock = Clock()
        self.folder = TEMPORARY()
        self.records = Records(f"sqlite:///{self.folder}/bot.db", keep_days=1, now=self.clock)
        self.person = {account: number for number, account in enumerate(ACCOUNTS)}
        self.answers: dict[tuple[int, str, str], Answer] = {}
        self.sets: dict[tuple[int, date], tuple[datetime, str]] = {}

    @rule(account=st.sampled_from(ACCOUNTS), face=st.integers(0, 5), right=st.booleans(), points=st.integers(-9, 9),
          server=st.sampled_from(SERVERS), round_id=st.sampled_from("abc"))  # fmt: skip
    def answer(self, account: Account, face: int, right: bool, points: int, server: str | None, round_id: str) -> None:
        given_answer = answer(face, right=right, points=points, server=server, round_id=round_id)
        key = (self.person[account], round_id, given_answer.face_id)
        assert play(self.records, account, given_answer) == (key not in self.answers)
        self.answers.setdefault(key, given_answer)

    @rule(account=st.sampled_from(ACCOUNTS), face=st.integers(0, 3), points=st.integers(-9, 9))
    def answer_daily(self, account: Account, face: int, points: int) -> None:
        self.clock.wait(seconds=1)
        person, mine = self.person[account], f"daily of {account.key}"
        _, round_id = self.sets.setdefault((person, TODAY), (self.clock.at, mine))
        given_answer = daily(face, mine, points=points, server=None)
        key = (person, mine, given_answer.face_id)
        is_new = round_id == mine and key not in self.answers
        assert play(self.records, account, given_answer) == is_new
        if is_new:
            self.answers[key] = given_answer

    @rule(to=st.sampled_from(ACCOUNTS), account=st.sampled_from(ACCOUNTS))
    def link(self, to: Account, account: Account) -> None:
        kept, gone = self.person[to], self.person[account]
        if kept == gone:
            with pytest.raises(AlreadyLinked):
                link(self.records, to, account)
            return
        link(self.records, to, account)
        self.person = {each: kept if person == gone else person for each, person in self.person.items()}
        played = [(self.sets[person, TODAY], person) for person in (kept, gone) if (person, TODAY) in self.sets]
        for _, person in sorted(played)[1:]:
            self.answers = {k: a for k, a in self.answers.items() if not (k[0] == person and a.day == TODAY)}
        for key in [key for key in self.answers if key[0] == gone]:
            moved = self.answers.pop(key)
            self.answers.setdefault((kept, *key[1:]), moved)
        self.sets = {key: value for key, value in self.sets.items() if key[0] not in (kept, gone)}
        if played:
            self.sets[kept, TODAY] = min(played)[0]

    @rule(account=st.sampled_from(ACCOUNTS))
    def forget(self, account: Account) -> None:
        person = self.person[account]
        mine = [key for key in self.answers if key[0] == person]
        assert self.records.forget(account)["answers"] == len(mine)
        for key in mine:
            del self.answers[key]
        self.sets.pop((person, TODAY), None)
        for each in [each for each in ACCOUNTS if self.person[each] == person]:
            self.person[each] = max(self.person.values()) + 1  # strangers again, to each other too

    @invariant()
    def boards_are_the_same(self) -> None:
        for server in SERVERS:
            by_person: dict[int, list[Answer]] = {}
            for (person, *_), each in self.answers.items():
                if server is None or each.server == server:
                    by_person.setdefault(person, []).append(each)
            wanted = sorted(
                (-sum(a.points for a in mine) / len(mine), -len(mine), sum(a.is_right for a in mine) / len(mine))
                for mine in by_person.values()
                if len(mine) >= 2
            )
            board = self.records.leaderboard(server, min_answers=2, limit=100)
            shown = sorted((-s.mean_points, -s.answers, s.accuracy) for s in board)
            assert shown == wanted
            for s in board:
                assert s.rank == 1 + sum(mean < -s.mean_points for mean, *_ in wanted)
        for account in ACCOUNTS:
            mine = [each for (person, *_), each in self.answers.items() if person == self.person[account]]
            assert sorted(self.records.answers(account), key=repr) == sorted(mine, key=repr)

    def teardown(self) -> None:
        if hasattr(self, "records"):
            self.records.close()


TEMPORARY: Callable[[], Path]


def test_answers_links_and_deletions_in_any_order_leave_what_a_model_has(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    global TEMPORARY  # noqa: PLW0603 – a state machine takes no arguments
    TEMPORARY = lambda: tmp_path_factory.mktemp("model")  # noqa: E731
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Model, settings=settings(max_examples=8, stateful_step_count=20, deadline=None))


# Threads, restarts, trouble


def test_threads_that_write_at_once_lose_nothing_and_make_one_person(both: Records) -> None:
    begin, troubles = threading.Barrier(4), []
    changes: list[dict[str, object]] = [{"ephemeral": True}, {"timezone": "Asia/Tokyo"}]

    def write(thread: int) -> None:
        try:
            begin.wait(10)
            for n in range(15):
                play(both, ANN, answer(n, round_id=f"of {thread}"))
                both.change_settings("discord", "2000", **changes[thread % 2])
                both.open_channel("discord", "3000", f"{thread}{n}", True)
        except BaseException as error:
            troubles.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert troubles == []
    assert both.totals() == Totals(people=1, answers=60, right=60, results=0, claims=0)
    assert both.settings("discord", "2000") == PlaceSettings(ephemeral=True, timezone="Asia/Tokyo")
    assert len(both.settings("discord", "3000").channels) == 60
    assert "10" not in both.open_channel("discord", "3000", "10", False).channels


def test_deletions_at_once_are_erased_at_once(records: Records, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [Account("discord", f"90000000000000{n}", f"Somebody {n}") for n in range(10)]
    for person in people:
        play(records, person, answer(1))
    vacuums: list[str] = []

    @sa.event.listens_for(sa.engine.Engine, "before_cursor_execute")
    def _count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement == "VACUUM":
            vacuums.append(statement)
            sleep(0.3)

    threads = [threading.Thread(target=records.forget, args=(person,)) for person in people]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    sa.event.remove(sa.engine.Engine, "before_cursor_execute", _count)
    assert 1 <= len(vacuums) <= 3
    assert not any(b"Somebody" in part.read_bytes() for part in file.parent.iterdir())


def test_it_is_known_whether_the_database_is_there(records: Records, file: Path) -> None:
    records.try_out()
    seen = [records.is_well]
    records.close()
    kept = file.read_bytes()
    file.write_bytes(b"not a database " * 500)
    with pytest.raises(DatabaseError):
        records.try_out()
    seen.append(records.is_well)
    assert seen == [True, False]
    file.write_bytes(kept)


def test_no_answer_slips_in_while_a_person_is_forgotten(both: Records) -> None:
    begin, stop, troubles = threading.Barrier(2), threading.Event(), []

    def write() -> None:
        try:
            begin.wait(10)
            n = 0
            while not stop.is_set() or n == 0:
                n += 1
                play(both, ANN, answer(n))
        except BaseException as error:
            troubles.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    begin.wait(10)
    for _ in range(10):
        both.forget(ANN)
    stop.set()
    writer.join()
    both.forget(ANN)
    assert troubles == []
    assert both.totals() == Totals(people=0, answers=0, right=0, results=0, claims=0)


def test_what_was_kept_is_there_after_a_restart_and_for_another_process(file: Path, clock: Clock) -> None:
    url = f"sqlite:///{file}"
    with Records(url, keep_days=30, now=clock) as records:
        fill(records)
        answers = records.answers(ANN)
        program = f"from bot.records import *; print(Records({url!r}, keep_days=30).totals().answers)"
        other = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
        )
        assert other.stdout.split() == ["5"]
    with Records(url, keep_days=30, now=clock) as records:
        assert records.answers(ANN) == answers
        assert records.load_round("shared") is not None


def test_a_database_in_trouble_is_one_line(records: Records, file: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("PRAGMA user_version = 7")
    with pytest.raises(DatabaseError, match=r"other\.db belongs to another program"):
        Records(f"sqlite:///{tmp_path}/other.db", keep_days=30)
    play(records, ANN, answer(1))
    records.close()
    for part in file.parent.glob(file.name + "-*"):
        part.unlink()
    file.write_bytes(b"not a database " * 500)
    for use in (lambda: records.answers(ANN), lambda: play(records, ANN, answer(2)), lambda: records.forget(ANN)):
        with pytest.raises(DatabaseError, match=r"bot\.db: .*not a database.*name another"):
            use()
