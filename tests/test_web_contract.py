"""The API keeps what its description promises: schemathesis asks whatever the description allows, and what it forbids.

By hand, for longer, against a running server (its hooks are this module's `give_pictures`):

    PYTHONPATH=. SCHEMATHESIS_HOOKS=tests.test_web_contract schemathesis run http://127.0.0.1:8000/openapi.json
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import engine
from schemathesis.engine import events

from bot.web.keys import add_key
from tests.browser import browser_page
from tests.quiz_stage import write_deck
from tests.web_stage import PATIENCE_S, Site, also_served, png, served, web_params

ROOT = Path(__file__).resolve().parent.parent
DOCS = (ROOT / "docs" / "web.md").read_text()


def give_pictures() -> None:
    """What schemathesis sends where a file is asked for, and would be noise."""
    pictures = st.sampled_from([png(1), png(2)])
    schemathesis.openapi.format("binary", pictures)
    for kind in ("image/*", "application/octet-stream"):
        schemathesis.openapi.media_type(kind, pictures)


give_pictures()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("contract")
    write_deck(folder / "deck")
    params = web_params(folder, quiz={"deck": f"file://{folder}/deck"}, store=f"sqlite:///{folder}/results.db")
    with served(params) as site:
        yield site


def found_by_schemathesis(url: str, **config: Any) -> tuple[list[str], set[str]]:
    """What it holds against the server, and what it has tried. config: its configuration file, schemathesis.toml."""
    settings = schemathesis.Config.from_dict({"seed": 1, "suppress-health-check": ["all"], **config})
    faults, tried = [], set()
    for event in engine.from_schema(schemathesis.openapi.from_url(f"{url}openapi.json", config=settings)).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            faults.append(str(event))
        if isinstance(event, events.ScenarioFinished):
            tried.add(event.recorder.label)
            faults += [
                f"{event.recorder.label}: {check.failure_info.failure.title}: {check.failure_info.failure.message}"
                for checks in event.recorder.checks.values() for check in checks if check.failure_info
            ]  # fmt: skip
    return faults, tried


def phases(*wanted: str) -> dict[str, Any]:
    return {name: {"enabled": name in wanted} for name in ("examples", "coverage", "fuzzing", "stateful")}


class TestDescription:
    def test_nothing_is_held_against_any_operation(self, site: Site) -> None:
        faults, tried = found_by_schemathesis(
            site.url, phases=phases("fuzzing"), generation={"max-examples": 4, "no-shrink": True}
        )
        assert not faults, "\n".join(faults)
        described = site.get("openapi.json").json["paths"]
        assert tried == {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}

    @pytest.mark.slow
    def test_nor_at_the_edges_of_what_it_takes(self, site: Site) -> None:
        """Some 700 requests: each parameter left out, too small, too large, of another type; methods that are none."""
        faults, tried = found_by_schemathesis(site.url, phases=phases("coverage"))
        assert not faults, "\n".join(faults)
        assert "POST /api/v1/check" in tried

    def test_nor_where_a_key_is_needed(self, site: Site, tmp_path: Path) -> None:
        key = add_key(tmp_path / "keys.txt", "schemathesis")
        web = {
            "hosts": ["faces.example"], "keys_file": str(tmp_path / "keys.txt"), "public_page": False,
            "limits": dict.fromkeys(("key_checks", "key_reads", "address_checks", "address_reads"), 100000),
        }  # fmt: skip
        with also_served(site, web) as public:
            faults, tried = found_by_schemathesis(
                public.url, phases=phases("fuzzing"), generation={"max-examples": 2, "no-shrink": True},
                headers={"Authorization": f"Bearer {key}"},
            )  # fmt: skip
        assert not faults, "\n".join(faults)
        assert len(tried) > 3

    def test_every_operation_says_what_it_is(self, site: Site) -> None:
        description = site.get("openapi.json").json
        ids = []
        for path, operations in description["paths"].items():
            for method, operation in operations.items():
                where = f"{method} {path}"
                ids.append(operation["operationId"])
                assert operation["summary"] and not operation["summary"].endswith("."), where
                assert {"400", "421", "429", "500"} <= set(operation["responses"]), where
                for status, answer in operation["responses"].items():
                    assert answer["description"] not in ("", "Successful Response", "Validation Error"), (where, status)
                    if status >= "400" and path != "/healthz":
                        assert list(answer["content"]) == ["application/problem+json"], (where, status)
                for parameter in operation.get("parameters", ()):
                    assert parameter.get("description"), (where, parameter["name"])
                if path.startswith("/api/"):
                    assert {} in operation["security"] and "401" in operation["responses"], where
                if method != "get":
                    assert {"403", "408", "413"} <= set(operation["responses"]), where
        assert len(ids) == len(set(ids))


class TestDocs:
    def test_the_curl_line(self, site: Site, tmp_path: Path) -> None:
        (line,) = re.findall(r"^    (curl -F .*)$", DOCS, re.MULTILINE)
        said = run_lines(site, tmp_path, ["sh", "-c", line])
        answer = json.loads(said)
        assert answer["verdict"] in ("real", "fake", "unsure") and answer["layers"] == []

    def test_five_lines_of_python(self, site: Site, tmp_path: Path) -> None:
        (block,) = re.findall(r"((?:^    .*\n)+)", DOCS[DOCS.index("With Python") :], re.MULTILINE)[:1]
        lines = [line[4:] for line in block.splitlines()]
        assert len(lines) == 5
        said = run_lines(site, tmp_path, [sys.executable, "-c", "\n".join(lines)])
        assert re.match(r"0\.\d+ (real|fake|unsure) \w+", said)

    def test_every_problem_is_in_the_docs(self, site: Site) -> None:
        named = set(re.findall(r"`/docs#([a-z-]+)`", DOCS))
        page = site.get("docs").body.decode()
        assert named == set(re.findall(r'<tr id="([a-z-]+)">', page))

    @pytest.mark.parametrize(("width", "is_dark"), [(1280, False), (360, True)])
    def test_the_page_for_people(self, site: Site, width: int, is_dark: bool) -> None:
        async def look() -> None:
            async with browser_page(width=width, is_dark=is_dark) as opened:
                page = opened.page
                await page.goto(f"{site.url}docs")
                assert await opened.faults() == [] and opened.errors == []
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                await page.get_by_role("link", name="POST /api/v1/check", exact=True).focus()
                await page.keyboard.press("Enter")
                assert page.url.endswith("/docs#operation-check")
                example = page.locator("section", has=page.locator("#operation-check")).locator("details")
                await example.locator("summary").focus()
                await page.keyboard.press("Enter")
                shown = json.loads(await example.locator("pre").inner_text())
                assert {"p_fake", "verdict", "stability", "words"} <= set(shown)
                missing = (
                    "[...document.querySelectorAll('main a')].filter(a => a.hash && !document.querySelector(a.hash))"
                )
                assert await page.evaluate(f"{missing}.map(a => a.hash)") == []

        asyncio.run(look())


def run_lines(site: Site, folder: Path, command: list[str]) -> str:
    """As a reader runs them, beside a photo; but where the server is."""
    (folder / "photo.jpg").write_bytes(png())
    there = [part.replace("http://127.0.0.1:8000/", site.url) for part in command]
    assert there != command
    environment = {**os.environ, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    with contextlib.chdir(folder):
        done = subprocess.run(there, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
