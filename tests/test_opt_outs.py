"""Opt-outs from machine learning: in an answer's header, in a page's meta elements, in a site's tdmrep.json."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from crawler.politeness import (
    OPT_OUT_DIRECTIVES,
    USER_AGENT_TOKEN,
    OptedOut,
    Tdmrep,
    opted_out,
    page_opted_out,
)
from crawler.politeness.tdmrep import parse_tdmrep, reserved
from infra.http import HttpClient
from tests.polite_site import Clock, PoliteSite, with_site

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@dataclass
class Headed:
    pairs: list[tuple[str, str]]

    def header_values(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key.lower() == name.lower()]


def _tag(*values: str) -> str | None:
    return opted_out(Headed([("x-robots-tag", value) for value in values]), USER_AGENT_TOKEN, now=NOW)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["noai"], "noai"),
        (["noarchive, NoImageAI"], "noimageai"),
        (["nofollow", "noindex"], "noindex"),
        (["noimageindex"], "noimageindex"),
        (["none"], "none"),
        (["noml"], "noml"),
        (["noarchive noai"], "noai"),
        (["*: noai"], "noai"),
        (["Faces-Crawler: noarchive, noai"], "noai"),
        (["faces-crawler/0.1: noai"], "noai"),
        (["googlebot: noarchive, faces-crawler: noindex"], "noindex"),
        (["googlebot: noindex, noai"], None),
        (["noai, googlebot: noindex"], "noai"),
        (["googlebot: noindex", "noai"], "noai"),
        (["all"], None),
        (["index, follow, nofollow, noarchive, nosnippet"], None),
        (["max-image-preview: none, max-snippet: -1"], None),
        (["max-image-preview:none, noai"], "noai"),
        (["noaim, xnoai, noindexing"], None),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], "unavailable_after"),
        (["unavailable_after: Wed, 03 Dec 2025 13:09:53 GMT"], "unavailable_after"),
        (["unavailable_after: Wednesday, 03-Dec-25 13:09:53 GMT"], "unavailable_after"),
        (["unavailable_after: 2025-12-03"], "unavailable_after"),
        (["unavailable_after: 2025-12-03T13:09:53+01:00"], "unavailable_after"),
        (["unavailable_after: Thu, 03 Dec 2026 13:09:53 GMT"], None),
        (["unavailable_after: Thu, 03 Dec 2026 13:09:53 GMT, noai"], "noai"),
        (["googlebot: unavailable_after: 2025-12-03"], None),
        (["faces-crawler: unavailable_after: 2025-12-03"], "unavailable_after"),
        (["unavailable_after: some day"], None),
        ([""], None),
        ([], None),
    ],
)
def test_which_x_robots_tags_opt_out(values: list[str], reason: str | None) -> None:
    assert _tag(*values) == reason


def test_the_tdm_header_opts_out_when_it_is_1() -> None:
    for value, reason in (("1", "tdm-reservation"), (" 1 ", "tdm-reservation"), ("0", None), ("yes", None)):
        assert opted_out(Headed([("TDM-Reservation", value)]), USER_AGENT_TOKEN) == reason


def test_opt_outs_are_read_from_a_real_answer() -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/1.jpg", b"face", "X-Robots-Tag: noarchive, noai")
        site.put("/2.jpg", b"face", "tdm-reservation: 1")
        site.put("/3.jpg", b"face")
        reasons = [opted_out(await client.get(f"{site.url}/{n}.jpg"), USER_AGENT_TOKEN) for n in (1, 2, 3)]
        assert reasons == ["noai", "tdm-reservation", None]

    with_site(test)


_words = st.sampled_from(
    [
        *OPT_OUT_DIRECTIVES,
        "all",
        "googlebot",
        "faces-crawler",
        "*",
        "unavailable_after",
        "Wed",
        "03 Dec 2025 13:09 GMT",
        "",
    ]
)
_values = st.text(max_size=40) | st.lists(st.tuples(_words, st.sampled_from([",", ":", " ", ";", ": ", ", "]))).map(
    lambda pairs: "".join(word + separator for word, separator in pairs)
)


@given(st.lists(_values, max_size=3))
def test_no_x_robots_tag_breaks_the_crawl(values: list[str]) -> None:
    reason = _tag(*values)
    assert reason is None or reason in {*OPT_OUT_DIRECTIVES, "unavailable_after"}
    if reason:
        assert any(reason in value.lower() for value in values)


@given(
    st.sampled_from(sorted(OPT_OUT_DIRECTIVES)), st.lists(st.sampled_from(["all", "nofollow", "noarchive"])), st.data()
)
def test_a_directive_is_found_wherever_it_stands(directive: str, others: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(others)))
    parts = [*others[:at], directive.upper(), *others[at:]]
    assert _tag(", ".join(parts)) == directive
    assert _tag(*parts) == directive
    assert _tag("otherbot: " + ", ".join(parts)) is None


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ('<meta name="robots" content="noindex, follow">', "noindex"),
        ("<META NAME=ROBOTS CONTENT=NOAI>", "noai"),
        ('<meta content="noimageai" name=" robots ">', "noimageai"),
        ('<meta name="faces-crawler" content="noindex">', "noindex"),
        ('<meta name="googlebot" content="noindex">', None),
        ('<meta name="tdm-reservation" content="1">', "tdm-reservation"),
        ('<meta name="tdm-reservation" content="0">', None),
        ('<meta name="robots">', None),
        ("<meta name content=noai>", None),
        ('<meta name="robots" content="index"><meta name="robots" content="noml">', "noml"),
        ('<!-- <meta name="robots" content="noai"> -->', None),
    ],
)
def test_which_meta_elements_opt_a_page_out(head: str, reason: str | None) -> None:
    page = f"<!doctype html><html><head>{head}</head><body>faces</body></html>"
    for form in (page, page.encode(), ("\ufeff" + page).encode("utf-16-le"), LexborHTMLParser(page)):
        assert page_opted_out(form, USER_AGENT_TOKEN, now=NOW) == reason


@given(
    st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f'<meta name=robots content="{text}">'.encode())
)
@settings(max_examples=50)
def test_no_page_breaks_the_crawl(page: bytes) -> None:
    page_opted_out(page, USER_AGENT_TOKEN)


def _reserved(rules: object, *paths: str) -> list[bool]:
    found: list[bool] = []

    async def test(site: PoliteSite, client: HttpClient) -> None:
        site.put("/.well-known/tdmrep.json", rules if isinstance(rules, bytes) else json.dumps(rules))
        tdmrep = Tdmrep(client.get)
        for path in paths:
            try:
                await tdmrep.check(site.url + path)
                found.append(False)
            except OptedOut as error:
                assert (error.error_class, error.retriable) == ("opted out: tdmrep.json", False)
                found.append(True)

    with_site(test)
    return found


def test_the_examples_of_the_tdmrep_report() -> None:
    rules = [
        {"location": "/directory-a/", "tdm-reservation": 1},
        {"location": "/directory-b/html/", "tdm-reservation": 1, "tdm-policy": "https://provider.example/policy.json"},
        {"location": "/directory-b/images/*.jpg", "tdm-reservation": 0},
    ]
    paths = ("/directory-a/x.pdf", "/directory-b/html/", "/directory-b/images/1.jpg", "/directory-c/1.jpg")
    assert _reserved(rules, *paths) == [True, True, False, False]
    assert _reserved([{"location": "/", "tdm-reservation": 1}], "/", "/any/1.jpg?x=1") == [True, True]
    verbatim = [{"location": "/path/foo-%24", "tdm-reservation": 1}]
    assert _reserved(verbatim, "/path/foo-$", "/path/foo-%24", "/path/foo-") == [True, True, False]


def test_the_first_rule_that_matches_counts() -> None:
    free, all_else = {"location": "/free/", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}
    assert _reserved([free, all_else], "/free/1.jpg", "/1.jpg") == [False, True]
    assert _reserved([all_else, free], "/free/1.jpg", "/1.jpg") == [True, True]


def test_patterns_end_at_a_dollar_and_compare_letters_and_escapes() -> None:
    rules = [{"location": "/a/*.jpg$", "tdm-reservation": 1}, {"location": "/caf%c3%A9/%7ejoe", "tdm-reservation": "1"}]
    paths = ("/a/b.jpg", "/a/b.jpg?x", "/A/b.jpg", "/café/~joe", "/caf%C3%A9/%7Ejoe/1.jpg")
    assert _reserved(rules, *paths) == [True, False, False, True, True]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b'{"location": "/", "tdm-reservation": 1}',
        b'["/", null, 7, {}, {"location": "/"}, {"location": 7, "tdm-reservation": 1}]',
        b'[{"location": "/", "tdm-reservation": 2}, {"location": "/", "tdm-reservation": [1]}]',
        b'[{"location": "", "tdm-reservation": 1}]',
        b"[" + b"9" * 5000 + b"]",
        b" " * 600_000,
    ],
)
def test_a_broken_tdmrep_reserves_nothing(broken: bytes) -> None:
    assert _reserved(broken, "/1.jpg") == [False]


def test_a_failing_server_reserves_nothing_and_is_asked_again_after_ten_minutes() -> None:
    async def test(site: PoliteSite, client: HttpClient) -> None:
        clock = Clock()
        tdmrep = Tdmrep(client.get, clock=clock)
        site.put("/.well-known/tdmrep.json", status=500)
        await tdmrep.check(f"{site.url}/1.jpg")
        await tdmrep.check(f"{site.url}/2.jpg")
        assert site.times_asked() == 1
        site.put("/.well-known/tdmrep.json", json.dumps([{"location": "/", "tdm-reservation": 1}]))
        clock.now += 601
        with pytest.raises(OptedOut):
            await tdmrep.check(f"{site.url}/1.jpg")
        site.put("/.well-known/tdmrep.json", status=500)  # what was read before holds on
        clock.now += 24 * 3600 + 1
        with pytest.raises(OptedOut):
            await tdmrep.check(f"{site.url}/1.jpg")

    with_site(test)


_pieces = st.text("ab/*$.?", max_size=10)


@given(_pieces, _pieces)
@example("*a*b$", "aab")
@example("*a*a$", "a")
@example("*ab", "aab")
@settings(max_examples=300)
def test_tdmrep_patterns_match_as_the_regular_expression_they_stand_for(pattern: str, path: str) -> None:
    rules = parse_tdmrep(json.dumps([{"location": f"/{pattern}", "tdm-reservation": 1}]).encode())
    literal = [re.escape(piece) for piece in pattern.removesuffix("$").split("*")]
    regex = "/" + ".*".join(literal) + (r"\Z" if pattern.endswith("$") else "")
    assert reserved(rules, f"/{path}") == bool(re.match(regex, f"/{path}"))


@given(st.text(max_size=20), st.text(max_size=20))
@example("%", "%é%2")
@example("\ud800*", "\ud800")
def test_no_tdmrep_pattern_breaks_the_crawl(pattern: str, path: str) -> None:
    body = json.dumps([{"location": pattern, "tdm-reservation": 1}]).encode()
    assert reserved(parse_tdmrep(body), f"/{path}") in (True, False)
    exact = json.dumps([{"location": "/" + path.replace("$", "%24"), "tdm-reservation": 1}]).encode()
    assert reserved(parse_tdmrep(exact), f"/{path}")


def test_a_hostile_tdmrep_pattern_takes_no_time() -> None:
    rules = [{"location": "/" + "*a" * 5000, "tdm-reservation": 1}] * 20
    assert _reserved(rules, "/" + "a" * 4000 + "b") == [False]
