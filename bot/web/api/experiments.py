"""The HTTP API: the result store, read only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response

from bot.web.api.experiments_bodies import (
    AxisBody,
    CheckpointBody,
    CurveBody,
    CurvesBody,
    EventBody,
    ImportanceBody,
    LeaderboardBody,
    MetricBody,
    ParallelBody,
    SweepBody,
    SweepsBody,
    TrialBody,
    TrialDetailBody,
    finite,
    mode_of_board,
    place,
)
from bot.web.api.needed import problems
from bot.web.bodies import Body
from bot.web.experiments import NO_TRIAL, Experiments, ExperimentsNeeded, NotInStore, find_sweeps, find_trial, sweep_at
from bot.web.trial_pictures import picture, pictures_in
from bot.words import later
from tune.store.query import mode_of
from tune.store.query_importance import axes
from tune.store.query_sweep import Board, board, curves
from tune.store.records import TrialRecord

routes = APIRouter()

_BASE = "/api/v1/experiments"
_CURVES = 10  # of the best trials, unless trials are named
_MOST_CURVES = 50
_ETAG = {"ETag": {"description": "Another one when anything has changed.", "schema": {"type": "string"}}}
_NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing has changed since the answer of that ETag; no body.", "headers": _ETAG}
}

Sweep = Annotated[
    str,
    Path(description="Its `address` of the list, or a name, which is the newest of it.", max_length=200,
         examples=["demo"]),
]  # fmt: skip
Trial = Annotated[str, Path(description="The whole id of a trial.", max_length=200, examples=["cb8a0_00007"])]
Metric = Annotated[
    str | None,
    Query(description="What its trials reported, such as loss; by default what it searched for.", max_length=200),
]
Seen = Annotated[
    str | None, Header(alias="If-None-Match", description="The ETag of an answer at hand: 304 when it still holds.")
]


def _described(body: type[Body], summary: str, *statuses: int) -> dict[str, Any]:
    """What all these routes say of themselves."""
    return {
        "summary": summary,
        "response_model": body,
        "response_description": (body.__doc__ or "").partition("\n")[0],
        "responses": {200: {"headers": _ETAG}, **_NOT_MODIFIED, **problems(*statuses, 500, 503)},
    }


@routes.get(_BASE, operation_id="experiments", **_described(SweepsBody, "All sweeps", 400))
async def sweeps(experiments: ExperimentsNeeded, seen: Seen = None) -> Response:
    """What was tried, newest first. Empty while no sweep has been run."""

    def ask(engine: sa.Engine) -> SweepsBody:
        return SweepsBody(sweeps=[SweepBody.of(sweep) for sweep in find_sweeps(engine)])

    if not await experiments.has_store():
        return _json(SweepsBody(sweeps=[]), None)
    return await _answer(experiments, None, seen, "sweeps", ask)


@routes.get(
    f"{_BASE}/{{sweep}}", operation_id="leaderboard", **_described(LeaderboardBody, "The trials of a sweep", 400, 404)
)
async def leaderboard(
    sweep: Sweep,
    experiments: ExperimentsNeeded,
    metric: Metric = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Trials at most.")] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000, description="Trials before them.")] = 0,
    seen: Seen = None,
) -> Response:
    """Ranked by the best value that each trial ever reached."""
    return await _of_board(
        experiments, sweep, metric, seen, f"board {limit} {offset}",
        lambda found, _: LeaderboardBody.of(found, offset, limit),
    )  # fmt: skip


@routes.get(f"{_BASE}/{{sweep}}/curves", operation_id="curves", **_described(CurvesBody, "Learning curves", 400, 404))
async def learning_curves(
    sweep: Sweep,
    experiments: ExperimentsNeeded,
    metric: Metric = None,
    trials: Annotated[
        list[str], Query(max_length=_MOST_CURVES, description="Ids of trials; by default the best ten.")
    ] = [],  # noqa: B006 – FastAPI copies it
    points: Annotated[int, Query(ge=10, le=5000, description="Of each curve, at most.")] = 500,
    seen: Seen = None,
) -> Response:
    """One metric over the epochs of some trials, in the order given."""

    def ask(found: Board, engine: sa.Engine) -> CurvesBody:
        wanted = trials or [trial.id for trial in found.trials[:_CURVES]]
        if not all(trial.isprintable() for trial in wanted):
            raise NotInStore(NO_TRIAL)
        read = curves(engine, found.sweep.id, wanted, found.metric, points)
        return CurvesBody(metric=found.metric, mode=mode_of_board(found), curves=[CurveBody.of(each) for each in read])

    return await _of_board(experiments, sweep, metric, seen, f"curves {trials} {points}", ask)


@routes.get(
    f"{_BASE}/{{sweep}}/importance", operation_id="importance",
    **_described(ImportanceBody, "How much each param matters", 400, 404),
)  # fmt: skip
async def param_importance(
    sweep: Sweep, experiments: ExperimentsNeeded, metric: Metric = None, seen: Seen = None
) -> Response:
    """From the trials that have ended. The first answer may take seconds; it is kept until another trial ends."""
    return await _of_board(
        experiments, sweep, metric, seen, "importance",
        lambda found, _: ImportanceBody.of(experiments.importance(found)),
    )  # fmt: skip


@routes.get(
    f"{_BASE}/{{sweep}}/parallel", operation_id="parallel",
    **_described(ParallelBody, "Columns for parallel coordinates", 400, 404),
)  # fmt: skip
async def parallel(
    sweep: Sweep,
    experiments: ExperimentsNeeded,
    metric: Metric = None,
    limit: Annotated[int, Query(ge=1, le=5000, description="Trials at most, the best.")] = 1000,
    seen: Seen = None,
) -> Response:
    """The params that differ between the trials, a column each, and the best values beside them."""

    def ask(found: Board, _: sa.Engine) -> ParallelBody:
        shown = found.trials[:limit]
        return ParallelBody(
            metric=found.metric, mode=mode_of_board(found), total=len(found.trials),
            trials=[trial.id for trial in shown], numbers=[trial.number for trial in shown],
            states=[trial.status for trial in shown],
            best=[finite(trial.best.value) if trial.best else None for trial in shown],
            axes=[AxisBody.of(axis, limit) for axis in axes(found)],
        )  # fmt: skip

    return await _of_board(experiments, sweep, metric, seen, f"parallel {limit}", ask)


@routes.get(
    f"{_BASE}/{{sweep}}/trials/{{trial}}", operation_id="trial",
    **_described(TrialDetailBody, "Everything about a trial", 400, 404),
)  # fmt: skip
async def one_trial(sweep: Sweep, trial: Trial, experiments: ExperimentsNeeded, seen: Seen = None) -> Response:
    """Its params, metrics, checkpoints, events, and which pictures there are. Its curves are at …/curves?trials=ID."""

    def ask(engine: sa.Engine) -> TrialDetailBody:
        record = find_trial(engine, sweep, trial)
        found = board(engine, record.trial.sweep_id)
        rank, ranked = next((rank, each) for rank, each in enumerate(found.trials, 1) if each.id == record.trial.id)
        return _detail(record, TrialBody.of(ranked, rank))

    return await _answer(experiments, sweep_at(sweep), seen, f"trial {trial}", ask)


@routes.get(
    f"{_BASE}/{{sweep}}/trials/{{trial}}/pictures/{{name}}",
    summary="A picture from a trial's folder",
    operation_id="trial_picture",
    response_class=Response,
    response_description="The picture.",
    responses={200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
               **problems(400, 404, 500, 503)},
)  # fmt: skip
async def trial_picture(
    sweep: Sweep,
    trial: Trial,
    name: Annotated[Literal["roc", "calibration", "confusion", "curves"], Path(description="Which.")],
    experiments: ExperimentsNeeded,
) -> Response:
    """Of the validation split, drawn when the trial ended. Only of trials whose storage is on the server's own disk."""
    record = await experiments.ask(lambda engine: find_trial(engine, sweep, trial))
    data = await experiments.ask(lambda _: picture(record.trial.folder, name))
    if data is None:
        raise NotInStore(later("This trial has no such picture here."))
    return Response(data, media_type="image/png", headers={"Cache-Control": "no-cache"})


async def _of_board(
    experiments: Experiments, sweep: str, metric: str | None, seen: str | None, salt: str,
    make: Callable[[Board, sa.Engine], Body],
) -> Response:  # fmt: skip
    def ask(engine: sa.Engine) -> Body:
        return make(board(engine, sweep_at(sweep), metric), engine)

    return await _answer(experiments, sweep_at(sweep), seen, f"{salt} {metric}", ask)


async def _answer(
    experiments: Experiments, sweep: str | None, seen: str | None, salt: str, ask: Callable[[sa.Engine], Body]
) -> Response:
    news = await experiments.news(sweep, seen, salt, lambda engine: ask(engine).model_dump_json())
    headers = {"ETag": news.etag, "Cache-Control": "no-cache"}
    if news.found is None:
        return Response(status_code=304, headers=headers)
    return Response(news.found, media_type="application/json", headers=headers)


def _json(body: Body, etag: str | None) -> Response:
    headers = {"Cache-Control": "no-cache"} | ({"ETag": etag} if etag else {})
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)


def _detail(record: TrialRecord, trial: TrialBody) -> TrialDetailBody:
    if record.sweep is None:  # its row has not arrived yet, after an outage
        raise NotInStore(NO_TRIAL)
    error = (record.trial.error or "").strip()
    return TrialDetailBody(
        sweep=SweepBody.of(record.sweep),
        trial=trial,
        error=error.splitlines()[-1].strip() if error else None,
        aliases=list(record.aliases),
        metrics=[MetricBody.of(best, mode_of(best.key)) for best in record.metrics],
        checkpoints=[
            CheckpointBody(step=each.step, score=finite(each.score), place=place(each.url, record), at=each.at)
            for each in record.checkpoints
        ],
        events=[EventBody(kind=each.kind, message=each.message, at=each.at) for each in record.events],
        pictures=pictures_in(record.trial.folder),
    )
