"""A crawl spread over a Ray cluster of two nodes, one of which is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.storage import open_storage
from tests.crawls import ROOT, Crawl, url_list
from tests.sites import site


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_two_nodes_share_the_hosts_and_one_may_be_lost(tmp_path: Path) -> None:
    names = [f"127.0.0.{n}" for n in range(1, 5)]
    sites = [site(name, delay_s=0.05) for name in names]
    opened = [entered.__enter__() for entered in sites]
    try:
        urls = [url for n, s in enumerate(opened) for url in s.image_urls(60, 100 * n)]
        endpoint = {
            "type": "endpoint",
            "name": "person",
            "label": "fake",
            "url": opened[0].url("/person"),
            "target": 10,
        }
        run = Crawl(tmp_path, [url_list(tmp_path, urls), endpoint], ["127.0.0.0/8"], network={"per_host": 2})
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crawl_on_two_nodes", str(run.file)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        opened[1].wait_for(10, "/img/", timeout_s=120)
        process.stdin.write("lose one\n")
        process.stdin.flush()
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, out + err
        water = [s.high_water("/img/") for s in opened]
    finally:
        for entered in sites:
            entered.__exit__(None, None, None)
    assert "a machine was lost" in out
    assert "stored 240" in out
    rows = run.rows()
    assert {row.url for row in rows if row.source == "list"} == set(urls)
    assert sum(row.source == "person" for row in rows) == 10
    objects = {key.rpartition("/")[2].partition(".")[0] for key in open_storage(run.into).list("images/")}
    assert objects == {row.sha256 for row in rows}
    # A host belongs to one engine at a time, so its limit holds over all of them. The lost engine's requests may still
    # be under way on the site when another engine takes the host over.
    assert max(water) <= 4
