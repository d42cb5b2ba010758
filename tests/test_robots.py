"""robots.txt by RFC 9309: whose rules count, for how long, and what a failure means, on real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.politeness import USER_AGENT_TOKEN, Robots, RobotsDisallowed, Tdmrep
from infra.http import BlockedAddress, HttpClient
from tests.polite_site import Clock, PoliteSite, with_site


async def _allowed(robots: Robots, url: str) -> bool:
    try:
        await robots.check(url)
    except RobotsDisallowed as error:
        assert error.error_class == "robots.txt forbids"
        assert not error.retriable
        assert "\n" not in str(error)
        return False
    return True


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("User-agent: *\nDisallow: /private", "/private/face.jpg", False),
        ("User-agent: *\nDisallow: /private", "/public/face.jpg", True),
        ("User-agent: *\nDisallow: /*.gif$", "/a/b.gif", False),
        ("User-agent: *\nDisallow: /*.gif$", "/a/b.gif?size=2", True),
        ("User-agent: *\nDisallow: /a/*/c", "/a/b/b/c", False),
        ("User-agent: *\nDisallow: /exact$", "/exactly", True),
        ("User-agent: *\nDisallow: /p\nAllow: /p/faces", "/p/faces/1.jpg", True),  # the longest match
        ("User-agent: *\nAllow: /p\nDisallow: /p/faces", "/p/faces/1.jpg", False),
        ("User-agent: *\nDisallow: /a\nAllow: /a", "/a", True),  # of equals, allow
        ("User-agent: *\nDisallow: /?id=", "/?id=7", False),
        ("User-agent: *\nDisallow: /%7Ejoe", "/~joe/1.jpg", False),
        ("User-agent: FACES-Crawler\nDisallow: /", "/1.jpg", False),
        ("User-agent: faces-crawler/0.1\nDisallow: /", "/1.jpg", False),
        ("User-agent: *\nDisallow: /\nUser-agent: faces-crawler\nAllow: /", "/1.jpg", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: faces\nAllow: /", "/1.jpg", False),  # not our whole token
        ("User-agent: *\nAllow: /\n\nUser-agent: crawler\nDisallow: /", "/1.jpg", True),
        ("User-agent: other\nDisallow: /", "/1.jpg", True),
        ("User-agent: other\nUser-agent: faces-crawler\nDisallow: /x", "/x", False),
        ("User-agent: faces-crawler\nDisallow: /x\n\nUser-agent: faces-crawler\nDisallow: /y", "/y", False),
        ("\ufeffUser-agent: *\nDisallow: /", "/1.jpg", False),
        ("User-agent: *\r\nDisallow: /x # not this\r\n", "/x", False),
        ("User-agent: *\rDisallow: /x\r", "/x", False),
        ("Disallow: /", "/1.jpg", True),  # nobody's rule
        ("", "/1.jpg", True),
        ("<html><body>no such page</body></html>", "/1.jpg", True),
    ],
)
def test_the_rules_of_robots_txt(rules: str, path: str, allowed: bool) -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", rules)
        assert await _allowed(Robots(client.get, USER_AGENT_TOKEN), site.url + path) == allowed

    with_site(test)


@pytest.mark.parametrize(
    "body",
    [
        "User-agent: *\nDisallow: /x".encode("utf-16"),
        "User-agent: *\nDisallow: /x".encode("utf-16-le"),  # no mark: every second byte is a NUL
        b"\xff\xff\x00\nUser-agent: *\nDisallow: /x",
        b"User-agent: *\x00\nDisallow: /caf\xe9\nDisallow: /x",
    ],
)
def test_robots_in_odd_encodings_are_read(body: bytes) -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", body)
        robots = Robots(client.get, USER_AGENT_TOKEN)
        assert not await _allowed(robots, f"{site.url}/x")
        assert await _allowed(robots, f"{site.url}/y")

    with_site(test)


def test_only_the_first_500_kib_of_robots_count_and_a_line_that_is_cut_does_not() -> None:
    head = "User-agent: *\nDisallow: /first\n"
    filler = "#" * 98 + "\n"
    body = head + filler * ((500 * 1024 - len(head)) // len(filler))
    body += " " * (500 * 1024 - len(body) - len("Disallow: /")) + "Disallow: /late\n" + filler * 10_000
    assert body.encode()[: 500 * 1024].endswith(b"Disallow: /")

    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", body)
        robots = Robots(client.get, USER_AGENT_TOKEN)
        assert not await _allowed(robots, f"{site.url}/first")
        assert await _allowed(robots, f"{site.url}/late")
        assert await _allowed(robots, f"{site.url}/else")

    with_site(test)


def test_robots_that_are_longer_than_anybody_reads_forbid_everything() -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", b"#" * (9 * 1024 * 1024))
        with pytest.raises(RobotsDisallowed, match="too large"):
            await Robots(client.get, USER_AGENT_TOKEN).check(f"{site.url}/1.jpg")

    with_site(test)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_a_robots_txt_that_is_not_there_forbids_nothing(status: int) -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", "User-agent: *\nDisallow: /", status=status)
        assert await _allowed(Robots(client.get, USER_AGENT_TOKEN), f"{site.url}/1.jpg")

    with_site(test)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_forbids_everything_and_is_asked_again_after_ten_minutes(status: int) -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        clock = Clock()
        robots = Robots(client.get, USER_AGENT_TOKEN, clock=clock)
        site.put("/robots.txt", status=status)
        for later_s in (0, 590):
            clock.now = 1000.0 + later_s
            with pytest.raises(RobotsDisallowed, match=f"status {status}.*--retry-failed") as caught:
                await robots.check(f"{site.url}/1.jpg")
            assert caught.value.error_class == "robots.txt unreachable"
            assert caught.value.retriable
        assert site.times_asked() == 1
        site.put("/robots.txt", "User-agent: *\nDisallow: /x")
        clock.now = 1000.0 + 601
        assert await _allowed(robots, f"{site.url}/1.jpg")
        assert site.times_asked() == 2

    with_site(test)


def test_a_host_that_nobody_answers_for_forbids_everything() -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        robots = Robots(client.get, USER_AGENT_TOKEN)
        with pytest.raises(RobotsDisallowed) as caught:
            await robots.check("http://127.0.0.1:1/1.jpg")
        assert caught.value.error_class == "robots.txt unreachable"
        assert await robots.delay_s("http://127.0.0.1:1/1.jpg") == 0.0

    with_site(test)


def test_a_copy_is_kept_for_a_day_and_used_on_when_the_server_fails_then() -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        clock = Clock()
        robots = Robots(client.get, USER_AGENT_TOKEN, clock=clock)
        site.put("/robots.txt", "User-agent: *\nDisallow: /x")
        assert await _allowed(robots, f"{site.url}/1.jpg")
        clock.now += 23.9 * 3600
        assert await _allowed(robots, f"{site.url}/1.jpg")
        assert site.times_asked() == 1
        site.put("/robots.txt", status=503)
        clock.now += 600
        assert await _allowed(robots, f"{site.url}/1.jpg")
        assert not await _allowed(robots, f"{site.url}/x")
        assert site.times_asked() == 2
        site.put("/robots.txt", "User-agent: *\nDisallow: /1.jpg")
        clock.now += 601
        assert not await _allowed(robots, f"{site.url}/1.jpg")

    with_site(test)


def test_robots_are_followed_through_five_redirects_and_hold_for_the_first_host() -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", b"", "Location: /hop1", status=301)
        for hop in range(1, 5):
            site.put(f"/hop{hop}", b"", f"Location: /hop{hop + 1}", status=302)
        site.put("/hop5", "User-agent: *\nDisallow: /x")
        robots = Robots(client.get, USER_AGENT_TOKEN)
        assert not await _allowed(robots, f"{site.url}/x")
        assert await _allowed(robots, f"{site.url}/y")

    with_site(test)


def test_robots_that_redirect_for_ever_forbid_nothing() -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", b"", "Location: /robots.txt", status=302)
        assert await _allowed(Robots(client.get, USER_AGENT_TOKEN), f"{site.url}/x")

    with_site(test)


def test_robots_that_lead_to_a_private_address_forbid_everything() -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", b"", "Location: http://10.0.0.1/robots.txt", status=302)
        robots = Robots(client.get, USER_AGENT_TOKEN)
        for path in ("x", "y"):
            with pytest.raises(BlockedAddress, match=r"10\.0\.0\.1"):
                await robots.check(f"{site.url}/{path}")

    with_site(test)


@pytest.mark.parametrize("path", ["/robots.txt", "/.well-known/tdmrep.json"])
def test_a_hundred_tasks_ask_an_origin_once(path: str) -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        asked, gate = site.hold(path)
        checker = Robots(client.get, USER_AGENT_TOKEN) if path == "/robots.txt" else Tdmrep(client.get)
        tasks = [asyncio.create_task(checker.check(f"{site.url}/{number}.jpg")) for number in range(100)]
        await asked.wait()
        gate.set()
        await asyncio.gather(*tasks)
        assert site.times_asked() == 1

    with_site(test)


def test_a_task_that_is_cancelled_while_it_asks_leaves_the_asking_to_the_next() -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", "User-agent: *\nDisallow: /")
        asked, gate = site.hold("/robots.txt")
        robots = Robots(client.get, USER_AGENT_TOKEN)
        first = asyncio.create_task(robots.check(f"{site.url}/1.jpg"))
        await asked.wait()
        second = asyncio.create_task(robots.check(f"{site.url}/2.jpg"))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        with pytest.raises(RobotsDisallowed):
            await second
        assert first.cancelled()

    with_site(test)


@pytest.mark.parametrize(
    ("rules", "delay_s"),
    [
        ("User-agent: *\nCrawl-delay: 2.5", 2.5),
        ("User-agent: *\nCrawl-delay: 100000", 60.0),
        ("User-agent: *\nCrawl-delay: soon", 0.0),
        ("User-agent: *\nRequest-rate: 1/10", 10.0),
        ("User-agent: *\nRequest-rate: 1/4\nCrawl-delay: 2", 4.0),
        ("User-agent: *\nCrawl-delay: 5\n\nUser-agent: faces-crawler\nDisallow: /x", 0.0),
        ("User-agent: *\nDisallow: /", 0.0),
    ],
)
def test_the_delay_that_robots_ask_for(rules: str, delay_s: float) -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", rules)
        assert await Robots(client.get, USER_AGENT_TOKEN).delay_s(f"{site.url}/1.jpg") == delay_s

    with_site(test)


def test_robots_and_tdmrep_that_are_switched_off_ask_nothing() -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/robots.txt", "User-agent: *\nDisallow: /\nCrawl-delay: 5")
        robots = Robots(client.get, USER_AGENT_TOKEN, enabled=False)
        await robots.check(f"{site.url}/1.jpg")
        assert await robots.delay_s(f"{site.url}/1.jpg") == 0.0
        await Tdmrep(client.get, enabled=False).check(f"{site.url}/1.jpg")
        assert site.times_asked() == 0

    with_site(test)


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: f"User-agent: *\n{text}".encode()))
@example(b"\xff\xfe\x00")
@example("User-agent: *\nDisallow: *\ud800".encode("utf-8", "surrogatepass"))
def test_no_robots_txt_breaks_the_crawl(body: bytes) -> None:
    @dataclass
    class Answer:
        body: bytes
        status: int = 200

        def header_values(self, name: str) -> list[str]:
            return []

    async def get(url: str, **limits: object) -> Answer:
        return Answer(body)

    async def test() -> None:
        robots = Robots(get, USER_AGENT_TOKEN)
        await _allowed(robots, "https://example.com/a%20b/ü.jpg?x=1#y")
        assert 0.0 <= await robots.delay_s("https://example.com/") <= 60.0

    asyncio.run(test())
