"""What runs in the nursery, `python -m bot.worker.serve FD` (its end of a socket pair), and in the workers it forks.

A worker has three stages, so that neither the network nor a core idles: threads decode ahead, the main thread has the
network judge what is ready in one pass, threads paint. Answers leave as they are there: a picture of 64 megapixels,
which takes seconds to decode, holds up no small one, and small ones keep their order.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from bot.worker.channel import Born, Done, Job, Ready, Setup, ThreadChannel
from bot.worker.errors import Stumbled
from bot.worker.requests import Checked
from infra.errors import UserError
from model_defs.checkpoint import BundleError

if TYPE_CHECKING:
    from bot.worker.look import Looker, Sight

_DECODERS = 2
_PAINTERS = 2
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

log = logging.getLogger("bot.worker")

Result = TypeVar("Result")
Waiting: TypeAlias = "tuple[int, Future[Sight | UserError] | Future[Sight | UserError | None]]"
Leaving: TypeAlias = "tuple[int, Future[Checked | UserError]]"


def main(descriptor: int) -> None:
    """Fork a worker for each socket that comes, until the bot closes its end or is gone."""
    # Ctrl-C reaches the whole process group and a service manager's SIGTERM all processes of the service; what they
    # mean is the bot's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    _end_with_parent()
    import bot.explain
    import bot.worker.look  # noqa: F401

    gc.freeze()  # a collection in a fork would write to, and so copy, every page that they share
    control = socket.socket(fileno=descriptor)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            work(descriptors[0])
            os._exit(0)
        for each in descriptors:
            os.close(each)


def work(descriptor: int) -> None:
    """Answer until the bot closes its end, or is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _end_with_parent()
    _die_first()
    channel = ThreadChannel(socket.socket(fileno=descriptor))
    try:
        channel.send(Born(os.getpid()))
        setup = channel.receive()
        assert isinstance(setup, Setup)
        try:
            looker = _looker(setup)
        except UserError as error:
            channel.send(error)
            return
        channel.send(Ready(looker.card))
        _Line(channel, looker, setup.batch).run()
    except (OSError, EOFError):  # the bot is gone
        return
    except BaseException:
        log.exception("the worker process ends")


class _Line:
    """The three stages."""

    def __init__(self, channel: ThreadChannel, looker: Looker, batch: int) -> None:
        self._channel = channel
        self._looker = looker
        self._batch = batch
        self._decoders = ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="decode-large")
        self._painters = ThreadPoolExecutor(_PAINTERS, thread_name_prefix="paint")
        self._decoded: queue.Queue[Waiting] = queue.Queue()
        self._leaving: queue.Queue[Leaving] = queue.Queue()

    def run(self) -> None:
        """Never returns."""
        for stage in (self._receive, self._send):
            threading.Thread(target=stage, name=stage.__name__, daemon=True).start()
        waiting: Waiting | None = None
        while True:
            waiting = self._judge_ready(waiting or self._decoded.get())

    def _receive(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                job = self._channel.receive()
                assert isinstance(job, Job)
                self._decoded.put((job.number, self._decoders.submit(_safely, self._prepare, job)))
                del job
        os._exit(0)  # whatever is half done, nobody waits for it

    def _prepare(self, job: Job) -> Sight | None:
        """None for a large picture, which comes back by itself."""
        data = bytes(job.data)
        sight = self._looker.prepare(data, job.want)
        if sight is None:
            large = self._large.submit(_safely, self._looker.prepare_large, data, job.want)
            large.add_done_callback(lambda outcome: self._decoded.put((job.number, outcome)))
        return sight

    def _judge_ready(self, first: Waiting) -> Waiting | None:
        """Judge the first picture, and with it those behind it that are ready; the one that is not ready yet."""
        rest, batch = None, [first]
        first[1].result()
        while len(batch) < self._batch and rest is None:
            try:
                following = self._decoded.get_nowait()
            except queue.Empty:
                break
            if following[1].done():
                batch.append(following)
            else:
                rest = following
        sights: dict[int, Sight] = {}
        for number, future in batch:
            outcome = future.result()
            if isinstance(outcome, UserError):
                self._leaving.put((number, _already(outcome)))
            elif outcome is not None:
                sights[number] = outcome
        self._judge(sights)
        return rest

    def _judge(self, sights: Mapping[int, Sight]) -> None:
        """Each goes on to be painted as soon as it is judged."""
        left = {id(sight): number for number, sight in sights.items()}
        try:
            for sight, verdict in self._looker.judge(list(sights.values())):
                number = left.pop(id(sight))
                if isinstance(verdict, UserError):
                    self._leaving.put((number, _already(_said(verdict))))
                else:
                    self._leaving.put((number, self._painters.submit(_safely, self._looker.paint, sight, verdict)))
        except Exception as error:
            for number in left.values():
                self._leaving.put((number, _already(_said(error))))

    def _send(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                number, future = self._leaving.get()
                self._channel.send(Done(number, future.result()))
                del future
        os._exit(0)


def _looker(setup: Setup) -> Looker:
    from bot.worker.look import Looker

    looker = Looker(setup.bundle_url, setup.threads, setup.max_bytes)
    looker.warm_up()
    return looker


def _safely(function: Callable[..., Result], *arguments: object) -> Result | UserError:
    """What `function` gives, or why not."""
    try:
        return function(*arguments)
    except Exception as error:
        return _said(error)


def _said(error: Exception) -> UserError:
    """What is said of an error; a fault of the program's or the model's is for the log, and costs only the picture."""
    if isinstance(error, BundleError):
        log.error("%s", error)
    elif isinstance(error, UserError):
        return error
    else:
        log.error("a picture could not be looked at", exc_info=error)
    return Stumbled()


def _already(outcome: UserError) -> Future[Checked | UserError]:
    future: Future[Checked | UserError] = Future()
    future.set_result(outcome)
    return future


def _end_with_parent() -> None:
    """Closed sockets say so too, but nobody reads while modules are imported or a network is loaded. Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _die_first() -> None:
    """Where memory ends, the kernel is to end the worker, which is replaced, and not the bot."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    main(int(sys.argv[1]))
