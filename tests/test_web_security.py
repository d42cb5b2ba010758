"""Who is let into the web server, how often, and what clients cannot do to it: over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from bot.params import BotParams, WebParams
from bot.web import connections, upload
from bot.web.admission import Admission, NobodyServed, is_of_page
from bot.web.clients import Proxies, host_name, neighbourhood
from bot.web.keys import Keys, KeysError, add_key
from bot.web.limits import Buckets
from bot.web.problems import BadRequest, NotOpen, Problem
from bot.web.security import HEADERS
from infra.params import ParamsError, validate
from tests.web_stage import PATIENCE_S, Answered, Site, also_served, png, served, web_params

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {"key_checks": 4, "key_reads": 40, "address_checks": 2, "address_reads": 20}
LATIN = st.text(st.characters(max_codepoint=255), max_size=60)  # as headers arrive


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("open")


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Only for this machine, as by default."""
    with served(web_params(tmp_path_factory.mktemp("private"))) as site:
        yield site


@pytest.fixture(scope="module")
def public(private: Site, folder: Path) -> Iterator[Site]:
    """Open to others, behind a proxy on this machine that speaks for them."""
    add_key(folder / "keys.txt", "somebody")
    web = {
        "hosts": ["faces.example"], "proxies": ["127.0.0.1"], "keys_file": str(folder / "keys.txt"), "limits": LIMITS
    }  # fmt: skip
    with also_served(private, web) as site:
        yield site


@pytest.fixture
def key(folder: Path, request: pytest.FixtureRequest) -> str:
    """One of the test's own, so that it has all its limits."""
    return add_key(folder / "keys.txt", request.node.name.partition("[")[0])


def ask(
    site: Site, client: str, path: str = "api/v1/model", method: str = "GET", body: bytes | None = None, **more: str
) -> Answered:
    """As a proxy hands it on. more: headers, with _ for -."""
    headers = {"X-Forwarded-For": client, "Host": "faces.example"}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return site.send(method, path, body, headers)


def check(site: Site, client: str, **more: str) -> Answered:
    return ask(site, client, "api/v1/check", "POST", png(), Content_Type="image/png", **more)


def at_last(once_more: Callable[[int], Answered], usually: int = 200) -> Answered:
    """The first answer that is another; buckets fill while they are emptied, on a slow machine more than a little."""
    for number in range(200):
        answer = once_more(number)
        if answer.status != usually:
            return answer
    raise AssertionError("no end of it")


def raw(site: Site, *pieces: bytes, timeout_s: float = PATIENCE_S) -> bytes:
    """All that comes back until the server closes."""
    address = urlsplit(site.url)
    assert address.hostname and address.port
    answer = b""
    with (
        socket.create_connection((address.hostname, address.port), timeout=timeout_s) as connection,
        contextlib.suppress(BrokenPipeError, ConnectionResetError),
    ):
        for piece in pieces:
            connection.sendall(piece)
        while got := connection.recv(65_536):
            answer += got
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


class TestKeys:
    def test_programs_need_one_and_it_opens_all(self, public: Site, key: str) -> None:
        for path in ("api/v1/model", "api/v1/check", "api/v1/nothing", "api/"):
            answer = ask(public, "192.0.2.1", path)
            answer.problem(401, "key")
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="faces"'
        assert ask(public, "192.0.2.1", Authorization=f"Bearer {key}").status == 200
        assert ask(public, "192.0.2.1", Authorization=f"bearer  {key}").status == 200
        assert ask(public, "192.0.2.1", X_API_Key=key).status == 200
        assert check(public, "192.0.2.1", X_API_Key=key).status == 200

    def test_wrong_ones(self, public: Site, key: str) -> None:
        for given_key in (key[:-1], key + "x", key.upper(), "", "ключ".encode().decode("latin-1"), "x" * 8000):
            for headers in ({"Authorization": f"Bearer {given_key}"}, {"X_API_Key": given_key}):
                answer = ask(public, "192.0.2.2", **headers)
                answer.problem(401, "key")
                assert given_key == "" or "invalid_token" in answer.headers["WWW-Authenticate"]
        ask(public, "192.0.2.3", Authorization=f"Basic {key}").problem(401, "key")
        ask(public, "192.0.2.3", Authorization=f"Bearer {key}", X_API_Key="another").problem(401, "key")

    def test_people_need_none(self, public: Site) -> None:
        for path in ("", "docs", "openapi.json", "static/page.css", "healthz"):
            assert ask(public, "192.0.2.4", path).status == 200
        assert check(public, "192.0.2.4", **{"Sec_Fetch_Site": "same-origin"}).status == 200
        check(public, "192.0.2.5", **{"Sec_Fetch_Site": "cross-site"}).problem(401, "key")
        ask(public, "192.0.2.5", **{"Sec_Fetch_Site": "none"}).problem(401, "key")
        # Browsers send no Fetch Metadata without TLS.
        assert ask(public, "192.0.2.5", Referer="https://faces.example/quiz").status == 200
        ask(public, "192.0.2.5", Referer="https://other.example/quiz").problem(401, "key")

    def test_the_file_is_read_again_and_nothing_of_it_is_told(
        self, public: Site, folder: Path, key: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = folder / "keys.txt"
        with caplog.at_level(logging.DEBUG):
            assert ask(public, "192.0.2.6", X_API_Key=key).status == 200
            before = file.read_text()
            file.write_text(before + f"leaked {key}\n")  # the key itself, by mistake
            assert ask(public, "192.0.2.6", X_API_Key=key).status == 200
            file.unlink()
            ask(public, "192.0.2.6", X_API_Key=key).problem(401, "key")
            file.write_text(before)
            assert ask(public, "192.0.2.6", X_API_Key=key).status == 200
        assert "line" in caplog.text and "no such file" in caplog.text
        assert key not in caplog.text and "192.0.2.6" not in caplog.text
        assert key not in file.read_text()

    def test_the_command_shows_it_once(self, tmp_path: Path) -> None:
        file = tmp_path / "keys" / "keys.txt"
        command = [sys.executable, "-m", "bot", "key", "alice", "--set", f"web.keys_file={file}"]
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        key = made.stdout.removesuffix("\n")
        assert len(key) > 40 and key not in made.stderr and "\n" not in key
        assert Keys(file).name_of(key) == "alice"
        assert file.stat().st_mode & 0o777 == 0o600 and key not in file.read_text()
        again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert again.returncode == 1 and again.stdout == ""
        assert again.stderr == f"error: {file} has a key named alice already; delete its line first to replace it\n"
        nowhere = subprocess.run([*command[:4], "bob"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert nowhere.stderr.startswith("error: web.keys_file names no file") and nowhere.returncode == 1

    def test_files_that_are_no_good(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.txt"
        with pytest.raises(KeysError, match="no such file"):
            Keys(file)
        key = add_key(file, "a")
        for line in ("a " + "0" * 64, "b 1234", key, f"b {key}", "b"):
            file.write_text(file.read_text().splitlines()[0] + f"\n# a comment\n\n{line}\n")
            with pytest.raises(KeysError, match=r"line 4: ") as told:
                Keys(file)
            assert key not in str(told.value)
        file.write_text(file.read_text().splitlines()[0])  # without the end of a line
        other = add_key(file, "b")
        keys = Keys(file)
        assert (keys.name_of(key), keys.name_of(other), len(keys)) == ("a", "b", 2)
        for name in ("", "a b", "-x", "x" * 65, "ü", "a\nb"):
            with pytest.raises(KeysError):
                add_key(file, name)


class TestLimits:
    def test_pictures_of_a_page(self, public: Site) -> None:
        first = check(public, "192.0.2.10", **{"Sec_Fetch_Site": "same-origin"})
        assert first.status == 200
        assert first.headers["RateLimit-Policy"] == '"checks";q=2;w=60'
        assert first.headers["RateLimit"].startswith('"checks";r=1;t=')
        answer = at_last(lambda _: check(public, "192.0.2.10", **{"Sec_Fetch_Site": "same-origin"}))
        problem = answer.problem(429, "limit")
        assert 0 < int(answer.headers["Retry-After"]) <= 30
        assert answer.headers["Retry-After"] in problem.detail
        assert answer.headers["RateLimit"].startswith('"checks";r=0;t=')
        assert check(public, "192.0.2.11", **{"Sec_Fetch_Site": "same-origin"}).status == 200
        assert ask(public, "192.0.2.10", "healthz").status == 200  # reads have a limit of their own

    def test_a_key_counts_wherever_it_is_used(self, public: Site, key: str) -> None:
        at_last(lambda number: check(public, f"192.0.2.{20 + number}", X_API_Key=key)).problem(429, "limit")

    def test_a_household_of_ipv6_counts_as_one(self, public: Site) -> None:
        at_last(lambda number: ask(public, f"2001:db8:0:1:{number}::1", "healthz")).problem(429, "limit")
        assert ask(public, "2001:db8:0:2::1", "healthz").status == 200

    def test_guesses_of_keys_count(self, public: Site) -> None:
        answer = at_last(lambda number: ask(public, "192.0.2.40", X_API_Key=f"guess{number}"), usually=401)
        answer.problem(429, "limit")

    def test_none_on_this_machine(self, private: Site) -> None:
        answers = [private.get("api/v1/model", Authorization="Bearer wrong") for _ in range(50)]
        assert {answer.status for answer in answers} == {200}
        assert "RateLimit" not in answers[0].headers

    @given(
        quota=st.integers(1, 1000),
        steps=st.lists(st.floats(0, 200, allow_nan=False), min_size=1, max_size=60),
    )
    def test_never_more_than_a_minutes_worth_beyond_the_rate(self, quota: int, steps: list[float]) -> None:
        now = 0.0
        buckets = Buckets("reads", quota, lambda: now)
        let_in = 0
        for step in steps:
            now += step
            standing = buckets.take("x")
            let_in += not standing.is_over
            assert let_in <= quota + quota * now / 60 + 1e-6
            assert 0 <= standing.left <= quota and 0 <= standing.full_s <= 60
            if standing.is_over:
                now += standing.wait_s + 1e-6
                assert not buckets.take("x").is_over
                let_in += 1

    def test_memory_is_bounded(self) -> None:
        buckets = Buckets("reads", 5, lambda: 0.0)
        for number in range(21_000):
            buckets.take(str(number))
        assert len(buckets) == 20_000
        assert buckets.take("20999").left == 3


class TestWhoAsks:
    def test_only_a_proxy_is_believed(self, public: Site) -> None:
        """What comes first in the list anybody can make up."""
        told = at_last(lambda number: ask(public, f"198.51.100.{number}, 203.0.113.9", "healthz"))
        told.problem(429, "limit")

    @pytest.mark.parametrize(
        ("headers", "address"),
        [
            ({}, "10.0.0.1"),
            ({"x-forwarded-for": "192.0.2.1"}, "192.0.2.1"),
            ({"x-forwarded-for": "1.1.1.1, 192.0.2.1:4711, 10.0.0.9"}, "192.0.2.1"),
            ({"x-forwarded-for": "10.0.0.8, 10.0.0.9"}, "10.0.0.8"),
            ({"x-forwarded-for": "1.1.1.1, unknown"}, "10.0.0.1"),
            ({"x-forwarded-for": "1.1.1.1, , 10.0.0.9"}, "10.0.0.9"),
            ({"x-forwarded-for": "[2001:db8::1]:80"}, "2001:db8::1"),
            ({"x-forwarded-for": "::ffff:192.0.2.1"}, "192.0.2.1"),
            ({"forwarded": 'for=1.1.1.1, for="[2001:db8::7]:9";proto=https;by=_x'}, "2001:db8::7"),
            ({"forwarded": "For=192.0.2.1; Proto=http", "x-forwarded-for": "192.0.2.1"}, "192.0.2.1"),
            ({"forwarded": "for=_hidden"}, "10.0.0.1"),
        ],
    )
    def test_the_last_stranger_counts(self, headers: dict[str, str], address: str) -> None:
        proxies = Proxies(["10.0.0.0/8"])
        assert proxies.client("10.0.0.1", "http", Headers(headers)).address == address
        assert proxies.client("203.0.113.1", "http", Headers(headers)).address == "203.0.113.1"

    def test_two_stories_are_none(self) -> None:
        told = Headers({"forwarded": "for=192.0.2.1", "x-forwarded-for": "192.0.2.2"})
        with pytest.raises(BadRequest):
            Proxies(["10.0.0.0/8"]).client("10.0.0.1", "http", told)

    @given(LATIN, LATIN)
    def test_whatever_is_told_there_is_an_address(self, forwarded: str, chain: str) -> None:
        proxies = Proxies(["10.0.0.0/8", "::1"])
        with contextlib.suppress(BadRequest):
            headers = Headers({"forwarded": forwarded, "x-forwarded-for": chain})
            assert neighbourhood(proxies.client("10.0.0.1", "http", headers).address)
        assert " " not in host_name(chain) and "/" not in host_name(chain)

    def test_https_is_told_by_the_proxy_and_kept_by_the_browser(self, public: Site, private: Site) -> None:
        safe = ask(public, "192.0.2.50", "", X_Forwarded_Proto="https")
        assert safe.headers["Strict-Transport-Security"].startswith("max-age=")
        assert "Strict-Transport-Security" not in ask(public, "192.0.2.50", "", X_Forwarded_Proto="http").headers
        assert "Strict-Transport-Security" not in private.get("").headers
        assert "Strict-Transport-Security" not in private.get("", **{"X-Forwarded-Proto": "https"}).headers

    def test_a_proxy_before_a_server_for_this_machine_only(self, private: Site) -> None:
        for name in ("X-Forwarded-For", "Forwarded"):
            private.get("", **{name: "for=192.0.2.1"}).problem(421, "misdirected")

    def test_who_comes_from_elsewhere_all_the_same(self) -> None:
        """As where another server listens, for all the world, and hands on to this one."""
        admission = Admission(WebParams())
        here = Headers({"host": "localhost"})
        assert admission.admit("GET", "/", "127.0.0.1", "http", here).asker == "127.0.0.1"
        assert admission.admit("GET", "/", "::1", "http", here).asker == "::1"
        for peer in ("192.0.2.1", "2001:db8::1", "unknown"):
            with pytest.raises(NotOpen):
                admission.admit("GET", "/", peer, "http", here)

    def test_names(self, public: Site, private: Site) -> None:
        netloc = urlsplit(private.url).netloc
        port = netloc.rpartition(":")[2]
        for host in (netloc, "localhost", f"LocalHost:{port}", "[::1]:1", "127.0.0.2", "localhost."):
            assert private.get("", Host=host).status == 200, host
        for host in ("evil.example", f"evil.example:{port}", "192.0.2.1", "localhost.evil.example", "a b", "", "[::1",
                     "127.0.0.1@evil.example", "127.0.0.1.evil.example", "localhost/x"):  # fmt: skip
            private.get("", Host=host).problem(421, "misdirected")
            private.post("image/png", png(), Host=host).problem(421, "misdirected")
        for host in ("faces.example", "FACES.example:443", "192.0.2.1", "localhost"):
            assert ask(public, "192.0.2.60", "docs", Host=host).status == 200, host
        ask(public, "192.0.2.60", "docs", Host="evil.example").problem(421, "misdirected")

    def test_pages_of_others(self, public: Site) -> None:
        assert is_of_page({"sec-fetch-site": "same-origin"}) and not is_of_page({})
        for method in ("POST", "DELETE", "PUT"):
            ask(public, "192.0.2.61", "", method, Origin="https://evil.example").problem(403, "cross-site")
        asked = ask(
            public, "192.0.2.61", "api/v1/check", "OPTIONS", Origin="https://evil.example",
            Sec_Fetch_Site="same-origin", Access_Control_Request_Method="POST",
        )  # fmt: skip
        asked.problem(405, "method")
        assert not [name for name in asked.headers if name.lower().startswith("access-control")]

    def test_settings(self) -> None:
        for given_web, line in (
            ({"proxies": ["10.0.0.1/8"]}, "web.proxies: '10.0.0.1/8' is not an address or a network"),
            ({"hosts": ["https://faces.example"]}, "web.hosts: 'https://faces.example' is not a name"),
            ({"hosts": ["*.example"]}, "web.hosts: '*.example' is not a name"),
        ):
            with pytest.raises(ParamsError) as told:
                validate(BotParams, {"web": given_web}, "x.yaml")
            assert line in str(told.value)
        for params in (WebParams(), WebParams(host="localhost"), WebParams(host="::1")):
            assert not params.is_open
        for params in (WebParams(host="0.0.0.0"), WebParams(proxies=("::1",)), WebParams(hosts=("a.example",))):
            assert params.is_open
            assert "programs are refused" in Admission(params).rules
        with pytest.raises(NobodyServed):
            Admission(WebParams(public_page=False))
        assert "encrypted" in Admission(WebParams(host="0.0.0.0")).rules

    def test_without_a_public_page(self, tmp_path: Path) -> None:
        key = add_key(tmp_path / "keys.txt", "a")
        params = WebParams(host="192.0.2.1", keys_file=str(tmp_path / "keys.txt"), public_page=False)
        admission = Admission(params)

        def status(path: str, **headers: str) -> int:
            given_headers = Headers({"host": "192.0.2.1"} | headers)
            try:
                admission.admit("GET", path, "198.51.100.1", "http", given_headers)
            except Exception as error:
                return {"KeyNeeded": 401}[type(error).__name__]
            return 200

        for path in ("/", "/quiz", "/api/v1/model"):
            assert status(path) == status(path, **{"sec-fetch-site": "same-origin"}) == 401
            assert status(path, authorization=f"Bearer {key}") == 200
        assert status("/docs") == status("/healthz") == status("/static/page.css") == 200


class TestRoughClients:
    def test_head_is_get_without_a_body(self, private: Site) -> None:
        for path in ("", "docs", "openapi.json", "healthz", "api/v1/model", "static/page.css", "quiz", "about"):
            got, head = private.get(path), private.send("HEAD", path, None, {})
            assert (head.status, head.body) == (got.status, b""), path
            assert head.headers["Content-Type"] == got.headers["Content-Type"]
            assert head.headers["Content-Length"] == str(len(got.body))
        assert private.send("HEAD", "nothing", None, {}).status == 404

    @pytest.mark.parametrize(
        ("path", "allow"),
        [("", "GET, HEAD"), ("healthz", "GET, HEAD"), ("api/v1/model", "GET, HEAD"), ("api/v1/check", "POST"),
         ("api/v1/look", "GET, HEAD, POST"), ("docs", "GET, HEAD"), ("static/page.css", "GET, HEAD")],
    )  # fmt: skip
    def test_other_methods(self, private: Site, path: str, allow: str) -> None:
        for method in {"OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "POST", "CONNECT", "BREW"} - {*allow.split(", ")}:
            answer = private.send(method, path, None, {})
            answer.problem(405, "method")
            assert answer.headers["Allow"] == allow, (method, path)

    @pytest.mark.parametrize(
        "path",
        ["static/../app.py", "static/%2e%2e/app.py", "static/..%2fapp.py", "static/%2e%2e%2f%2e%2e%2f%2e%2e%2fREADME",
         "static//etc/passwd", "static/%00", "static/page.css%00.png", "static/..\\app.py", "static/" + "a" * 5000,
         "//healthz", "/", "api/v1/check/", "%2e/", "static", "static/", "healthz%00", "%ff%fe",
         "static/%ff", "api/v1/../../healthz", "HEALTHZ"],
    )  # fmt: skip
    def test_paths(self, private: Site, path: str) -> None:
        private.send("GET", path, None, {}).problem(404, "not-found")

    def test_no_http(self, private: Site) -> None:
        host = b"Host: localhost\r\n"
        for head in (
            b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET /\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",  # no Host
            b"GET / HTTP/1.1\r\n" + host + host.replace(b"localhost", b"evil") + b"\r\n",
            b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 20_000,  # and no end of it
            b"GET /" + b"a" * 20_000,
            b"GET / HTTP/1.1\r\n" + host + b"A b: c\r\n\r\n",
            b"POST /api/v1/check HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
            b"POST /api/v1/check HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n",
            b"POST /api/v1/check HTTP/1.1\r\n" + host + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        ):  # fmt: skip
            answer = raw(private, head)
            head_text, _, body = answer.partition(b"\r\n\r\n")
            assert statuses(answer) in ([400], [501]), head[:80]
            assert Problem.model_validate_json(body).type == "/docs#bad-request"
            for name, value in HEADERS.items():
                assert f"{name}: {value}".lower().encode() in head_text.lower()

    def test_bodies_that_lie(self, private: Site) -> None:
        start = b"POST /api/v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        # Chunks that are none, in a body that has begun; lengths of both kinds, which smugglers send.
        assert statuses(raw(private, start + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")) == [400]
        both = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"
        assert statuses(raw(private, start + both)) == [400]
        # What comes after the length that was told is another request, and no good one.
        told = b"Content-Length: 3\r\n\r\nabcGARBAGE\r\n\r\n"
        assert statuses(raw(private, start + told)) == [415, 400]

    def test_pipelined_requests_are_answered_in_order(self, private: Site) -> None:
        one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        two = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert statuses(raw(private, one + two + one + two + last)) == [200, 404, 200, 404, 200]

    def test_who_sends_a_head_byte_by_byte(self, private: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections, "_HEAD_S", 0.3)
        address = urlsplit(private.url)
        assert address.hostname
        for before in (b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"):
            with socket.create_connection((address.hostname, address.port or 0), PATIENCE_S) as connection:
                began = time.monotonic()
                connection.sendall(before)
                with pytest.raises(OSError):
                    while time.monotonic() < began + PATIENCE_S:
                        connection.sendall(b"a")
                        time.sleep(0.02)
                assert 0.2 < time.monotonic() - began < 10
        assert private.get("healthz").status == 200

    def test_bodies_where_none_is_asked_for(self, private: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        quiz = "api/v1/quiz/rounds"
        kind = {"Content-Type": "application/json"}
        huge = b'{"name": "' + b"a" * 200_000 + b'"}'
        private.send("POST", quiz, huge, kind).problem(413, "too-large")
        chunks = (bytes(10_000) for _ in range(20))
        private.send("POST", quiz, chunks, kind | {"Transfer-Encoding": "chunked"}).problem(413, "too-large")  # type: ignore[arg-type]
        private.send("POST", quiz, b"[" * 60_000, kind).problem(400, "bad-request")
        private.send("POST", quiz, b'{"a": NaN, "b": 1e999', kind).problem(400, "bad-request")
        private.send("POST", quiz, b"\xff\xfe", kind).problem(400, "bad-request")
        monkeypatch.setattr(upload, "_TIMEOUT_S", 0.3)
        head = b"POST /api/v1/quiz/rounds HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        slow = raw(private, head + b"Connection: close\r\nContent-Length: 50\r\n\r\n{")
        assert statuses(slow) == [408]

    def test_tricks_with_forms(self, private: Site) -> None:
        def form(*parts: bytes) -> Answered:
            body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"
            return private.post("multipart/form-data; boundary=b", body)

        image = b'Content-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + png()
        assert form(image).status == 200
        began = time.monotonic()
        form(*[b'Content-Disposition: form-data; name="a"\r\n\r\n'] * 20_000, image).problem(400, "bad-request")
        form(b'Content-Disposition: form-data; name="' + b"a" * 100_000 + b'"\r\n\r\nx', image).problem(
            400, "bad-request"
        )
        form(b"\r\n".join([b"X: y"] * 1000) + b"\r\n\r\nx", image).problem(400, "bad-request")
        nested = (
            b'Content-Disposition: form-data; name="image"\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n'
        )
        form(nested + b"\r\n--c--").problem(415, "type")
        form(b'Content-Disposition: form-data; name="image"; name="other"\r\n\r\n' + png())  # one of both, and no fault
        form(b"Content-Disposition: form-data\r\n\r\n" + png()).problem(400, "bad-request")
        assert form(image.replace(b"a.png", b"../../etc/passwd%00.png")).status == 200
        encoded = image.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1)
        assert form(encoded).status in (200, 415)
        assert time.monotonic() - began < 20

    def test_many_connections_of_one_address(self, public: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        doors = connections.Doors(WebParams(host="0.0.0.0", proxies=("192.0.2.9",)))
        assert all(doors.enter("192.0.2.1") for _ in range(64)) and not doors.enter("192.0.2.1")
        assert all(doors.enter("192.0.2.9") for _ in range(100)) and doors.enter("192.0.2.2")
        doors.leave("192.0.2.1")
        assert doors.enter("192.0.2.1")
        monkeypatch.setattr(connections, "_IN_ALL", 3)
        address = urlsplit(public.url)
        with contextlib.ExitStack() as stack:
            here = (address.hostname or "", address.port or 0)
            opened = [stack.enter_context(socket.create_connection(here, PATIENCE_S)) for _ in range(3)]
            head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
            for connection in opened:
                connection.sendall(head)
            with pytest.raises(OSError):
                one_more = stack.enter_context(socket.create_connection(here, PATIENCE_S))
                one_more.sendall(head + b"\r\n")
                if not one_more.recv(100):
                    raise OSError("closed")
            for connection in opened:
                connection.sendall(b"\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
        public.run(_until_gone(public))
        assert ask(public, "192.0.2.70", "healthz").status == 200


async def _until_gone(site: Site) -> None:
    """Wait until the server has noticed that all connections are closed: it answers again."""
    address = urlsplit(site.url)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if (await reader.read(100)).startswith(b"HTTP/1.1 200"):
                    writer.close()
                    return
