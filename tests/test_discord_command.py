"""`python -m bot discord` as a process of its own, over plain HTTP and WebSocket on loopback, from start to SIGTERM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import chat_stage
from tests.bot_bundles import write_small_bundle
from tests.chat_stage import PATIENCE_S, png, worker_of
from tests.discord_server import DiscordServer, Threaded, in_thread


@contextmanager
def command(
    folder: Path, served: Threaded | None, token: str | None, **options: str
) -> Iterator[subprocess.Popen[str]]:
    """The command at the stand-in's addresses, as in `chat_stage`."""
    if served is not None:
        addresses = {"discord.api_url": served.address.api_url, "discord.gateway_url": served.address.gateway_url}
        options = {**addresses, **options}
    with chat_stage.command("discord", folder, token, **options) as process:
        yield process


@pytest.mark.slow
def test_a_day_in_short(tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "bundle")
    with in_thread(lambda: DiscordServer(shards=2)) as served:
        server = served.server
        token_file = tmp_path / "token"
        token_file.write_text(server.token + "\n")
        with command(tmp_path, served, None, **{"discord.token_file": str(token_file)}) as process:
            served.run(server.next("commands", timeout=PATIENCE_S))
            for _ in range(2):  # a session for each shard
                served.run(server.next("ready", timeout=PATIENCE_S))
            for guild in (server.guild, server.other):
                used = served.run(server.alice.slash("check", guild["general"], image=("a.png", png())))
                assert served.run(used.response(timeout=PATIENCE_S)).files
            # Files that Discord's stand-in names are fetched from there, but no link that somebody wrote.
            link = served.address.api_url.removesuffix("/api/v10") + "/attachments/1/2/a.png"
            used = served.run(server.alice.slash("check", server.guild["general"], link=link))
            refused = served.run(used.response(timeout=PATIENCE_S))
            assert not refused.files and "link" in refused.text
            worker = worker_of(process)
            os.kill(worker, signal.SIGSTOP)
            used = served.run(server.alice.slash("check", server.guild["general"], image=("a.png", png())))
            served.run(used.acknowledged(timeout=PATIENCE_S))
            os.kill(worker, signal.SIGKILL)
            assert served.run(used.response(lambda m: m.files, timeout=PATIENCE_S)).files
            assert len([state for state in used.shown if state.files]) == 1
            worker = worker_of(process)
            os.kill(worker, signal.SIGSTOP)
            last = served.run(server.alice.slash("check", server.guild["general"], image=("a.png", png())))
            served.run(last.acknowledged(timeout=PATIENCE_S))
            process.send_signal(signal.SIGTERM)
            os.kill(worker, signal.SIGCONT)
            assert served.run(last.response(lambda m: m.files, timeout=PATIENCE_S)).files
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 143
        assert errors.splitlines()[-1] == "terminated"
        assert "Traceback" not in errors
        assert re.search(
            r"ready as .*, servers: 2, model: test-.*, invite: https://discord\.com/oauth2/authorize\?", errors
        )
        assert server.token not in errors
        served.run(server.until(lambda: not server.gateway.connections, "a connection is still open"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["rest", "gateway"])
def test_a_wrong_token(tmp_path: Path, how: str) -> None:
    write_small_bundle(tmp_path / "bundle")
    with in_thread() as served:
        token = served.server.token if how == "gateway" else "wrong.token.here"
        served.server.gateway.refuse_identify = [4004] * 3
        with command(tmp_path, served, token) as process:
            out, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("error: Discord does not accept the token; ")
    assert token not in out + errors
    assert "Traceback" not in errors


def test_no_token(tmp_path: Path) -> None:
    with command(tmp_path, None, None) as process:
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert errors.startswith("error: no token: set DISCORD_TOKEN or discord.token_file; ")
    assert errors.count("\n") == 1
