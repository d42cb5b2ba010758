"""A list of image URLs (text, CSV, Parquet, FFHQ's own JSON) ▶ what each line says of its image.

Nothing here holds a whole list: lists of millions of lines are read piece by piece.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from crawler.params import AUTO, UrlListSource
from crawler.sources.origin import SourceError

_FORMAT_OF_ENDING = {
    ".txt": "txt", ".urls": "txt", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet",
    ".json": "ffhq",
}  # fmt: skip
_USUAL_NAMES = {
    "url": ("url", "image_url", "img_url", "image", "src", "link"),
    "licence": ("licence", "license"),
    "author": ("author", "creator", "photographer"),
    "md5": ("md5", "image_md5"),
}
_WEB = re.compile(r"https?://", re.IGNORECASE)
_MD5 = re.compile(r"[0-9a-f]{32}")
_CHUNK = 1 << 20
_MAX_CELL = 1 << 20
_AFTER_VALUE = " \t\r\n,:}]"


@dataclass(frozen=True, slots=True)
class Listed:
    """One image of a list; `md5` is of its bytes, 32 hex digits."""

    url: str
    licence: str | None = None
    author: str | None = None
    identity: str | None = None
    md5: str | None = None


def list_format(source: UrlListSource, head: bytes) -> str:
    """The format of a list: the one its params name, else by its ending, else by its first bytes."""
    if source.format != "auto":
        return source.format
    by_ending = _FORMAT_OF_ENDING.get(Path(source.list.partition("?")[0]).suffix.lower())
    if head.startswith(b"PAR1"):
        return "parquet"
    if by_ending == "ffhq" or (by_ending is None and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")):
        return "ffhq"
    return by_ending or "txt"


def read_url_list(file: BinaryIO, source: UrlListSource) -> Iterator[Listed]:
    """The images that the list in `file` (seekable) names, in its order; lines that name none are passed over.

    What is no web address is handed on, to be refused and reported like any other URL that cannot be fetched; only a
    list that begins so is taken for something else. Raises SourceError for that, and for damage, naming the line.
    """
    head = file.read(64)
    file.seek(0)
    where = source.list
    kind = list_format(source, head)
    readers = {"txt": _read_text, "csv": _read_csv, "parquet": _read_parquet, "ffhq": _read_ffhq}
    try:
        for number, image in enumerate(readers[kind](file, source)):
            if number == 0 and not _WEB.match(image.url):
                raise SourceError(
                    f"{where} begins with '{image.url[:80]}', which is no web address (http:// or https://)"
                )
            yield image
    except UnicodeDecodeError:
        raise SourceError(f"{where} is not UTF-8 text") from None
    except csv.Error as error:
        raise SourceError(f"{where} is not a CSV file: {error}") from None


def _read_text(file: BinaryIO, source: UrlListSource) -> Iterator[Listed]:
    for line in codecs.getreader("utf-8-sig")(file):
        text = line.strip()
        if text and not text.startswith("#"):
            yield Listed(text)


def _read_csv(file: BinaryIO, source: UrlListSource) -> Iterator[Listed]:
    csv.field_size_limit(_MAX_CELL)
    lines = codecs.getreader("utf-8-sig")(file)
    first = next(lines, "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(_prepended(first, lines), delimiter=delimiter, strict=True)
    columns = _columns(source, reader.fieldnames or [])
    for row in reader:
        if image := _from_cells(row, columns, f"{source.list} line {reader.line_num}"):
            yield image


def _prepended(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


def _read_parquet(file: BinaryIO, source: UrlListSource) -> Iterator[Listed]:
    # Here, since Arrow takes 40 MB that a crawl of other sources never needs.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        columns = _columns(source, table.schema_arrow.names)
        number = 0
        for batch in table.iter_batches(batch_size=4096, columns=list(columns.values())):
            for row in batch.to_pylist():
                number += 1
                if image := _from_cells(row, columns, f"{source.list} row {number}"):
                    yield image
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{source.list} is not a readable Parquet file: {str(error).splitlines()[0]}") from None


def _columns(source: UrlListSource, there: Iterable[str]) -> dict[str, str]:
    """What is said ▶ in which column."""
    there = list(there)
    found = {}
    for what, wanted in source.columns.model_dump().items():
        name = wanted if wanted != AUTO else _usual(what, there)
        if name is not None and name not in there:
            raise SourceError(f"{source.list}: no column '{name}'; there are: {', '.join(there)[:200] or 'none'}")
        if name is not None:
            found[what] = name
    if "url" not in found:
        raise SourceError(
            f"{source.list}: which column holds the URLs? Say it with columns: {{url: NAME}}; "
            f"there are: {', '.join(there)[:200] or 'none'}"
        )
    return found


def _usual(what: str, there: Iterable[str]) -> str | None:
    lowered = {name.strip().lower(): name for name in there}
    return next((lowered[name] for name in _USUAL_NAMES.get(what, ()) if name in lowered), None)


def _from_cells(row: dict[str, Any], columns: dict[str, str], where: str) -> Listed | None:
    def cell(what: str) -> str | None:
        value = row.get(columns[what]) if what in columns else None
        return (str(value).strip() or None) if value is not None else None

    url = cell("url")
    if url is None:
        return None
    return Listed(
        url=url,
        licence=cell("licence"),
        author=cell("author"),
        identity=cell("identity"),
        md5=_md5(cell("md5"), where),
    )


def _read_ffhq(file: BinaryIO, source: UrlListSource) -> Iterator[Listed]:
    """FFHQ's `ffhq-dataset-v2.json` (NVlabs/ffhq-dataset): one object an image, 255 MB in all."""
    for key, entry in _members(codecs.getreader("utf-8-sig")(file), source.list):
        where = f"{source.list}: entry '{key[:40]}'"
        try:
            picture, about = entry[source.image], entry.get("metadata") or {}
            url, md5 = picture["file_url"], picture.get("file_md5")
        except (TypeError, KeyError, AttributeError):
            raise SourceError(f"{where} has no {source.image}.file_url, as FFHQ's own list has") from None
        yield Listed(
            url=str(url),
            licence=_text(about.get("license")),
            author=_text(about.get("author")),
            md5=_md5(_text(md5), where),
        )


def _members(text: Any, where: str) -> Iterator[tuple[str, Any]]:
    """The members of one large JSON object, decoded one at a time."""
    decoder = json.JSONDecoder()
    buffer, ended = "", False

    def more() -> bool:
        nonlocal buffer, ended
        piece = text.read(_CHUNK)
        ended = not piece
        buffer += piece
        return not ended

    def skip(characters: str) -> str:
        """Drop leading `characters`; the next one, '' at the end."""
        nonlocal buffer
        while True:
            buffer = buffer.lstrip(characters)
            if buffer or not more():
                return buffer[:1]

    def value() -> Any:
        nonlocal buffer
        while True:
            try:
                decoded, end = decoder.raw_decode(buffer)
            except json.JSONDecodeError:
                if not more():
                    raise
            else:
                # A number may go on in the next piece.
                if (end == len(buffer) or buffer[end] not in _AFTER_VALUE) and more():
                    continue
                buffer = buffer[end:]
                return decoded

    try:
        if skip(" \t\r\n") != "{":
            raise SourceError(f"{where} is not FFHQ's list: it does not begin with an object")
        buffer = buffer[1:]
        while skip(" \t\r\n,") != "}":
            key = value()
            if not isinstance(key, str) or skip(" \t\r\n") != ":":
                raise SourceError(f"{where} is not JSON after '{str(key)[:40]}'")
            buffer = buffer[1:]
            skip(" \t\r\n")
            yield key, value()
    except json.JSONDecodeError:
        raise SourceError(f"{where} is not JSON: it ends too early, or is damaged near '{buffer[:40]}'") from None
    except RecursionError:
        raise SourceError(f"{where} is not FFHQ's list: it is nested too deep") from None


def _text(value: Any) -> str | None:
    return value.strip()[:300] or None if isinstance(value, str) else None


def _md5(text: str | None, where: str) -> str | None:
    if text is None:
        return None
    if not _MD5.fullmatch(text.lower()):
        raise SourceError(f"{where}: md5 is '{text[:40]}' where it must be 32 hex digits")
    return text.lower()
