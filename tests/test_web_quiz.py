"""The quiz over HTTP and in a real browser: rounds to their end, what they give away, whose they are, how they move."""

from __future__ import annotations

import asyncio
import html
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from bot.chat.app import App
from bot.chat.quiz_refusals import NotNow
from bot.chat.quiz_views import Press
from bot.chat.quizzing import Quizzing
from bot.monitor import Metrics
from bot.params import BotParams
from bot.records import Account, Records
from bot.web.problems import Problem
from bot.web.serve import listening, serving
from bot.web.visitors import COOKIE, MAX_NAME, tidy_name
from bot.words import ENGLISH
from bot.worker import DetectorDesk
from infra.http import HttpClient
from model_defs.checkpoint import read_card
from tests.bot_bundles import write_small_bundle
from tests.browser import Opened, browser_page, chromium
from tests.quiz_stage import write_deck

DAILY = 4
ROUND = {"mode": "solo", "length": 5}
TELLING = ("stylegan1", "sd3", "Author", "CC0", "example.org", '"real"', '"fake"', "upper left")
SCRIPTS = sorted((Path(__file__).parent.parent / "bot" / "web" / "static").glob("quiz*.js"))
AXE_SERIOUS = ("serious", "critical")


@dataclass
class Answered:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int, name: str) -> str:
        """Its detail."""
        assert self.status == status, self.body
        assert self.headers["Content-Type"] == "application/problem+json"
        found = Problem.model_validate_json(self.body)
        assert (found.type, found.status) == (f"/docs#{name}", status)
        return found.detail


class Player:
    """A program with a jar for cookies."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, f"{self.url}{path}", json=body, headers=sent) as response:
            return Answered(response.status, dict(response.headers), await response.read())

    async def get(self, path: str, **headers: str) -> Answered:
        return await self.ask("GET", f"api/v1/quiz/{path}", **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answered:
        return await self.ask("POST", f"api/v1/quiz/{path}", body, **headers)

    async def begin(self, **body: Any) -> Any:
        begun = await self.post("rounds", body)
        assert begun.status == 200, begun.body
        return begun.json

    async def answer(self, round: Any, said: str = "real", step: int = 2) -> Answered:
        sent = {"number": round["face"]["number"], "said": said, "step": step}
        return await self.post(f"rounds/{round['id']}/answers", sent)

    async def onward(self, round: Any) -> Answered:
        return await self.post(f"rounds/{round['id']}/next", {"number": round["face"]["number"]})

    @property
    def secret(self) -> str:
        """Of the cookie; empty without one."""
        found = self.session.cookie_jar.filter_cookies(URL(self.url)).get(COOKIE)
        return found.value if found else ""


@dataclass
class Table:
    """The server at `url`, with `app` behind it."""

    app: App
    url: str

    @asynccontextmanager
    async def player(self, **cookies: str) -> AsyncIterator[Player]:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), cookies=cookies) as session:
            yield Player(self.url, session)


@asynccontextmanager
async def serve(params: BotParams) -> AsyncIterator[Table]:
    """Without a detector's process, whose start takes seconds: the deck has its answers."""
    desk = DetectorDesk(params)
    desk.card = read_card(params.bundle)
    with Records(params.database, keep_days=1) as records, listening(params.web) as at:
        async with HttpClient(user_agent="test") as http:
            app = App(params, desk, records, http, Metrics())
            async with serving(app, at) as url:
                yield Table(app, url)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_small_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def params(tmp_path: Path, bundle: str) -> BotParams:
    write_deck(tmp_path / "deck")
    return BotParams.model_validate({
        "bundle": bundle, "database": f"sqlite:///{tmp_path}/bot.db", "monitor": {"port": None},
        "web": {"port": 0, "stop_s": 20},
        "quiz": {"deck": f"file://{tmp_path}/deck", "daily": DAILY, "min_answers": 3},
    })  # fmt: skip


def play(params: BotParams, scenario: Callable[[Table], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with serve(params) as table:
            await scenario(table)

    asyncio.run(run())


def truth_of(table: Table, round: Any) -> str:
    """What the server knows and must not tell."""
    saved = table.app.records.load_round(round["id"])
    assert saved is not None
    return str(json.loads(saved.state)["game"]["round"]["turns"][-1]["truth"])


# Rounds


def test_a_round_from_the_first_face_to_the_summary(params: BotParams) -> None:
    async def scenario(table: Table) -> None:
        async with table.player() as ann:
            round, points = await ann.begin(**ROUND, name="Ann"), 0
            assert round["words"]["title"] == "Face 1 of 5"
            for number in range(1, 6):
                assert (round["phase"], round["face"]["number"], round["outcome"]) == ("asking", number, None)
                truth = truth_of(table, round)
                revealed = (await ann.answer(round, "real")).json
                assert revealed == (await ann.get(f"rounds/{round['id']}")).json
                outcome = revealed["outcome"]
                assert (outcome["truth"], outcome["is_right"]) == (truth, truth == "real")
                assert outcome["points"] == (84 if truth == "real" else -156)
                assert outcome["is_last"] == (number == 5)
                points += outcome["points"]
                assert revealed["score"]["points"] == points
                assert revealed["words"]["note"].startswith("Picture: Author")
                heat = await ann.ask("GET", revealed["face"]["heatmap"][1:])
                assert (heat.status, heat.headers["Content-Type"]) == (200, "image/png")
                assert heat.headers["Cache-Control"] == "no-store"
                round = (await ann.onward(revealed)).json
            assert (round["phase"], round["face"]) == ("over", None)
            assert round["words"]["title"] == "The round is over"
            assert round["score"]["points"] == points
            (await ann.get(f"rounds/{round['id']}")).problem(404, "not-found")
            me = (await ann.get("me")).json
            assert (me["name"], me["points"], me["right"]["of"], me["rounds"]) == ("Ann", points, 5, [])
            assert (await ann.get("me/picture")).headers["Content-Type"] == "image/png"
            (line,) = (await ann.get("leaderboard")).json["leaders"]
            assert (line["name"], line["answers"], line["is_you"]) == ("Ann", 5, True)
            assert line["points"] == pytest.approx(points / 5)
            german = (await ann.post("rounds", ROUND, Accept_Language="de")).json
            assert german["words"]["title"] == "Gesicht 1 von 5"

    play(params, scenario)


def test_before_the_answer_real_and_fake_are_alike(params: BotParams) -> None:
    """In body, length and headers of the round and of its picture; the deck's ids of faces are nowhere."""

    async def scenario(table: Table) -> None:
        ids = [face.id for face in (await Quizzing(table.app, "web").decks.current()).faces]
        seen: dict[str, set[str]] = {"real": set(), "fake": set()}
        async with table.player() as ann:
            while not all(seen.values()):
                begun = await ann.post("rounds", ROUND)
                round = begun.json
                picture = await ann.ask("GET", round["face"]["picture"][1:])
                assert picture.body[:3] == b"\xff\xd8\xff"
                assert {"ETag", "Last-Modified", "Content-Disposition"}.isdisjoint(picture.headers)
                assert picture.headers["Cache-Control"] == begun.headers["Cache-Control"] == "no-store"
                (await ann.get(f"rounds/{round['id']}/faces/1/heatmap")).problem(409, "conflict")
                again = await ann.get(f"rounds/{round['id']}")
                data = await ann.get("me/data")
                everything = again.body.decode() + str(again.headers) + str(picture.headers)
                for known in (*ids, *TELLING):
                    assert known not in everything
                assert not re.search("stylegan1|sd3", data.body.decode())
                alike = re.sub("|".join(("Date': '[^']*", re.escape(round["id"]))), "", everything)
                seen[truth_of(table, round)].add(alike)
                await ann.post(f"rounds/{round['id']}/stop")
        assert seen["real"] == seen["fake"]
        assert len(seen["real"]) == 1

    play(params, scenario)


def test_a_round_is_its_players_only(params: BotParams) -> None:
    async def scenario(table: Table) -> None:
        async with table.player() as ann, table.player() as bob, table.player() as nobody:
            round = await ann.begin(**ROUND)
            await bob.begin(**ROUND)
            at = f"rounds/{round['id']}"
            for other in (bob, nobody):
                for refused in (
                    await other.get(at), await other.answer(round), await other.onward(round),
                    await other.post(f"{at}/stop"), await other.get(f"{at}/faces/1/picture"),
                    await other.get(f"{at}/faces/1/heatmap"),
                ):  # fmt: skip
                    detail = refused.problem(404, "not-found")
                    assert detail == (await other.get("rounds/AAAAAAAA")).problem(404, "not-found")
            assert nobody.secret == ""  # nothing was kept of who only looks
            assert (await ann.get(at)).json == round

    play(params, scenario)


def test_what_a_round_does_not_take(params: BotParams) -> None:
    async def scenario(table: Table) -> None:
        async with table.player() as ann:
            round = await ann.begin(**ROUND)
            at = f"rounds/{round['id']}"
            given = {"number": 1, "said": "real", "step": 0}
            answers: tuple[Any, ...] = (
                {}, [], None, given | {"step": 4}, given | {"step": "1"}, given | {"said": "unsure"},
                given | {"number": 0}, given | {"truth": "real"}, given | {"step": True},
            )  # fmt: skip
            for wrong in answers:
                (await ann.post(f"{at}/answers", wrong)).problem(400, "bad-request")
            for body in ({"mode": "channel"}, {"length": 7}, {"length": True}, {"name": "x" * 81}, {"more": 1}):
                (await ann.post("rounds", body)).problem(400, "bad-request")
            (await ann.onward(round)).problem(409, "conflict")  # not before the answer
            (await ann.post(f"{at}/answers", given | {"number": 2})).problem(409, "conflict")
            (await ann.get(f"{at}/faces/2/picture")).problem(404, "not-found")
            clicks = await asyncio.gather(*(ann.answer(round, side, 3) for side in ("real", "fake") for _ in range(3)))
            assert sorted(each.status for each in clicks) == [200] + 5 * [409]  # the first one counts
            assert "answered this face already" in (await ann.answer(round)).problem(409, "conflict")
            revealed = (await ann.get(at)).json
            assert revealed["outcome"]["confidence"] == 0.95
            nexts = await asyncio.gather(ann.onward(round), ann.onward(round))
            assert sorted(each.status for each in nexts) == [200, 409]  # sent twice, none is skipped
            assert (await ann.get(at)).json["face"]["number"] == 2
            refused = await ann.post("rounds", ROUND, Sec_Fetch_Site="cross-site")
            refused.problem(403, "cross-site")
            text = {"Content-Type": "text/plain"}
            async with ann.session.post(f"{ann.url}api/v1/quiz/rounds", data="{}", headers=text) as response:
                assert response.status in (400, 415)  # a form of another site can send that
            assert (await ann.post(f"{at}/stop")).json["score"]["answered"] == 1

    play(params, scenario)


def test_a_round_goes_on_after_a_restart(params: BotParams) -> None:
    async def run() -> None:
        async with serve(params) as table, table.player() as ann:
            round, secret = await ann.begin(mode="solo", length=None), ann.secret
        async with serve(params) as table, table.player(visitor=secret) as ann:
            me = (await ann.get("me")).json
            assert me["rounds"] == [{"id": round["id"], "mode": "solo"}]
            assert (await ann.get(f"rounds/{round['id']}")).json == round
            revealed = (await ann.answer(round)).json
        async with serve(params) as table, table.player(visitor=secret) as ann:
            assert (await ann.get(f"rounds/{round['id']}")).json == revealed
            assert (await ann.ask("GET", revealed["face"]["heatmap"][1:])).status == 200

    asyncio.run(run())


def test_without_a_deck_it_says_how_to_make_one(params: BotParams, tmp_path: Path) -> None:
    params = params.model_copy(update={"quiz": params.quiz.model_copy(update={"deck": f"file://{tmp_path}/other"})})

    async def scenario(table: Table) -> None:
        async with table.player() as ann:
            assert "python -m bot deck" in (await ann.post("rounds", {})).problem(503, "unavailable")
            assert ann.secret == ""
            assert "python -m bot deck" in (await ann.ask("GET", "quiz")).body.decode()
            write_deck(tmp_path / "other")
            assert (await ann.begin())["phase"] == "asking"
            assert "python -m bot deck" not in (await ann.ask("GET", "quiz")).body.decode()

    play(params, scenario)


# The set of the day


def test_todays_set_goes_on_in_another_app_and_back_with_one_score(params: BotParams) -> None:
    async def scenario(table: Table) -> None:
        telegram, eva = Quizzing(table.app, "telegram"), Account("telegram", "7", "Eva")
        async with table.player() as ann:
            shown = await telegram.start(eva, None, "daily", None, ENGLISH)
            first = Press(shown.round_id, 1, "answer", "real", 1)
            assert (await telegram.press(eva, first, ENGLISH)).shown is not None
            code = table.app.records.link_code(eva)
            linked = (await ann.post("link", {"code": f"{code[:4]}-{code[4:].lower()}"})).json
            assert linked["linked"] and linked["code"] is None
            round = await ann.begin(mode="daily")  # goes on here, where it was
            assert (round["id"], round["phase"], round["face"]["number"]) == (shown.round_id, "revealed", 1)
            with pytest.raises(NotNow, match="goes on in the browser now"):
                await telegram.press(eva, Press(shown.round_id, 1, "next"), ENGLISH)
            round = (await ann.answer((await ann.onward(round)).json)).json
            assert round["face"]["number"] == 2
            back = await telegram.start(eva, "-100", "daily", None, ENGLISH)  # and back again
            assert back.truth is not None
            assert "goes on in Telegram now" in (await ann.onward(round)).problem(409, "conflict")
            assert (await ann.get("me")).json["rounds"] == []
            await telegram.press(eva, Press(shown.round_id, 2, "next"), ENGLISH)
            round = await ann.begin(mode="daily")
            for number in (3, 4):
                assert round["face"]["number"] == number
                round = (await ann.onward((await ann.answer(round)).json)).json
            assert (round["phase"], round["score"]["answered"]) == ("over", DAILY)
            assert "You have played today's set" in (await ann.post("rounds", {"mode": "daily"})).problem(
                409, "conflict"
            )
            with pytest.raises(NotNow, match="You have played today's set"):
                await telegram.start(eva, None, "daily", None, ENGLISH)
            answers = table.app.records.answers(eva)
            assert len({answer.face_id for answer in answers}) == len(answers) == DAILY
            (line,) = (await ann.get("leaderboard?scope=today")).json["leaders"]
            assert (line["name"], line["answers"], line["is_you"]) == ("Eva", DAILY, True)
            assert line["points"] == sum(answer.points for answer in answers) == (await ann.get("me")).json["points"]
            assert (await ann.get("me")).json["linked"] == 1

    play(params, scenario)


def test_todays_set_goes_on_in_another_browser(params: BotParams) -> None:
    async def scenario(table: Table) -> None:
        async with table.player() as home, table.player() as phone, table.player() as bob:
            round = await home.begin(mode="daily", name="Mo")
            code = (await home.post("link", {})).json["code"]
            assert (await phone.post("link", {"code": code})).json["linked"]
            assert (await phone.begin(mode="daily")) == round
            assert "another account of yours" in (await home.answer(round)).problem(409, "conflict")
            (await bob.answer(round)).problem(404, "not-found")
            assert (await phone.answer(round)).status == 200
            assert (await home.begin(mode="daily"))["phase"] == "revealed"
            (await bob.post("link", {"code": code})).problem(409, "conflict")  # a code works once

    play(params, scenario)


# Visitors


def test_the_cookie_is_a_secret_that_the_records_do_not_know(params: BotParams, tmp_path: Path) -> None:
    async def scenario(table: Table) -> None:
        async with table.player() as ann:
            begun = await ann.post("rounds", ROUND)
            flags = {part.strip().lower() for part in begun.headers["Set-Cookie"].split(";")[1:]}
            assert {"httponly", "samesite=strict", "path=/"} <= flags and "secure" not in flags
            assert len(ann.secret) == 32  # 192 bits
            await ann.answer(begun.json)
            with closing(sqlite3.connect(tmp_path / "bot.db")) as connection:
                kept = "\n".join(connection.iterdump())
            assert ann.secret not in kept and "127.0.0.1" not in kept
            (account,) = (await ann.get("me/data")).json["accounts"]
            assert re.fullmatch("[0-9a-f]{32}", account["id"]) and account["id"] in kept
        async with table.player(visitor=account["id"]) as thief:
            (await thief.get(f"rounds/{begun.json['id']}")).problem(404, "not-found")
        chosen = "A" * 32
        async with table.player(visitor=chosen) as lured:  # nobody plays under a secret that somebody thought up
            assert COOKIE in (await lured.post("rounds", ROUND)).headers["Set-Cookie"]
            assert lured.secret not in ("", chosen)

    play(params, scenario)


def test_behind_a_proxy_with_tls_the_cookie_stays_off_plain_lines(params: BotParams) -> None:
    web = params.web.model_copy(update={"proxies": ("127.0.0.1",)})

    async def scenario(table: Table) -> None:
        async with table.player() as ann:
            told = {"X_Forwarded_For": "127.0.0.1", "X_Forwarded_Proto": "https", "Sec_Fetch_Site": "same-origin"}
            begun = await ann.post("rounds", ROUND, **told)
            assert begun.status == 200, begun.body
            assert "; Secure" in begun.headers["Set-Cookie"]

    play(params.model_copy(update={"web": web}), scenario)


def test_who_is_forgotten_does_not_come_back(params: BotParams) -> None:
    async def scenario(table: Table) -> None:
        async with table.player() as ann:
            round = await ann.begin(**ROUND, name="Ann")
            await ann.answer(round)
            secret = ann.secret
            deleted = (await ann.ask("DELETE", "api/v1/quiz/me")).json["deleted"]
            assert (deleted["answers"], deleted["accounts"], deleted["rounds"]) == (1, 1, 1)
            assert ann.secret == ""
            assert (await ann.get("me")).json["right"]["of"] == 0
            assert (await ann.ask("DELETE", "api/v1/quiz/me")).json["deleted"] == {}
        async with table.player(visitor=secret) as again:
            assert (await again.get("me/data")).json["accounts"] == []
            await again.begin(**ROUND)
            assert again.secret != secret

    play(params, scenario)


def test_a_name_is_changed_and_taken_off_the_leaderboard(params: BotParams) -> None:
    async def scenario(table: Table) -> None:
        async def names() -> list[str | None]:
            return [line["name"] for line in (await ann.get("leaderboard")).json["leaders"]]

        async with table.player() as ann:
            assert (await ann.post("me/name", {"name": None})).json == {"name": None}
            assert "Begin a round first" in (await ann.post("me/name", {"name": "Ann"})).problem(409, "conflict")
            assert ann.secret == ""  # nothing was kept
            round = await ann.begin(**ROUND, name="Ann")
            for _ in range(3):
                round = (await ann.onward((await ann.answer(round)).json)).json
            assert await names() == ["Ann"]
            assert (await ann.post("me/name", {"name": " Zoë\n\u202e "})).json == {"name": "Zoë"}
            assert (await names(), (await ann.get("me")).json["name"]) == (["Zoë"], "Zoë")
            assert (await ann.post("me/name", {"name": None})).json == {"name": None}
            await ann.answer(round)  # the round that was open does not bring it back
            assert (await names(), (await ann.get("me")).json["name"]) == ([None], None)
            assert "Ann" not in (await ann.get("me/data")).body.decode()
            for wrong in ({}, {"name": "x" * 81}, {"name": 1}, {"name": None, "more": 1}):
                (await ann.post("me/name", wrong)).problem(400, "bad-request")
            assert "JSON object" in (await ann.post("me/name")).problem(400, "bad-request")

    play(params, scenario)


@given(st.text(max_size=200))
def test_names_are_short_and_can_be_shown(name: str) -> None:
    tidy = tidy_name(name)
    assert len(tidy) <= MAX_NAME
    assert tidy.isprintable()
    assert tidy == tidy_name(tidy) == tidy.strip()


def test_names_keep_what_people_are_called_and_lose_what_runs_over() -> None:
    assert tidy_name("  Zoë\n van\tder Berg\u202e ") == "Zoë van der Berg"
    assert tidy_name("अनुष्का") == "अनुष्का"
    assert len(tidy_name("a" + 50 * "\u0301")) <= 3
    assert tidy_name("\x00\u200b\ud800") == ""


# In a browser


def test_scripts_find_their_elements_and_words(params: BotParams) -> None:
    async def scenario(table: Table) -> None:
        async with table.player() as ann:
            page = (await ann.ask("GET", "quiz?language=de")).body.decode()
        assert '<html lang="de">' in page
        code = "\n".join(path.read_text() for path in SCRIPTS)
        ids = re.findall(r'\sid="([\w-]+)"', page)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'\$\("([\w-]+)"\)', code)) <= set(ids)
        spoken = json.loads(html.unescape(re.findall(r'data-words="([^"]*)"', page)[0]))
        shown = {"title", "lines", "note"}  # `words` of what the API gives
        assert set(re.findall(r"\bwords\.(\w+)", code)) - shown == set(spoken)

    play(params, scenario)


def test_a_whole_round_by_keyboard_on_a_phone(params: BotParams) -> None:
    chromium()

    async def scenario(table: Table) -> None:
        async with browser_page(width=360, height=640) as opened:
            page = opened.page
            await page.goto(f"{table.url}quiz")
            await page.locator("#board-note:not(:empty)").wait_for()
            await unharmed(opened)
            await page.get_by_role("textbox", name="Your name on the leaderboard").fill("Ann")
            await page.get_by_role("button", name="5 faces").focus()
            await page.keyboard.press("Enter")
            for number, keys in enumerate(("7", "r3", "f1", "2", "arrows"), 1):
                title = page.get_by_role("heading", name=f"Face {number} of 5", exact=True)
                await title.wait_for()
                assert await page.evaluate("document.activeElement.id") == "face-title"
                if number == 1:
                    await unharmed(opened)
                    assert await small_targets(opened) == []
                if number == 3:  # it goes on after a reload
                    await page.reload()
                    await title.wait_for()
                    await page.wait_for_function("document.activeElement.id === 'face-title'")
                for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Enter") if keys == "arrows" else keys:
                    await page.keyboard.press(key)
                await page.locator("#next").wait_for()
                assert await page.evaluate("document.activeElement.id") == "next"
                told = await page.locator("#outcome").inner_text()
                said = {"7": "Fake, fairly sure", "r3": "Real, fairly sure", "f1": "Fake, a guess",
                        "2": "Real, rather sure", "arrows": "Fake, rather sure"}[keys]  # fmt: skip
                assert said in told and "points" in told
                await page.locator("#heat").evaluate("(image) => image.decode()")
                if number == 2:
                    await unharmed(opened)
                if number == 4:  # without a network it says so in sight, and goes on from there
                    await page.context.set_offline(True)
                    await page.keyboard.press("Enter")
                    await page.get_by_role("button", name="Try again").wait_for()
                    assert await page.evaluate("document.activeElement.id") == "retry"
                    top = await page.locator("#trouble-words").evaluate("(each) => each.getBoundingClientRect().top")
                    assert 0 <= top < 640
                    await page.context.set_offline(False)
                await page.keyboard.press("Enter")
            await page.get_by_role("heading", name="The round is over").wait_for()
            assert await page.evaluate("document.activeElement.id") == "summary-title"
            assert re.search(r"You: \d of 5 right", await page.locator("#summary-lines").inner_text())
            await page.get_by_role("table").wait_for()
            await unharmed(opened)
            await page.get_by_role("button", name="Get a code").click()
            await page.get_by_text("It works once").wait_for()
            await unharmed(opened)
            await page.get_by_role("button", name="Take my name off the leaderboard").click()
            await page.locator("#named").wait_for(state="hidden")
            await page.get_by_role("row", name="▸ somebody (you)").wait_for()
            await page.get_by_role("button", name="Delete everything").click()
            await page.keyboard.press("Tab")
            await page.keyboard.press("Enter")
            await page.get_by_text("Done. I have nothing about you any more.").wait_for()
            assert table.app.records.totals().answers == 0
            assert [error for error in opened.errors if "ERR_INTERNET_DISCONNECTED" not in error] == []

    play(params, scenario)


async def unharmed(opened: Opened) -> None:
    """Nothing serious for axe, and no scrolling sideways."""
    assert [fault for fault in await opened.faults() if fault.startswith(AXE_SERIOUS)] == []
    assert await opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def small_targets(opened: Opened) -> list[str]:
    """Buttons in sight that a finger may miss: below 44 pixels either way."""
    found: list[str] = await opened.page.evaluate("""[...document.querySelectorAll('main button, main input, summary')]
        .filter((each) => each.offsetParent && (each.offsetHeight < 44 || each.offsetWidth < 44))
        .map((each) => each.outerHTML)""")
    return found
