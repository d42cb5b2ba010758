"""`python -m bot web` as a process of its own: it finishes what is under way, and says in a line what it cannot do."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.params import WebParams
from bot.web.bodies import CheckBody
from bot.web.problems import Problem
from bot.web.serve import listening
from tests.bot_bundles import write_small_bundle
from tests.web_stage import PATIENCE_S, png, posting

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def command(folder: Path, **options: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m bot web` in a process group of its own; ended when the block ends."""
    sets = {
        "database": f"sqlite:///{folder}/bot.db",
        "monitor.port": "null",
        "bundle": f"file://{folder}/bundle",
    } | options
    arguments = [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "web", "--params", "params/bot.yaml", *arguments],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line of its standard error in which the pattern is."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"the process ended without {pattern!r}")


class TestCommand:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("number", "code", "word", "stop_s"),
        [(signal.SIGTERM, 143, "terminated", "60"), (signal.SIGINT, 130, "interrupted", "60"),
         (signal.SIGTERM, 143, "terminated", "0.3")],
        ids=["SIGTERM", "Ctrl-C", "too slow"],
    )  # fmt: skip
    def test_what_is_under_way_is_finished(
        self, tmp_path: Path, number: int, code: int, word: str, stop_s: str
    ) -> None:
        write_small_bundle(tmp_path / "bundle")
        options = {"web.port": "0", "web.stop_s": stop_s}
        with command(tmp_path, **options) as process:
            netloc = read_until(process, r"serving at http://(127\.0\.0\.1:\d+)/, model: test-")[1]
            with posting(netloc, len(png()), "Expect: 100-continue") as connection:
                assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")  # the picture is awaited
                os.killpg(process.pid, number)
                read_until(process, "stopping: finishing what is under way")
                if stop_s == "60":
                    connection.sendall(png())
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                body = json.loads(answer.read())
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == code
        assert errors.splitlines()[-1] == word
        assert "Traceback" not in errors
        if stop_s == "60":
            assert answer.status == 200 and CheckBody.model_validate(body).verdict
        else:
            assert answer.status == 503 and Problem.model_validate(body).type == "/docs#unavailable"
            assert "not everything could be finished in time" in errors

    def test_a_port_that_is_taken_is_one_line(self, tmp_path: Path) -> None:
        with listening(WebParams(port=0)) as taken:
            port = str(taken.getsockname()[1])
            with command(tmp_path, **{"web.port": port}) as process:
                _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert errors == (
            f"error: web.port {port} of web.host 127.0.0.1 cannot be used (address already in use); "
            "name another, or port 0 for a free one\n"
        )
