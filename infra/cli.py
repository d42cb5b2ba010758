"""The frame round every command: one line for a user's mistake, honest exit codes."""

from __future__ import annotations

import argparse
import errno
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeAlias

from infra.errors import UserError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_TERMINATED = 143  # 128 + SIGTERM


Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse has no public name for it


class Terminated(BaseException):
    """SIGTERM arrived; raised in the main thread so that `finally` blocks and context managers run."""


def run_cli(main: Callable[[Sequence[str] | None], int | None]) -> NoReturn:
    """Run `main(None)` and exit: 0 done, 1 failed with one line, 2 wrong usage (argparse), 130/143 interrupted.

    A reader of the output that has seen enough (`… | head`) is no failure: 0. Anything else that `main` lets out is
    a bug, and keeps its traceback.
    """
    signal.signal(signal.SIGTERM, _raise_terminated)
    code = 0
    try:
        try:
            code = _exit_code(main)
        finally:
            # All is decided; one more signal ends the process there and then, which shells report just the same.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
        sys.stdout.flush()
    except KeyboardInterrupt:  # a second signal while the first was being answered
        code = EXIT_INTERRUPTED
    except Terminated:
        code = EXIT_TERMINATED
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _say(f"error: no space left on the disk{f' of {error.filename}' if error.filename else ''}; free some")
            code = EXIT_FAILED
        elif not (isinstance(error, BrokenPipeError) and _nobody_reads_stdout()):
            raise
        # Or Python tries once more to write what is left, and complains, at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def positive_int(text: str) -> int:
    """An argparse type: a whole number above 0, in plain digits."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def _exit_code(main: Callable[[Sequence[str] | None], int | None]) -> int:
    try:
        return main(None) or 0
    except UserError as error:
        _say(f"error: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        _say("interrupted")
        return EXIT_INTERRUPTED
    except Terminated:
        _say("terminated")
        return EXIT_TERMINATED
    except SystemExit as error:  # argparse: --help and wrong usage
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        raise
    except Exception as error:
        # Two signals at once can break what they interrupt: threading's locks, half-way through being released.
        stopped = _signal_behind(error)
        if stopped is None:
            raise
        word, code = stopped
        _say(f"{word} ({type(error).__name__} while stopping: {error})")
        return code


def _signal_behind(error: BaseException) -> tuple[str, int] | None:
    """The word and the exit code of the signal during whose answer `error` was raised, None when there was none."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, KeyboardInterrupt):
            return "interrupted", EXIT_INTERRUPTED
        if isinstance(behind, Terminated):
            return "terminated", EXIT_TERMINATED
        behind = behind.__context__
    return None


def _raise_terminated(_signum: int, _frame: object) -> None:
    raise Terminated


def _nobody_reads_stdout() -> bool:
    """Whether it is standard output that broke, and not a connection to some server."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _say(line: str) -> None:
    """One line on standard error. What a file or a web page put into it must not steer the terminal."""
    print("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line), file=sys.stderr)
