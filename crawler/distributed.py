"""A crawl on a Ray cluster: one ledger beside the journal, an engine on every machine.

A machine claims a host and has it alone until nothing more comes of it, so a host's pace is kept by one engine however
many there are. What redirects lead to is paced by the engine that follows them. When a machine is lost, the items it
was at are handed out again. The objects go from each machine straight to the store.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from crawler.crawl import GRACE_S, signals
from crawler.crawl_folder import is_in
from crawler.crawl_progress import show_progress
from crawler.engine import Traffic
from crawler.facts import ImageFacts
from crawler.journal import Item, Journal
from crawler.ledger import LOCAL_HOST, Ledger
from crawler.params import CrawlParams
from crawler.source_state import SourceState
from crawler.workplace import open_workplace
from infra import ray_cluster  # sets what Ray reads when it is imported
from infra.errors import UserError
from infra.storage import open_storage

_POLL_S = 1.0
_LOOK_FOR_NODES_S = 5.0
_CALLS = 10_000  # that may wait at a time, in the ledger's actor


def fetch_on_ray(params: CrawlParams, journal: Journal, decoders: int | None, say: Callable[[str], None]) -> int | None:
    """Everything that is left to fetch, on the cluster of RAY_ADDRESS or on this machine alone.

    decoders: processes on each machine, None for one a core. Returns the signal that stopped it, None where none did.
    Raises UserError: no cluster, a store that other machines do not share, no machine left.
    """
    cluster = ray_cluster.connect()
    try:
        nodes = _nodes()
        places = {node["NodeManagerAddress"] for node in nodes}
        if len(places) > 1 and not params.into.startswith("s3://"):
            raise UserError(
                f"into: {params.into} is a folder of this machine, the cluster has {len(places)}; use s3://bucket/prefix"
            )
        say(f"Ray is up: {len(nodes)} nodes, {cluster.cpus:g} CPUs")
        return asyncio.run(_Driver(params, journal.path, decoders, say).run())
    finally:
        ray.shutdown()


class LedgerDesk:
    """The crawl's ledger as a Ray actor, beside the journal. Every call of a worker names it."""

    def __init__(self, journal: str, params: CrawlParams) -> None:
        self._params = params
        self._journal = Journal(Path(journal))
        self._ledger = Ledger(self._journal, params.parsed_sources)
        self._is_there = is_in(open_storage(params.into))
        self._hosts: dict[str, set[str]] = {}  # worker ▶ what it has claimed
        self._local: set[str] = set()
        self._said: list[str] = []

    async def open(self) -> bool:
        """Read the journal; whether there is nothing to do."""
        await self._ledger.open()
        return self._ledger.finished

    async def join(self, worker: str, is_local: bool) -> None:
        """A worker is about to begin. is_local: on the machine whose files the params name."""
        self._hosts.setdefault(worker, set())
        if is_local:
            self._local.add(worker)

    async def changed(self) -> bool:
        """Wait a moment for something new; whether all is finished."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ledger.changed(), _POLL_S)
        return self._ledger.finished

    async def claim(self, worker: str) -> str | None:
        """A host for `worker`; no worker gets more than its share of them, so that all have some."""
        held = self._hosts[worker]
        share = math.ceil(self._ledger.open_hosts / max(1, len(self._hosts)))
        if len(held) >= share:
            return None
        host = await self._ledger.claim(but=() if worker in self._local else (LOCAL_HOST,))
        if host is not None:
            held.add(host)
        return host

    async def done_with(self, worker: str, host: str) -> None:
        """See `Ledger.done_with`."""
        self._hosts[worker].discard(host)
        await self._ledger.done_with(host)

    async def more(self, host: str) -> bool | None:
        """See `Ledger.more`; None after a moment in which nothing happened."""
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._ledger.more(host), _POLL_S)
        return None

    async def call(self, name: str, *args: Any) -> Any:
        """Any of the ledger's take, give_back, intend, stored, finish, found."""
        return await getattr(self._ledger, name)(*args)

    async def lost(self, worker: str) -> None:
        """`worker` is gone: what it was at is handed out again."""
        for host in self._hosts.pop(worker, set()):
            await self._ledger.recover(host, self._is_there)

    async def say(self, line: str) -> None:
        """Something a person should know."""
        self._said.append(line)

    async def progress(self) -> tuple[list[SourceState], list[str]]:
        """How far the sources are, and what was said since the last call."""
        said, self._said = self._said, []
        return [dataclasses.replace(state, watch=None) for state in self._ledger.states.values()], said

    async def close(self) -> None:
        """Write what is still to be written."""
        await self._ledger.close()
        self._journal.close()


class RemoteLedger:
    """The ledger as an engine on another machine sees it."""

    def __init__(self, desk: Any, worker: str) -> None:
        self._desk = desk
        self._worker = worker
        self.finished = False

    async def changed(self) -> None:
        self.finished = await self._desk.changed.remote()

    async def claim(self) -> str | None:
        host: str | None = await self._desk.claim.remote(self._worker)
        return host

    async def done_with(self, host: str) -> None:
        await self._desk.done_with.remote(self._worker, host)

    async def more(self, host: str) -> bool:
        answer = None
        while answer is None:
            answer = await self._desk.more.remote(host)
        return bool(answer)

    async def take(self, host: str, limit: int) -> list[Item]:
        items: list[Item] = await self._desk.call.remote("take", host, limit)
        return items

    async def give_back(self, items: Sequence[Item]) -> None:
        await self._desk.call.remote("give_back", list(items))

    async def intend(self, item: Item, facts: ImageFacts, final_url: str | None, at: datetime | None, /) -> bool:
        return bool(await self._desk.call.remote("intend", item, facts, final_url, at))

    async def stored(self, items: Sequence[Item]) -> None:
        await self._desk.call.remote("stored", list(items))

    async def finish(self, item: Item, status: str, error: str | None = None, detail: str | None = None) -> None:
        await self._desk.call.remote("finish", item, status, error, detail)

    async def found(self, page: Item, images: Sequence[str], pages: Sequence[tuple[str, int]]) -> None:
        await self._desk.call.remote("found", page, list(images), list(pages))


class CrawlWorker:
    """An engine on one machine, as a Ray actor."""

    def __init__(self, name: str, params: CrawlParams, desk: Any, decoders: int | None) -> None:
        self._params = params
        self._decoders = decoders
        self._desk = desk
        self._ledger = RemoteLedger(desk, name)
        self._engine: Any = None
        self._stopped = False

    async def run(self) -> None:
        """Work until all is finished, or :meth:`stop`."""
        async with open_workplace(self._params, self._ledger, self._decoders, self._desk.say.remote) as (
            engine,
            uploads,
        ):
            self._engine = engine
            if not self._stopped:
                await engine.run()
            if uploads.ready.is_set():
                await uploads.close()

    async def stop(self) -> None:
        """Begin nothing new."""
        self._stopped = True
        if self._engine is not None:
            self._engine.stop()

    async def traffic(self) -> Traffic:
        """What it has fetched."""
        return Traffic() if self._engine is None else self._engine.traffic


class _Driver:
    """Starts a worker on every machine, replaces lost ones, shows progress."""

    def __init__(self, params: CrawlParams, journal: Path, decoders: int | None, say: Callable[[str], None]) -> None:
        self._params = params
        self._decoders = decoders
        self._say = say
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_concurrency": _CALLS, "scheduling_strategy": here}
        self._desk: Any = ray.remote(LedgerDesk).options(**options).remote(str(journal.resolve()), params)
        self._workers: dict[str, Any] = {}
        self._runs: dict[asyncio.Future[None], str] = {}
        self._count = 0
        self._states: list[SourceState] = []
        self._traffic: dict[str, Traffic] = {}
        self._signum: int | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def run(self) -> int | None:
        """To the end, or to a signal."""
        if await self._desk.open.remote():
            await self._desk.close.remote()
            return None
        with signals(self._on_signal), show_progress(lambda: self._states, self._total):
            looked = -math.inf
            while True:
                if self._signum is None and time.monotonic() - looked > _LOOK_FOR_NODES_S:
                    looked = time.monotonic()
                    await self._start_workers()
                done, _ = await asyncio.wait(self._runs, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED)
                for run in done:
                    await self._ended(run)
                await self._look()
                if not self._runs:
                    break
        await self._desk.close.remote()
        return self._signum

    async def _start_workers(self) -> None:
        busy = {name.partition("#")[0] for name in self._runs.values()}
        for node in _nodes():
            node_id = node["NodeID"]
            if node_id in busy:
                continue
            self._count += 1
            name = f"{node_id}#{self._count}"
            decoders = self._decoders or max(1, int(node["Resources"].get("CPU", 1)))
            strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
            options = {"num_cpus": 0, "max_concurrency": 100, "scheduling_strategy": strategy}
            worker: Any = ray.remote(CrawlWorker).options(**options).remote(name, self._params, self._desk, decoders)
            is_local = node["NodeManagerAddress"] == ray.util.get_node_ip_address()
            await self._desk.join.remote(name, is_local)
            self._workers[name] = worker
            self._runs[asyncio.ensure_future(_awaited(worker.run.remote()))] = name

    async def _ended(self, run: asyncio.Future[None]) -> None:
        name = self._runs.pop(run)
        self._workers.pop(name)
        if run.cancelled():  # it was given its time
            return
        error = run.exception()
        if error is None:
            await self._desk.lost.remote(name)  # it holds no host any more, and wants no share of them
            return
        if isinstance(error, RayTaskError) and not isinstance(error, RayActorError):
            cause = error.cause if isinstance(error.cause, Exception) else error
            await self._stop_all()
            raise cause from None
        await self._desk.lost.remote(name)
        if self._signum is not None:
            return
        self._say("a machine was lost; what it was at is handed out again")
        if not self._runs:
            await self._start_workers()
        if not self._runs:
            raise UserError("no machine is left in the cluster; everything is kept, go on with the same command")

    async def _look(self) -> None:
        self._states, said = await self._desk.progress.remote()
        for line in said:
            self._say(line)
        for name, worker in list(self._workers.items()):
            with suppress(RayActorError):
                self._traffic[name] = await worker.traffic.remote()

    def _total(self) -> Traffic:
        of = list(self._traffic.values())
        return Traffic(sum(t.fetched for t in of), sum(t.bytes for t in of))

    def _on_signal(self, signum: int) -> None:
        loop = asyncio.get_running_loop()
        if self._signum is None:
            self._signum = signum
            self._stopping = loop.create_task(self._stop_all())
            loop.call_later(GRACE_S, self._kill_all)
        else:
            self._kill_all()

    async def _stop_all(self) -> None:
        for worker in self._workers.values():
            with suppress(RayActorError):
                await worker.stop.remote()

    def _kill_all(self) -> None:
        for run in list(self._runs):
            run.cancel()


async def _awaited(reference: Any) -> None:
    await reference


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
