"""Bytes of images ▶ facts or a refusal, in processes of their own: a file that kills its decoder costs itself only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from crawler import decoder_tasks
from crawler.facts import Checks, ImageFacts, Refusal
from crawler.isolation import Crashed, IsolatedPool, TookTooLong, map_isolated

TIMEOUT_S = 60.0
# The largest picture allowed needs about 1 GB on its way to RGB when it is partly transparent.
MEMORY_BYTES = 2 * 2**30


PRELOAD = ("crawler.preload",)


class DecoderPool:
    """`workers` decoder processes; an async context manager.

    timeout_s: for one image. memory_bytes: for one process, beyond the 10 MB that it has to itself; None: no limit.
    Entering raises FaceDetectorMissing where `checks` ask for faces and nothing can find them.
    """

    def __init__(
        self,
        checks: Checks | None = None,
        workers: int | None = None,
        timeout_s: float = TIMEOUT_S,
        memory_bytes: int | None = MEMORY_BYTES,
    ) -> None:
        checks = checks or Checks()
        self._pool: IsolatedPool[bytes, ImageFacts | Refusal] = IsolatedPool(
            partial(decoder_tasks.examine_bytes, checks=checks),
            workers or os.cpu_count() or 1,
            **_options(checks, timeout_s, memory_bytes),
        )

    async def __aenter__(self) -> DecoderPool:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, error, trace)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that decode now."""
        return self._pool.pids

    async def examine(self, data: bytes) -> ImageFacts | Refusal:
        """What the bytes of an image say, or why it is refused; never raises for what is in them.

        Any number of calls may wait at a time; each holds its bytes.
        """
        return _judged(await self._pool.call(data))


def examine_files(
    paths: Iterable[Path], workers: int, checks: Checks | None = None
) -> Iterator[tuple[Path, ImageFacts | Refusal]]:
    """The same for files on disk, in the order of completion; the processes read them themselves."""
    checks = checks or Checks()
    options = _options(checks, TIMEOUT_S, MEMORY_BYTES)
    for path, outcome in map_isolated(partial(decoder_tasks.examine_file, checks=checks), paths, workers, **options):
        yield path, _judged(outcome)


def _options(checks: Checks, timeout_s: float, memory_bytes: int | None) -> dict[str, Any]:
    return {
        "timeout_s": timeout_s,
        "memory_bytes": memory_bytes,
        "prepare": partial(decoder_tasks.prepare, checks),
        "preload": PRELOAD,
    }


def _judged(outcome: ImageFacts | Refusal | Crashed[Any]) -> ImageFacts | Refusal:
    if isinstance(outcome, TookTooLong):
        return Refusal("decoder took too long", "the process that decoded it was not done in time and was ended", True)
    if isinstance(outcome, Crashed):
        return Refusal("crashed the decoder", "the process that decoded it died", True)
    return outcome
