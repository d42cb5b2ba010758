"""The sites that the crawler's tests stand on do what they say, as plain clients see them."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import http.client
import io
import json
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import aiohttp
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from protego import Protego

from crawler.examine import examine
from crawler.fingerprint import MAX_DISTANCE, hamming
from tests.sites import ROBOTS, Site, pictures, rules, site
from tests.sites.catalogue import OPT_OUTS, TRAPS


@pytest.fixture(scope="module")
def stranger() -> Iterator[Site]:
    with site() as s:
        yield s


def get(url: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case and body by urllib, redirects followed."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@asynccontextmanager
async def opened(url: str, **options: object) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer of aiohttp, within ten seconds."""
    async with (
        asyncio.timeout(10),
        aiohttp.ClientSession() as session,
        session.get(url, **options) as answer,  # type: ignore[arg-type]
    ):
        yield answer


def read(url: str) -> bytes:
    """The body by aiohttp, which undoes Content-Encoding and notices cut transfers."""

    async def body() -> bytes:
        async with opened(url) as answer:
            return await answer.read()

    return asyncio.run(body())


class TestPictures:
    def test_no_two_faces_are_near_duplicates(self) -> None:
        hashes = [int(examine(pictures.face(number)).phash, 16) for number in [*range(400), *range(9000, 9200)]]
        values = np.array(hashes, dtype=np.uint64)
        distances = np.bitwise_count(values[:, None] ^ values[None])[np.triu_indices(len(values), 1)]
        assert distances.min() > 8

    @pytest.mark.parametrize("relative", [pictures.recompressed, pictures.halved])
    def test_relatives_are(self, relative: object) -> None:
        for number in (1, 2, 9595):
            copy = relative(number)  # type: ignore[operator]
            assert copy != pictures.face(number)
            assert hamming(examine(copy).phash, examine(pictures.face(number)).phash) <= MAX_DISTANCE

    def test_the_png_of_900_megapixels_is_one(self) -> None:
        data = pictures.png_of_900_megapixels()
        assert len(data) < 110_000
        assert int.from_bytes(data[16:20]) * int.from_bytes(data[20:24]) == 900_000_000
        length = int.from_bytes(data[33:37])
        assert len(zlib.decompress(data[41 : 41 + length])) == 30_000 * 3_751

    def test_a_turned_face_is_upright_when_shown(self) -> None:
        facts = examine(pictures.turned(5))
        assert (facts.width, facts.height) == pictures.picture(5).size
        assert Image.open(io.BytesIO(pictures.turned(5))).size == pictures.picture(5).size[::-1]
        assert hamming(facts.phash, examine(pictures.face(5)).phash) <= MAX_DISTANCE

    def test_marked_files_carry_their_marks(self) -> None:
        assert b"tEXtparameters\0" in pictures.prompted_png(1)
        assert b"/trainedAlgorithmicMedia" in pictures.declared_synthetic(1)
        Image.open(io.BytesIO(pictures.declared_synthetic(1))).load()


class TestTruth:
    def test_every_good_address_gives_what_the_table_says(self, stranger: Site) -> None:
        truth = stranger.truth()
        good = {url: expected for url, expected in truth.items() if expected.kept}
        assert len(good) > 150

        async def check(session: aiohttp.ClientSession, url: str) -> None:
            async with session.get(url) as answer:
                data = await answer.read()
            assert answer.status == 200, url
            facts = examine(data)
            assert (facts.sha256, facts.width, facts.height) == (good[url].sha256, good[url].width, good[url].height)

        async def check_all() -> None:
            async with aiohttp.ClientSession() as session:
                for url in good:
                    await check(session, url)

        asyncio.run(check_all())

    def test_only_copies_share_a_sha256(self, stranger: Site) -> None:
        firsts = [e.sha256 for e in stranger.truth().values() if e.outcome in ("stored", "near-duplicate", "ai-marked")]
        assert len(firsts) == len(set(firsts))
        for expected in stranger.truth().values():
            if expected.outcome == "duplicate":
                assert stranger.truth()[stranger.url(expected.of or "")].sha256 == expected.sha256

    def test_opt_outs_are_sent_with_the_picture(self, stranger: Site) -> None:
        for name, (headers, ours) in OPT_OUTS.items():
            url = stranger.url(f"/opt-out/{name}.jpg")
            status, sent, data = get(url)
            assert status == 200 and data.startswith(b"\xff\xd8")
            assert all(sent[header.lower()] == value for header, value in headers.items())
            assert (stranger.truth()[url].outcome == "opted-out") == ours
        assert json.loads(get(stranger.url("/.well-known/tdmrep.json"))[2])[0]["location"] == "/reserved/"

    @pytest.mark.parametrize("status", [404, 410, 401, 403, 451, 429, 500, 503])
    def test_refusals_have_their_status_and_a_picture(self, stranger: Site, status: int) -> None:
        assert get(stranger.url(f"/status/{status}.jpg"))[0] == status
        assert get(stranger.url(f"/status/{status}.jpg"))[2].startswith(b"\xff\xd8")


class TestEndpoints:
    def test_a_new_person_at_every_get(self) -> None:
        with site() as s:
            bodies = [get(s.url("/person"))[2] for _ in range(20)]
            assert len(set(bodies)) == 20
            s.wait_for(20, timeout_s=5)
            assert s.served("/person") == [hashlib.sha256(body).hexdigest() for body in bodies]

    def test_fifty_people_and_no_more(self) -> None:
        with site() as s:
            read_all(s, "/fifty", 600)
            s.wait_for(600, timeout_s=5)
            assert len(set(s.served("/fifty"))) == 50

    def test_a_page_or_json_that_names_the_picture(self, stranger: Site) -> None:
        _, headers, page = get(stranger.url("/person.html"))
        assert headers["content-type"].startswith("text/html")
        source = page.partition(b'id="face" src="')[2].partition(b'"')[0].decode()
        picture = urljoin(stranger.url("/person.html"), source)
        named = json.loads(get(stranger.url("/api/person"))[2])["data"]["image"]["url"]
        assert examine(get(picture)[2]).sha256 != examine(get(named)[2]).sha256
        assert page != get(stranger.url("/person.html"))[2]


def read_all(s: Site, path: str, count: int) -> None:
    """`count` GETs of one address over one connection."""

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(count):
                async with session.get(s.url(path)) as answer:
                    await answer.read()

    asyncio.run(run())


class Links(HTMLParser):
    """What a page links to and shows, made absolute."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self.base, self.links, self.shown = url, set[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "base":
            self.base = urljoin(self.base, values["href"])
        elif tag == "a" and "href" in values and "[" not in values["href"]:
            self.links.add(urldefrag(urljoin(self.base, values["href"])).url)
        elif tag in ("img", "source"):
            for name in ("src", "data-src", "srcset", "data-srcset"):
                for candidate in values.get(name, "").replace("\n", "").split(", "):
                    self.shown.add(urljoin(self.base, candidate.split()[0] if candidate.strip() else ""))


class TestGalleries:
    @pytest.mark.parametrize("name", ["numbered", "album", "based", "lazy", "opted-out"])
    def test_links_lead_to_every_picture(self, stranger: Site, name: str) -> None:
        gallery = stranger.galleries[name]
        seen, wave, shown = set[str](), {stranger.url(gallery.start)}, set[str]()
        for _ in range(gallery.depth + 1):
            following = set[str]()
            for url in wave - seen:
                status, headers, body = get(url)
                seen.add(url)
                if status == 200 and headers["content-type"].startswith("text/html"):
                    page = Links(url, body.decode())
                    shown |= page.shown
                    following |= {link for link in page.links if link.startswith(stranger.origin)}
            wave = following
        assert {stranger.url(path) for path in gallery.images} <= shown

    def test_pagination_goes_round(self, stranger: Site) -> None:
        last = get(stranger.url("/gallery/?page=4"))[2]
        assert b'rel="next" href="?page=1"' in last

    def test_the_calendar_never_ends(self, stranger: Site) -> None:
        assert b"/album/calendar/100001" in get(stranger.url("/album/calendar/100000"))[2]

    @pytest.mark.parametrize(
        ("name", "codec"),
        [
            ("windows-1251", "cp1251"),
            ("windows-1251-meta", "cp1251"),
            ("koi8-r", "koi8-r"),
            ("shift-jis", "shift_jis"),
            ("shift-jis-meta", "shift_jis"),
            ("utf-16-bom", "utf-16"),
            ("utf-8-bom", "utf-8-sig"),
            ("latin-1", "latin-1"),
            ("not-utf-8", "latin-1"),
            ("unknown", "latin-1"),
        ],
    )
    def test_encodings(self, stranger: Site, name: str, codec: str) -> None:
        gallery = stranger.galleries[f"encoded-{name}"]
        url = stranger.url(gallery.start)
        body = get(url)[2]
        (path,) = gallery.images
        assert path in {unquote(urlsplit(found).path) for found in Links(url, body.decode(codec)).shown}
        with pytest.raises(UnicodeDecodeError):
            body.decode("ascii" if name == "utf-8-bom" else "utf-8")


class TestFaults:
    def test_a_drip_is_slow(self, stranger: Site) -> None:
        async def five_bytes() -> float:
            started = time.monotonic()
            async with opened(stranger.url("/slow/drip.jpg")) as answer:
                await answer.content.readexactly(4)
            return time.monotonic() - started

        assert asyncio.run(five_bytes()) > 0.5

    def test_a_silent_server_says_nothing(self, stranger: Site) -> None:
        async def ask() -> None:
            async with opened(stranger.url("/slow/silent.jpg"), timeout=aiohttp.ClientTimeout(total=0.5)):
                pass

        with pytest.raises(TimeoutError):
            asyncio.run(ask())
        stranger.wait_for(1, "/slow/silent.jpg", 5)  # and notices that the client has gone

    @pytest.mark.parametrize("name", ["endless.jpg", "ten-gigabytes.jpg", "bomb.jpg"])
    def test_large_bodies_are(self, stranger: Site, name: str) -> None:
        async def read_20_mb() -> tuple[int, str | None]:
            got = 0
            async with opened(stranger.url(f"/large/{name}")) as answer:
                async for chunk in answer.content.iter_chunked(2**16):
                    got += len(chunk)
                    if got > 20 * 2**20:
                        break
            return got, answer.headers.get("Content-Length")

        got, announced = asyncio.run(read_20_mb())
        assert got > 20 * 2**20
        expected = {"endless.jpg": None, "ten-gigabytes.jpg": str(10 * 2**30), "bomb.jpg": announced}
        assert announced == expected[name]
        assert name != "bomb.jpg" or int(announced or 0) < 400_000

    @pytest.mark.parametrize(
        "name", ["incomplete.jpg", "no-last-chunk.jpg", "reset.jpg", "not-http.jpg", "hung-up.jpg", "not-gzip.jpg"]
    )
    def test_broken_transfers_fail(self, stranger: Site, name: str) -> None:
        with pytest.raises(aiohttp.ClientError):
            read(stranger.url(f"/broken/{name}"))

    def test_a_reset_comes_in_mid_body(self, stranger: Site) -> None:
        with pytest.raises(ConnectionResetError):
            urllib.request.urlopen(stranger.url("/broken/reset.jpg"), timeout=10).read()

    def test_bodies_that_are_no_picture(self, stranger: Site) -> None:
        assert read(stranger.url("/broken/html.jpg")).startswith(b"<!DOCTYPE html>")
        assert get(stranger.url("/broken/html.jpg"))[1]["content-type"] == "image/jpeg"
        assert read(stranger.url("/broken/empty.jpg")) == b""
        cut = read(stranger.url("/broken/truncated.jpg"))
        assert cut.startswith(b"\xff\xd8") and not cut.endswith(b"\xff\xd9")

    @pytest.mark.parametrize("how", ["503", "reset", "truncated"])
    def test_flaky_addresses_are_good_at_the_second_try(self, stranger: Site, how: str) -> None:
        url = stranger.url(f"/flaky/{how}/00321.jpg")
        if how == "503":
            assert get(url)[0] == 503
        else:
            with pytest.raises(ConnectionResetError if how == "reset" else http.client.IncompleteRead):
                get(url)
        assert get(url)[2] == pictures.face(321)


class TestRedirects:
    def test_they_point_where_they_should(self, stranger: Site) -> None:
        async def target(path: str) -> tuple[int, str | None]:
            async with opened(stranger.url(path), allow_redirects=False) as answer:
                return answer.status, answer.headers.get("Location")

        assert asyncio.run(target("/redirect/permanent.jpg")) == (308, "../img/09604.jpg")
        assert asyncio.run(target("/redirect/ping.jpg")) == (302, "/redirect/pong.jpg")
        assert asyncio.run(target("/redirect/file.jpg")) == (302, "file:///etc/hostname")
        assert asyncio.run(target("/redirect/nowhere.jpg")) == (302, None)
        for name, to in TRAPS.items():
            assert asyncio.run(target(f"/redirect/trap-{name}.jpg"))[1] == to.format(trap=stranger.trap_port)

    @pytest.mark.parametrize("name", ["self", "ping", "hops-30"])
    def test_circles_and_long_chains(self, stranger: Site, name: str) -> None:
        with pytest.raises(aiohttp.TooManyRedirects):
            read(stranger.url(f"/redirect/{name}.jpg"))

    @pytest.mark.parametrize("name", ["literal", "name", "short", "decimal", "hex", "mapped", "any", "user"])
    def test_an_unguarded_client_falls_into_the_trap(self, name: str) -> None:
        with site("127.0.0.2") as s:
            # aiohttp does not know the short spellings of an address, urllib leaves them to the system.
            client = get if name in ("short", "decimal") else read
            client(s.url(f"/redirect/trap-{name}.jpg"))
            assert [request.path for request in s.trapped()] == ["/secret.jpg"]


class TestThrottling:
    def test_429_in_seconds(self, stranger: Site) -> None:
        url = stranger.url("/throttled/seconds/00055.jpg")
        status, headers, _ = get(url)
        assert (status, headers["retry-after"]) == (429, "1")
        assert get(url)[2] == pictures.face(55)

    def test_429_with_a_date(self, stranger: Site) -> None:
        status, headers, _ = get(stranger.url("/throttled/date/00056.jpg"))
        assert status == 429
        assert 0.9 < parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time() <= 2

    def test_fail_next(self, stranger: Site) -> None:
        stranger.fail_next("/img/0007", 2, 429, Retry_After="3")
        assert [get(stranger.url("/img/00060.jpg"))[0], get(stranger.url("/img/00071.jpg"))[0]] == [200, 429]
        assert get(stranger.url("/img/00072.jpg"))[1]["retry-after"] == "3"
        assert get(stranger.url("/img/00071.jpg"))[0] == 200


class TestRobots:
    PATHS = (
        "/",
        "/img/00001.jpg",
        "/img/10001.jpg",
        "/private/x.html",
        "/a.png",
        "/a.png?x=1",
        "/private",
        "/x/private/",
    )

    @pytest.mark.parametrize(
        "name", [name for name, robots in ROBOTS.items() if robots.status == 200 and not robots.fault]
    )
    def test_they_mean_what_they_say(self, stranger: Site, name: str) -> None:
        stranger.set_robots(name)
        status, headers, body = get(stranger.url("/robots.txt"))
        assert status == 200 and headers["content-type"].startswith(ROBOTS[name].content_type)
        parsed = Protego.parse(body.decode("utf-8-sig"))
        for path in self.PATHS:
            assert parsed.can_fetch(stranger.url(path), "nobody-in-particular") != ROBOTS[name].forbids(path), path

    @pytest.mark.parametrize("status", [403, 404, 500, 503])
    def test_statuses(self, stranger: Site, status: int) -> None:
        stranger.set_robots(str(status))
        assert get(stranger.url("/robots.txt"))[0] == status
        all_or_nothing = "robots" if status >= 500 else "stored"
        assert stranger.truth()[stranger.url("/img/00000.jpg")].outcome == all_or_nothing

    def test_a_huge_one_is_over_a_megabyte(self, stranger: Site) -> None:
        stranger.set_robots("huge")
        body = get(stranger.url("/robots.txt"))[2]
        assert len(body) > 2**20
        assert 250_000 < body.index(b"/private/") < 500 * 2**10

    def test_one_that_moved(self, stranger: Site) -> None:
        stranger.set_robots("redirect")
        assert b"Disallow: /private/" in get(stranger.url("/robots.txt"))[2]

    def test_slow_and_broken_ones(self, stranger: Site) -> None:
        stranger.set_robots("reset")
        with pytest.raises(aiohttp.ClientError):
            read(stranger.url("/robots.txt"))
        stranger.set_robots("slow")
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(stranger.url("/robots.txt"), timeout=0.05).read(1000)

    def test_truth_follows_the_rules_and_the_redirects(self) -> None:
        with site(robots=rules("User-agent: *\nDisallow: /img/\n", lambda path: path.startswith("/img/"))) as s:
            truth = s.truth()
            assert truth[s.url("/img/00003.jpg")].outcome == "robots"
            assert truth[s.url("/redirect/moved.jpg")].outcome == "robots"
            assert truth[s.url("/odd/plain.png")].outcome == "stored"


class TestSwitches:
    def test_pause_and_high_water(self) -> None:
        with site() as s:
            s.pause()

            async def seven() -> list[int]:
                async with aiohttp.ClientSession() as session:

                    async def one(number: int) -> int:
                        async with session.get(s.url(f"/img/{number:05d}.jpg")) as answer:
                            return answer.status

                    tasks = [asyncio.create_task(one(number)) for number in range(7)]
                    while len(s.requests("/img/")) < 7:
                        await asyncio.sleep(0.01)
                    assert all(request.ended is None for request in s.requests())
                    s.resume()
                    return await asyncio.gather(*tasks)

            assert asyncio.run(seven()) == [200] * 7
            s.wait_for(7, timeout_s=5)
            assert s.high_water("/img/") == 7
            read_all(s, "/person", 3)
            assert s.high_water("/person") == 1

    def test_a_dead_site_refuses_and_comes_back_on_its_port(self) -> None:
        with site() as s:
            url = s.url("/img/00001.jpg")
            with s.dead(), pytest.raises(urllib.error.URLError, match="refused"):
                get(url)
            assert get(url)[0] == 200

    def test_death_resets_what_is_under_way(self) -> None:
        with site() as s:

            async def interrupted() -> None:
                async with opened(s.url("/large/endless.jpg")) as answer:
                    await answer.content.readexactly(100)
                    await asyncio.to_thread(s.die)
                    await answer.read()

            with pytest.raises(aiohttp.ClientError):
                asyncio.run(interrupted())

    def test_the_log_says_who_came_when(self) -> None:
        with site(delay_s=0.2) as s:
            asked = urllib.request.Request(s.url("/img/00001.jpg?a=%C3%A9"), headers={"User-Agent": "Tester/1"})
            urllib.request.urlopen(asked, timeout=10).read()
            s.wait_for(1, timeout_s=5)
            (request,) = s.requests()
            assert (request.path, request.user_agent, request.status) == ("/img/00001.jpg?a=é", "Tester/1", 200)
            assert request.ended is not None and request.ended - request.began >= 0.2
            assert request.host == f"127.0.0.1:{s.port}"

    def test_two_sites_on_two_hosts(self) -> None:
        with site("127.0.0.2") as first, site("127.0.0.3") as second:
            get(first.url("/img/00001.jpg"))
            assert (len(first.requests()), len(second.requests())) == (1, 0)


class TestLists:
    def test_all_kinds_name_the_same_addresses(self, stranger: Site) -> None:
        urls = stranger.image_urls(stranger.images)
        text = stranger.url_list("txt").decode()
        assert [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")] == urls
        rows = list(csv.DictReader(io.StringIO(stranger.url_list("csv").decode("utf-8-sig"), newline="")))
        assert [row["image_url"] for row in rows] == urls
        table = pq.read_table(io.BytesIO(stranger.url_list("parquet")))
        assert table["URL"].to_pylist() == [*urls, None]

    def test_ffhq(self, stranger: Site) -> None:
        items = json.loads(stranger.ffhq_json(5, wrong_md5=[3]))
        for number, item in ((int(key), value) for key, value in items.items()):
            data = get(item["image"]["file_url"])[2]
            assert len(data) == item["image"]["file_size"]
            assert (hashlib.md5(data).hexdigest() == item["image"]["file_md5"]) == (number != 3)
