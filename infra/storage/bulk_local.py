"""Bulk puts into a folder: files get their names at once, and one sync of the whole disk makes them durable."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.mounts import file_system_of
from infra.storage.contract import TEMPORARY_PREFIX, check_key
from infra.storage.local import LocalStorage

SYNC_THREADS = 8  # where files are synced one by one: so many wait for the disk at once


@dataclass
class _Disk:
    """A file system that objects were put on; a folder may span several (mounts, bind mounts)."""

    descriptor: int  # of a folder on it, opened before the first write: syncfs reports the errors since then
    syncs_whole: bool
    unsynced: list[Path] = field(default_factory=list)  # where it does not: what the next flush must sync


class LocalBulkWriter:
    """A :class:`infra.storage.bulk.BulkWriter` over files.

    An fsync a file costs one flush of the disk each; syncfs(2) costs one for all of them.
    """

    def __init__(self, storage: LocalStorage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._disks: dict[int, _Disk] = {}
        self._folders: dict[str, tuple[str, _Disk]] = {}  # folder of keys ▶ where it is, known to be inside
        self._trusts_files = True

    def __reduce__(self) -> tuple[type[LocalBulkWriter], tuple[LocalStorage]]:
        return LocalBulkWriter, (self._storage,)

    def __repr__(self) -> str:
        return f"LocalBulkWriter({self.url!r})"

    @property
    def url(self) -> str:
        return self._storage.url

    @property
    def is_quick(self) -> bool:
        return True

    def put(self, key: str, data: bytes) -> None:
        check_key(key)
        folder_key, _, name = key.rpartition("/")
        known = self._folders.get(folder_key)
        with self._storage.clear_errors("store", key):
            try:
                folder, disk = known or self._open_folder(key, folder_key)
                path = f"{folder}/{name}"
                if not (self._trusts_files and _size(path) == len(data)):
                    _write(folder, path, data)
            except FileNotFoundError:
                if known is None:
                    raise
                self._folders.pop(folder_key, None)  # somebody removed it meanwhile
                self.put(key, data)
                return
            if not disk.syncs_whole:
                with self._lock:
                    disk.unsynced.append(Path(path))

    def flush(self) -> None:
        with self._lock:
            batches = [(disk, disk.unsynced) for disk in self._disks.values()]
            for disk, _ in batches:
                disk.unsynced = []
        try:
            with self._storage.clear_errors("flush", ""):
                for disk, files in batches:
                    if disk.syncs_whole:
                        _syncfs(disk.descriptor)
                    else:
                        _sync_each(files)
        except BaseException:
            # What the kernel failed to write it forgets: a file of the right size may hold anything from now on.
            self._trusts_files = False
            with self._lock:
                for disk, files in batches:
                    disk.unsynced = files + disk.unsynced
            raise

    def close(self) -> None:
        with self._lock:
            for disk in self._disks.values():
                os.close(disk.descriptor)
            self._disks, self._folders = {}, {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    def _open_folder(self, key: str, folder_key: str) -> tuple[str, _Disk]:
        """The folder of `key`, made where it is missing, looked at once: that it is inside, and on which disk."""
        folder = self._storage.path_of(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        device = folder.stat().st_dev
        with self._lock:
            disk = self._disks.get(device)
            if disk is None:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                disk = self._disks[device] = _Disk(descriptor, _can_sync_whole(folder))
            self._folders[folder_key] = (str(folder), disk)
            return self._folders[folder_key]


def _write(folder: str, path: str, data: bytes) -> None:
    """Under another name first, by bare system calls: a crawl does this for every image."""
    temporary = f"{folder}/{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 – Path.replace would say nothing more
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _size(path: str) -> int | None:
    """The length of the file, None where there is none.

    A power cut leaves a file that was never flushed empty or short, so a name alone does not say that it is there.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        found = os.lstat(path)  # a link would be replaced, not followed
        return found.st_size if stat.S_ISREG(found.st_mode) else None
    return None


def _libc_syncfs() -> Callable[[int], int] | None:
    """syncfs(2), which Python does not have; None where the system has none either."""
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):
        return None
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    return function


_SYNCFS = _libc_syncfs()


def _can_sync_whole(folder: Path) -> bool:
    """Whether syncfs reaches the disk behind `folder`: the kernel tells no FUSE program of it, but of each fsync."""
    if _SYNCFS is None:
        return False
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    return not (file_system_of(os.path.realpath(folder), table) or "").startswith("fuse")


def _syncfs(descriptor: int) -> None:
    assert _SYNCFS is not None
    if _SYNCFS(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _sync_each(files: list[Path]) -> None:
    """fsync the files, then the folders that hold their names, since any of those may be new too."""
    folders = {folder for file in files for folder in file.parents}
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        for paths in (files, sorted(folders)):
            list(pool.map(_fsync, paths))


def _fsync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):  # removed meanwhile; a folder above ours that we may not read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what CIFS says of folders
            raise
    finally:
        os.close(descriptor)
