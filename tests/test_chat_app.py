"""What all platforms share, with a real worker, a real database and real downloads: nobody holds up the others."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from bot.chat.app import App, Request, open_app
from bot.chat.found import Candidate
from bot.chat.refusals import JustForgotten
from bot.monitor import Metrics
from bot.records import Account, Records
from bot.worker import Checked, DetectorDesk, Want
from infra.http import HttpClient, TimedOut
from tests.desks import shared_desk
from tests.discord_stage import png, stage_params

QUICK = Want(heatmaps=False, panel=False)
PATIENCE_S = 60
ANN, BEN = (Request(Account("discord", number, None), place, "en") for number, place in (("4000", "1"), ("4001", "2")))


def with_app(folder: Path, test: Callable[[App, str], Coroutine[Any, Any, None]], **network: Any) -> None:
    """Run `test` with the address of a site on which /quick is a picture and everything else never answers.

    network: of the params, besides what the stage has.
    """

    async def site(request: web.Request) -> web.Response:
        if not request.path.startswith("/quick"):
            await asyncio.Event().wait()
        return web.Response(body=png())

    async def run() -> None:
        pages = web.Application()
        pages.router.add_get("/{any:.*}", site)
        runner = web.AppRunner(pages, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            params = stage_params(folder)
            params = params.model_copy(update={"network": params.network.model_copy(update=network)})
            async with asyncio.timeout(2 * PATIENCE_S), open_app(params, desk=shared_desk(params)) as app:
                await test(app, f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()

    asyncio.run(run())


def candidates(site: str, path: str, count: int = 1) -> list[Candidate]:
    return [Candidate(f"{site}/{path}/{n}", "photo.png") for n in range(count)]


def test_slow_sites_hold_up_only_who_asked_for_them(tmp_path: Path) -> None:
    async def test(app: App, site: str) -> None:
        slow = asyncio.create_task(app.look(candidates(site, "never", 100), ANN, QUICK))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(app.params.network.timeout_s / 2):
            (found,) = await app.look(candidates(site, "quick"), BEN, QUICK)
        assert isinstance(found, Checked)
        slow.cancel()

    with_app(tmp_path, test)


def test_links_and_files_share_what_may_be_under_way(tmp_path: Path) -> None:
    most = 32
    opened: list[str] = []
    enough, let_go = asyncio.Event(), asyncio.Event()

    async def picture(request: web.Request) -> web.Response:
        opened.append(request.path)
        if len(opened) == most:
            enough.set()
        await let_go.wait()
        return web.Response(body=png())

    async def held(_request: web.Request) -> web.Response:
        return web.json_response(len(opened))

    async def test(app: App, _site: str) -> None:
        pages = web.Application()
        pages.router.add_get("/held", held)
        pages.router.add_get("/picture/{any:.*}", picture)
        runner = web.AppRunner(pages, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        site = f"http://127.0.0.1:{runner.addresses[0][1]}"
        wanted = [Candidate(f"{site}/picture/{n}", "photo.png", is_link=n % 2 == 0) for n in range(2 * most)]
        fetches = [asyncio.create_task(app.fetch(one)) for one in wanted]
        await enough.wait()
        async with ClientSession() as session:
            for _ in range(20):  # whoever else was let through has come by now
                async with session.get(f"{site}/held") as answer:
                    assert await answer.json() == most
        let_go.set()
        assert await asyncio.gather(*fetches) == [png()] * len(wanted)
        await runner.cleanup()

    with_app(tmp_path, test)


def test_a_site_that_took_all_the_time_is_not_asked_again(tmp_path: Path) -> None:
    async def test(app: App, site: str) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        (found,) = await app.look(candidates(site, "never"), ANN, QUICK)
        assert isinstance(found, TimedOut)
        assert loop.time() - began < 1.5 * app.params.network.timeout_s

    with_app(tmp_path, test, timeout_s=4)


def test_a_locked_database_holds_up_no_answer(tmp_path: Path) -> None:
    async def test(app: App, site: str) -> None:
        locked = sqlite3.connect(tmp_path / "bot.db", isolation_level=None)
        locked.execute("BEGIN IMMEDIATE")
        try:
            async with asyncio.timeout(20):  # less than SQLite waits for the lock
                for n in range(12):
                    someone = Request(Account("discord", f"5{n}"), "1", "en")
                    (found,) = await app.look(candidates(site, "quick"), someone, QUICK)
                    assert isinstance(found, Checked)
                    await app.words(someone.account, "1", "de")
        finally:
            locked.rollback()
            locked.close()
        await app.saved()
        assert app.records.totals().results == 12
        assert app.checks["records"]()

    with_app(tmp_path, test)


def test_who_was_just_forgotten_is_not_forgotten_again_at_once(tmp_path: Path) -> None:
    async def test(app: App, site: str) -> None:
        await app.look(candidates(site, "quick"), ANN, QUICK)
        assert (await app.forget(ANN.account))["results"] == 1
        with pytest.raises(JustForgotten):
            await app.forget(ANN.account)
        assert not any((await app.forget(BEN.account)).values())

    with_app(tmp_path, test)


def test_what_another_process_changes_is_noticed_within_a_minute(tmp_path: Path) -> None:
    now = 0.0
    params, clock = stage_params(tmp_path), lambda: now
    ann = ANN.account

    async def test() -> None:
        nonlocal now
        async with HttpClient(user_agent="test") as http:
            with Records(params.database, keep_days=1) as here, Records(params.database, keep_days=1) as there:
                one, other = (App(params, DetectorDesk(params), each, http, Metrics(), clock=clock)
                              for each in (here, there))  # fmt: skip

                async def heard() -> tuple[str, bool]:
                    return (await one.words(ann, None, "en")).language, (await one.settings("discord", "1")).ephemeral

                assert await heard() == ("en", False)
                await other.set_language(ann, "de")
                await other.change_settings("discord", "1", ephemeral=True)
                assert await heard() == ("en", False)  # the database is not asked for every message
                now = 61.0
                assert await heard() == ("de", True)
                await other.forget(ann)
                await other.forget_place("discord", "1")
                now = 122.0
                assert await heard() == ("en", False)
                await other.set_language(ann, "de")
                now = 183.0
                assert await heard() == ("de", False)
            now = 244.0
            (tmp_path / "bot.db").unlink()
            (tmp_path / "bot.db").mkdir()
            assert await heard() == ("de", False)  # the last that is known, while the database cannot be asked

    asyncio.run(test())
