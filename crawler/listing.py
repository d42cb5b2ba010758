"""What the params name ▶ the first items of a crawl's journal: lists and folders to their end, galleries' starts."""

from __future__ import annotations

import asyncio
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from crawler.journal import Item, Journal
from crawler.ledger import LOCAL_HOST, host_key
from crawler.params import CrawlParams, FolderSource, GallerySource, UrlListSource
from crawler.politeness import user_agent
from crawler.sources.origin import SourceError
from crawler.sources.url_list import read_url_list
from infra.http import HttpClient
from infra.storage import open_storage

MAX_LIST_BYTES = 2**30
LIST_TIMEOUT_S = 600.0
_BATCH = 10_000
_STORAGE_URL = re.compile(r"(?:file|s3)://", re.IGNORECASE)
_WEB_URL = re.compile(r"https?://", re.IGNORECASE)
_NOT_IMAGES = {"thumbs.db", "desktop.ini", "index.csv"}


def list_sources(params: CrawlParams, journal: Journal) -> None:
    """Bring what the sources list into the journal; what is in it stays as it is.

    A list that was read before is read again when its params, its size or its time of change are others; from the web
    and from a storage only when its params are. Raises SourceError naming the line of a list that is wrong, and the
    errors of where it is read from.
    """
    for source in params.parsed_sources:
        if isinstance(source, GallerySource):
            journal.add(Item(source.name, "page", host_key(url), url) for url in source.start)
        elif isinstance(source, FolderSource):
            _add(journal, _files(source))
        elif isinstance(source, UrlListSource):
            mark = (
                f"{source.model_dump_json(include={'list', 'format', 'columns', 'image'})} {_changed_at(source.list)}"
            )
            if journal.listed(source.name) != mark:
                with _opened(source.list, params) as file:
                    _add(journal, _listed(file, source))
                journal.write_listed(source.name, mark)


def _add(journal: Journal, items: Iterator[Item]) -> None:
    while batch := list(islice(items, _BATCH)):
        journal.add(batch)


def _listed(file: BinaryIO, source: UrlListSource) -> Iterator[Item]:
    for image in read_url_list(file, source):
        about = {"licence": image.licence, "author": image.author, "identity": image.identity, "md5": image.md5}
        said = {name: value for name, value in about.items() if value is not None}
        yield Item(source.name, "image", host_key(image.url), image.url, about=said or None)


def _files(source: FolderSource) -> Iterator[Item]:
    top = Path(source.path).expanduser().absolute()
    if not top.is_dir():
        raise SourceError(f"source '{source.name}': {top} {'is not a folder' if top.exists() else 'does not exist'}")
    for parent, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and name.lower() not in _NOT_IMAGES:
                yield Item(source.name, "file", LOCAL_HOST, str(Path(parent, name)))


def _changed_at(place: str) -> str:
    if _STORAGE_URL.match(place) or _WEB_URL.match(place):
        return ""
    try:
        status = Path(place).expanduser().stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


@contextmanager
def _opened(place: str, params: CrawlParams) -> Iterator[BinaryIO]:
    if _WEB_URL.match(place):
        yield io.BytesIO(asyncio.run(_downloaded(place, params)))
    elif _STORAGE_URL.match(place):
        folder, _, name = place.rpartition("/")
        yield io.BytesIO(open_storage(folder).get(name))
    else:
        try:
            file = Path(place).expanduser().open("rb")
        except OSError as error:
            raise SourceError(f"the list {place} cannot be read: {(error.strerror or str(error)).lower()}") from None
        with file:
            yield file


async def _downloaded(url: str, params: CrawlParams) -> bytes:
    agent, allow = user_agent(params.contact), params.network.allow
    async with HttpClient(user_agent=agent, allow=allow, max_bytes=MAX_LIST_BYTES, total_s=LIST_TIMEOUT_S) as client:
        return (await client.get(url)).body
