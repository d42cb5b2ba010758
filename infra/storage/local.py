"""`file://`: objects as files below one folder."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.storage.contract import (
    TEMPORARY_PREFIX,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
    UnsafeKey,
    check_key,
    check_share_time,
    is_safe_key,
)

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
# Full, or a disk behind a network that does not answer: these pass.
_PASSING = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
}

_A_FOLDERS_NAME = "an object cannot have the name of a folder of objects"
_NO_RIGHT = "give this user the right to it, or name another folder"
_CURES = {
    errno.ENOSPC: "free some space, or name a folder on another disk",
    errno.EDQUOT: "free some space, or name a folder on another disk",
    errno.EFBIG: "raise the file size limit (ulimit -f)",
    errno.EISDIR: _A_FOLDERS_NAME,
    errno.ENOTDIR: _A_FOLDERS_NAME,
    errno.EEXIST: _A_FOLDERS_NAME,
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: "name a folder on a writable disk",
    errno.EMFILE: "raise the open files limit (ulimit -n)",
}


class LocalStorage:
    """Objects as files below `root`, which is made by the first put.

    A key cannot be both an object and a folder of objects (`a` beside `a/b`), as it could on S3. File contents are
    flushed to disk before they get their name; the name itself is as durable as the file system makes a rename.
    """

    def __init__(self, root: Path, url: str) -> None:
        """root: made absolute now, so that a later change of directory, or another process, means the same folder."""
        self.url = url
        self._root = Path(os.path.realpath(root))
        if self._root.exists() and not self._root.is_dir():
            raise StorageError(f"{url} is a file, not a folder; name the folder that holds the objects")

    def __reduce__(self) -> tuple[type[LocalStorage], tuple[Path, str]]:
        return LocalStorage, (self._root, self.url)

    def __repr__(self) -> str:
        return f"LocalStorage({str(self._root)!r})"

    def put(self, key: str, data: bytes) -> None:
        path = self.path_of(key)
        with self.clear_errors("store", key), temporary_file(path, data) as temporary:
            os.replace(temporary, path)  # noqa: PTH105 – Path.replace would say nothing more

    def put_if_absent(self, key: str, data: bytes) -> bool:
        path = self.path_of(key)
        with self.clear_errors("store", key):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if path.exists():
                return False
            with temporary_file(path, data) as temporary:
                return _link_unless_there(temporary, path)

    def get(self, key: str) -> bytes:
        path = self.path_of(key)
        with self.clear_errors("read", key):
            return path.read_bytes()

    def exists(self, key: str) -> bool:
        path = self.path_of(key)
        with self.clear_errors("look up", key):
            return path.is_file()

    def size(self, key: str) -> int:
        path = self.path_of(key)
        with self.clear_errors("look up", key):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            return path.stat().st_size

    def list(self, prefix: str = "") -> Iterator[str]:
        with self.clear_errors("list", prefix):
            yield from self._walk(self._root, "", prefix)

    def delete(self, key: str) -> None:
        path = self.path_of(key)
        with self.clear_errors("delete", key), suppress(FileNotFoundError, NotADirectoryError):
            if not path.is_dir():
                path.unlink()

    def share(self, key: str, expires_s: int) -> str:
        check_share_time(expires_s)
        if not self.exists(key):
            raise ObjectNotFound(f"'{key}' is not in {self.url}")
        return self.path_of(key).as_uri()

    def local_path(self, key: str) -> Path | None:
        return self.path_of(key)

    def path_of(self, key: str) -> Path:
        """The only place where a path is made from a key."""
        path = self._root / check_key(key)
        if not self._holds(path):
            raise UnsafeKey(f"the key '{key}' is refused: a symbolic link leads it out of {self.url}")
        return path

    def _holds(self, path: Path) -> bool:
        real = os.path.realpath(path)
        return real.startswith(os.path.join(self._root, ""))  # noqa: PTH118 – a prefix ending in exactly one "/"

    def _walk(self, folder: Path, folder_key: str, prefix: str) -> Iterator[str]:
        try:
            with os.scandir(folder) as entries:
                # A folder's keys all begin with "name/"; sorted as that, the walk yields the whole tree in order.
                named = sorted(
                    (os.fsencode(e.name + "/") if e.is_dir(follow_symlinks=False) else os.fsencode(e.name), e)
                    for e in entries
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        for _, entry in named:
            key = folder_key + entry.name
            if entry.is_dir(follow_symlinks=False):
                below = key + "/"
                if not entry.name.startswith(TEMPORARY_PREFIX) and (
                    below.startswith(prefix) or prefix.startswith(below)
                ):
                    yield from self._walk(folder / entry.name, below, prefix)
            elif key.startswith(prefix) and is_safe_key(key) and entry.is_file() and self._is_inside(entry):
                yield key

    def _is_inside(self, entry: os.DirEntry[str]) -> bool:
        return not entry.is_symlink() or self._holds(Path(entry.path))

    @contextmanager
    def clear_errors(self, verb: str, key: str) -> Iterator[None]:
        """OSError ▶ one line that says what could not be done, where, and what to do."""
        try:
            yield
        except OSError as error:
            if verb != "store" and isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)):
                raise ObjectNotFound(f"'{key}' is not in {self.url}") from None
            what = f"cannot {verb} '{key}' in {self.url}" if key else f"cannot {verb} {self.url}"
            kind = StorageUnavailable if error.errno in _PASSING else StorageError
            raise kind(f"{what}: {_reason(error)}{_cure(error)}") from None


@contextmanager
def temporary_file(path: Path, data: bytes) -> Iterator[Path]:
    """`data`, flushed to disk, under a temporary name beside `path`; nothing is left of it afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    # tempfile would make it readable by its owner alone; an object is as readable as the umask says.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _link_unless_there(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return _rename_under_lock(temporary, path)
    return True


def _rename_under_lock(temporary: Path, path: Path) -> bool:
    """For file systems without hard links (exFAT, some FUSE mounts): a lock makes look-and-rename one step.

    The lock is the kernel's, so it goes away with a process that dies.
    """
    lock = os.open(path.parent / f"{TEMPORARY_PREFIX}lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return False
        os.replace(temporary, path)  # noqa: PTH105
        return True
    finally:
        os.close(lock)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _cure(error: OSError) -> str:
    cure = _CURES.get(error.errno or 0)
    return f"; {cure}" if cure else ""
