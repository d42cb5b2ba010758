"""*Experiments*: what was tried, and how well it did."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import HTMLResponse, Response

from bot.web import charts
from bot.web.experiments import (
    Experiments,
    ExperimentsNeeded,
    NotInStore,
    StoreAway,
    find_sweeps,
    find_trial,
    sweep_at,
)
from bot.web.languages import reader
from bot.web.pages.experiments_texts import chart_words, live_words, page_words
from bot.web.pages.experiments_view import BoardView, sweep_rows, trial_view
from bot.web.pages.frame import page
from bot.web.trial_pictures import pictured_epoch, pictures_in
from bot.words import Words
from tune.store.query_sweep import Board, board

routes = APIRouter(include_in_schema=False)
routes.include_router(charts.routes)

_BEGAN = time.time_ns()  # another program may make other pages of the same store

Seen = Annotated[str | None, Header(alias="If-None-Match")]


@routes.api_route("/experiments", methods=["GET", "HEAD"])
async def sweeps_page(
    request: Request, experiments: ExperimentsNeeded, language: str | None = None, seen: Seen = None
) -> Response:
    """All sweeps."""
    t = reader(request.headers.get("accept-language"), language)

    def make(engine: sa.Engine) -> dict[str, object]:
        return {"rows": sweep_rows(find_sweeps(engine), t)}

    return await _live(request, experiments, t, "experiments.html", None, seen, make)


@routes.api_route("/experiments/{sweep}", methods=["GET", "HEAD"])
async def sweep_page(
    request: Request,
    sweep: str,
    experiments: ExperimentsNeeded,
    metric: Annotated[str | None, Query(max_length=200)] = None,
    sort: Annotated[str, Query(max_length=300)] = "rank",
    order: str = "asc",
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    language: str | None = None,
    seen: Seen = None,
) -> Response:
    """One sweep: its trials, and charts. sort: a column's name; order: asc or desc; offset: of the table."""
    t = reader(request.headers.get("accept-language"), language)

    def make(engine: sa.Engine) -> dict[str, object]:
        found = board(engine, sweep_at(sweep), metric or None)
        return _charted(BoardView.of(found, t, sort, order == "desc", offset, language), found, t)

    return await _live(request, experiments, t, "experiment.html", sweep, seen, make)


@routes.api_route("/experiments/{sweep}/trials/{trial}", methods=["GET", "HEAD"])
async def trial_page(
    request: Request,
    sweep: str,
    trial: str,
    experiments: ExperimentsNeeded,
    language: str | None = None,
    seen: Seen = None,
) -> Response:
    """One trial."""
    t = reader(request.headers.get("accept-language"), language)

    def make(engine: sa.Engine) -> dict[str, object]:
        record = find_trial(engine, sweep, trial)
        found = board(engine, record.trial.sweep_id)
        folder = record.trial.folder
        return _charted(trial_view(record, found, pictures_in(folder), pictured_epoch(folder), t), found, t)

    return await _live(request, experiments, t, "experiment_trial.html", sweep, seen, make)


def _charted(view: object, found: Board, t: Words) -> dict[str, object]:
    speak = chart_words(t, found.metric, found.mode)
    return {"view": view, "speak": speak, "plotly": charts.PLOTLY, "style_ids": charts.style_ids()}


async def _live(
    request: Request, experiments: Experiments, t: Words, template: str, sweep: str | None, seen: str | None,
    make: Callable[[sa.Engine], dict[str, object]],
) -> Response:  # fmt: skip
    """The page, or 304 for whoever has it as it is, or what is wrong. sweep: None of the page of all."""
    salt = f"{_BEGAN} {t.language} {request.url.path} {request.url.query}"
    try:
        news = await experiments.news(sweep and sweep_at(sweep), seen, salt, make)
    except (NotInStore, StoreAway) as error:
        if sweep is None and isinstance(error, NotInStore):  # no store at all
            return _page(request, t, template, {"rows": [], "etag": ""})
        return _trouble(request, t, error)
    if news.found is None:
        headers = {"ETag": news.etag, "Vary": "Accept-Language", "Cache-Control": "no-cache"}
        return Response(status_code=304, headers=headers)
    answer = _page(request, t, template, news.found | {"etag": news.etag})
    answer.headers["ETag"] = news.etag
    return answer


def _page(request: Request, t: Words, template: str, values: dict[str, object]) -> HTMLResponse:
    return page(request, template, t, **({"say": page_words(t), "speak": live_words(t)} | values))


def _trouble(request: Request, t: Words, error: NotInStore | StoreAway) -> HTMLResponse:
    answer = _page(request, t, "experiment_trouble.html", {"reason": t(error.text, **error.values)})
    answer.status_code = 404 if isinstance(error, NotInStore) else 503
    return answer
