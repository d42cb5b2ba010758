"""What pages and JSON answers name, in whatever encoding."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.params import GallerySource, Pick
from crawler.sources.page import NoImageNamedError, Page, decode_html, parse_html, pick_image, read_page

AT = "http://h.org/deep/page.html"


def _read(html: str, **more: Any) -> Page:
    source = GallerySource.model_validate(
        {"type": "gallery", "name": "g", "label": "real", "start": [AT], "follow": "a.more", **more}
    )
    return read_page(parse_html(html.encode(), "text/html; charset=utf-8"), AT, source)


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ('<img src="a.jpg">', "http://h.org/deep/a.jpg"),
        ('<img src="//cdn.org/a.jpg#top">', "http://cdn.org/a.jpg"),
        ('<img src="small.jpg" srcset="a.jpg 1x, /b.jpg 2x">', "http://h.org/b.jpg"),
        ('<img srcset="a,b.jpg 100w, c.jpg 1200w, d.jpg 800w">', "http://h.org/deep/c.jpg"),
        ('<img src="data:image/gif;base64,R0lGOD" data-src="real.jpg">', "http://h.org/deep/real.jpg"),
        ('<img src="data:image/gif;base64,R0lGOD">', None),
        ('<img src="javascript:alert(1)">', None),
        ('<img src="http://[broken/a.jpg">', None),
        ("<img>", None),
    ],
)
def test_the_image_of_an_element(element: str, expected: str | None) -> None:
    assert _read(element).images == ((expected,) if expected else ())


def test_links_base_and_pagination() -> None:
    links = '<a class=more href="x">x</a><a class=more href="x#y">x</a><a rel="nofollow next" href="?p=2">'
    page = _read(f'<base href="/root/">{links}')
    assert page.deeper == ("http://h.org/root/x",)
    assert page.next == ("http://h.org/root/?p=2",)


def test_an_attribute_by_name() -> None:
    assert _read('<img src=a.jpg data-full="b.jpg">', attribute="data-full").images == ("http://h.org/deep/b.jpg",)


@given(st.binary(max_size=300), st.text(max_size=40))
def test_no_bytes_break_the_reader(body: bytes, content_type: str) -> None:
    assert isinstance(decode_html(body, content_type), str)
    parse_html(body, content_type)


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        ("data.images.1.url", '{"data": {"images": [{}, {"url": "/x.jpg"}]}}', "http://h.org/x.jpg"),
        ("url", '{"url": 3}', None),
        ("a.b", '{"a": []}', None),
        ("a", "<html>", None),
    ],
)
def test_json_names_it(key: str, body: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(NoImageNamedError):
            pick_image(body.encode(), "application/json", AT, Pick(key=key))
    else:
        assert pick_image(body.encode(), "application/json", AT, Pick(key=key)) == expected


def test_a_page_without_it_says_so() -> None:
    with pytest.raises(NoImageNamedError, match="nothing on the page matches 'img#face'"):
        pick_image(b"<img id=other>", "text/html", AT, Pick(selector="img#face"))
