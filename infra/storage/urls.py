"""Storage URLs ▶ storages: the one place that knows which schemes there are."""

from __future__ import annotations

import re
from pathlib import Path

from infra.storage.contract import Storage, StorageError, check_key

ALLOWED = "file://./folder, file:///absolute/folder, a plain path, or s3://bucket/prefix"

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://(.*)$", re.DOTALL)
_BROKEN_SCHEME = re.compile(r"^(s3|file):", re.IGNORECASE)
_S3_PLACE = re.compile(r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?$", re.DOTALL)


def open_storage(url: str) -> Storage:
    """Open the storage that `url` names; nothing is created or contacted before the first use.

    `file://./runs` and `runs` are relative to the current directory of this moment; `~` is the home folder.
    `s3://bucket/prefix` is AWS, or any S3 server that `AWS_ENDPOINT_URL` names; credentials come from the
    environment, never from the URL. Raises StorageError for anything else.
    """
    scheme, place = _split(url)
    if scheme == "file":
        from infra.storage.local import LocalStorage

        return LocalStorage(Path(place).expanduser(), url)
    from infra.storage.s3 import S3Storage

    bucket, prefix = _split_s3(url, place)
    return S3Storage(bucket, prefix, url)


def join_url(url: str, *parts: str) -> str:
    """`url` with `parts` below it: `join_url("file://./runs", "a/b", "c")` is `file://./runs/a/b/c`.

    Raises UnsafeKey when a part would leave `url`, StorageError when `url` names no storage.
    """
    _split(url)
    keys = [check_key(part.rstrip("/")) for part in parts]
    if not keys:
        return url
    base = url if url.endswith("///") or url == "/" else url.rstrip("/") + "/"
    return base + "/".join(keys)


def _split(url: str) -> tuple[str, str]:
    """(scheme, what follows), a plain path being a file."""
    match = _SCHEME.match(url)
    if match:
        scheme, place = match[1].lower(), match[2]
    elif _BROKEN_SCHEME.match(url):
        raise StorageError(f"'{url}' lacks the slashes of a storage URL; use {ALLOWED}")
    else:
        scheme, place = "file", url
    if scheme not in ("file", "s3"):
        raise StorageError(f"no storage speaks {scheme}://; use {ALLOWED}")
    if not place or "\0" in place:
        raise StorageError(f"'{scheme}://' names no place; use {ALLOWED}")
    return scheme, place


def _split_s3(url: str, place: str) -> tuple[str, str]:
    bucket = place.partition("/")[0]
    if "@" in bucket:
        raise StorageError(
            "an s3:// URL must not hold credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
        )
    if "?" in place:
        raise StorageError(f"'{url.partition('?')[0]}?…': an s3:// URL takes no options; set AWS_ENDPOINT_URL instead")
    match = _S3_PLACE.match(place)
    if not match:
        raise StorageError(f"'{bucket}' is not a bucket name (3–63 of a–z, 0–9, '-', '.'); write s3://bucket/prefix")
    prefix = (match[2] or "").strip("/")
    return bucket, check_key(prefix) if prefix else ""


def absolute_url(url: str) -> str:
    """`url` as it holds on this machine whatever the current directory is; an s3:// URL is that already."""
    scheme, place = _split(url)
    return url if scheme == "s3" else f"file://{Path(place).expanduser().resolve()}"
