"""*Experiments*: the API and the pages over a result store that a writer fills, through real sockets and a browser."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import math
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st

from bot.web.api import experiments
from bot.web.api import experiments_bodies as bodies
from bot.web.charts import PLOTLY, style_ids, takes_gzip
from bot.web.experiments import Experiments, is_seen
from bot.web.pages import add_pages
from bot.web.pages.experiments_view import BoardView
from bot.web.problems import add_problems
from bot.web.security import HEADERS
from bot.web.trial_pictures import pictured_epoch
from bot.words import ENGLISH
from tests.browser import Opened, browser_page
from tests.web_stage import Answered, Site, png
from tune.store.query_importance import importance
from tune.store.query_sweep import board, change_token, thinned
from tune.store.reader import open_reader
from tune.store.writer import ResultStore

API = "api/v1/experiments"
MOST_BYTES = 300_000
STEPS = itertools.count(10)  # later than those of the trials below
SPACE = {"search": {"metric": "auc", "mode": "max"}, "train": {"lr": {"loguniform": [1e-4, 1e-1]}}}


def begin(store: ResultStore, status: str = "running", sweep: str = "faces/1") -> None:
    name = sweep.partition("/")[0]
    store.sweep(sweep, name, SPACE, dataset_hash="d" * 64, git_commit="c0ffee", status=status)


def put_trial(
    store: ResultStore, number: int, status: str, aucs: list[float], *, sweep: str = "faces/1", folder: str = "",
    lr: float | None = None, pool: str = "max",
) -> str:  # fmt: skip
    """A trial that has reported those values."""
    trial = f"{sweep[0]}{number:04d}"
    error = 'Traceback\n  File "/home/me/x.py"\nValueError: no faces' if status == "failed" else None
    store.trial(
        trial, sweep, {"train.lr": lr or 10 ** -(1 + number % 4), "model.pool": pool, "model.depth": 2}, status=status,
        number=number, folder=folder or f"file:///nowhere/{sweep}/trial-{number}", error=error, started_at=1.79e9,
        ended_at=None if status == "running" else 1.79e9 + 90,
    )  # fmt: skip
    for epoch, auc in enumerate(aucs, 1):
        store.metrics(trial, epoch, {"auc": auc, "loss": 1 - auc if epoch != 2 else math.nan}, time.time())
    return trial


def fill(store: ResultStore, folder: Path) -> None:
    begin(store)
    (folder / "faces" / "1" / "best").mkdir(parents=True)
    (folder / "faces" / "1" / "best" / "roc.png").write_bytes(png())
    (folder / "faces" / "1" / "best" / "confusion.png").write_text("no picture")
    (folder / "faces" / "1" / "best" / "trial.json").write_text('{"best_epoch": 2}')
    (folder / "faces" / "1" / "secret.png").write_bytes(png())
    put_trial(store, 0, "completed", [0.6, 0.7, 0.65])
    put_trial(store, 1, "completed", [0.7, 0.9, 0.8], folder=f"file://{folder}/faces/1/best", pool="<b>avg</b>")
    put_trial(store, 2, "stopped", [0.5, 0.4])
    put_trial(store, 3, "failed", [])
    put_trial(store, 4, "running", [0.8])
    store.checkpoint("f0001", 2, f"file://{folder}/faces/1/best/checkpoint_000002", 0.9)
    store.event("faces/1", "f0001", "completed", "after epoch 3")
    store.alias("champion", f"file://{folder}/champions/x", "f0001")
    assert store.flush(20)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResultStore]:
    folder = tmp_path_factory.mktemp("experiments")
    store = ResultStore(f"sqlite:///{folder}/results.db")
    store.open()
    fill(store, folder)
    yield store
    store.close()


@pytest.fixture(scope="module")
def site(store: ResultStore) -> Iterator[Site]:
    with pages_over(store.url) as site:
        yield site


class TestApi:
    def test_sweeps_are_counted_by_state_and_name_no_places(self, site: Site) -> None:
        found = parsed(site.get(API), bodies.SweepsBody).sweeps
        (sweep,) = [each for each in found if each.address == "faces@1"]
        assert sweep.trials == {"completed": 2, "stopped": 1, "failed": 1, "running": 1}
        assert (sweep.state, sweep.metric, sweep.best, sweep.best_trial, sweep.ended) == (
            "running", "auc", 0.9, "f0001", None,
        )  # fmt: skip

    @pytest.mark.parametrize("sweep", ["faces", "faces@1", quote("faces@1", safe="")])
    def test_leaderboard_is_ranked_by_the_best_epoch(self, site: Site, sweep: str) -> None:
        found = parsed(site.get(f"{API}/{sweep}"), bodies.LeaderboardBody)
        assert [trial.number for trial in found.trials] == [1, 4, 0, 2, 3]
        assert [trial.rank for trial in found.trials] == [1, 2, 3, 4, None]
        assert [trial.best_step for trial in found.trials] == [2, 1, 2, 1, None]
        assert found.metrics == ["auc", "loss"] and found.total == 5

    def test_leaderboard_by_another_metric_and_in_parts(self, site: Site) -> None:
        found = parsed(site.get(f"{API}/faces?metric=loss&limit=2&offset=1"), bodies.LeaderboardBody)
        assert (found.mode, found.total, found.offset) == ("min", 5, 1)
        assert [(trial.number, trial.rank) for trial in found.trials] == [(4, 2), (0, 3)]
        assert found.trials[1].best == pytest.approx(0.35)  # the second epoch was no number

    def test_curves_keep_gaps(self, site: Site) -> None:
        found = parsed(site.get(f"{API}/faces/curves?metric=loss&trials=f0001&trials=f0003"), bodies.CurvesBody)
        assert [curve.number for curve in found.curves] == [1, 3]
        assert found.curves[0].steps == [1, 2, 3]
        assert found.curves[0].values == [pytest.approx(0.3), None, pytest.approx(0.2)]
        assert found.curves[1].steps == []
        best = parsed(site.get(f"{API}/faces/curves"), bodies.CurvesBody)
        assert [curve.number for curve in best.curves] == [1, 4, 0, 2, 3]

    def test_parallel_has_a_column_for_each_param_that_differs(self, site: Site) -> None:
        found = parsed(site.get(f"{API}/faces/parallel"), bodies.ParallelBody)
        assert [(axis.label, axis.kind, axis.log) for axis in found.axes] == [
            ("pool", "category", False), ("lr", "number", True),
        ]  # fmt: skip
        assert found.axes[0].values[0] == "<b>avg</b>"
        assert found.numbers == [1, 4, 0, 2, 3] and found.best[-1] is None
        assert len(parsed(site.get(f"{API}/faces/parallel?limit=2"), bodies.ParallelBody).axes[1].values) == 2

    def test_importance_says_when_there_are_too_few_trials(self, site: Site) -> None:
        found = parsed(site.get(f"{API}/faces/importance"), bodies.ImportanceBody)
        assert (found.trials, found.r2, found.params) == (3, None, [])

    def test_a_trial_with_all_that_is_known_and_no_places(self, site: Site, store: ResultStore) -> None:
        answer = site.get(f"{API}/faces/trials/f0001")
        found = parsed(answer, bodies.TrialDetailBody)
        assert (found.trial.rank, found.trial.best, found.aliases) == (1, 0.9, ["champion"])
        assert [(each.step, each.score, each.place) for each in found.checkpoints] == [
            (2, 0.9, "faces/1/best/checkpoint_000002")
        ]
        assert found.pictures == ["roc", "confusion"]
        assert "file:" not in answer.body.decode() and str(Path(store.url).parent) not in answer.body.decode()
        failed = parsed(site.get(f"{API}/faces/trials/f0003"), bodies.TrialDetailBody)
        assert failed.error == "ValueError: no faces"

    def test_pictures_are_only_those_of_a_trial(self, site: Site) -> None:
        answer = site.get(f"{API}/faces/trials/f0001/pictures/roc")
        assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "image/png", png())
        site.get(f"{API}/faces/trials/f0001/pictures/confusion").problem(404, "not-found")  # it is none
        site.get(f"{API}/faces/trials/f0000/pictures/roc").problem(404, "not-found")
        site.get(f"{API}/faces/trials/f0001/pictures/secret").problem(400, "bad-request")
        site.get(f"{API}/faces/trials/f0001/pictures/..%2Fsecret").problem(404, "not-found")

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/nobody", 404), ("/nobody/curves", 404), ("/faces?metric=nothing", 404), ("/faces/trials/f000", 404),
            ("/faces/trials/x", 404), ("/faces/curves?trials=x", 404), ("/%00", 404), ("/faces/curves?trials=%00", 404),
            ("/faces?limit=0", 400), ("/faces?offset=-1", 400), ("/faces/curves?points=3", 400),
            ("/faces/curves?" + "&".join(["trials=f0001"] * 51), 400),
        ],
    )  # fmt: skip
    def test_mistakes_are_problems(self, site: Site, path: str, status: int) -> None:
        site.get(API + path).problem(status, {404: "not-found", 400: "bad-request"}[status])

    def test_nothing_is_written_through_the_api(self, site: Site) -> None:
        assert site.send("POST", f"{API}/faces", b"{}", {"Content-Type": "application/json"}).status == 405
        assert site.send("DELETE", f"{API}/faces", None, {}).status == 405


class TestNews:
    @pytest.mark.parametrize("path", [API, f"{API}/faces", f"{API}/faces/parallel", "experiments", "experiments/faces"])
    def test_304_until_something_changes(self, site: Site, store: ResultStore, path: str) -> None:
        etag = site.get(path).headers["ETag"]
        same = site.get(path, **{"If-None-Match": f'"other", {etag}'})
        assert (same.status, same.body, same.headers["ETag"]) == (304, b"", etag)
        store.metrics("f0004", next(STEPS), {"auc": 0.3}, time.time())
        assert store.flush(20)
        assert site.get(path, **{"If-None-Match": etag}).status == 200

    def test_other_questions_have_other_etags(self, site: Site) -> None:
        paths = [f"{API}/faces", f"{API}/faces?metric=loss", f"{API}/faces?limit=1", f"{API}/faces/curves"]
        assert len({site.get(path).headers["ETag"] for path in paths}) == len(paths)
        assert (
            site.get("experiments/faces").headers["ETag"] != site.get("experiments/faces?language=de").headers["ETag"]
        )

    def test_an_epoch_that_is_trained_again_is_news(self, tmp_path: Path) -> None:
        with_store = ResultStore(f"sqlite:///{tmp_path}/results.db")
        with_store.open()
        begin(with_store)
        put_trial(with_store, 0, "running", [0.5, 0.6])
        assert with_store.flush(20)
        engine = open_reader(with_store.url)
        seen = [change_token(engine, "faces"), change_token(engine, "faces")]
        with_store.metrics("f0000", 2, {"auc": 0.7}, time.time())
        assert with_store.flush(20)
        seen.append(change_token(engine, "faces"))
        with_store.event("faces/1", None, "note", "hello")
        with_store.close()
        seen.append(change_token(engine, "faces"))
        assert seen[0] == seen[1] and len(set(seen)) == 3

    @pytest.mark.parametrize(
        ("header", "seen"), [(None, False), ("", False), ("*", True), ('"a", W/"x"', True), ('"x"', True), ("x", False)]
    )
    def test_if_none_match_is_read_as_the_rfc_says(self, header: str | None, seen: bool) -> None:
        assert is_seen('W/"x"', header) == seen


class TestStoreAway:
    def test_no_store_yet_is_no_mistake(self, tmp_path: Path) -> None:
        with pages_over(f"sqlite:///{tmp_path}/none.db") as site:
            assert site.get(API).json == {"sweeps": []}
            site.get(f"{API}/faces").problem(404, "not-found")
            page = site.get("experiments")
            assert page.status == 200 and b"tune/run.py --params params/demo.yaml" in page.body
            assert not (tmp_path / "none.db").exists()

            store = ResultStore(f"sqlite:///{tmp_path}/none.db")  # it comes while the server runs
            store.open()
            begin(store)
            store.close()
            assert len(site.get(API).json["sweeps"]) == 1
            assert b"No trial has begun yet." in site.get("experiments/faces").body

            (tmp_path / "none.db").write_bytes(b"no database, only words " * 99)
            problem = site.get(API).problem(503, "unavailable")
            assert problem.detail.startswith("The experiments can't be read")
            page = site.get("experiments/faces")
            assert page.status == 503 and b"The experiments can" in page.body and b"none.db" not in page.body


class TestPages:
    def test_the_leaderboard_is_whole_without_javascript(self, site: Site) -> None:
        html = site.get("experiments/faces").body.decode()
        assert [int(number) for number in re.findall(r'id="trial-\w+"[^>]*>(\d+)<', html)] == [1, 4, 0, 2, 3]
        assert "&lt;b&gt;avg&lt;/b&gt;" in html and "<b>avg" not in html
        for word in ("completed", "stopped early", "failed", "running"):
            assert word in html
        assert "<noscript>" in html

    @pytest.mark.parametrize(
        ("query", "numbers"),
        [
            ("sort=number&order=asc", [0, 1, 2, 3, 4]), ("sort=number&order=desc", [4, 3, 2, 1, 0]),
            ("sort=param:train.lr&order=asc", [3, 2, 1, 4, 0]), ("sort=epoch&order=desc", [1, 0, 4, 2, 3]),
            ("sort=nonsense", [1, 4, 0, 2, 3]), ("sort=last&order=asc&offset=99", [2, 0, 1, 4, 3]),
            ("metric=loss&sort=rank", [1, 4, 0, 2, 3]),
        ],
    )  # fmt: skip
    def test_columns_sort_by_links(self, tmp_path: Path, query: str, numbers: list[int]) -> None:
        store = ResultStore(f"sqlite:///{tmp_path}/results.db")
        store.open()
        fill(store, tmp_path)
        store.close()
        given = dict(part.split("=") for part in query.split("&"))
        found = board(open_reader(store.url), "faces", given.get("metric"))
        view = BoardView.of(
            found, ENGLISH, given.get("sort", "rank"), given.get("order") == "desc", int(given.get("offset", 0))
        )
        assert [row.number for row in view.rows] == numbers
        assert sum(column.sorted is not None for column in view.columns) == 1

    def test_german(self, site: Site) -> None:
        page = site.get("experiments/faces", **{"Accept-Language": "de"})
        assert page.headers["Content-Language"] == "de"

    def test_links_and_events_keep_to_the_language_of_the_reader(self, site: Site) -> None:
        for path in ("experiments", "experiments/faces", "experiments/faces/trials/f0001", "experiments/nobody"):
            html = site.get(f"{path}?language=de").body.decode().partition("<main")[2].partition("</main>")[0]
            links = re.findall(r'<a [^>]*href="([^"]+)"', html)
            assert links and all("language=de" in link for link in links), path
        assert "nach Epoche 3" in site.get("experiments/faces/trials/f0001?language=de").body.decode()

    def test_pictures_are_shown_with_their_epoch(self, site: Site) -> None:
        html = site.get("experiments/faces/trials/f0001").body.decode()
        assert "Of epoch 2, the best by auc" in html

    @pytest.mark.parametrize("summary", [None, "[]", "{", '{"best_epoch": null}', '{"best_epoch": "2"}'])
    def test_an_epoch_that_nobody_knows_is_not_shown(self, tmp_path: Path, summary: str | None) -> None:
        if summary is not None:
            (tmp_path / "trial.json").write_text(summary)
        assert pictured_epoch(f"file://{tmp_path}") is None

    def test_unknown_ones_are_friendly_404s(self, site: Site) -> None:
        for path in ("experiments/nobody", "experiments/faces/trials/nobody", "experiments/%00"):
            page = site.get(path)
            assert page.status == 404 and page.headers["Content-Type"].startswith("text/html"), path
            assert b"There is no such" in page.body

    def test_plotly_comes_from_here_once_and_small(self, site: Site) -> None:
        packed = site.get(PLOTLY, **{"Accept-Encoding": "gzip, br"})
        plain = site.get(PLOTLY)
        assert gzip.decompress(packed.body) == plain.body and len(packed.body) < 1_600_000
        for answer in (packed, plain):
            assert "immutable" in answer.headers["Cache-Control"] and answer.headers["Vary"] == "Accept-Encoding"
            assert answer.headers["Content-Type"].startswith("text/javascript")
        assert style_ids()

    @pytest.mark.parametrize(
        ("header", "takes"),
        [
            (None, False),
            ("gzip", True),
            ("br, GZIP;q=0.5", True),
            ("gzip;q=0", False),
            ("gzip; q=0.0", False),
            ("x", False),
        ],
    )
    def test_accept_encoding(self, header: str | None, takes: bool) -> None:
        assert takes_gzip(header) == takes


class TestManyTrials:
    def test_a_thousand_trials_are_a_small_page_soon(self, site: Site, store: ResultStore) -> None:
        begin(store, "finished", "many/1")
        for number in range(1000):
            put_trial(store, number, "completed", [0.5 + number / 4000], sweep="many/1", lr=0.1 / (number + 1))
        assert store.flush(60)
        took = []
        for _ in range(3):
            began = time.perf_counter()
            page = site.get("experiments/many")
            took.append(time.perf_counter() - began)
        files = set(re.findall(r'(?:src|href)="\.\./(static/[^"]+)"', page.body.decode()))
        files |= {f"static/experiment-{name}.js" for name in ("curves", "live", "parallel")} | {"static/say.js"}
        assert len(page.body) + sum(len(site.get(name).body) for name in files) < MOST_BYTES
        assert min(took) < 1
        assert "1–100 / 1000" in page.body.decode()
        assert parsed(site.get(f"{API}/many/parallel"), bodies.ParallelBody).total == 1000

    def test_importance_finds_the_param_that_matters_and_says_the_same_again(self, tmp_path: Path) -> None:
        store = ResultStore(f"sqlite:///{tmp_path}/results.db")
        store.open()
        begin(store, "finished")
        for number in range(40):
            lr = 10 ** -(1 + (number * 7 % 40) / 10)
            put_trial(store, number, "completed", [0.5 + lr], lr=lr, pool=("max", "avg")[number % 2])
        store.close()
        found, again = (importance(board(open_reader(store.url), "faces")) for _ in range(2))
        assert found == again
        assert [param.label for param in found.params] == ["lr", "pool"]
        assert found.params[0].importance > 10 * abs(found.params[1].importance)
        assert found.r2 is not None and found.r2 > 0.8 and not found.is_hint


@given(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan), st.just(math.inf)), max_size=400),
    st.integers(5, 100),
)
def test_thinned_curves_keep_their_ends_and_extremes(values: list[float], most: int) -> None:
    points = list(enumerate(values))
    kept = thinned(points, most)
    assert len(kept) <= most or kept == points
    assert [step for step, _ in kept] == sorted({step for step, _ in kept}) and set(kept) <= set(points)
    assert kept[:1] == points[:1] and kept[-1:] == points[-1:]
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        shown = [value for _, value in kept if math.isfinite(value)]
        assert (min(shown), max(shown)) == (min(finite), max(finite))
    assert any(not math.isfinite(value) for _, value in kept) == (len(finite) < len(values))


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_lives_while_a_sweep_writes(tmp_path: Path, width: int) -> None:
    """What a reader zoomed, ticked and scrolled to stays; no fault, no error; and nothing is asked in vain."""
    store = ResultStore(f"sqlite:///{tmp_path}/results.db")
    store.open()
    fill(store, tmp_path)
    with pages_over(store.url) as site:
        asyncio.run(read_along(site, store, width))
    store.close()


async def read_along(site: Site, store: ResultStore, width: int) -> None:
    async with browser_page(width=width, is_dark=width < 600) as opened:
        await visit(opened, f"{site.url}experiments")
        assert await opened.faults() == []
        await visit(opened, f"{site.url}experiments/faces")
        await until(opened, "byId('curves-chart').dataset.drawn && byId('importance-words').textContent[0] === 'T'")
        assert (await opened.page.inner_text("#live")).startswith("Live: last heard at")
        assert await opened.faults() == []

        ticks = "[...document.querySelectorAll('.xtick text')].map((tick) => tick.textContent)"
        assert await opened.page.evaluate(f"({ticks}).join()") == "1,2,3"
        assert await opened.page.evaluate(OVERPRINTED) == 0

        await opened.page.check("#pick-f0001")
        await until(opened, "byId('curves-chart').data.length === 1")
        await until(opened, "document.querySelectorAll('.parallel .ticked').length === 1")
        await zoom(opened)
        await until(opened, f"({ticks}).join() === '2'")  # and no half epochs
        zoomed = await opened.page.evaluate("byId('curves-chart').layout.xaxis.range.join()")
        top = await opened.page.evaluate("scrollY")

        put_trial(store, 5, "completed", [0.95])
        store.metrics("f0001", 4, {"auc": 0.97}, time.time())
        assert store.flush(20)
        await until(opened, "byId('trial-f0005') && byId('curves-chart').data[0].y.length === 4")
        rows = "[...document.querySelectorAll('#board tbody tr')].map((row) => row.dataset.key).join()"
        assert (await opened.page.evaluate(rows)).startswith("f0001,f0005,f0004")
        assert await opened.page.is_checked("#pick-f0001")
        assert await opened.page.evaluate("byId('curves-chart').layout.xaxis.range.join()") == zoomed
        assert abs(await opened.page.evaluate("scrollY") - top) < 60  # a row more

        await opened.page.focus("#board thead th:nth-child(3) a")
        await opened.page.keyboard.press("Enter")
        await until(opened, f"{rows} === 'f0000,f0001,f0002,f0003,f0004,f0005'")
        assert await opened.page.evaluate("document.activeElement.closest('th').ariaSort") == "ascending"
        assert await opened.page.is_checked("#pick-f0001")
        await opened.page.go_back()
        await until(opened, f"{rows}.startsWith('f0001,f0005')")

        begin(store, "finished")
        assert store.flush(20)
        await until(opened, "byId('live').textContent.startsWith('Nothing runs')")
        assert await opened.page.evaluate(f"document.documentElement.scrollWidth <= {width}")

        await visit(opened, f"{site.url}experiments/faces/trials/f0000")
        await until(opened, "byId('curves-chart').data?.length === 2")
        assert await opened.faults() == []
        assert await opened.page.evaluate(f"document.documentElement.scrollWidth <= {width}")
        assert opened.errors == []


# Pairs of texts in the parallel coordinates that lie on one another.
OVERPRINTED = """(() => {
    const boxes = [...document.querySelectorAll('.parallel text')].map((text) => text.getBoundingClientRect());
    const isOver = (one, other) => one.left < other.right && other.left < one.right &&
        one.top + 3 < other.bottom && other.top + 3 < one.bottom;
    return boxes.flatMap((one, place) => boxes.slice(place + 1).filter((other) => isOver(one, other))).length;
})()"""


async def visit(opened: Opened, url: str) -> None:
    await opened.page.goto(url)
    await opened.page.evaluate("window.byId = (id) => document.getElementById(id)")


async def zoom(opened: Opened) -> None:
    """With the mouse, into the middle half of the chart."""
    chart = opened.page.locator("#curves-chart .nsewdrag").first
    await chart.scroll_into_view_if_needed()
    box = await chart.bounding_box()
    assert box is not None
    mouse = opened.page.mouse
    await mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    await mouse.down()
    await mouse.move(box["x"] + box["width"] * 3 / 4, box["y"] + box["height"] * 3 / 4, steps=4)
    await mouse.up()
    await until(opened, "byId('curves-chart').layout.xaxis.autorange === false")


async def until(opened: Opened, so: str, patience_s: float = 30) -> None:
    """Asked through the debugger: what Playwright waits for runs in the page, whose policy forbids that."""
    async with asyncio.timeout(patience_s):
        while not await opened.page.evaluate(f"!!({so})"):
            await asyncio.sleep(0.05)


@contextmanager
def pages_over(store_url: str) -> Iterator[Site]:
    """The pages and the API of experiments alone, with the headers of the whole server and without its worker."""
    web = FastAPI(openapi_url=None, redirect_slashes=False)

    @web.middleware("http")
    async def _guarded(request: Request, call_next: Any) -> Response:
        answer: Response = await call_next(request)
        answer.headers.update(HEADERS)
        return answer

    add_problems(web)
    web.include_router(experiments.routes)
    add_pages(web)
    web.state.experiments = Experiments(store_url)
    config = uvicorn.Config(web, log_level="warning", lifespan="off", ws="none", server_header=False)
    server, site = uvicorn.Server(config), Site()
    with socket.create_server(("127.0.0.1", 0)) as at:
        site.url = f"http://127.0.0.1:{at.getsockname()[1]}/"
        thread = threading.Thread(target=server.run, args=([at],), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.should_exit = True
            thread.join(20)
            site.loop.close()


def parsed(answer: Answered, body: Any) -> Any:
    """Valid by its model, and strict JSON."""
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/json" and answer.headers["Cache-Control"] == "no-cache"
    json.loads(answer.body, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    return body.model_validate_json(answer.body)
