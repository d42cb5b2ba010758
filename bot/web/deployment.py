"""The same server on a Ray cluster: `serve run bot.web.deployment:app`, or `serve deploy infra/deploy/serve.yaml`.

Two deployments: `Web` takes requests, exactly as `python -m bot web`; `Looker` looks at pictures, in batches, on as
many replicas as there is work for, each on a part of a GPU where it is given one. What a replica held when it died is
looked at by another.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import ray
from pydantic import Field
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.chat.app import open_app
from bot.params import BotParams
from bot.web.app import create_app
from bot.web.clients import is_loopback
from bot.web.problems import Misdirected, tell
from bot.worker.afar import Away, FarDesk
from bot.worker.errors import Stumbled
from bot.worker.requests import Checked, Want
from infra.errors import UserError
from infra.params import StrictModel, load_params, validate
from model_defs.checkpoint import BundleError, Card

PARAMS = "FACES_BOT_PARAMS"  # in the environment: a params file
_DECODERS = 2
_PAINTERS = 2
_WAIT_S = 0.005  # for a batch to fill: next to nothing beside a pass of the network
_PATIENCE_S = 90.0  # without any replica: another is there in half a minute, on a new node later
_NEWS_S = 180.0  # for the first card: replicas load meanwhile

log = logging.getLogger("bot.worker")


class Args(StrictModel):
    """What `args` of serve.yaml, or `serve run … name=value`, may hold.

    params: the params file; else FACES_BOT_PARAMS names it, else params/bot.yaml. set: as --set of the commands.
    """

    params: str | None = None
    set: tuple[str, ...] = Field(default=())


def app(given: dict[str, Any]) -> Any:
    """The application that Serve runs. given: see `Args`. Raises ParamsError.

    What is said here of replicas goes for `serve run`; serve.yaml says it for a cluster.
    """
    args = validate(Args, given, "args of bot.web.deployment:app")
    params = load_params(args.params or os.environ.get(PARAMS, "params/bot.yaml"), args.set, BotParams)
    content = params.model_dump(mode="json")
    looker = serve.deployment(
        LookerReplica, name="Looker",
        max_ongoing_requests=32,  # four batches: one in the network, one decoded, the rest on its way
        autoscaling_config={"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": 8},
        health_check_period_s=5, health_check_timeout_s=30, graceful_shutdown_timeout_s=30,
    )  # fmt: skip
    web = serve.deployment(
        serve.ingress()(WebReplica), name="Web",
        max_ongoing_requests=200, health_check_period_s=5, graceful_shutdown_timeout_s=30,
    )  # fmt: skip
    return web.bind(content, looker.bind(content))


class LookerReplica:
    """One network, and threads that decode before it and paint after it. content: BotParams."""

    async def __init__(self, content: dict[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        params = BotParams.model_validate(content)
        self._params = params
        self._network = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._decoders = ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="decode-large")
        self._painters = ThreadPoolExecutor(_PAINTERS, thread_name_prefix="paint")
        self._loop = asyncio.get_running_loop()
        self._judge.set_max_batch_size(params.worker.batch)
        self._champion = await asyncio.to_thread(_champion, params)
        self._looker = await self._loop.run_in_executor(self._network, _loaded, self._champion[0], params)
        self._batches: dict[int, int] = {}  # size ▶ how many
        self._following = asyncio.create_task(self._follow())

    async def look(self, data: bytes, want: Want) -> Checked | UserError:
        """What became of a picture; never raises for one."""
        try:
            looker = self._looker
            sight = await self._loop.run_in_executor(self._decoders, looker.prepare, data, want)
            if sight is None:
                sight = await self._loop.run_in_executor(self._large, looker.prepare_large, data, want)
            verdict = await self._judge((looker, sight))
            if isinstance(verdict, UserError):
                raise verdict
            return await self._loop.run_in_executor(self._painters, looker.paint, sight, verdict)
        except BundleError as error:
            log.error("%s", error)
        except UserError as error:
            return error
        except Exception:
            log.exception("a picture could not be looked at")
        return Stumbled()

    async def card(self) -> Card:
        """Of the network that answers now."""
        card: Card = self._looker.card
        return card

    async def batches(self) -> tuple[int, dict[int, int]]:
        """The process, and how many batches of each size it has judged."""
        return os.getpid(), self._batches

    def check_health(self) -> None:
        """Serve replaces a replica whose champion is not followed any more."""
        if self._following.done():
            raise RuntimeError("the champion is not followed any more")

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=_WAIT_S)  # type: ignore[untyped-decorator]
    async def _judge(self, items: Sequence[Any]) -> list[Any]:
        """(network, Sight) each ▶ Verdict or BundleError each."""
        self._batches[len(items)] = self._batches.get(len(items), 0) + 1
        return await self._loop.run_in_executor(self._network, _judged, items)

    async def _follow(self) -> None:
        """Load each new champion beside the one that answers; what has begun ends with the one before."""
        failed, trouble = None, ""
        while True:
            await asyncio.sleep(self._params.worker.reload_s)
            try:
                champion = await asyncio.to_thread(_champion, self._params)
                if champion in (self._champion, failed):
                    continue
                failed = champion
                self._looker = await asyncio.to_thread(_loaded, champion[0], self._params)
                self._champion = champion
                log.info("a new champion answers: %s", self._looker.card.id)
            except Exception as error:
                if str(error) != trouble:  # once, not every few seconds
                    trouble = str(error)
                    log.error("there is no new champion that can be used, the one before goes on: %s", error)


class HandleDesk(FarDesk):
    """Asks the replicas of `Looker`, over Ray."""

    def __init__(self, params: BotParams, handle: DeploymentHandle) -> None:
        super().__init__(params, patience_s=_PATIENCE_S)
        self._handle = handle

    async def _look(self, data: bytes, want: Want) -> Checked | UserError:
        found: Checked | UserError = await self._asked(self._handle.look.remote(data, want))
        return found

    async def _news(self) -> tuple[Card, bool]:
        async with asyncio.timeout(_NEWS_S):
            return await self._asked(self._handle.card.remote()), True

    async def _asked(self, answer: Any) -> Any:
        try:
            return await answer
        except BackPressureError as error:
            raise Away(f"all replicas have enough to do: {error}", is_busy=True) from None
        except RayActorError as error:
            raise Away(f"a replica died: {str(error).splitlines()[0]}", died=True) from None
        except (DeploymentUnavailableError, TimeoutError, ray.exceptions.RayError) as error:
            raise Away(f"no replica answers: {type(error).__name__}") from None


class WebReplica:
    """The page and the HTTP API, over an App whose pictures are looked at by `Looker`. content: BotParams."""

    async def __init__(self, content: dict[str, Any], looks: DeploymentHandle) -> None:  # type: ignore[misc]
        params = BotParams.model_validate(content)
        # Several replicas may share a machine; Serve has its own metrics and health.
        params = params.model_copy(update={"monitor": params.monitor.model_copy(update={"port": None})})
        self._open = AsyncExitStack()
        self._app = await self._open.enter_async_context(open_app(params, desk=HandleDesk(params, looks)))

    def __serve_build_asgi_app__(self) -> ASGIApp:
        web = create_app(self._app)
        return web if self._app.params.web.is_open else OnlyHere(web)

    async def __del__(self) -> None:
        await self._open.aclose()


class OnlyHere:
    """Serve listens where its own settings say: while `web` lets in this machine alone, without keys, others are told
    so.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer, _ = scope.get("client") or ("", 0)
        if scope["type"] == "http" and not is_loopback(peer):
            await tell(Request(scope, receive), Misdirected())(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _champion(params: BotParams) -> tuple[str, str]:
    """Its URL and its card: see `Keeper`."""
    from bot.champion import bundle_url
    from model_defs.checkpoint import read_card

    url = bundle_url(params)
    return url, read_card(url).model_dump_json()


def _loaded(url: str, params: BotParams) -> Any:
    import torch

    from bot.worker.look import Looker as Network

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = Network(url, params.check.threads, int(params.check.max_mb * 2**20), device)
    network.warm_up()
    return network


def _judged(items: Sequence[Any]) -> list[Any]:
    """Each by its own network: when the champion changes there are two for a moment."""
    verdicts: dict[int, Any] = {}
    for looker in {id(looker): looker for looker, _ in items}.values():
        verdicts |= {id(sight): verdict for sight, verdict in looker.judge([s for of, s in items if of is looker])}
    return [verdicts[id(sight)] for _, sight in items]
