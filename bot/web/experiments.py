"""What the pages and the API of experiments ask the result store: in threads, read only, quick when nothing is new."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import sqlalchemy as sa
from fastapi import Depends, Request

from bot.web.problems import NotHere, WebError
from bot.words import later
from infra.database import DatabaseError
from tune.store.query import QueryError, UnknownMetric, UnknownTrial, show, sweeps
from tune.store.query_importance import Importance, ended, importance
from tune.store.query_sweep import Board, change_token, find_sweep
from tune.store.reader import NoStore, open_reader
from tune.store.records import Sweep, TrialRecord

_THREADS = 4  # questions at once; others wait
_REMEMBERED = 32  # importances, each of one sweep, metric and set of ended trials

_NO_SWEEP = later("There is no such sweep. The list of experiments shows those that there are.")
NO_TRIAL = later("There is no such trial in this sweep.")

_log = logging.getLogger("bot.web")

Found = TypeVar("Found")


class StoreAway(WebError, DatabaseError):  # noqa: N818 – says what is the matter
    """The result store is there, or should be, and does not answer."""

    def __init__(self) -> None:
        super().__init__(
            later("The experiments can't be read: their store does not answer. Please try again in a minute.")
        )


class NotInStore(NotHere):
    """The store has no such sweep, trial or metric."""

    def __init__(self, text: str, **values: object) -> None:
        WebError.__init__(self, text, **values)
        self.status = 404


@dataclass(frozen=True)
class News(Generic[Found]):
    """etag: for the answer. found: None when whoever asks has seen it all."""

    etag: str
    found: Found | None


class Experiments:
    """Questions to the store at a URL. It is opened anew for each (2 ms), so that one that is replaced is noticed."""

    def __init__(self, store_url: str) -> None:
        self._url = store_url
        self._threads = ThreadPoolExecutor(_THREADS, "experiments")
        self._importances: OrderedDict[str, Importance] = OrderedDict()
        self._forest = threading.Lock()  # one at a time: each takes a core for seconds

    async def ask(self, query: Callable[[sa.Engine], Found]) -> Found:
        """The answer of `query`, which runs in a thread. Raises StoreAway, NotInStore."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, query)

    async def has_store(self) -> bool:
        """Whether anything has ever been run into it. Raises StoreAway."""
        try:
            await self.ask(lambda _: None)
        except NotInStore:
            return False
        return True

    async def news(
        self, sweep: str | None, seen: str | None, salt: str, query: Callable[[sa.Engine], Found]
    ) -> News[Found]:
        """The answer of `query`, unless it would be that of the ETags `seen` (If-None-Match).

        sweep: whose changes count; None: all. salt: whatever else the answer depends on. Raises StoreAway, NotInStore.
        """

        def ask(engine: sa.Engine) -> News[Found]:
            # The token first: what changes in between is seen once too often rather than never.
            token = change_token(engine, sweep)
            etag = f'W/"{hashlib.sha256(f"{token} {salt}".encode()).hexdigest()[:24]}"'
            return News(etag, None if is_seen(etag, seen) else query(engine))

        return await self.ask(ask)

    def importance(self, board: Board) -> Importance:
        """As `tune.store` says, remembered until another trial has ended; called in a thread, for it takes seconds."""
        facts = [(trial.id, trial.status, trial.best and trial.best.value) for trial in ended(board)]
        key = hashlib.sha256(repr((board.sweep.id, board.metric, sorted(facts))).encode()).hexdigest()
        with self._forest:
            found = self._importances.get(key)
            if found is None:
                found = self._importances[key] = importance(board)
                while len(self._importances) > _REMEMBERED:
                    self._importances.popitem(last=False)
        return found

    def _ask(self, query: Callable[[sa.Engine], Found]) -> Found:
        try:
            engine = open_reader(self._url)
            try:
                return query(engine)
            finally:
                engine.dispose()
        except (NoStore, QueryError) as error:
            raise _not_in_store(error) from None
        except DatabaseError as error:
            _log.warning("the result store cannot be read: %s", error)
            raise StoreAway from None


def is_seen(etag: str, if_none_match: str | None) -> bool:
    """Whether the header If-None-Match (RFC 9110, section 13.1.2) names this ETag; weak ones are compared."""
    known = [part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")]
    return "*" in known or etag.removeprefix("W/") in known


def address(sweep_id: str) -> str:
    """How a sweep is named in a path, where its id may not be, since a slash is in it: demo@20261125-165340-223."""
    return sweep_id.replace("/", "@")


def sweep_at(address: str) -> str:
    """The id, or the name, behind an address. Raises NotInStore: nothing can be called so."""
    if not address.isprintable():  # PostgreSQL takes no NUL
        raise NotInStore(_NO_SWEEP)
    return address.replace("@", "/")


def find_sweeps(engine: sa.Engine) -> list[Sweep]:
    """All, newest first; perhaps none. Raises DatabaseError."""
    try:
        return sweeps(engine)
    except QueryError:
        return []


def find_trial(engine: sa.Engine, address: str, trial: str) -> TrialRecord:
    """A trial by its whole id, of the sweep at that address. Raises NotInStore, QueryError, DatabaseError."""
    if not trial.isprintable():
        raise NotInStore(NO_TRIAL)
    wanted = find_sweep(engine, sweep_at(address))
    record = show(engine, trial)
    if record.trial.id != trial or record.trial.sweep_id != wanted:
        raise NotInStore(NO_TRIAL)
    return record


def _not_in_store(error: Exception) -> NotInStore:
    if isinstance(error, UnknownTrial):
        return NotInStore(NO_TRIAL)
    if isinstance(error, UnknownMetric):
        return NotInStore(later("No trial of this sweep reported such a metric."))
    return NotInStore(_NO_SWEEP)


def _experiments(request: Request) -> Experiments:
    """One for a server, made when it is first asked."""
    state = request.app.state
    if not hasattr(state, "experiments"):
        state.experiments = Experiments(state.api.app.params.store)
    made: Experiments = state.experiments
    return made


ExperimentsNeeded = Annotated[Experiments, Depends(_experiments)]
