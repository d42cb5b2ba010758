"""The frame round every command: one line for a user's mistake, honest exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from infra.errors import UserError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_TERMINATED = 143  # 128 + SIGTERM


class Terminated(BaseException):
    """SIGTERM arrived; raised in the main thread so that `finally` blocks and context managers run."""


def _raise_terminated(_signum: int, _frame: object) -> None:
    raise Terminated


def run_cli(main: Callable[[Sequence[str] | None], int | None]) -> NoReturn:
    """Run `main(None)` and exit: 0 done, 1 failed with one line, 2 wrong usage (argparse), 130/143 interrupted."""
    signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        code = main(None) or 0
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    except Terminated:
        print("terminated", file=sys.stderr)
        code = EXIT_TERMINATED
    except BrokenPipeError:
        # `… | head` closed the pipe: nothing is wrong, and Python must not complain at shutdown either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
