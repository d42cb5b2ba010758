"""What every storage promises: the interface, its errors, and which keys are safe.

UserError
└── StorageError            the storage cannot do it: no permission, no such bucket, wrong credentials …
    ├── StorageUnavailable  it cannot do it now, and may do it later: unreachable, overloaded, full
    ├── ObjectNotFound      nothing is stored under this key
    └── UnsafeKey           the key could leave the storage's root, or would not mean the same everywhere
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from infra.errors import UserError

TEMPORARY_PREFIX = ".tmp-"  # a backend's own files; no key may have a part that begins so, and no listing shows one
MAX_KEY_BYTES = 1024  # S3's limit for a whole key
MAX_PART_BYTES = 255  # the limit of common file systems for one name
MAX_SHARE_S = 7 * 24 * 3600  # the longest life of a link with S3's signature version 4

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class StorageError(UserError):
    """A storage cannot do what was asked; the line says what, where, and what to do."""


class StorageUnavailable(StorageError):  # noqa: N818 – says what the storage is
    """The storage is unreachable, overloaded or full: long work pauses and tries the same call again."""


class ObjectNotFound(StorageError):  # noqa: N818 – says what happened
    """Nothing is stored under this key."""


class UnsafeKey(StorageError):  # noqa: N818 – says what the key is
    """A key that could leave the root, or that would not mean the same on every backend."""


class Storage(Protocol):
    """Whole objects under keys. Safe to use from many threads; may be pickled, and carries no credentials then.

    Every method raises UnsafeKey for a key that :func:`check_key` refuses, and StorageError for trouble with the
    storage itself.
    """

    @property
    def url(self) -> str:
        """The URL it was opened with; it never holds a secret."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, replacing what was there; a reader sees the old object or the new, never half."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store `data` unless something is there already. True when this call stored it.

        Of several writers racing for one key exactly one gets True (S3 servers that ignore `If-None-Match` aside:
        see :class:`infra.storage.s3.S3Storage`).
        """

    def get(self, key: str) -> bytes:
        """The whole object. Raises ObjectNotFound."""

    def exists(self, key: str) -> bool:
        """Whether an object is stored under `key`."""

    def size(self, key: str) -> int:
        """The object's length in bytes. Raises ObjectNotFound."""

    def list(self, prefix: str = "") -> Iterator[str]:
        """Every key that begins with `prefix` (a plain string, not a folder), in the order of its UTF-8 bytes."""

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is fine."""

    def share(self, key: str, expires_s: int) -> str:
        """A link by which anybody who holds it may read this one object. Raises ObjectNotFound.

        S3: a presigned https:// or http:// address that works for `expires_s` seconds (1 to :data:`MAX_SHARE_S`; less
        where the credentials themselves expire sooner). A folder: a file:// URI, good for as long as the file is there.
        """

    def local_path(self, key: str) -> Path | None:
        """Where the object lies (or would lie) on disk, so that a reader can map it; None when it is not on disk."""


def check_key(key: str) -> str:
    """`key` itself when it is safe on every backend; raises UnsafeKey.

    A key is a relative POSIX path in its plainest form: `images/ab/abcd.jpg`.
    """
    problem = _problem_of(key)
    if problem:
        raise UnsafeKey(f"the key {_shown(key)} is refused: {problem}")
    return key


def check_share_time(expires_s: int) -> None:
    """Raises StorageError where no link can live that long."""
    if not 1 <= expires_s <= MAX_SHARE_S:
        raise StorageError(f"a link lives from 1 second to {MAX_SHARE_S // 86_400} days, not {expires_s} seconds")


def _problem_of(key: str) -> str | None:
    parts = key.split("/")
    try:
        encoded = [part.encode("utf-8") for part in parts]
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    problems = (
        (not key, "it is empty"),
        (key.startswith("/"), "it is absolute; keys are relative to the storage's root"),
        ("\\" in key, "it holds a backslash; parts are separated by /"),
        (_CONTROL.search(key), "it holds a control character"),
        (".." in parts, "it holds '..', which could leave the storage's root"),
        ("" in parts or "." in parts, "it holds an empty part or '.'"),
        (any(part.startswith(TEMPORARY_PREFIX) for part in parts), f"{TEMPORARY_PREFIX}… is kept for temporary files"),
        (sum(map(len, encoded)) + len(parts) - 1 > MAX_KEY_BYTES, f"it is longer than {MAX_KEY_BYTES} bytes"),
        (max(map(len, encoded)) > MAX_PART_BYTES, f"one of its parts is longer than {MAX_PART_BYTES} bytes"),
    )
    return next((problem for found, problem in problems if found), None)


def is_safe_key(key: str) -> bool:
    """Whether :func:`check_key` accepts `key`."""
    return _problem_of(key) is None


def _shown(key: str) -> str:
    text = ascii(key) if _CONTROL.search(key) or not key.isprintable() else repr(key)
    return text if len(text) <= 120 else text[:100] + "…'"
