"""The frame of every command, tried as a real process with real signals and real pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

HEAD = """
import argparse, os, signal, sys, threading
from infra.cli import run_cli
from infra.errors import UserError
"""


def command(body: str) -> list[str]:
    """A command line of a program whose `main` has that body."""
    main = f"def main(argv=None):\n{textwrap.indent(textwrap.dedent(body), '    ')}\nrun_cli(main)\n"
    return [sys.executable, "-c", HEAD + main]


def run(body: str, *arguments: str, shell_suffix: str | None = None) -> subprocess.CompletedProcess[str]:
    line: list[str] = [*command(body), *arguments]
    if shell_suffix is not None:
        line = ["bash", "-c", f'set -o pipefail; "$@" {shell_suffix}', "bash", *line]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(line, cwd=ROOT, env=buffered, capture_output=True, text=True, timeout=60, check=False)


def signalled(body: str, *signals: int) -> tuple[int, str, str]:
    """Code, output and errors of a program that gets the signals once it has printed its first line."""
    with subprocess.Popen(
        command(body), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        for number in signals:
            process.send_signal(number)
        out, err = process.communicate(timeout=60)
    return process.returncode, first + out, err


WAIT = """
try:
    print("ready", flush=True)
    threading.Event().wait()
finally:
    print("cleaned up", flush=True)
"""


class TestExitCodes:
    @pytest.mark.parametrize(("result", "code"), [("None", 0), ("0", 0), ("1", 1), ("3", 3)])
    def test_what_main_returns(self, result: str, code: int) -> None:
        done = run(f"print('hello'); return {result}")
        assert (done.returncode, done.stdout, done.stderr) == (code, "hello\n", "")

    def test_a_users_mistake_is_one_line(self) -> None:
        done = run("raise UserError('no file\\n  at  here')")
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: no file at here\n")

    def test_a_subclass_and_a_cause_too(self) -> None:
        done = run("""
            class Gone(UserError): pass
            try: 1 / 0
            except ZeroDivisionError as error: raise Gone("gone") from error
        """)
        assert (done.returncode, done.stderr) == (1, "error: gone\n")

    def test_an_error_cannot_steer_the_terminal(self) -> None:
        done = run("raise UserError('file \\x1b[2J\\x07 grün')")
        assert done.stderr == "error: file \\x1b[2J\\x07 grün\n"

    def test_wrong_usage_and_help(self) -> None:
        body = "argparse.ArgumentParser(prog='x').parse_args(argv)"
        wrong = run(body, "--nonsense")
        assert wrong.returncode == 2
        assert wrong.stderr.splitlines()[-1] == "x: error: unrecognized arguments: --nonsense"
        assert run(body, "--help").returncode == 0

    def test_a_bug_keeps_its_traceback(self) -> None:
        done = run("return {}['x']")
        assert done.returncode == 1
        assert "KeyError: 'x'" in done.stderr


class TestSignals:
    def test_ctrl_c(self) -> None:
        assert signalled(WAIT, signal.SIGINT) == (130, "ready\ncleaned up\n", "interrupted\n")

    def test_terminate(self) -> None:
        assert signalled(WAIT, signal.SIGTERM) == (143, "ready\ncleaned up\n", "terminated\n")

    def test_a_command_may_answer_ctrl_c_itself(self) -> None:
        code, out, err = signalled(
            """
            try:
                print("ready", flush=True)
                threading.Event().wait()
            except KeyboardInterrupt:
                print("kept all", flush=True)
                return 130
            """,
            signal.SIGINT,
        )
        assert (code, out, err) == (130, "ready\nkept all\n", "")

    def test_except_exception_does_not_swallow_terminate(self) -> None:
        code, _, err = signalled(
            """
            while True:
                try:
                    print("ready", flush=True)
                    threading.Event().wait()
                except Exception:
                    pass
            """,
            signal.SIGTERM,
        )
        assert (code, err) == (143, "terminated\n")

    def test_a_cleanup_that_fails_is_told_and_the_signal_still_decides(self) -> None:
        code, _, err = signalled(
            """
            try:
                print("ready", flush=True)
                threading.Event().wait()
            finally:
                {}["nothing"]
            """,
            signal.SIGTERM,
        )
        assert (code, err) == (143, "terminated (KeyError while stopping: 'nothing')\n")

    def test_both_at_once_end_it(self) -> None:
        for one, other in ((signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT,) * 2):
            code, _, err = signalled(WAIT, one, other)
            assert code in (130, 143, -signal.SIGTERM, -signal.SIGINT)
            assert "Traceback" not in err


class TestPipes:
    def test_head_is_no_failure(self) -> None:
        body = "for n in range(100_000): print(n)"
        done = run(body, shell_suffix="| head -n 1")
        assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")

    def test_nor_of_unbuffered_output(self) -> None:
        done = run("for n in range(100_000): print(n, flush=True)", shell_suffix="| head -n 1")
        assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")

    def test_nor_of_help(self) -> None:
        body = "argparse.ArgumentParser(epilog='x ' * 100_000).parse_args(argv)"
        done = run(body, "--help", shell_suffix="| head -n 1")
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_failure_stays_one(self) -> None:
        done = run("print('x' * 200_000, end=''); raise UserError('bad')", shell_suffix="| true")
        assert done.stderr in ("error: bad\n", "")  # the pipe may break before the mistake is met
        done = run("print('x'); raise UserError('bad')", shell_suffix="| true")
        assert (done.returncode, done.stderr) == (1, "error: bad\n")

    def test_a_broken_connection_is_a_failure(self) -> None:
        done = run("""
            ours, theirs = os.pipe()
            os.close(ours)
            os.write(theirs, b"x")
        """)
        assert done.returncode == 1
        assert "BrokenPipeError" in done.stderr

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
    @pytest.mark.parametrize("body", ["print('x')", "for _ in range(99_999): print('xxxxxxxx')"])
    def test_a_full_disk_is_one_line(self, body: str) -> None:
        done = run(body, shell_suffix="> /dev/full")
        assert (done.returncode, done.stderr) == (1, "error: no space left on the disk; free some\n")


def test_params_and_signals_need_nothing_heavy() -> None:
    """Every command imports these before it prints its help."""
    code = (
        "import sys, infra.cli, infra.params, model_defs.spec; print([m for m in ('torch', 'ray') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
