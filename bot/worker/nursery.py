"""Where worker processes come from: a small process that has imported everything, and forks one when asked.

To import torch and pytorch-grad-cam costs four seconds of a whole core; a fork of a process that has them is there at
once, so that a worker that dies is replaced before anybody wonders. The bot itself imports neither, and a fork of the
bot would copy the locks of its threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_SECRETS = ("_TOKEN", "PASSWORD", "_API_KEY")


class Nursery:
    """Starts its process when it is first needed, and another when that one died. All end with the bot."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def fork(self, end: socket.socket) -> None:
        """Have a worker serve the other end of this socket; it sees the end of it when none could be started."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._control is not None
        try:
            socket.send_fds(self._control, [b"w"], [end.fileno()])
        except OSError:  # it died this moment
            self._start()
            socket.send_fds(self._control, [b"w"], [end.fileno()])

    def discard(self) -> None:
        """End it, since it forks nothing any more; the next worker comes from another."""
        if self._process is not None:
            self._process.kill()

    async def close(self) -> None:
        """End it, and all workers with it; returns when it is gone."""
        if self._process is not None and self._control is not None:
            self._control.close()
            self._process.kill()
            await asyncio.shield(asyncio.to_thread(self._process.wait))

    def _start(self) -> None:
        if self._process is not None and self._control is not None:
            self._control.close()
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bot.worker.serve", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                process_group=0,  # Ctrl-C is the bot's to answer
            )


def _environment() -> dict[str, str]:
    # What looks at strangers' files has no business with the bot's tokens, keys and passwords; AWS's may be
    # needed to load the bundle.
    kept = {k: v for k, v in os.environ.items() if k.startswith("AWS_") or not k.endswith(_SECRETS)}
    return {
        # OpenMP's threads otherwise spin while they wait for each other (see bot/commands/check.py).
        "OMP_WAIT_POLICY": "PASSIVE",
        **kept,
        "OPENBLAS_NUM_THREADS": "1",  # no threads may run where processes are forked
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), kept.get("PYTHONPATH")))),
    }
