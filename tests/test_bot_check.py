"""`python -m bot check` as people and scripts meet it: real files, real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot.__main__ import main
from bot.sources import find_sources
from infra.errors import UserError
from tests.bot_bundles import photo, write_small_bundle
from tune.store.writer import ResultStore

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_small_bundle(tmp_path_factory.mktemp("bundle"), temperature=0.05)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two folders that hold a photo of the same name, and files that are no good."""
    folder = tmp_path / "photos"
    (folder / "Ünder").mkdir(parents=True)
    photo(seed=1).save(folder / "me.jpg")
    photo(seed=2).save(folder / "Ünder" / "me.jpg")
    photo(seed=3).save(folder / "Ünder" / "aa 写真.PNG")
    (folder / "b-cut.jpg").write_bytes((folder / "me.jpg").read_bytes()[:700])
    (folder / "c-empty.jpg").touch()
    (folder / "d-text.jpg").write_text("this is a letter\n")
    (folder / "notes.txt").write_text("not an image, and not named like one\n")
    (folder / ".hidden.jpg").write_text("a file that the system keeps\n")
    return folder


def command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "bot", *map(str, arguments)],
        capture_output=True, timeout=120, env=environment, check=False, **{"cwd": ROOT, **options},
    )  # fmt: skip


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
    code = main(["check", "--json", *map(str, arguments)])
    return code or 0, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_folder_is_answered_in_order_and_what_is_refused_is_a_line(
    photos: Path, bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    out = tmp_path / "panels"
    code, lines = run_json(
        capsys, photos / "me.jpg", photos, tmp_path / "missing.jpg", "--bundle", bundle, "--out", out
    )
    names = ["me.jpg", "b-cut.jpg", "c-empty.jpg", "d-text.jpg", "me.jpg", "Ünder/aa 写真.PNG", "Ünder/me.jpg"]
    assert [line["path"] for line in lines] == [*(str(photos / name) for name in names), str(tmp_path / "missing.jpg")]
    assert code == 1
    refused = [line for line in lines if "error" in line]
    assert [Path(line["path"]).name for line in refused] == ["b-cut.jpg", "c-empty.jpg", "d-text.jpg", "missing.jpg"]
    assert all(set(line) == {"path", "error"} and "\n" not in line["error"] for line in refused)
    answered = [line for line in lines if "error" not in line]
    for line in answered:
        assert 0 <= line["p_fake"] <= 1
        assert line["verdict"] in ("real", "fake", "unsure")
        assert [layer["name"] for layer in line["layers"]] == ["blocks.block1.conv", "blocks.block2.conv"]
        with Image.open(line["panel"]) as panel:
            assert panel.format == "PNG"
    # The same photo twice has one panel; the two of one name have two; no photo was touched.
    assert len({line["panel"] for line in answered}) == 3
    assert answered[0] == {**answered[1], "seconds": answered[0]["seconds"]}
    assert sorted(path.name for path in out.iterdir()) == sorted({Path(line["panel"]).name for line in answered})
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before


def test_panels_of_an_earlier_run_are_not_taken_for_photos(photos: Path) -> None:
    before = find_sources([str(photos)])
    photo().save(photos / "me-12345678.panel.png")
    assert find_sources([str(photos)]) == before


def test_no_heatmaps_makes_no_panel(
    photos: Path, bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "panels"
    code, lines = run_json(capsys, photos / "me.jpg", "--bundle", bundle, "--out", out, "--no-heatmaps")
    assert code == 0
    assert (lines[0]["layers"], lines[0]["panel"]) == ([], None)
    assert not out.exists()


def test_a_person_reads_verdict_probability_stability_time_and_panel(
    photos: Path, bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(photos / "me.jpg"), "--bundle", bundle, "--out", str(tmp_path / "panels")]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{photos / 'me.jpg'}: ")
    assert "% likely to be generated (p 0." in first
    assert second.startswith("  holds under recompression and resize: ")
    assert " s · panel " in third
    assert Path(third.split(" panel ")[1]).is_file()


def test_a_panel_folder_that_cannot_be_written_is_one_line(photos: Path, bundle: str) -> None:
    with pytest.raises(UserError, match=r"me\.jpg"):
        main(["check", str(photos / "me.jpg"), "--bundle", bundle, "--out", str(photos / "me.jpg")])


def test_the_command_reads_a_photo_from_standard_input_and_the_champion_from_the_store(
    photos: Path, bundle: str, tmp_path: Path
) -> None:
    database = tmp_path / "runs" / "results.db"
    store = ResultStore(f"sqlite:///{database}")
    store.open()
    store.alias("champion", bundle, "demo/1-1")
    store.close()
    done = command(
        "check",
        "-",
        "--json",
        "--params",
        ROOT / "params/bot.yaml",
        cwd=tmp_path,
        input=(photos / "me.jpg").read_bytes(),
    )
    assert (done.returncode, done.stderr) == (0, b"")
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert line["path"] == "-"
    assert line["model"].startswith("test-")
    assert (tmp_path / line["panel"]).is_file()
    assert Path(line["panel"]).parent == Path("checks") or line["panel"].startswith("checks/")


def test_without_a_champion_the_way_to_one_is_told_and_no_store_is_made(photos: Path, tmp_path: Path) -> None:
    done = command("check", photos / "me.jpg", "--params", ROOT / "params/bot.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: no champion yet")
    assert "make demo" in line
    assert "--bundle" in line
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_keeps_what_was_answered(bundle: str, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    photo().save(folder / "0000.jpg")
    for number in range(1, 3000):
        os.link(folder / "0000.jpg", folder / f"{number:04}.jpg")
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "check", str(folder), "--json", "--no-heatmaps", "--bundle", bundle],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == b"interrupted\n"
    answered = [json.loads(line)["path"] for line in (first + rest).splitlines()]
    assert answered == [str(folder / f"{number:04}.jpg") for number in range(len(answered))]
    assert 0 < len(answered) < 3000


def test_a_folder_without_images_and_a_missing_bundle_are_one_line_each(
    tmp_path: Path, bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    code, lines = run_json(capsys, tmp_path / "empty", "--bundle", bundle)
    assert (code, lines) == (1, [{"path": str(tmp_path / "empty"), "error": "there is no image in this folder"}])
    with pytest.raises(UserError, match="no checkpoint bundle"):
        main(["check", str(tmp_path), "--bundle", f"file://{tmp_path}/nowhere"])


def test_help_is_quick_and_a_typo_is_wrong_usage() -> None:
    started = time.monotonic()
    done = command("check", "--help")
    assert done.returncode == 0
    assert time.monotonic() - started < 5  # importing torch on a busy machine takes longer
    assert b"example" in done.stdout
    assert command("chek", "x.jpg").returncode == 2
    assert command("check").returncode == 2
    misspelt = command("check", "x.jpg", "--set", "check.thread=1")
    assert misspelt.returncode == 1
    assert b"did you mean 'threads'" in misspelt.stderr
