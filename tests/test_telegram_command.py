"""`python -m bot telegram` as a process of its own, over plain HTTP on loopback, from start to SIGTERM."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.bot_bundles import write_small_bundle
from tests.chat_stage import worker_of
from tests.telegram_server import Message, Threaded, in_thread
from tests.telegram_stage import PATIENCE_S, command, png


def answered(served: Threaded, asked: Message) -> Message:
    return served.run(served.server.answer(asked, lambda message: message.media, timeout=PATIENCE_S))


def lines_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """What it says, up to the line with these words."""
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return said
    raise AssertionError(f"it never said {words!r}: {said}")


@pytest.mark.slow
def test_a_day_in_short(tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "bundle")
    with in_thread() as served:
        server = served.server
        token_file = tmp_path / "token"
        token_file.write_text(server.token + "\n")
        early = served.run(server.alice.sends_file(png()))  # before it starts
        options = {"telegram.token_file": str(token_file), "monitor.port": "0"}
        with command(tmp_path, served, None, **options) as process:
            said = lines_until(process, "connected")
            assert answered(served, early).keyboard
            health = re.search(r"http://127\.0\.0\.1:(\d+)", "".join(said))
            if health is not None:
                with urllib.request.urlopen(f"{health[0]}/healthz", timeout=PATIENCE_S) as found:
                    assert json.load(found)["checks"]["telegram"] is True
            worker = worker_of(process)
            os.kill(worker, signal.SIGSTOP)
            last = served.run(server.alice.sends_file(png(1)))
            served.run(server.next("action", timeout=PATIENCE_S))
            process.send_signal(signal.SIGTERM)
            os.kill(worker, signal.SIGCONT)
            assert answered(served, last).keyboard
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 143
        assert errors.splitlines()[-1] == "terminated"
        errors = "".join(said) + errors
        assert "ready as @face_check_bot, model: test-" in errors
        assert "Traceback" not in errors
        assert server.token not in errors
        assert not server.updates.waiting  # all of it was acknowledged: the next start answers nothing twice
        assert len(server.messages(server.alice.private)) == 2


@pytest.mark.slow
def test_a_wrong_token_and_one_that_is_taken_away(tmp_path: Path) -> None:
    with in_thread() as served:
        with command(tmp_path, served, "123456:wrong-token") as process:
            out, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert errors.startswith("error: Telegram does not accept the token; ")  # not: there is no model
        assert errors.count("\n") == 1
        assert "wrong-token" not in out + errors
        write_small_bundle(tmp_path / "bundle")
        with command(tmp_path, served, served.server.token) as process:
            lines_until(process, "connected")
            served.server.token = "110201543:another"
            served.run(served.server.alice.says("hello"))  # ends the question that is being held
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert errors.splitlines()[-1].startswith("error: Telegram does not accept the token; ")


@pytest.mark.slow
def test_a_webhook_listens_only_to_who_knows_its_secret(tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "bundle")
    with in_thread() as served:
        server = served.server
        options = {"telegram.webhook_url": "https://bot.example.org/telegram/hook", "telegram.webhook_port": "0"}
        with command(tmp_path, served, server.token, **options) as process:
            said = "".join(lines_until(process, "updates are taken in on port "))
            door = f"http://127.0.0.1:{said.rpartition(' ')[2].strip()}/telegram/hook"
            server.webhook_door = door
            asked = served.run(server.alice.sends_file(png()))
            assert answered(served, asked).keyboard
            webhook = server.updates.webhook
            assert webhook is not None
            assert webhook.secret
            update = json.dumps({"update_id": 1, "message": {}}).encode()
            for headers in ({}, {"X-Telegram-Bot-Api-Secret-Token": "guessed"}):
                request = urllib.request.Request(door, update, {"Content-Type": "application/json", **headers})
                with pytest.raises(urllib.error.HTTPError, match="403"):
                    urllib.request.urlopen(request, timeout=PATIENCE_S)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
        assert webhook.secret not in said + errors


def test_what_cannot_be_a_token(tmp_path: Path) -> None:
    with command(tmp_path, None, None) as process:
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert errors.startswith("error: no token: set TELEGRAM_TOKEN or telegram.token_file; ")
    assert errors.count("\n") == 1
    with command(tmp_path, None, "se/cret") as process:
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert errors.startswith("error: TELEGRAM_TOKEN holds no token of Telegram's")
    assert "se/cret" not in errors
