"""A crawl into a real S3 server that goes away in the middle and comes back."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from infra.storage import open_storage
from tests.crawls import Crawl, url_list
from tests.servers import s3_outage
from tests.sites import site


@pytest.mark.slow
def test_an_outage_pauses_the_crawl_and_loses_nothing(tmp_path: Path, s3_url: str) -> None:
    with site(delay_s=0.02) as s:
        endpoint = {"type": "endpoint", "name": "person", "label": "fake", "url": s.url("/person"), "target": 30}
        run = Crawl(tmp_path, [url_list(tmp_path, s.image_urls(120)), endpoint], into=s3_url, network={"per_host": 4})
        process = run.start()
        s.wait_for(40, "/img/")
        with s3_outage():
            assert process.stdout is not None
            said = next(line for line in process.stdout if "paused" in line)
            assert "nothing is lost" in said and "cannot be reached" in said
            asked = len(s.requests())
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        assert "is back: going on" in out
        counts = Counter(s.served("/img/"))
        drawn = set(s.served("/person"))
    assert asked <= 150
    assert max(counts.values()) == 1, "an image was asked for twice"
    rows = run.rows()
    assert {row.url for row in rows if row.source == "list"} == set(s.image_urls(120))
    assert {row.sha256 for row in rows if row.source == "person"} == drawn
    storage = open_storage(s3_url)
    assert set(storage.list("images/")) == {row.key for row in rows}
    assert all(storage.size(row.key) == row.bytes for row in rows)


@pytest.mark.slow
def test_ctrl_c_in_an_outage_ends_at_once_and_the_next_run_goes_on(tmp_path: Path, s3_url: str) -> None:
    with site(delay_s=0.02) as s:
        run = Crawl(tmp_path, [url_list(tmp_path, s.image_urls(80))], into=s3_url, network={"per_host": 4})
        process = run.start()
        s.wait_for(20, "/img/")
        with s3_outage():
            assert process.stdout is not None
            next(line for line in process.stdout if "paused" in line)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert process.returncode == 130, out + err
            assert "stopped; everything is kept" in out and "Traceback" not in err
        run.report()
        assert {row.url for row in run.rows()} == set(s.image_urls(80))


def test_wrong_credentials_are_one_line(tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with site() as s:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
        process = Crawl(tmp_path, [url_list(tmp_path, s.image_urls(2))], into=s3_url).start()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("error: ") and err.count("\n") == 1, err
    assert "credentials" in err and "not-the-secret" not in err
