"""The HTTP API over real sockets, with a real worker and a real database: what is taken, answered, refused and kept."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import http.client
import io
import os
import re
import signal
import socket
import sqlite3
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from bot.params import WebParams
from bot.web import upload
from bot.web.bodies import CheckBody, HealthBody, ModelBody
from bot.web.languages import reader
from bot.web.problems import KINDS
from bot.web.security import is_cross_site
from bot.web.serve import listening
from bot.words import ENGLISH
from bot.worker import DetectorDesk
from tests.bot_bundles import photo
from tests.web_stage import MAX_BYTES, PATIENCE_S, Answered, Site, png, posting, served, until, web_params


def noise_jpeg(side: int = 900) -> bytes:
    """Some 600 kB."""
    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "JPEG", quality=75)
    return out.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 pixels wide and high."""
    out = b"\x89PNG\r\n\x1a\n"
    for name, data in (
        (b"IHDR", struct.pack("!IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
        (b"IDAT", b"x"),
        (b"IEND", b""),
    ):
        out += struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data))
    return out


def animation() -> bytes:
    out = io.BytesIO()
    photo(64, 64, 1).save(out, "GIF", save_all=True, append_images=[photo(64, 64, 2)])
    return out.getvalue()


def form(*fields: tuple[str, bytes], boundary: str = "b0undary") -> tuple[str, bytes]:
    """Content type and body."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n'
        f"Content-Type: image/png\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in fields
    ]
    return f"multipart/form-data; boundary={boundary}", b"".join(parts) + f"--{boundary}--\r\n".encode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(web_params(tmp_path_factory.mktemp("web"))) as site:
        yield site


def picture(url: str) -> Image.Image:
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    opened = Image.open(io.BytesIO(base64.b64decode(data)))
    opened.load()
    assert opened.format == "PNG" and opened.mode == "RGB" and not opened.info
    return opened


class TestAnswers:
    def test_a_form_and_a_raw_body_get_the_same_verdict(self, site: Site) -> None:
        kind, body = form(("image", png()))
        answers = [site.post(kind, body), site.post("image/png", png()), site.post("application/octet-stream", png())]
        for answer in answers:
            assert answer.status == 200, answer.body
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["Cache-Control"] == "no-store"
            found = CheckBody.model_validate_json(answer.body, strict=False)
            assert found.sha256 == hashlib.sha256(png()).hexdigest()
            assert found.layers == [] and found.seen is None and "seen" not in answer.json
            assert found.model == site.app.desk.card.id
            assert found.words.language == "en"
            assert found.thresholds.model_dump() == site.app.desk.card.thresholds.model_dump()
        assert len({answer.json["p_fake"] for answer in answers}) == 1

    def test_heatmaps_come_as_pictures_over_what_the_network_saw(self, site: Site) -> None:
        answer = site.post("image/png", png(), "?heatmaps=png")
        found = CheckBody.model_validate_json(answer.body)
        assert [layer.name for layer in found.layers]
        for layer in found.layers:
            assert picture(layer.heatmap).size == (128, 128)  # the network sees 32 × 32
        assert found.seen is not None
        seen = picture(found.seen)
        assert seen.size == (32, 32)
        again = io.BytesIO()
        seen.save(again, "PNG")
        assert site.post("image/png", again.getvalue()).json["p_fake"] == found.p_fake

    def test_words_follow_the_reader(self, site: Site) -> None:
        german = site.post("image/png", png(), Accept_Language="fr, de-AT;q=0.9, en;q=0.5")
        english = site.post("image/png", png())
        assert german.json["words"]["language"] == german.headers["Content-Language"] == "de"
        assert german.headers["Vary"] == "Accept-Language"
        assert german.json["words"]["title"] != english.json["words"]["title"]
        assert german.json["p_fake"] == english.json["p_fake"]

    def test_hash_and_verdict_are_kept_of_nobody(self, site: Site) -> None:
        data = png(77)
        answer = site.post("image/png", data).json
        database = site.app.params.database.removeprefix("sqlite:///")

        async def kept() -> Any:
            while (found := await asyncio.to_thread(site.app.records.result, answer["sha256"])) is None:
                await asyncio.sleep(0.02)
            return found

        result = site.run(asyncio.wait_for(kept(), PATIENCE_S))
        assert (result.verdict, result.model) == (answer["verdict"], answer["model"])
        with contextlib.closing(sqlite3.connect(database)) as connection:
            (people,) = connection.execute("SELECT count(*) FROM people").fetchone()
            assert people == 0
            assert "127.0.0.1" not in "\n".join(connection.iterdump())

    def test_the_model_says_what_it_is_and_nothing_of_the_inside(self, site: Site) -> None:
        answer = site.get("api/v1/model")
        found = ModelBody.model_validate_json(answer.body)
        assert (found.id, found.image_size, found.max_bytes) == (site.app.desk.card.id, 32, MAX_BYTES)
        assert b"file:" not in answer.body and b"trial" not in answer.body

    def test_health(self, site: Site) -> None:
        answer = site.get("healthz")
        assert answer.status == 200 and HealthBody.model_validate_json(answer.body).ok
        site.app.checks["roof"] = lambda: False
        try:
            answer = site.get("healthz")
        finally:
            del site.app.checks["roof"]
        assert answer.status == 503
        found = HealthBody.model_validate_json(answer.body)
        assert not found.ok and found.checks["detector"] and not found.checks["roof"]


class TestRefusals:
    def test_what_is_no_complete_request(self, site: Site) -> None:
        kind, whole = form(("image", png()))
        for given_kind, body in (
            (kind, form(("photo", png()))[1]),  # another name
            (kind, whole[:-40]),  # cut short
            (kind, b"no form at all"),
            (kind, b""),
            ("multipart/form-data", whole),  # no boundary
            (f"multipart/form-data; boundary={'x' * 2000}", whole),
            (kind, form(("image", png()), ("image", png()))[1]),
            (kind, form(("image", b""))[1]),
            ("image/png", b""),
        ):
            site.post(given_kind, body).problem(400, "bad-request")
        site.post("image/png", png(), "?heatmaps=jpeg").problem(400, "bad-request")
        assert "“heatmap”" in site.post("image/png", png(), "?heatmap=none").problem(400, "bad-request").detail
        for fields in ([("note", b"hello"), ("image", png())], [("image", png()), ("note", b"hello")]):
            assert "“note”" in site.post(*form(*fields)).problem(400, "bad-request").detail

    def test_other_types(self, site: Site) -> None:
        for kind in (None, "", "text/plain", "application/json", "application/x-www-form-urlencoded", "imagery/png"):
            site.post(kind, png()).problem(415, "type")
        site.post("image/png", png(), Content_Encoding="gzip").problem(415, "type")

    @pytest.mark.parametrize(
        ("data", "status", "name"),
        [
            (b"#!/bin/sh\nexit\n", 415, "type"),
            (b"\x00\x00\x00\x18ftypheic" + bytes(200), 415, "type"),
            (png()[: len(png()) // 2], 422, "picture"),
            (b"\x89PNG\r\n\x1a\n" + bytes(300), 422, "picture"),
            (animation(), 422, "picture"),
            (bomb(), 413, "too-large"),
        ],
        ids=["script", "heic", "cut", "broken", "animation", "bomb"],
    )
    def test_files_that_are_no_good(self, site: Site, data: bytes, status: int, name: str) -> None:
        for kind, body in (("image/jpeg", data), form(("image", data))):
            site.post(kind, body).problem(status, name)
        assert site.post("image/png", png()).status == 200

    def test_too_many_bytes_however_they_come(self, site: Site) -> None:
        huge = bytes(3 * MAX_BYTES)
        site.post("image/png", huge).problem(413, "too-large")
        site.post(*form(("image", huge))).problem(413, "too-large")
        chunked = site.send(
            "POST", "api/v1/check", (bytes(65_536) for _ in range(48)),  # type: ignore[arg-type]
            {"Content-Type": "image/png", "Transfer-Encoding": "chunked"},
        )  # fmt: skip
        assert "1 MiB" in chunked.problem(413, "too-large").detail
        exactly = noise_jpeg()
        exactly += bytes(MAX_BYTES - len(exactly))
        assert site.post("image/jpeg", exactly).status == 200
        assert site.post(*form(("image", exactly))).status == 200
        site.post("image/jpeg", exactly + b"x").problem(413, "too-large")

    def test_who_asks_first_need_not_send(self, site: Site) -> None:
        with posting(urlsplit(site.url).netloc, 10**12, "Expect: 100-continue") as connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")

    def test_who_is_too_slow(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upload, "_TIMEOUT_S", 0.2)
        with posting(urlsplit(site.url).netloc, 100) as connection:
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            Answered(answer.status, answer.headers, answer.read()).problem(408, "too-slow")

    def test_other_addresses_and_methods(self, site: Site) -> None:
        site.get("nothing/here").problem(404, "not-found")
        answer = site.get("api/v1/check")
        answer.problem(405, "method")
        assert answer.headers["Allow"] == "POST"

    def test_problems_are_told_in_the_readers_language(self, site: Site) -> None:
        english = site.post("image/png", b"").problem(400, "bad-request")
        answer = site.post("image/png", b"", Accept_Language="de")
        german = answer.problem(400, "bad-request")
        assert answer.headers["Content-Language"] == "de"
        assert german.title != english.title and german.detail != english.detail

    def test_posts_of_other_sites(self, site: Site) -> None:
        host = urlsplit(site.url).netloc
        for headers in (
            {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Origin": "http://evil.example"},
            {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site", "Origin": f"http://{host}"},
        ):  # fmt: skip
            site.post("image/png", png(), **headers).problem(403, "cross-site")
        for headers in (
            {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}, {"Origin": f"http://{host}"},
        ):  # fmt: skip
            assert site.post("image/png", png(), **headers).status == 200
        assert not is_cross_site("GET", {"sec-fetch-site": "cross-site"})

    def test_a_mistake_of_ours_tells_nothing_of_the_inside(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        def broken() -> bool:
            raise RuntimeError("the password is 1234")

        site.app.checks["broken"] = broken
        try:
            answer = site.get("healthz")
        finally:
            del site.app.checks["broken"]
        answer.problem(500, "internal")
        assert b"1234" not in answer.body
        assert "the password is 1234" in caplog.text


class TestUnderLoad:
    def test_a_full_queue_who_leaves_and_a_server_that_goes(self, tmp_path: Path) -> None:
        with served(web_params(tmp_path, worker={"queue": 1, "batch": 1, "timeout_s": 120})) as site:
            address = urlsplit(site.url)
            (worker,) = site.app.desk.pids
            os.kill(worker, signal.SIGSTOP)
            try:
                waiting = [posting(address.netloc, len(png())) for _ in range(2)]
                for connection in waiting:
                    connection.sendall(png())
                site.run(until(lambda: site.app.desk.waiting == 1))  # and one is being looked at
                refused = site.post("image/png", png())
                refused.problem(429, "busy")
                assert int(refused.headers["Retry-After"]) > 0
                for connection in waiting:
                    connection.close()
                site.run(until(lambda: site.app.desk.waiting == 0))
            finally:
                os.kill(worker, signal.SIGCONT)
            assert site.post("image/png", png()).status == 200
            site.run(site.app.desk.drain(PATIENCE_S))
            answer = site.post("image/png", png())
            answer.problem(503, "unavailable")
            assert int(answer.headers["Retry-After"]) > 0

    def test_no_request_is_lost_when_the_worker_is_killed_under_load(self, site: Site) -> None:
        """Sixteen at once, each several times; meanwhile the process that looks at pictures is killed, three times."""
        desk = site.app.desk
        assert isinstance(desk, DetectorDesk)
        answered = threading.Semaphore(0)

        def ask(number: int) -> Answered:
            answer = site.post("image/png", png(number % 16))
            answered.release()
            return answer

        with ThreadPoolExecutor(16) as people:
            answers = people.map(ask, range(96))
            killed: set[int] = set()
            for _ in range(3):
                for _ in range(8):  # so that each process is killed amid its work
                    assert answered.acquire(timeout=PATIENCE_S)
                site.run(until(lambda: set(desk.pids) - killed))
                killed.update(desk.pids)
                for pid in desk.pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            found = list(answers)
        assert len(killed) >= 3
        assert [answer.status for answer in found] == [200] * 96
        for number, answer in enumerate(found):
            assert answer.json["sha256"] == hashlib.sha256(png(number % 16)).hexdigest()

    def test_clients_that_vanish(self, site: Site) -> None:
        netloc = urlsplit(site.url).netloc
        for sent in (b"", png()[:100], png()):
            for _ in range(8):
                with posting(netloc, len(png())) as connection:
                    connection.sendall(sent)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        site.run(until(lambda: site.app.desk.waiting == 0))
        assert site.post("image/png", png()).status == 200


class TestDescription:
    def test_openapi_is_valid_and_complete(self, site: Site) -> None:
        description = site.get("openapi.json").json
        assert description["openapi"].startswith("3.1.")
        schemas = description["components"]["schemas"]
        for schema in schemas.values():
            Draft202012Validator.check_schema(schema)
        for reference in _references(description):
            assert reference.rpartition("/")[2] in schemas, reference
        assert set(description["paths"]) >= {"/api/v1/check", "/api/v1/model", "/healthz"}
        post = description["paths"]["/api/v1/check"]["post"]
        assert set(post["requestBody"]["content"]) == {"multipart/form-data", "image/*", "application/octet-stream"}
        errors = {"400", "401", "403", "408", "413", "415", "421", "422", "429", "500", "503"}
        assert set(post["responses"]) == {"200"} | errors
        for status, answer in post["responses"].items():
            kinds = ["application/json"] if status == "200" else ["application/problem+json"]
            assert list(answer["content"]) == kinds, status
        answers = [site.post("image/png", png(), query).json for query in ("", "?heatmaps=png")]
        validator = Draft202012Validator({"$ref": "#/components/schemas/CheckBody", "components": {"schemas": schemas}})
        for answer in answers:
            validator.validate(answer)

    def test_docs_is_a_plain_page_with_every_problem(self, site: Site) -> None:
        page = site.get("docs")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        text = page.body.decode()
        for kind in KINDS:
            assert f'id="{kind.name}"' in text
        for reference in re.findall(r'(?:src|href)="([^"]*)"', text):
            assert ":" not in reference and not reference.startswith("/"), reference
        assert "<script" not in text and "style=" not in text and "<style" not in text


class TestAddress:
    def test_texts_of_problems_are_spoken(self) -> None:
        german = reader("de")
        for kind in KINDS:
            assert german(kind.title) != kind.title == ENGLISH(kind.title)

    def test_listening_on_ipv6(self) -> None:
        with listening(WebParams(host="::1", port=0)) as at:
            assert at.getsockname()[0] == "::1"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
