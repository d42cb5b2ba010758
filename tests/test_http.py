"""The HTTP client with servers that behave: what is sent, what comes back, redirects, statuses, TLS."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UserError
from infra.http import (
    ConnectionFailed,
    HttpClient,
    StatusError,
    TooManyRedirects,
    UnsafeUrl,
    retry_after_seconds,
)
from tests.http_site import AGENT, Site, Talk, client, failure, fetch, redirect, reply

# --- what is sent, and what comes back


def test_an_answer_comes_back_whole() -> None:
    headers = ("Content-Type: image/jpeg", "X-Robots-Tag: noai", "x-robots-tag: noimageai")

    async def scenario() -> None:
        async with Site({"/a.jpg?s=1": reply(b"\xff\xd8photo", *headers, status="203 Whatever")}) as site:
            async with client() as http:
                answer = await http.get(f"{site.url}/a.jpg?s=1#part")
            assert (answer.url, answer.final_url) == (f"{site.url}/a.jpg?s=1#part", f"{site.url}/a.jpg?s=1")
            assert (answer.status, answer.body) == (203, b"\xff\xd8photo")
            assert answer.headers["CONTENT-type"] == "image/jpeg"
            assert answer.header_values("X-Robots-TAG") == ("noai", "noimageai")
            assert answer.header_values("X-None") == ()

    asyncio.run(scenario())


def test_a_request_says_who_asks_and_nothing_else() -> None:
    async def scenario() -> None:
        async with Site({"/": reply(b"x", "Set-Cookie: id=7"), "/b": redirect("/")}) as site, client() as http:
            await http.get(f"{site.url}/")
            await http.get(f"{site.url}/b", headers={"Accept": "text/html"})
            (_, first), _, (_, third) = site.asked
            assert first["user-agent"] == AGENT
            assert first["accept"] == "image/avif,image/webp,image/*,*/*;q=0.8"
            assert {"gzip", "deflate"} <= set(first["accept-encoding"].replace(" ", "").split(","))
            assert set(first) == {"host", "user-agent", "accept", "accept-encoding"}
            assert set(third) == set(first)
            assert third["accept"] == "text/html"

    asyncio.run(scenario())


def test_connections_are_kept_also_after_errors_and_redirects() -> None:
    async def scenario() -> None:
        answers: dict[str, bytes | Talk] = {
            "/": reply(b"x"),
            "/r": redirect("/"),
            "/404": reply(b"no", status="404 Not"),
        }
        async with Site(answers) as site, client() as http:
            for path in ["/", "/r", "/404", "/"]:
                try:
                    await http.get(site.url + path)
                except StatusError as exc:
                    assert exc.status == 404
            assert site.connections == 1

    asyncio.run(scenario())


def test_a_url_goes_out_byte_for_byte() -> None:
    path = "/a%2Fb%7Ec/%E2%82%AC(1).jpg?sig=ab%2Fc%3D&x=1+2%20&e="
    assert fetch({"/": redirect(path), path: reply(b"signed")}).body == b"signed"


def test_what_a_url_may_not_hold_is_escaped() -> None:
    assert fetch({"/": redirect("/a b€|.jpg"), "/a%20b%E2%82%AC%7C.jpg": reply(b"x")}).body == b"x"
    assert fetch({"/": redirect("/caf\udce9.jpg"), "/caf%E9.jpg": reply(b"latin-1")}).body == b"latin-1"


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch({"/": reply(b"direct")}).body == b"direct"


@pytest.mark.parametrize("agent", ["", " ", "a\r\nX: y", "caf\xe9", "a\x00"])
def test_a_user_agent_that_cannot_be_sent_is_refused(agent: str) -> None:
    with pytest.raises(UserError, match="user_agent"):
        HttpClient(user_agent=agent)


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_and_every_hop_is_announced(status: int) -> None:
    async def scenario() -> None:
        hops: list[str] = []

        async def before_hop(url: str) -> None:
            hops.append(url)

        async with Site({"/end": reply(b"end")}) as other, client() as http:
            answers: dict[str, bytes | Talk] = {
                "/a/start": redirect("next?x=1", f"{status} Moved"),
                "/a/next?x=1": redirect(f"//127.0.0.1:{other.port}/end#here", f"{status} Moved"),
            }
            async with Site(answers) as site:
                answer = await http.get(f"{site.url}/a/start", before_hop=before_hop)
                assert hops == [f"{site.url}/a/start", f"{site.url}/a/next?x=1", f"{other.url}/end"]
                assert (answer.url, answer.final_url, answer.body) == (hops[0], hops[2], b"end")

    asyncio.run(scenario())


def test_a_chain_as_long_as_allowed_is_followed_and_one_longer_is_not() -> None:
    async def scenario() -> None:
        answers: dict[str, bytes | Talk] = {f"/{n}": redirect(f"/{n - 1}") for n in range(1, 5)}
        async with Site({**answers, "/0": reply(b"end")}) as site, client(max_redirects=3) as http:
            assert (await http.get(f"{site.url}/3")).body == b"end"
            with pytest.raises(TooManyRedirects, match="after 3 redirects") as caught:
                await http.get(f"{site.url}/4")
            assert not caught.value.retriable

    asyncio.run(scenario())


def test_a_loop_ends() -> None:
    assert failure({"/": redirect("/b"), "/b": redirect("/")}).error_class == "too many redirects"


@pytest.mark.parametrize(
    "target",
    [
        *("file:///etc/passwd", "ftp://127.0.0.1/x", "data:image/png;base64,AAAA", "javascript:alert(1)"),
        *("http://user:hunter2@127.0.0.1/", "//user:hunter2@127.0.0.1/", "http://a:99999/", "http://[::1/"),
        "mailto:a@b",
    ],
)
def test_a_redirect_to_what_is_no_http_url_is_not_followed(target: str) -> None:
    error = failure({"/": redirect(target)})
    assert isinstance(error, UnsafeUrl)
    assert "redirects to" in str(error)
    assert "hunter2" not in str(error)


def test_a_redirect_that_leads_nowhere_is_a_status_error() -> None:
    error = failure({"/": reply(b"", status="302 Found")})
    assert isinstance(error, StatusError)
    assert (error.status, error.retriable) == (302, False)


@pytest.mark.parametrize("refusal", [TimeoutError("mine"), OSError("mine"), UserError("mine"), KeyError("mine")])
def test_what_before_hop_raises_passes_through_and_nothing_is_asked(refusal: Exception) -> None:
    async def scenario() -> None:
        async def before_hop(url: str) -> None:
            if url.endswith("/b"):
                raise refusal

        async with Site({"/": redirect("/b")}) as site, client() as http:
            with pytest.raises(type(refusal)) as caught:
                await http.get(f"{site.url}/", before_hop=before_hop)
            assert caught.value is refusal
            assert [path for path, _ in site.asked] == ["/"]

    asyncio.run(scenario())


def test_a_callers_secrets_stay_with_the_first_host() -> None:
    async def scenario() -> None:
        headers = {"Authorization": "Bearer s3cret", "Cookie": "a=b", "X-Api-Key": "s3cret", "Accept": "text/plain"}
        async with Site({"/": reply(b"x")}) as other:
            async with Site({"/": redirect("/b"), "/b": redirect(f"{other.url}/")}) as site, client() as http:
                await http.get(f"{site.url}/", headers=headers)
                assert [sent["authorization"] for _, sent in site.asked] == ["Bearer s3cret"] * 2
            ((_, sent),) = other.asked
            assert "s3cret" not in str(sent)
            assert "cookie" not in sent
            assert sent["accept"] == "text/plain"

    asyncio.run(scenario())


# --- statuses


@pytest.mark.parametrize(
    ("status", "retriable"),
    [
        *((code, True) for code in (408, 425, 429, 500, 502, 503, 504)),
        *((code, False) for code in (300, 304, 400, 401, 403, 404, 410, 418, 451, 501, 505, 599)),
    ],
)
def test_a_status_that_is_not_2xx(status: int, retriable: bool) -> None:
    error = failure({"/": reply(b"", "X-Robots-Tag: noai", status=f"{status} Some Reason")})
    assert isinstance(error, StatusError)
    assert (error.status, error.retriable, error.error_class) == (status, retriable, f"http {status}")
    assert error.headers["x-robots-tag"] == "noai"
    assert error.retry_after_s is None
    assert str(status) in str(error)


def test_retry_after_in_both_forms() -> None:
    def wait(value: str) -> float | None:
        error = failure({"/": reply(b"", f"Retry-After: {value}", status="429 Too Many Requests")})
        assert isinstance(error, StatusError)
        return error.retry_after_s

    assert wait("7") == 7
    assert wait("-7") == 0
    assert wait("999999999") == 3600
    assert wait(format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)) == pytest.approx(99, abs=2)
    assert wait("Sun, 06 Nov 1994 08:49:37 GMT") == 0
    assert wait("soon") is None


NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@given(st.text() | st.from_regex(r"[+-]?\d{1,400}(\.\d+)?", fullmatch=True) | st.none())
def test_any_retry_after_is_a_bounded_wait_or_nothing(value: str | None) -> None:
    wait = retry_after_seconds(value, NOW)
    assert wait is None or 0 <= wait <= 3600


@given(st.integers(-(10**6), 10**6))
def test_retry_after_as_date_and_as_seconds_mean_the_same(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_seconds(date, NOW) == retry_after_seconds(str(seconds), NOW) == min(max(seconds, 0), 3600)


def test_errors_survive_pickling() -> None:
    error = failure({"/": reply(b"", "Retry-After: 5", status="503 Busy")})
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, StatusError)
    assert (str(copy), copy.status, copy.retry_after_s, copy.retriable) == (str(error), 503, 5, True)
    assert copy.headers["retry-AFTER"] == "5"


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key, in one PEM file."""
    pem = tmp_path_factory.mktemp("tls") / "both.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    try:
        subprocess.run(
            [*command, *names, "-keyout", pem, "-out", pem.with_suffix(".crt")], check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("no openssl program here to make a certificate with")
    pem.write_text(pem.read_text() + pem.with_suffix(".crt").read_text())
    return pem


async def with_tls(certificate: Path, act: Callable[[int], Awaitable[None]]) -> None:
    """Run `act(port)` while a TLS server answers there."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(b"over TLS", "Connection: close"))
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        await act(server.sockets[0].getsockname()[1])


def test_a_certificate_nobody_vouches_for_is_not_trusted_and_not_tried_again(certificate: Path) -> None:
    async def act(port: int) -> None:
        async with client() as http:
            with pytest.raises(ConnectionFailed, match="certificate is not trusted: self-signed") as caught:
                await http.get(f"https://127.0.0.1:{port}/")
            assert not caught.value.retriable

    asyncio.run(with_tls(certificate, act))


def test_a_trusted_certificate_is_fine(certificate: Path) -> None:
    script = (
        "import asyncio, json, sys; from infra.http import HttpClient\n"
        "async def main():\n"
        "    async with HttpClient(user_agent='t', allow=['127.0.0.1']) as client:\n"
        "        print(json.dumps((await client.get(sys.argv[1])).body.decode()))\n"
        "asyncio.run(main())"
    )

    async def act(port: int) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script, f"https://127.0.0.1:{port}/"),
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "SSL_CERT_FILE": str(certificate)},
            stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert json.loads(out) == "over TLS"

    asyncio.run(with_tls(certificate, act))


def test_https_to_a_server_without_tls_is_a_failed_connection() -> None:
    async def scenario() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server, client() as http:
            with pytest.raises(ConnectionFailed, match="TLS"):
                await http.get(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    asyncio.run(scenario())
