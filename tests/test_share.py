"""Links to single objects and the command that prints them, fetched as a stranger would: with plain urllib."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crawler.__main__ import main
from crawler.commands.share import duration_s
from crawler.manifest import Manifest, read_manifest, write_manifest
from infra.errors import UserError
from infra.storage import ObjectNotFound, StorageError, UnsafeKey, open_storage
from tests.tiny_dataset import make_dataset


def fetch(link: str) -> bytes:
    with urllib.request.urlopen(link, timeout=30) as answer:
        data: bytes = answer.read()
        return data


def assert_denied(link: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(link)
    assert refused.value.code == 403


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage of each kind."""
    return f"file://{tmp_path}/a ü%20store" if request.param == "file" else str(request.getfixturevalue("s3_url"))


class TestLinks:
    def test_whoever_holds_it_gets_the_very_bytes(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        storage = open_storage(url)
        blob = os.urandom(100_000)
        keys = ["images/ab/abcd.jpg", "b/ü ñ+%20?x=1&y#z.jpg"]
        for key in keys:
            storage.put(key, blob + key.encode())
        links = [storage.share(key, 60) for key in keys]
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        assert [fetch(link) for link in links] == [blob + key.encode() for key in keys]

    def test_what_is_not_there_cannot_be_shared(self, url: str) -> None:
        storage = open_storage(url)
        storage.put("a/b", b"1")
        for key in ("a", "a/c"):
            with pytest.raises(ObjectNotFound):
                storage.share(key, 60)
        with pytest.raises(UnsafeKey):
            storage.share("../a", 60)

    @pytest.mark.parametrize("expires_s", [0, -1, 7 * 86_400 + 1])
    def test_lives_that_no_link_can_have(self, url: str, expires_s: int) -> None:
        open_storage(url).put("k", b"1")
        with pytest.raises(StorageError, match="from 1 second to 7 days"):
            open_storage(url).share("k", expires_s)

    def test_a_changed_link_is_worth_nothing(self, s3_url: str) -> None:
        storage = open_storage(s3_url)
        for key in ("mine", "other"):
            storage.put(key, key.encode())
        link = storage.share("mine", 7 * 86_400)
        assert fetch(link) == b"mine"
        assert os.environ["AWS_SECRET_ACCESS_KEY"] not in urllib.parse.unquote(link)
        assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in link
        assert_denied(link.replace("/mine?", "/other?"))
        assert_denied(link.replace("X-Amz-Expires=604800", "X-Amz-Expires=604799"))
        assert_denied(link.partition("?")[0])
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(link, b"overwritten", method="PUT"), timeout=30)
        assert storage.get("mine") == b"mine"

    def test_it_ends(self, s3_url: str) -> None:
        storage = open_storage(s3_url)
        storage.put("k", b"1")
        link = storage.share("k", 1)
        deadline = time.monotonic() + 20
        with pytest.raises(urllib.error.HTTPError) as refused:
            while time.monotonic() < deadline:
                fetch(link)
        assert refused.value.code == 403


class TestCommand:
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Manifest:
        return make_dataset(tmp_path / "data", {"train": 6, "test": 2})

    def test_links_in_the_order_asked_for(self, dataset: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
        rows = dataset.rows()
        asked = [rows[5].key, rows[0].sha256[:8], rows[3].sha256.upper()]
        assert main(["share", dataset.url, *asked]) == 0
        links = capsys.readouterr().out.splitlines()
        storage = open_storage(dataset.url)
        assert [fetch(link) for link in links] == [storage.get(rows[n].key) for n in (5, 0, 3)]

    def test_on_s3_as_json(self, dataset: Manifest, s3_url: str, capsys: pytest.CaptureFixture[str]) -> None:
        here, there = open_storage(dataset.url), open_storage(s3_url)
        row = dataset.rows()[0]
        there.put(row.key, here.get(row.key))
        write_manifest(s3_url, dataset.table)
        before = datetime.now(UTC)
        assert main(["share", s3_url, row.sha256, "--expires", "30m", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["sha256"], told["key"]) == (row.sha256, row.key)
        assert fetch(told["link"]) == here.get(row.key)
        assert "X-Amz-Expires=1800" in told["link"]
        lives = datetime.fromisoformat(told["expires"]) - before
        assert timedelta(minutes=29) < lives < timedelta(minutes=31)

    def test_in_a_folder_nothing_expires(self, dataset: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["share", dataset.url, dataset.rows()[0].sha256, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["expires"] is None

    @pytest.mark.parametrize(
        ("image", "said"),
        [
            ("0" * 64, r"^no image '0{64}' in .*data v0001$"),
            ("images/00/nothing.png", "^no image 'images/00/nothing.png' in "),
            ("abc", "names no image: give a sha256, at least 8 hex digits"),
            ("", "names no image"),
        ],
    )
    def test_one_unknown_image_and_nothing_is_printed(
        self, dataset: Manifest, capsys: pytest.CaptureFixture[str], image: str, said: str
    ) -> None:
        with pytest.raises(UserError, match=said):
            main(["share", dataset.url, dataset.rows()[0].sha256, image])
        assert capsys.readouterr().out == ""

    def test_a_prefix_of_two_images(self, tmp_path: Path, dataset: Manifest) -> None:
        first, second = dataset.rows()[:2]
        twin = first.sha256[:8] + second.sha256[8:]
        rows = dataset.table.slice(0, 2).to_pylist()
        rows[1].update(sha256=twin, key=f"images/{twin[:2]}/{twin}.png", cluster=rows[0]["cluster"])
        rows[1]["split"] = rows[0]["split"]
        url = str(tmp_path / "twins")
        write_manifest(url, dataset.table.from_pylist(rows, schema=dataset.table.schema))
        with pytest.raises(UserError, match=r"begins the sha256 of 2 images in .*; give more digits"):
            main(["share", url, first.sha256[:8]])

    def test_an_object_that_was_lost(self, dataset: Manifest) -> None:
        row = read_manifest(dataset.url).rows()[0]
        open_storage(dataset.url).delete(row.key)
        with pytest.raises(ObjectNotFound, match=f"'{row.key}' is not in "):
            main(["share", dataset.url, row.sha256])

    @pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)])
    def test_times(self, text: str, seconds: int) -> None:
        assert duration_s(text) == seconds

    @pytest.mark.parametrize("text", ["", "1", "h", "0h", "-1h", "1.5h", "1w", "1h30m", "１h"])
    def test_times_that_are_none(self, text: str, dataset: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["share", dataset.url, dataset.rows()[0].sha256, f"--expires={text}"])
        assert "is not a time such as 30m, 12h or 7d" in capsys.readouterr().err

    def test_a_time_that_is_too_long(self, dataset: Manifest) -> None:
        with pytest.raises(StorageError, match="from 1 second to 7 days"):
            main(["share", dataset.url, dataset.rows()[0].sha256, "--expires", "8d"])
