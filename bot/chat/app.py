"""App: what every platform needs to answer people, opened and closed together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from bot.chat.found import MIB, Candidate, fetch
from bot.chat.manners import speaks
from bot.chat.refusals import JustForgotten, is_unexpected
from bot.chat.remembered import Remembered
from bot.chat.waiting import Place, Progress, Shares, Turn, Turns
from bot.monitor import Metrics, Monitor
from bot.params import BotParams
from bot.records import Account, PlaceSettings, Platform, Records
from bot.words import Words
from bot.worker import Asker, Checked, Desk, Want, open_desk
from infra.http import HttpClient, HttpError

_log = logging.getLogger("bot.app")

USER_AGENT = "faces-bot/1"
_PURGE_EVERY_S = 3600.0
_TRY_EVERY_S = 30.0  # whether the database is there, for /healthz
_FETCHES = 3  # tries; CDNs and proxies have bad moments
_FETCH_PAUSE_S = 0.5
# Downloads at once; others wait. Slow sites and large files of one person hold up that person only, of one server that
# server, and what is on its way for all together fits into memory.
_FETCHES_PER_USER, _FETCHES_PER_SERVER, _FETCHES_IN_ALL = 4, 12, 32
_THREADS = 32  # that wait for the database, names and files; the six that two cores have by default are soon used up

Found = TypeVar("Found")


@dataclass(frozen=True)
class Request:
    """Who asks, and where. place: the server or group, None alone with somebody. language: of texts in pictures."""

    account: Account
    place: str | None
    language: str

    @property
    def asker(self) -> Asker:
        """As the queue knows them."""
        place = f"{self.account.platform}:{self.place}" if self.place else self.account.key
        return Asker(self.account.key, place)


class App:
    """The detector's desk, the records, the door to the web and the counters, for all platforms of one process.

    checks: name ▶ whether that part is well, for /healthz; platforms add theirs. http: for links that people write.
    files: for what the platform itself names; the same by default. clock: seconds, which never go back; for tests.
    """

    def __init__(
        self,
        params: BotParams,
        desk: Desk,
        records: Records,
        http: HttpClient,
        metrics: Metrics,
        files: HttpClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.params = params
        self.desk = desk
        self.records = records
        self.http = http
        self.files = files or http
        self.metrics = metrics
        self.checks: dict[str, Callable[[], bool]] = {
            "detector": lambda: self.desk.is_healthy, "records": lambda: self.records.is_well,
        }  # fmt: skip
        self._places: Remembered[tuple[Platform, str], PlaceSettings] = Remembered(clock)
        self._languages: Remembered[str, str | None] = Remembered(clock)
        # To erase a large database takes seconds, in which nobody writes.
        self._forgotten: Remembered[str, None] = Remembered(clock)
        self._layers: dict[str, tuple[str, ...]] = {}
        self._turns = Turns()
        self._users, self._servers = Shares(_FETCHES_PER_USER), Shares(_FETCHES_PER_SERVER)
        self._downloads = asyncio.Semaphore(_FETCHES_IN_ALL)  # of both clients together
        self._unsaved: list[Callable[[], None]] = []
        self._saving = asyncio.Lock()
        self._saves: set[asyncio.Task[None]] = set()

    # Pictures

    async def look(
        self,
        candidates: Sequence[Candidate],
        request: Request,
        want: Want,
        progress: Progress | None = None,
    ) -> list[Checked | Exception]:
        """An answer for each candidate, or why there is none, in their order; never raises for a picture.

        progress: told where the first that still waits stands in the queue, not at once and not often.
        """
        turns = [self._turns.take(request.asker.server) for _ in candidates]
        place = Place(progress)
        looks = [
            self._look(candidate, request, want, turn, place) for candidate, turn in zip(candidates, turns, strict=True)
        ]
        return list(await asyncio.gather(*looks))

    async def look_again(self, data: bytes, request: Request, want: Want) -> Checked:
        """Look at bytes that are at hand, for a button; raises what went wrong."""
        return self._remember(await self.desk.check(data, request.asker, want))

    async def fetch(self, candidate: Candidate) -> bytes:
        """The bytes of a picture, asked for again after a bad moment; raises what `found.fetch` raises."""
        max_bytes = int(self.params.network.max_mb * MIB)
        async with self._downloads:
            began = time.monotonic()
            for left in reversed(range(_FETCHES)):
                try:
                    return await fetch(candidate, self.http if candidate.is_link else self.files, max_bytes)
                except HttpError as error:
                    is_slow = time.monotonic() - began > self.params.network.timeout_s / 2  # and would be once more
                    if not left or not error.retriable or is_slow:
                        raise
                await asyncio.sleep(_FETCH_PAUSE_S)
        raise AssertionError("the last try returns or raises")

    def count(self, outcome: Checked | Exception, began: float) -> None:
        """Into the metrics: an answer, or why there is none. began: when it was asked for, by `time.monotonic`."""
        if isinstance(outcome, Exception):
            self.metrics.verdicts.labels("failed" if is_unexpected(outcome) else "refused").inc()
        else:
            self.metrics.verdicts.labels(outcome.verdict.verdict).inc()
            self.metrics.verdict_seconds.observe(time.monotonic() - began)

    def keep(self, checked: Checked, asker: Account | None) -> None:
        """Have hash and verdict written down soon; nobody waits for that, and nobody is told when it cannot be done."""
        verdict = checked.verdict
        save = partial(
            self.records.add_result,
            checked.sha256, verdict=verdict.verdict, p_fake=verdict.p_fake, model=verdict.model, asker=asker,
        )  # fmt: skip
        self._unsaved.append(save)
        task = asyncio.create_task(self.saved())  # of many at once the first saves all
        self._saves.add(task)
        task.add_done_callback(self._saves.discard)

    def layer_name(self, model: str, index: int) -> str | None:
        """The name of a layer of a model that has answered since the start; None where it is not known."""
        names = self._layers.get(model, ())
        return names[index] if index < len(names) else None

    # Choices of places and people

    def settings_at_hand(self, platform: Platform, place: str | None) -> PlaceSettings:
        """As last read; the defaults where they were not, and alone with somebody."""
        return self._places.last((platform, place), PlaceSettings()) if place else PlaceSettings()

    async def settings(self, platform: Platform, place: str | None) -> PlaceSettings:
        """What the admins of a place decided; as far as it is known when the database cannot be asked."""
        if place is None:
            return PlaceSettings()
        if not self._places.is_fresh((platform, place)):
            with suppress(Exception):
                found = await self.unless_down(asyncio.to_thread(self.records.settings, platform, place))
                self._places.keep((platform, place), found)
        return self.settings_at_hand(platform, place)

    async def change_settings(self, platform: Platform, place: str, **changes: Any) -> PlaceSettings:
        """Keep changes; raises what `Records.change_settings` raises."""
        changed = await asyncio.to_thread(self.records.change_settings, platform, place, **changes)
        self._places.keep((platform, place), changed)
        return changed

    async def open_channel(self, platform: Platform, place: str, channel: str, is_open: bool) -> None:
        """Open one channel or close it; raises what `Records.open_channel` raises."""
        changed = await asyncio.to_thread(self.records.open_channel, platform, place, channel, is_open)
        self._places.keep((platform, place), changed)

    async def forget_place(self, platform: Platform, place: str) -> None:
        """The bot has left the place."""
        self._places.drop((platform, place))
        await asyncio.to_thread(self.records.forget_place, platform, place)

    async def set_language(self, account: Account, language: str | None) -> None:
        """Keep a person's choice; raises what `Records.set_person_language` raises."""
        await asyncio.to_thread(self.records.set_person_language, account, language)
        self._languages.keep(account.key, language)

    async def forget(self, account: Account) -> dict[str, int]:
        """Delete everything of a person; raises JustForgotten, and what `Records.forget` raises."""
        if self._forgotten.is_fresh(account.key):
            raise JustForgotten
        self._forgotten.keep(account.key, None)
        await self.saved()
        try:
            gone = await asyncio.to_thread(self.records.forget, account)
        except Exception:
            self._forgotten.drop(account.key)
            raise
        self.forget_choices(account)
        return gone

    def forget_choices(self, account: Account) -> None:
        """The person's data were deleted or joined with another's: nothing is to be remembered here either."""
        self._languages.drop(account.key)

    async def words(self, account: Account, place: str | None, locale: str | None) -> Words:
        """The language to answer somebody in. locale: of their program."""
        settings = await self.settings(account.platform, place)
        if not self._languages.is_fresh(account.key):
            with suppress(Exception):
                language = await self.unless_down(asyncio.to_thread(self.records.person_language, account))
                self._languages.keep(account.key, language)
        return speaks(self._languages.last(account.key, None), settings.language, locale)

    async def unless_down(self, reading: Awaitable[Found]) -> Found:
        """A question to the database, with one line in the log when it cannot be answered."""
        try:
            return await reading
        except Exception as error:
            self.metrics.errors.labels("bot", "records").inc()
            _log.warning("the records could not be read: %s", error, exc_info=is_unexpected(error))
            raise

    async def saved(self) -> None:
        """Wait until the results of all answers so far are written down."""
        async with self._saving:
            unsaved, self._unsaved = self._unsaved, []
            if unsaved:
                await asyncio.to_thread(self._save, unsaved)

    async def _look(
        self, candidate: Candidate, request: Request, want: Want, turn: Turn, place: Place
    ) -> Checked | Exception:
        began = time.monotonic()
        try:
            try:
                async with self._users.of(request.asker.user), self._servers.of(request.asker.server):
                    data = await self.fetch(candidate)
                await turn.come()
                # The chats paint nothing themselves, and speak only roughly of where the heat lies.
                ticket = self.desk.submit(data, request.asker, replace(want, name=candidate.name, maps=False))
            finally:
                turn.pass_on()
            del data  # up to 25 MiB, and the queue is long; the ticket holds it as long as it is needed
            checked = self._remember(await place.follow(ticket))
        except Exception as error:
            self.count(error, began)
            if is_unexpected(error):
                _log.error("a picture could not be answered", exc_info=error)
            return error
        self.count(checked, began)
        self.keep(checked, request.account)
        return checked

    def _save(self, unsaved: Sequence[Callable[[], None]]) -> None:
        """In a thread. What cannot be kept is let go: nobody waits for it, and memory has an end."""
        for done, save in enumerate(unsaved):
            try:
                save()
            except Exception as error:
                lost = len(unsaved) - done
                self.metrics.errors.labels("bot", "records").inc(lost)
                _log.warning("results could not be kept, %d: %s", lost, error, exc_info=is_unexpected(error))
                return

    def _remember(self, checked: Checked) -> Checked:
        if checked.verdict.layers and checked.verdict.model not in self._layers:
            if len(self._layers) >= 8:  # the champion changes seldom
                self._layers.clear()
            self._layers[checked.verdict.model] = tuple(layer.name for layer in checked.verdict.layers)
        return checked


@asynccontextmanager
async def open_app(
    params: BotParams, files_from: Sequence[str] = (), desk: AbstractAsyncContextManager[Desk] | None = None
) -> AsyncIterator[App]:
    """Start the detector, open the records, serve /healthz and /metrics. Raises UserErrors: BundleError, NoChampion,
    DetectorAway, DatabaseError, MonitorError …

    files_from: hosts of the operator's that stand in for the platform; files that the platform names may be there,
    links that people write may not. desk: who looks at pictures, when it is not what `detector` says.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    metrics = Metrics()
    records = await asyncio.to_thread(Records, params.database, keep_days=params.keep_days)
    network = params.network
    http, files = (
        HttpClient(
            user_agent=USER_AGENT, allow=allow, max_bytes=int(network.max_mb * MIB), total_s=network.timeout_s,
            connections=_FETCHES_IN_ALL,
        )
        for allow in (network.allow, (*network.allow, *files_from))
    )  # fmt: skip
    try:
        async with desk or open_desk(params) as looks, http, files:
            app = App(params, looks, records, http, metrics, files)
            metrics.watch("bot_waiting", "Pictures that wait.", lambda: looks.waiting)
            metrics.watch("bot_worker_restarts", "Times the detector was replaced, or back.", lambda: looks.restarts)
            async with Monitor(params.monitor, metrics, app.checks):
                housekeeping = asyncio.create_task(_keep_house(app))
                try:
                    yield app
                finally:
                    housekeeping.cancel()
                    await app.saved()
    finally:
        await asyncio.to_thread(records.close)


async def _keep_house(app: App) -> None:
    purge_at = float("-inf")
    while True:
        is_due = time.monotonic() >= purge_at
        try:
            await asyncio.to_thread(app.records.purge if is_due or not app.records.is_well else app.records.try_out)
            if is_due:
                purge_at = time.monotonic() + _PURGE_EVERY_S
        except Exception as error:
            app.metrics.errors.labels("bot", "records").inc()
            _log.warning("the records cannot be kept in order: %s", error, exc_info=is_unexpected(error))
        await asyncio.sleep(_TRY_EVERY_S)
