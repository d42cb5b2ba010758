"""The quick way into a storage for thousands of objects that are named by their content."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self


class BulkWriter(Protocol):
    """Puts whose key says what the bytes are, so that the same key always has the same bytes. For many threads at once.

    Made for one process: after a fork open a new one. It may be pickled, and carries no credentials then. As a context
    manager it flushes at the end of a block that raised nothing.

    Raises StorageUnavailable where trying again later may help (unreachable, overloaded, full) and any other
    StorageError where it will not (no such bucket, denied, wrong credentials).
    """

    @property
    def url(self) -> str:
        """The URL it was opened with; it never holds a secret."""

    @property
    def is_quick(self) -> bool:
        """Whether a put is but a few system calls (into a folder), for which a thread costs more than it saves."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`; an object that is there already is left as it is.

        A process that is killed in the middle leaves nothing under the key. What a power cut leaves is settled by
        :meth:`flush`.
        """

    def flush(self) -> None:
        """Whatever `put` returned from before this call survives a power cut after it.

        Where it raises, everything put since the last flush that succeeded must be put again.
        """

    def close(self) -> None:
        """Let go of files and connections; does not flush."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def open_bulk_writer(url: str, timeout_s: float = 60.0) -> BulkWriter:
    """A bulk writer for the storage at `url`; nothing is created or contacted before the first put.

    timeout_s: how long one request to an S3 server may take before the server counts as unavailable. Raises
    StorageError for a URL that names no storage.
    """
    from infra.storage.local import LocalStorage
    from infra.storage.s3 import S3Storage
    from infra.storage.urls import open_storage

    storage = open_storage(url)
    if isinstance(storage, LocalStorage):
        from infra.storage.bulk_local import LocalBulkWriter

        return LocalBulkWriter(storage)
    assert isinstance(storage, S3Storage)
    from infra.storage.bulk_s3 import S3BulkWriter

    return S3BulkWriter(storage, timeout_s)
