"""Lists of URLs: text, CSV, Parquet and FFHQ's own JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.params import UrlListSource
from crawler.sources import SourceError
from crawler.sources import url_list as module
from crawler.sources.url_list import Listed, read_url_list

URL = "http://example.org/a.jpg"


def _source(name: str = "list.txt", **more: Any) -> UrlListSource:
    return UrlListSource.model_validate({"type": "urllist", "name": "l", "label": "real", "list": name, **more})


def _read(data: bytes, name: str = "list.txt", **more: Any) -> list[Listed]:
    return list(read_url_list(io.BytesIO(data), _source(name, **more)))


def test_text_with_comments_blank_lines_and_a_mark() -> None:
    assert _read(b"\xef\xbb\xbf# mine\r\n\r\n http://example.org/a.jpg \nhttps://b.org/\n") == [
        Listed(URL), Listed("https://b.org/"),
    ]  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_finds_its_columns(delimiter: str) -> None:
    lines = delimiter.join(["Id", "Image_URL", "License", "Author", "md5"]) + "\n"
    lines += delimiter.join(["1", URL, "CC0", '"Ann ""B"""', "A" * 32]) + "\n" + delimiter.join(["2", "", "", "", ""])
    assert _read(lines.encode(), "x.csv") == [Listed(URL, "CC0", 'Ann "B"', None, "a" * 32)]


def test_columns_by_name() -> None:
    data = f"where,who\n{URL},person-7\n".encode()
    assert _read(data, "x.csv", columns={"url": "where", "identity": "who"}) == [Listed(URL, identity="person-7")]
    with pytest.raises(SourceError, match="no column 'wher'; there are: where, who"):
        _read(data, "x.csv", columns={"url": "wher"})
    with pytest.raises(SourceError, match="which column holds the URLs"):
        _read(data, "x.csv")


_CELL = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=30)


@given(st.lists(st.tuples(_CELL, _CELL), max_size=20))
def test_csv_round_trip(rows: list[tuple[str, str]]) -> None:
    rows = [(f"http://h/{path}".strip(), author) for path, author in rows]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["url", "author"])
    writer.writerows(rows)
    read = _read(out.getvalue().encode(), "x.csv")
    assert [(image.url, image.author) for image in read] == [(url, author.strip() or None) for url, author in rows]


def test_parquet_with_empty_cells() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"URL": [URL, None, "http://b.org/"], "license": ["CC0", None, None]}), sink)
    assert _read(sink.getvalue(), "x.parquet") == [Listed(URL, "CC0"), Listed("http://b.org/")]
    with pytest.raises(SourceError, match="not a readable Parquet file"):
        _read(sink.getvalue()[:-20], "x.parquet")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    content=st.dictionaries(st.text(), _JSON, max_size=8), indent=st.sampled_from([None, 0, 3]), piece=st.integers(1, 9)
)
def test_a_large_object_is_read_piece_by_piece(content: dict[str, Any], indent: int | None, piece: int) -> None:
    text = json.dumps(content, indent=indent, ensure_ascii=False)
    original = module._CHUNK
    module._CHUNK = piece
    try:
        assert dict(module._members(io.StringIO(text), "x")) == content
        for cut in {len(text) // 3, len(text) - 1} - {len(text)}:
            with pytest.raises(SourceError):
                list(module._members(io.StringIO(text[:cut]), "x"))
    finally:
        module._CHUNK = original


def test_ffhq_says_what_is_missing() -> None:
    with pytest.raises(SourceError, match=r"entry '0' has no image\.file_url"):
        _read(json.dumps({"0": {"metadata": {}}}).encode(), "ffhq-dataset-v2.json")
    with pytest.raises(SourceError, match="md5 is 'x' where it must be 32 hex digits"):
        _read(json.dumps({"0": {"image": {"file_url": URL, "file_md5": "x"}}}).encode(), "ffhq-dataset-v2.json")


@pytest.mark.parametrize("data", [b"<html>", b"\xff\xfe\x00", b"\x89PNG\r\n\x1a\n" + bytes(range(256))])
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(SourceError):
        _read(data)
