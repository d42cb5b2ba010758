"""Crawls of hostile loopback sites, compared with what the sites served."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crawler.crawl_report import finish
from crawler.journal import Journal
from crawler.journal_file import JournalError
from crawler.journal_summary import images
from crawler.manifest import ManifestError, read_manifest
from crawler.sources import SourceError
from crawler.takedown import plan_takedown, take_down
from infra.errors import UserError
from infra.storage import open_storage
from tests.crawls import Crawl, allowed, url_list
from tests.sites import Site, site

# How the report counts what a perfect crawler calls these.
CLASSES = {
    "not-found": {"http 404"},
    "gone": {"http 410"},
    "forbidden": {"http 401", "http 403", "http 451"},
    "unavailable": {"http 429", "http 500", "http 502", "http 503", "http 504"},
    "robots": {"robots.txt forbids", "robots.txt unreachable"},
    "not-an-image": {"not an image"},
    "unsupported": {"unsupported image"},
    "animated": {"animated image"},
    "truncated": {"truncated image"},
    "too-small": {"image too small"},
    "too-many-pixels": {"image too large"},
    "too-large": {"too large"},
    "too-slow": {"timeout"},
    "broken-transfer": {"connection failed"},
    "bad-redirect": {"too many redirects", "unsafe url", "http 302"},
    "private-address": {"blocked address", "unsafe url"},
}


@pytest.mark.slow
def test_everything_a_stranger_serves_row_by_row(tmp_path: Path) -> None:
    with site(robots="private") as s:
        truth = {url: e for url, e in s.truth().items() if "/g/01400" not in url}  # opted out by its page alone
        run = Crawl(
            tmp_path, [url_list(tmp_path, list(truth))], [allowed(s)],
            network={"timeout_s": 4, "max_mb": 20, "per_host": 16},
        )  # fmt: skip
        report = run.report()
    rows = {row.url: row for row in run.rows()}
    kept_hashes = {e.sha256 for e in truth.values() if e.outcome in ("stored", "duplicate", "near-duplicate")}
    assert {row.sha256 for row in rows.values()} == kept_hashes
    storage = open_storage(run.into)
    for url, expected in truth.items():
        if expected.outcome in ("stored", "near-duplicate") and url in rows:
            row = rows[url]
            assert (row.sha256, row.width, row.height) == (expected.sha256, expected.width, expected.height), url
            assert row.fetched_at is not None and row.licence == "CC0 1.0" and row.source == "list"
            assert len(storage.get(row.key)) == row.bytes
        elif not expected.kept:
            assert url not in rows
    counted = Counter(e.outcome for e in truth.values() if not e.kept and e.outcome != "opted-out")
    said = Counter({entry["error"]: 0 for entry in report["errors"]})
    for entry in report["errors"]:
        said[entry["error"]] += entry["count"]
    classes = Counter(c for outcome in counted for c in CLASSES[outcome])
    assert set(said) - {c for c in said if c.startswith("opted out")} <= set(classes) | {
        "duplicate", "says it is generated",
    }  # fmt: skip
    for outcome in ("truncated", "animated", "too-small", "too-many-pixels", "too-slow", "not-found"):
        assert sum(said[c] for c in CLASSES[outcome]) == counted[outcome], outcome
    opted_out = sum(n for c, n in said.items() if c.startswith("opted out"))
    assert opted_out == sum(e.outcome == "opted-out" for e in truth.values())
    clusters = {row.url: row.cluster for row in rows.values()}
    near = [url for url, e in truth.items() if e.outcome == "near-duplicate"]
    assert len({clusters[url] for url in near}) == 1
    assert len({row.split for row in rows.values() if row.cluster == clusters[near[0]]}) == 1
    assert report["sources"]["list"]["aside"] == sum(e.outcome == "ai-marked" for e in truth.values()) == 2
    assert not list(storage.list("images/.tmp"))


def test_no_redirect_leads_to_another_server_of_this_machine(tmp_path: Path) -> None:
    with site() as s:
        urls = list(s.truth("/redirect/trap"))
        run = Crawl(tmp_path, [url_list(tmp_path, [*urls, *s.image_urls(1)])], [allowed(s)])
        report = run.report()
        assert s.trapped() == []
    assert report["sources"]["list"]["stored"] == 1
    assert {e["error"] for e in report["errors"]} == {"blocked address", "unsafe url"}


class TestEndpoints:
    def test_one_that_never_repeats_gives_the_target_and_is_left_alone(self, tmp_path: Path) -> None:
        with site() as s:
            run = Crawl(tmp_path, [_endpoint(s, "/person", target=25)])
            report = run.report()
            assert report["sources"]["person"]["stored"] == 25 == len(run.rows())
            assert report["sources"]["person"]["ended"] == "target reached"
            assert {row.sha256 for row in run.rows()} == set(s.served("/person"))
        assert {row.generator for row in run.rows()} == {"stylegan2"}
        assert {row.label for row in run.rows()} == {"fake"}

    def test_one_of_fifty_images_ends_with_an_estimate(self, tmp_path: Path) -> None:
        with site() as s:
            run = Crawl(tmp_path, [_endpoint(s, "/fifty", target=1000)])
            of = run.report()["sources"]["person"]
            asked = len(s.requests("/fifty"))
        assert of["ended"].startswith("repeats itself")
        estimate = of["estimated_images"]
        assert estimate["low"] <= 50 <= estimate["high"]
        assert 40 <= estimate["images"] <= 60
        assert asked < 300
        assert of["stored"] + of["duplicate"] == asked
        assert len(run.rows()) == of["stored"] <= 50

    def test_an_exhausted_one_is_not_asked_again(self, tmp_path: Path) -> None:
        with site() as s:
            run = Crawl(tmp_path, [_endpoint(s, "/fifty", target=1000)])
            run.report()
            asked = len(s.requests("/fifty"))
            assert run.report()["sources"]["person"]["ended"].startswith("repeats itself")
            assert len(s.requests("/fifty")) == asked

    @pytest.mark.parametrize(
        ("path", "pick"),
        [("/person.html", {"selector": "img#face"}), ("/api/person", {"key": "data.image.url"})],
        ids=["page", "json"],
    )
    def test_one_that_names_the_image(self, tmp_path: Path, path: str, pick: dict[str, str]) -> None:
        with site() as s:
            run = Crawl(tmp_path, [_endpoint(s, path, target=5, pick=pick)])
            report = run.report()
            assert report["sources"]["person"]["stored"] == 5
            assert {row.sha256 for row in run.rows()} == set(s.served("/face/"))

    def test_one_that_is_gone_is_given_up(self, tmp_path: Path) -> None:
        with site() as s:
            run = Crawl(tmp_path, [_endpoint(s, "/nothing", target=5), url_list(tmp_path, s.image_urls(2))])
            of = run.report()["sources"]["person"]
        assert of["ended"].startswith("gave up: 20 draws in a row came to nothing (http 404)")
        assert len(run.rows()) == 2


class TestGalleries:
    @pytest.mark.parametrize(
        "name", ["numbered", "album", "based", "lazy", "encoded-shift-jis-meta",
         "encoded-windows-1251", "encoded-utf-16-bom", "encoded-latin-1", "encoded-not-utf-8"],
    )  # fmt: skip
    def test_every_picture_is_found(self, tmp_path: Path, name: str) -> None:
        with site() as s:
            gallery = s.galleries[name]
            run = Crawl(
                tmp_path,
                [
                    {
                        "type": "gallery", "name": "g", "label": "real", "start": [s.url(gallery.start)],
                        "images": gallery.image, "follow": gallery.link, "depth": gallery.depth, "max_pages": 40,
                    }
                ],
                [allowed(s)],
            )  # fmt: skip
            run.report()
            assert {row.sha256 for row in run.rows()} >= {e.sha256 for e in gallery.images.values() if e.kept}
            assert s.trapped() == []
            pages = [r for r in s.requests() if r.path in gallery.pages]
            assert len(pages) == len({r.path for r in pages}), "a page was asked for twice"

    def test_pages_end_at_their_limit(self, tmp_path: Path) -> None:
        with site() as s:
            run = Crawl(
                tmp_path,
                [
                    {
                        "type": "gallery", "name": "g", "label": "real", "start": [s.url("/album/calendar/0")],
                        "images": "img", "follow": "a", "depth": 90, "max_pages": 12,
                    },
                    url_list(tmp_path, s.image_urls(1)),
                ],
            )  # fmt: skip
            run.report()
            assert 2 < len(s.requests("/album/")) <= 12

    def test_a_page_that_opts_out_keeps_its_pictures(self, tmp_path: Path) -> None:
        with site() as s:
            gallery = s.galleries["opted-out"]
            source = {"type": "gallery", "name": "g", "label": "real", "start": [s.url(gallery.start)], "images": "img"}
            run = Crawl(tmp_path, [source, url_list(tmp_path, s.image_urls(1))])
            report = run.report()
            assert s.requests("/g/") == []
        assert report["sources"]["g"]["errors"] == {"opted out: noai": 1}


class TestLists:
    @pytest.mark.parametrize("kind", ["txt", "csv", "parquet"])
    def test_kinds(self, tmp_path: Path, kind: str) -> None:
        with site(images=12) as s:
            path = tmp_path / f"urls.{kind}"
            path.write_bytes(s.url_list(kind))
            source = {"type": "urllist", "name": "l", "label": "real", "list": str(path)}
            run = Crawl(tmp_path, [source])
            run.report()
            assert {row.url for row in run.rows()} == set(s.image_urls(12))

    def test_ffhq_with_its_licence_author_and_md5(self, tmp_path: Path) -> None:
        with site(images=8) as s:
            path = tmp_path / "ffhq-dataset-v2.json"
            path.write_bytes(s.ffhq_json(8, wrong_md5=[3]))
            listed = json.loads(path.read_text())
            run = Crawl(tmp_path, [{"type": "urllist", "name": "ffhq", "label": "real", "list": str(path)}])
            report = run.report()
        rows = {row.url: row for row in run.rows()}
        assert len(rows) == 7
        for number, entry in listed.items():
            url = entry["image"]["file_url"]
            assert (url in rows) == (number != "3")
            if url in rows:
                assert rows[url].licence == entry["metadata"]["license"]
                assert rows[url].author == entry["metadata"]["author"]
        assert report["sources"]["ffhq"]["errors"] == {"wrong checksum": 1}

    def test_a_list_on_the_web(self, tmp_path: Path) -> None:
        with site(images=3) as lister:
            (tmp_path / "x").mkdir()
            source = {"type": "urllist", "name": "l", "label": "real", "list": lister.url("/img/00000.jpg")}
            run = Crawl(tmp_path, [source])
            with pytest.raises(SourceError, match="not UTF-8"):
                run.report()

    def test_a_list_of_something_else_is_refused(self, tmp_path: Path) -> None:
        run = Crawl(tmp_path, [url_list(tmp_path, ["a.jpg", "http://127.0.0.1:1/a.jpg"])])
        with pytest.raises(SourceError, match=r"list.txt begins with 'a.jpg', which is no web address"):
            run.report()

    def test_a_wrong_line_costs_that_line(self, tmp_path: Path) -> None:
        with site() as s:
            urls = [*s.image_urls(2), "not a url", "ftp://127.0.0.1/a.jpg", "http://[::1", ""]
            report = Crawl(tmp_path, [url_list(tmp_path, urls)]).report()
        assert report["sources"]["list"]["stored"] == 2
        assert report["sources"]["list"]["errors"] == {"unsafe url": 3}

    def test_the_target_is_kept_over_many_hosts(self, tmp_path: Path) -> None:
        with site("127.0.0.1") as a, site("127.0.0.2") as b:
            urls = [url for pair in zip(a.image_urls(20), b.image_urls(20, 20), strict=True) for url in pair]
            run = Crawl(tmp_path, [url_list(tmp_path, urls, target=15)], ["127.0.0.1", "127.0.0.2"])
            report = run.report()
            assert report["sources"]["list"]["stored"] == 15
            assert len(a.served("/img/")) + len(b.served("/img/")) == 15

    def test_new_lines_are_fetched_and_old_ones_are_not(self, tmp_path: Path) -> None:
        with site() as s:
            Crawl(tmp_path, [url_list(tmp_path, s.image_urls(3))]).report()
            run = Crawl(tmp_path, [url_list(tmp_path, s.image_urls(5))])
            run.report()
            assert len(run.rows()) == 5
            assert len(s.requests("/img/")) == 5


class TestManners:
    def test_a_host_is_not_asked_more_at_once_than_allowed(self, tmp_path: Path) -> None:
        with site(delay_s=0.02) as s:
            run = Crawl(tmp_path, [url_list(tmp_path, s.image_urls(40))], network={"per_host": 3})
            run.report()
            assert s.high_water("/img/") == 3

    def test_who_we_are_is_said(self, tmp_path: Path) -> None:
        with site() as s:
            Crawl(tmp_path, [url_list(tmp_path, s.image_urls(1))]).report()
            agents = {r.user_agent for r in s.requests()}
            assert agents == {"faces-crawler/0.1 (+test@example.org)"}
            assert s.requests()[0].path == "/robots.txt"

    @pytest.mark.parametrize("kind", ["seconds", "date"])
    def test_retry_after_is_honoured(self, tmp_path: Path, kind: str) -> None:
        with site() as s:
            run = Crawl(tmp_path, [url_list(tmp_path, [s.url(f"/throttled/{kind}/00001.jpg")])])
            run.report()
            first, second = s.requests("/throttled/")
            assert second.began - first.began >= 1.0
            assert len(run.rows()) == 1

    def test_what_is_not_there_is_asked_for_once_and_what_is_busy_again(self, tmp_path: Path) -> None:
        with site() as s:
            urls = [s.url("/status/404.jpg"), s.url("/flaky/503/00001.jpg"), s.url("/flaky/reset/00002.jpg")]
            run = Crawl(tmp_path, [url_list(tmp_path, urls)])
            run.report()
            asked = Counter(r.path for r in s.requests())
            assert asked["/status/404.jpg"] == 1
            assert asked["/flaky/503/00001.jpg"] == asked["/flaky/reset/00002.jpg"] == 2
            assert len(run.rows()) == 2

    @pytest.mark.parametrize("robots", ["png", "private", "longest", "500", "404"])
    def test_robots(self, tmp_path: Path, robots: str) -> None:
        with site(images=3, robots=robots) as s:
            paths = ("/private/face.jpg", "/private/deep/face.png", "/public/face.png", "/public/face.png?size=large")
            urls = [*s.image_urls(3), *map(s.url, paths), s.url("/redirect/private.jpg")]
            truth = s.truth()
            run = Crawl(tmp_path, [url_list(tmp_path, urls)])
            expected = {truth[url].sha256 for url in urls if truth[url].kept}
            if expected:
                run.report()
                assert {row.sha256 for row in run.rows()} == expected
            else:
                with pytest.raises(SourceError, match=r"robots.txt unreachable"):
                    run.report()
            forbidden = [url for url in urls if truth[url].outcome == "robots" and "redirect" not in url]
            assert not {s.url(r.path) for r in s.requests()} & set(forbidden)

    def test_a_host_that_dies_holds_nobody_else_up(self, tmp_path: Path) -> None:
        with site("127.0.0.1") as dead, site("127.0.0.2") as alive:
            urls = dead.image_urls(10) + alive.image_urls(10, 10)
            dead.die()
            run = Crawl(
                tmp_path, [url_list(tmp_path, urls)], ["127.0.0.1", "127.0.0.2"], network={"retries": 0},
            )  # fmt: skip
            report = run.report()
            dead.revive()
            assert report["sources"]["list"]["stored"] == 10
            assert report["sources"]["list"]["failed"] == 10
            assert report["hosts"][allowed(dead)] == {"failed": 10}
            again = run.report(retry_failed=True)
            assert again["sources"]["list"]["stored"] == 20
            assert len(alive.requests("/img/")) == 10, "what was stored was asked for again"


class TestChecks:
    def test_a_real_that_says_it_is_generated_is_kept_aside(self, tmp_path: Path) -> None:
        with site() as s:
            urls = [s.url("/odd/prompted.png"), s.url("/odd/declared.jpg"), *s.image_urls(1)]
            run = Crawl(tmp_path, [url_list(tmp_path, urls)])
            report = run.report()
            assert [row.url for row in run.rows()] == s.image_urls(1)
            assert {aside["url"] for aside in report["set_aside"]} == set(urls[:2])
            kept = list(open_storage(run.into).list("set-aside/"))
            assert {name.split("/")[1].split(".")[0] for name in kept} == {s.truth()[url].sha256 for url in urls[:2]}

    def test_a_fake_that_says_it_is_generated_is_stored_with_its_markers(self, tmp_path: Path) -> None:
        with site() as s:
            source = url_list(tmp_path, [s.url("/odd/prompted.png")], label="fake", generator="sd15")
            run = Crawl(tmp_path, [source])
            run.report()
            assert run.rows()[0].ai_markers == ("stable-diffusion",)

    def test_one_picture_under_two_labels_is_left_out(self, tmp_path: Path) -> None:
        with site() as s:
            real = url_list(tmp_path, s.image_urls(3))
            fake = url_list(tmp_path, s.image_urls(1), "fakes", label="fake", generator="gan")
            report = Crawl(tmp_path, [real, fake]).report()
        assert report["dataset"]["images"] == 2
        assert report["conflicts"] == 1

    def test_what_was_taken_down_does_not_come_back(self, tmp_path: Path) -> None:
        with site() as s:
            run = Crawl(tmp_path, [url_list(tmp_path, s.image_urls(3))])
            run.report()
            gone = run.rows()[0].sha256
            take_down(run.into, plan_takedown(run.into, [gone]), None, datetime.now(UTC))
            again = Crawl(tmp_path, [url_list(tmp_path, s.image_urls(3))], name="again")
            report = again.report()
        assert gone not in {row.sha256 for row in again.rows()}
        assert report["sources"]["list"]["errors"] == {"taken down": 1}

    def test_a_folder_beside_the_web(self, tmp_path: Path) -> None:
        with site() as s:
            photos = tmp_path / "photos"
            photos.mkdir()
            from tests.sites import pictures

            (photos / "a.jpg").write_bytes(pictures.face(500))
            (photos / "notes.txt").write_text("not a picture")
            (photos / ".hidden.jpg").write_bytes(pictures.face(501))
            folder = {"type": "folder", "name": "mine", "label": "real", "path": str(photos), "split": "test"}
            run = Crawl(tmp_path, [folder, url_list(tmp_path, s.image_urls(2))])
            report = run.report()
        of_folder = [row for row in run.rows() if row.source == "mine"]
        assert [(row.url, row.split) for row in of_folder] == [(None, "test")]
        assert report["sources"]["mine"]["errors"] == {"not an image": 1}


class TestStopping:
    @pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_keeps_everything(self, tmp_path: Path, signum: int, code: int) -> None:
        with site(delay_s=0.05) as s:
            run = Crawl(tmp_path, [url_list(tmp_path, s.image_urls(60))], network={"per_host": 2})
            process = run.start()
            s.wait_for(10, "/img/")
            process.send_signal(signum)
            out, err = process.communicate(timeout=30)
            assert process.returncode == code, err
            assert "stopped; everything is kept" in out
            assert "Traceback" not in err
            before = len(s.requests("/img/"))
            run.report()
            assert len(run.rows()) == 60
            assert len(s.requests("/img/")) <= 60 + 4, f"{before} were asked for before the stop"

    def test_finish_writes_what_is_there(self, tmp_path: Path) -> None:
        with site(delay_s=0.05) as s:
            run = Crawl(tmp_path, [url_list(tmp_path, s.image_urls(60))], network={"per_host": 2})
            process = run.start()
            s.wait_for(10, "/img/")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
            asked = len(s.requests())
            report = finish(run.params).content
            assert len(s.requests()) == asked
        assert 5 <= report["sources"]["list"]["stored"] == len(run.rows()) < 60

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(5))
    def test_kill_9_at_a_random_moment(self, tmp_path: Path, seed: int) -> None:
        """Nothing lost, nothing stored twice: the manifest is that of an undisturbed crawl."""
        moment = random.Random(seed).randrange(1, 110)
        with site(delay_s=0.01) as s:
            sources = [
                url_list(tmp_path, s.image_urls(60)),
                _endpoint(s, "/person", target=30),
                {
                    "type": "gallery", "name": "g", "label": "real", "start": [s.url("/gallery/")],
                    "images": "img.face", "follow": "nav a", "depth": 3,
                },
            ]  # fmt: skip
            run = Crawl(tmp_path, sources)
            process = run.start()
            s.wait_for(moment)
            process.kill()
            process.communicate(timeout=30)
            journal = Journal(tmp_path / "work" / "crawl" / "journal.db")
            stored = [image.url for image in images(journal, ["list", "g"])]
            journal.close()
            before = len(s.requests())
            report = run.report()
            after = s.requests()[before:]
            drawn = set(s.served("/person"))
        rows = run.rows()
        storage = open_storage(run.into)
        objects = {key.split("/")[-1].split(".")[0] for key in storage.list("images/")}
        assert objects == {row.sha256 for row in rows}, "an object that the manifest does not know, or the reverse"
        assert {row.url for row in rows if row.source == "list"} == set(s.image_urls(60))
        assert sum(row.source == "g" for row in rows) == len(s.galleries["numbered"].images)
        fakes = {row.sha256 for row in rows if row.source == "person"}
        assert len(fakes) == 30 and fakes <= drawn
        assert report["sources"]["person"]["stored"] == 30
        again = {r.path for r in after} & {urlsplit(url).path for url in stored}
        assert again == set(), "what was stored was asked for again"

    def test_two_at_once_are_refused(self, tmp_path: Path) -> None:
        with site(delay_s=0.05) as s:
            run = Crawl(tmp_path, [url_list(tmp_path, s.image_urls(30))], network={"per_host": 2})
            process = run.start()
            s.wait_for(1, "/img/")
            with pytest.raises(UserError, match="the crawl 'crawl' is being run by process"):
                run.report()
            process.kill()
            process.communicate()

    def test_another_dataset_under_the_same_name_is_refused(self, tmp_path: Path) -> None:
        with site() as s:
            source = url_list(tmp_path, s.image_urls(1))
            Crawl(tmp_path, [source]).report()
            with pytest.raises(JournalError, match="give the new one another name"):
                Crawl(tmp_path, [source], into=f"file://{tmp_path}/other").report()

    def test_nothing_usable_is_an_error_that_says_why(self, tmp_path: Path) -> None:
        with site() as s:
            run = Crawl(tmp_path, [url_list(tmp_path, [s.url("/status/404.jpg")])])
            with pytest.raises(SourceError, match=r"not one usable image; most often: http 404 \(×1\)"):
                run.report()
            with pytest.raises(ManifestError):
                read_manifest(run.into)


def _endpoint(s: Site, path: str, **more: object) -> dict[str, object]:
    source = {"type": "endpoint", "name": "person", "label": "fake", "generator": "stylegan2", "url": s.url(path)}
    return {**source, **more}
