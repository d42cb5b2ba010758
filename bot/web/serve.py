"""The command: serve until told to go, with everything finished that is under way."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn, cast

import uvicorn

from bot.chat.app import App, open_app
from bot.params import BotParams, WebParams
from bot.stopping import as_exception, first_signal
from bot.web.admission import Admission
from bot.web.app import create_app
from bot.web.connections import HEAD_BYTES, Doors
from infra.errors import UserError

_log = logging.getLogger("bot.web")

_FORCED_S = 5.0  # for what is cut off to say so


class AddressError(UserError):
    """The address to serve at cannot be had."""


def serve(params: BotParams) -> NoReturn:
    """Answer until SIGTERM or SIGINT, then raise Terminated or KeyboardInterrupt.

    Raises UserErrors: AddressError, KeysError, NobodyServed, and those of `open_app`.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for name in ("uvicorn", "python_multipart"):
        logging.getLogger(name).setLevel(logging.WARNING)
    number = asyncio.run(_serve(params))
    raise as_exception(number)


def listening(params: WebParams) -> socket.socket:
    """A socket that has the address. Raises AddressError."""
    try:
        family = socket.AF_INET6 if ":" in params.host else socket.AF_INET
        return socket.create_server((params.host, params.port), family=family, backlog=512)
    except OSError as error:
        # Of those of names (gaierror, below 0) only the text says something; that of others repeats the address.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise AddressError(
            f"web.port {params.port} of web.host {params.host} cannot be used "
            f"({(reason or str(error)).lower()}); name another, or port 0 for a free one"
        ) from None


@asynccontextmanager
async def serving(app: App, at: socket.socket) -> AsyncIterator[str]:
    """Serve `app` in this loop; the URL. When left, takes nothing new and finishes what is under way, `web.stop_s` at
    most."""
    config = uvicorn.Config(
        create_app(app), http=cast(type[asyncio.Protocol], Doors(app.params.web).protocol), ws="none", lifespan="off",
        log_config=None, access_log=False, proxy_headers=False, server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )  # fmt: skip
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[at]))
    host, port = at.getsockname()[:2]
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    finally:
        server.should_exit = True
        done, _ = await asyncio.wait({running}, timeout=app.params.web.stop_s)
        if not done:
            _log.warning("not everything could be finished in time")
            server.force_exit = True
            under_way = set(server.server_state.tasks)
            for task in under_way:
                task.cancel()
            await asyncio.wait({running, *under_way}, timeout=_FORCED_S)
            running.cancel()


async def _serve(params: BotParams) -> int:
    """The signal that ended it."""
    stop = first_signal()
    rules = Admission(params.web).rules
    with listening(params.web) as at:
        async with open_app(params) as app, serving(app, at) as url:
            _log.info("serving at %s, model: %s", url, app.desk.card.id)
            _log.log(logging.WARNING if params.web.is_open else logging.INFO, "%s", rules)
            number = await stop
            _log.info("stopping: finishing what is under way, %g s at most; once more ends it at once",
                      params.web.stop_s)  # fmt: skip
            return number


class _Server(uvicorn.Server):
    """Leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
