"""Lists of addresses as people pass them on: text, CSV, Parquet, and FFHQ's own JSON."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

LICENCES = (  # as FFHQ spells them
    ("Attribution License", "https://creativecommons.org/licenses/by/2.0/"),
    ("Public Domain Mark", "https://creativecommons.org/publicdomain/mark/1.0/"),
    ("Attribution-NonCommercial License", "https://creativecommons.org/licenses/by-nc/2.0/"),
)


def as_text(urls: Sequence[str]) -> bytes:
    """One a line, with comments, blank lines, blanks at the ends and both kinds of line ends."""
    lines = [
        "# faces, collected by hand",
        "",
        *(f"  {url} " if i % 3 == 1 else url for i, url in enumerate(urls)),
        "#end",
    ]
    return "".join(line + ("\r\n" if number % 2 else "\n") for number, line in enumerate(lines)).encode()


def as_csv(urls: Sequence[str]) -> bytes:
    """The columns id, image_url, licence, author, title; UTF-8 with a BOM, cells with commas, quotes and line ends."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(["id", "image_url", "licence", "author", "title"])
    for number, url in enumerate(urls):
        writer.writerow([number, url, _licence(number)[1], _author(number), 'a "title", of\ntwo lines'])
    return buffer.getvalue().encode("utf-8-sig")


def as_parquet(urls: Sequence[str]) -> bytes:
    """The columns URL and TEXT of LAION, with license, author and an empty cell at the end of URL."""
    count = range(len(urls))
    table = pa.table(
        {
            "URL": [*urls, None],
            "TEXT": [f"portrait {number}" for number in count] + ["nothing"],
            "license": [_licence(number)[1] for number in count] + [None],
            "author": [_author(number) for number in count] + [None],
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def as_ffhq(files: Mapping[str, bytes], wrong_md5: Sequence[int] = ()) -> bytes:
    """`ffhq-dataset-v2.json` for `files` (URL ▶ bytes); the items numbered in `wrong_md5` carry a wrong checksum."""
    items = {}
    for number, (url, data) in enumerate(files.items()):
        md5 = hashlib.md5(data).hexdigest()
        if number in wrong_md5:
            md5 = hashlib.md5(b"another file").hexdigest()
        licence, licence_url = _licence(number)
        items[str(number)] = {
            "category": "training" if number % 7 else "validation",
            "metadata": {
                "photo_url": f"https://www.flickr.com/photos/someone/{number:05d}/",
                "photo_title": f"DSC_{number:04d}",
                "author": _author(number),
                "country": "",
                "license": licence,
                "license_url": licence_url,
                "date_uploaded": "2012-01-21",
                "date_crawled": "2018-10-10",
            },
            "image": _file(url, f"images1024x1024/00000/{number:05d}.png", len(data), md5, [1024, 1024]),
            "thumbnail": _file(f"{url}?thumbnail", f"thumbnails128x128/00000/{number:05d}.png", 1, md5, [128, 128]),
            "in_the_wild": {
                **_file(f"{url}?wild", f"in-the-wild-images/00000/{number:05d}.png", 1, md5, [2000, 1500]),
                "face_rect": [667, 410, 1438, 1181],
                "face_landmarks": [[562.5, 697.5]],
                "face_quad": [[371.1, 381.7], [371.1, 1224.6], [1214.0, 1224.6], [1214.0, 381.7]],
            },
        }
    return json.dumps(items).encode()


def _file(url: str, path: str, size: int, md5: str, pixels: list[int]) -> dict[str, object]:
    file: dict[str, object] = {"file_url": url, "file_path": path, "file_size": size, "file_md5": md5}
    return {**file, "pixel_size": pixels, "pixel_md5": "0" * 32}


def _licence(number: int) -> tuple[str, str]:
    return LICENCES[number % len(LICENCES)]


def _author(number: int) -> str:
    return f"Jürgen Müller, {number}"
