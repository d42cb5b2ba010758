"""`detector: http://…`: pictures are looked at by a server that is slow, gone, back, or no such server at all."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from bot.detector import Detector
from bot.params import BotParams
from bot.wording import alt_text
from bot.worker import (
    Asker,
    Checked,
    DeskClosed,
    DetectorAway,
    DetectorFailed,
    DiedOfPicture,
    LayerGone,
    QueueFull,
    RemoteDesk,
    Want,
    Withdrawn,
)
from bot.worker.errors import Stumbled
from infra.images import AnimatedImage, ImageTooLarge, NotAnImage, TruncatedImage, decode_image
from infra.params import ParamsError, validate
from model_defs.checkpoint import read_card
from tests.bot_bundles import network_of, photo, write_small_bundle
from tests.discord_stage import on_stage, stage_params
from tests.web_stage import MAX_BYTES, PATIENCE_S, Site, png, served, until, web_params

ROOT = Path(__file__).resolve().parent.parent
LAYER = "blocks.block2.conv"
QUICK = Want(heatmaps=False, panel=False, maps=False)
ANN, BOB = Asker("ann", "one"), Asker("bob", "two")


def run(work: Awaitable[None], times: int = 2) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(times * PATIENCE_S):
            await work

    asyncio.run(in_time())


def at(url: str, **worker: Any) -> BotParams:
    return BotParams.model_validate({"detector": url, "worker": {"reload_s": 0.1} | worker})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("remote")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    with served(web_params(folder, worker={"reload_s": 0.1})) as site:
        yield site


def test_answers_are_those_of_a_local_detector(site: Site) -> None:
    async def work() -> None:
        async with RemoteDesk(at(site.url)) as desk:
            assert desk.card == site.app.desk.card
            local = Detector(site.app.params.bundle).check(png(3))
            want = Want(layer=LAYER, seen=True, variants=True, name="Fö to.png", language="de")
            far = await desk.check(png(3), ANN, want)
            there, here = far.verdict.to_json(), local.to_json()
            assert there.keys() == here.keys()
            assert {k: v for k, v in there.items() if k not in ("seconds", "layers")} == {
                k: v for k, v in here.items() if k not in ("seconds", "layers")
            }
            for mine, other in zip(local.layers, far.verdict.layers, strict=True):
                assert (mine.name, mine.size, mine.channels, mine.dead) == (
                    other.name, other.size, other.channels, other.dead)  # fmt: skip
                assert mine.share == pytest.approx(other.share, abs=1e-6)
                assert np.abs(mine.map - other.map).max() < 1e-5
            assert (far.verdict.picture.seen == local.picture.seen).all()
            for file in (far.panel, far.layer):
                assert file is not None and Image.open(io.BytesIO(file)).width > 500
            assert far.seen is not None and (decode_image(far.seen).rgb == local.picture.seen).all()
            given = Detector(site.app.params.bundle).prepare(decode_image(png(3))).inputs
            assert [decode_image(each).rgb.tolist() for each in far.variants] == given[1:].tolist()
            again = await desk.check(far.seen, BOB, Want(panel=False, maps=False))
            assert again.verdict.p_fake == far.verdict.p_fake
            assert again.panel is again.seen is again.layer is None and again.variants == ()
            assert [layer.map.shape for layer in again.verdict.layers] == [(3, 3)] * 2
            spoken = await desk.check(png(3), ANN, Want(panel=False, maps=False))
            assert alt_text(spoken.verdict) == alt_text(local)
            bare = await desk.check(png(3), ANN, QUICK)
            assert bare.verdict.layers == () and bare.verdict.picture.seen.size == 0

    run(work())


def test_a_picture_that_is_no_good_is_refused_in_the_same_words(site: Site) -> None:
    frames = io.BytesIO()
    photo().save(frames, "GIF", save_all=True, append_images=[photo(seed=1)])
    cases: list[tuple[bytes, Want, type[Exception]]] = [
        (b"a letter", QUICK, NotAnImage), (b"", QUICK, NotAnImage), (png()[:-200], QUICK, TruncatedImage),
        (frames.getvalue(), QUICK, AnimatedImage), (bytes(MAX_BYTES + 1), QUICK, ImageTooLarge),
        (png(), Want(layer="stem.conv"), LayerGone),
    ]  # fmt: skip

    async def work() -> None:
        async with RemoteDesk(at(site.url)) as desk:
            for data, want, kind in cases:
                with pytest.raises(kind) as refused:
                    await desk.check(data, ANN, want)
                assert type(refused.value) is kind
            assert (desk.refused, desk.failed, desk.is_healthy) == (5, 1, True)
            assert isinstance(await desk.check(png(), ANN, QUICK), Checked)

    run(work())


def test_a_network_written_anew_in_its_place_is_noticed_there_and_here(site: Site, folder: Path) -> None:
    async def work() -> None:
        async with RemoteDesk(at(site.url)) as desk:
            before = await desk.check(png(), ANN, QUICK)
            model: dict[str, Any] = {"family": "cnn", "blocks": [{"filters": 4}], "global_pool": "avg"}
            write_small_bundle(folder / "bundle", model, network=network_of(model, seed=1))
            await until(lambda: desk.reloads == 1)
            assert desk.card == read_card(site.app.params.bundle)
            after = await desk.check(png(), ANN, QUICK)
            assert after.verdict.model == desk.card.id != before.verdict.model
            assert (desk.restarts, desk.failed) == (0, 0)

    run(work())


def test_a_server_that_wants_a_key_gets_the_one_in_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.web.keys import add_key

    key = add_key(tmp_path / "keys", "bot")
    more = {"port": 0, "stop_s": 20, "hosts": ["faces.example.org"], "keys_file": str(tmp_path / "keys")}
    monkeypatch.delenv("FACES_API_KEY", raising=False)

    async def work(url: str) -> None:
        with pytest.raises(DetectorAway, match=r"does not let this bot in.*FACES_API_KEY"):
            await RemoteDesk(at(url)).__aenter__()
        monkeypatch.setenv("FACES_API_KEY", "faces_wrong")
        with pytest.raises(DetectorAway, match="FACES_API_KEY") as refused:
            await RemoteDesk(at(url)).__aenter__()
        assert "faces_wrong" not in str(refused.value)
        monkeypatch.setenv("FACES_API_KEY", key)
        async with RemoteDesk(at(url)) as desk:
            assert isinstance(await desk.check(png(), ANN, QUICK), Checked)

    bundle = write_small_bundle(tmp_path / "bundle")
    with served(web_params(tmp_path, bundle=bundle, web=more)) as site:
        run(work(site.url))


def test_on_discord_nobody_sees_the_difference(site: Site, tmp_path: Path) -> None:
    params = stage_params(tmp_path).model_copy(update={"detector": site.url.rstrip("/"), "bundle": "file:///nowhere"})
    kept = site.app.records.totals().results
    with on_stage(params) as stage:
        shown = stage.run(stage.still_talks())
        assert shown.attachments
        stage.run(stage.app.saved())
        assert (stage.app.records.totals().results, site.app.records.totals().results) == (1, kept)  # only here
        assert isinstance(stage.app.desk, RemoteDesk) and stage.app.desk.answered == 1
        assert stage.app.checks["detector"]()


class Actor:
    """Plays a detector: good news, and whatever `answer` makes of a picture."""

    def __init__(self, card: str) -> None:
        self.card = card
        self.health = {"ok": False, "checks": {"records": False, "detector": True}}
        self.taken: list[bytes] = []
        self.answer: Callable[[bytes], Awaitable[web.StreamResponse]] = self.busy

    async def busy(self, _data: bytes) -> web.StreamResponse:
        return web.Response(status=429)

    @asynccontextmanager
    async def on(self, port: int = 0) -> AsyncIterator[str]:
        async def look(request: web.Request) -> web.StreamResponse:
            data = await request.read()
            self.taken.append(data)
            return await self.answer(data)

        async def card(_request: web.Request) -> web.Response:
            return web.Response(text=self.card, content_type="application/json")

        async def healthz(_request: web.Request) -> web.Response:
            return web.json_response(self.health, status=503)

        app = web.Application(client_max_size=1 << 26)
        app.add_routes([web.post("/api/v1/look", look), web.get("/api/v1/look", card), web.get("/healthz", healthz)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@pytest.fixture
def actor(tmp_path: Path) -> Actor:
    return Actor(read_card(write_small_bundle(tmp_path / "bundle")).model_dump_json())


@contextmanager
def patience(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr("bot.worker.afar._PATIENCE_S", seconds)
        patched.setattr("bot.worker.afar._ASK_AGAIN_S", 0.02)
        yield


def test_who_has_too_much_to_do_or_goes_is_asked_again_and_then_said_so(
    actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with actor.on() as url, RemoteDesk(at(url)) as desk:
            with pytest.raises(QueueFull, match="more waiting than I can hold"):
                await desk.check(png(), ANN, QUICK)
            assert len(actor.taken) > 2
            assert desk.is_healthy  # the rest of that server is no matter

            async def going(_data: bytes) -> web.StreamResponse:
                return web.Response(status=503)

            actor.answer = going
            with pytest.raises(DetectorFailed, match="not working at the moment"):
                await desk.check(png(), ANN, QUICK)
            actor.health["checks"] = {"detector": False}
            await until(lambda: not desk.is_healthy)

    with patience(monkeypatch, 1.0):
        run(work())


def test_one_that_is_gone_is_waited_for_then_nobody_waits_and_one_that_is_back_is_asked(
    actor: Actor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with actor.on() as url:
            port = urlsplit(url).port
            assert port is not None
            desk = await RemoteDesk(at(url)).__aenter__()
        ticket = desk.submit(png(), ANN, QUICK)
        with pytest.raises(DetectorFailed, match="not working at the moment"):
            await ticket.answer()
        await until(lambda: desk._is_down)
        assert not desk.is_healthy
        began = time.monotonic()
        with pytest.raises(DetectorFailed):
            desk.submit(png(), ANN, QUICK)
        assert time.monotonic() - began < 0.1
        async with actor.on(port):
            await until(lambda: desk.is_healthy)
            assert desk.restarts == 1
            waiting = desk.submit(png(), ANN, QUICK)
            assert not await desk.drain(0.1)
            await desk.__aexit__(None, None, None)
        with pytest.raises(DeskClosed):
            await waiting.answer()
        assert caplog.text.count("no detector answers at") == 1

    with patience(monkeypatch, 1.0):
        run(work())


def test_turns_are_fair_here_and_what_is_called_off_is_called_off_there(actor: Actor) -> None:
    async def work() -> None:
        go = asyncio.Event()

        async def slow(_data: bytes) -> web.StreamResponse:
            await go.wait()
            return web.json_response({"refusal": {"kind": "DiedOfPicture", "reason": "once more"}})

        actor.answer = slow
        async with actor.on() as url, RemoteDesk(at(url)) as desk:
            crowd = [desk.submit(b"ann" + bytes([n]), ANN, QUICK) for n in range(60)]
            await until(lambda: len(actor.taken) == 32)
            bob = desk.submit(b"bob", BOB, QUICK)
            await asyncio.sleep(0)
            assert bob.position == 2 and desk.waiting == 29
            crowd[0].cancel()
            with pytest.raises(Withdrawn):
                await crowd[0].answer()
            crowd[1].cancel()
            await until(lambda: b"bob" in actor.taken)
            assert len(actor.taken) == 34
            go.set()
            for ticket in (*crowd[2:], bob):
                with pytest.raises(DiedOfPicture, match="breaks down over it each time"):
                    await ticket.answer()
            assert len(actor.taken) == 61

    run(work())


def _answer(site: Site, data: bytes) -> dict[str, Any]:
    """A true answer to QUICK with what the network saw."""
    query = "?heatmaps=true&maps=true&panel=false"
    answered = site.send("POST", f"api/v1/look{query}", data, {"Content-Type": "application/octet-stream"})
    assert answered.status == 200, answered.body
    found: dict[str, Any] = answered.json
    return found


def test_a_picture_that_breaks_the_detector_down_is_whose_it_is_to_mend(actor: Actor, tmp_path: Path) -> None:
    async def refuse(_data: bytes) -> web.StreamResponse:
        return web.json_response({"refusal": {"kind": "DiedOfPicture", "reason": "once more"}})

    def ask(url: str) -> None:
        with served(web_params(tmp_path, detector=url)) as far:
            found = far.post("image/png", png()).problem(422, "picture")
            assert "Saving it anew may help" in found.detail

    async def work() -> None:
        actor.answer = refuse
        async with actor.on() as url:
            await asyncio.to_thread(ask, url)

    run(work())


def test_what_comes_back_is_believed_in_nothing(site: Site, actor: Actor, caplog: pytest.LogCaptureFixture) -> None:
    good, want = _answer(site, png(5)), Want(panel=False)

    def spoilt(*path: Any, value: Any) -> bytes:
        found = json.loads(json.dumps(good))
        place = found
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return json.dumps(found).encode()

    bomb = io.BytesIO()
    Image.new("L", (12_000, 12_000)).save(bomb, "PNG")
    small = base64.b64encode(png()).decode()
    bad: list[bytes] = [
        b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"answer": null}',
        spoilt("answer", "sha256", value="0" * 64),
        spoilt("answer", "verdict", "p_fake", value=float("nan")),
        spoilt("answer", "verdict", "p_fake", value=1.5),
        spoilt("answer", "verdict", "verdict", value="maybe"),
        spoilt("answer", "verdict", "width", value=-1),
        spoilt("answer", "verdict", "thresholds", "unsure_low", value=0.9),
        spoilt("answer", "verdict", "layers", 0, "map", value=None),
        spoilt("answer", "verdict", "layers", 0, "map", value=small),
        spoilt("answer", "verdict", "layers", 0, "map", value="not base64"),
        spoilt("answer", "panel", value=small),
        spoilt("answer", "seen", value=None),
        spoilt("answer", "seen", value=base64.b64encode(b"<svg/>").decode()),
        spoilt("answer", "seen", value=base64.b64encode(bomb.getvalue()).decode()),
        spoilt("more", value=1),
        b'{"refusal": {"kind": "SystemExit", "reason": "because"}}',
        b'{"refusal": {"kind": "LayerGone", "reason": "{layer.__class__}"}}',
    ]  # fmt: skip

    async def work() -> None:
        async with actor.on() as url, RemoteDesk(at(url)) as desk:

            async def say(data: bytes) -> web.StreamResponse:
                return web.Response(body=body, content_type="application/json")

            actor.answer = say
            body = json.dumps(good).encode()
            assert isinstance(await desk.check(png(5), ANN, want), Checked)
            for body in bad:
                caplog.clear()
                with pytest.raises(Stumbled):
                    await desk.check(png(5), ANN, want)
                assert len(caplog.records) == 1 and url in caplog.text, (body[:200], caplog.text)
                assert "Traceback" not in caplog.text
            assert desk.is_healthy

    run(work())


@pytest.mark.parametrize("news", [b"no JSON", b"[" * 100_000, b"{}", b'{"id": "x"}'])
def test_who_is_no_detector_is_told_at_the_start(actor: Actor, news: bytes) -> None:
    async def work() -> None:
        actor.card = news.decode()
        async with actor.on() as url:
            with pytest.raises(DetectorAway) as away:
                await RemoteDesk(at(url)).__aenter__()
            assert url in str(away.value)

    run(work())


@pytest.mark.parametrize(
    "detector", ["", "remote", "ftp://there", "http://", "http://name:secret@there", "http://there/?a=b", "http://[::1"]
)
def test_a_detector_that_cannot_be_is_a_line(detector: str) -> None:
    with pytest.raises(ParamsError, match="detector") as wrong:
        validate(BotParams, {"detector": detector}, "params/bot.yaml")
    assert "secret" not in str(wrong.value)


def test_nobody_there_at_the_start_is_one_line_and_exit_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "-m", "bot", "web", "--set", f"detector=http://127.0.0.1:{port}", "--set", "web.port=0",
         "--set", f"database=sqlite:///{tmp_path}/bot.db", "--set", "monitor.port=null"],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: no detector answers at http://127.0.0.1:{port} (connection refused); start python -m bot web there, "
        "or set detector: local"
    ]


@contextmanager
def web_process(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`python -m bot web`, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "web", "--set", f"bundle={write_small_bundle(folder / 'bundle')}",
         "--set", f"database=sqlite:///{folder}/bot.db", "--set", "monitor.port=null", "--set", f"web.port={port}"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        assert any("serving at" in line for line in iter(process.stderr.readline, ""))
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_server_killed_and_started_again_under_load_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def work(first: subprocess.Popen[str]) -> None:
        async with RemoteDesk(at(f"http://127.0.0.1:{port}")) as desk:
            tickets = [desk.submit(png(n), Asker(f"user {n % 7}", "one"), QUICK) for n in range(80)]
            await until(lambda: desk.answered >= 5)
            first.send_signal(signal.SIGKILL)
            await asyncio.to_thread(first.wait)
            assert desk.answered < 80
            await until(lambda: not desk.is_healthy)
            second = web_process(tmp_path, port)
            await asyncio.to_thread(second.__enter__)
            try:
                answers = await asyncio.gather(*(ticket.answer() for ticket in tickets))
                assert len(answers) == desk.answered == 80 and desk.failed == 0
                await until(lambda: desk.is_healthy)
                assert desk.restarts == 1
            finally:
                second.__exit__(None, None, None)

    # To start takes ten seconds; a busy machine may need more than is waited for otherwise.
    with patience(monkeypatch, 3 * PATIENCE_S), web_process(tmp_path, port) as first:
        run(work(first), times=3)
