"""What `python -m bot claims` prints of what people said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.records import Account, Records


def claims(database: str, *more: str) -> int:
    return main(["claims", "--set", f"database={database}", *more])


def test_claims_are_printed_for_people_and_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = f"sqlite:///{tmp_path}/bot.db"
    assert claims(database) == 0
    assert capsys.readouterr().out == "nobody has said that a verdict is wrong\n"

    at = datetime(2026, 11, 25, 9, 5, tzinfo=UTC)
    with Records(database, keep_days=30, now=lambda: at) as records:
        for number, claimed in ((1, "fake"), (2, "fake"), (3, "real")):
            records.add_claim(
                Account("discord", str(number)), "ab" * 32, claimed=claimed, verdict="real", p_fake=0.2, model="m-1"
            )

    assert claims(database) == 0
    line = f"2026-11-25 09:05 UTC  {'ab' * 32}  m-1: real (p 0.200); people: 1 × real, 2 × fake\n"
    assert capsys.readouterr().out == line
    assert claims(database, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["sha256"], said["said_real"], said["said_fake"]) == ("ab" * 32, 1, 2)
