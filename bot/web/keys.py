"""API keys: a file of names and hashes that is read again when it changes; the keys themselves are nowhere."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
from hmac import compare_digest
from pathlib import Path

from infra.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LINE = re.compile(rf"({_NAME.pattern})\s+([0-9a-fA-F]{{64}})")
_MAX_BYTES = 1 << 20
_PREFIX = "faces_"  # so that scanners for leaked secrets, and people, know one when they see it

_log = logging.getLogger("bot.web")


class KeysError(UserError):
    """The file of API keys, or the name of a new one, cannot be used."""


class Keys:
    """path: of the file: lines `name sha256-of-key`, and comments after #. None: there are no keys.

    Raises KeysError for a file that cannot be used. Of one that is changed so later the good lines count, and of one
    that is gone none does: whoever is to lose a key loses it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, ...] | None = None
        self._keys: dict[str, bytes] = {}
        if path is not None:
            self._stamp = _stamp(path)
            self._keys, wrong = _read(path)
            if wrong:
                raise KeysError(_wrong_line(path, wrong[0]))

    def name_of(self, key: str) -> str | None:
        """Whose key this is; None for nobody's. As slow for a key that is nearly right as for one that is not."""
        self._refresh()
        given = hashlib.sha256(key.encode()).digest()
        found = None
        for name, known in self._keys.items():
            if compare_digest(given, known):
                found = name
        return found

    def __len__(self) -> int:
        return len(self._keys)

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._keys, wrong = _read(self._path)
            for line in wrong:
                _log.error("%s", _wrong_line(self._path, line))
        except KeysError as error:
            stamp = None
            if self._keys or self._stamp is not None:  # once, and not at each request
                _log.error("%s; no key counts until it can", error)
            self._keys = {}
        self._stamp = stamp


def add_key(path: Path, name: str) -> str:
    """A new key, which only its holder will know, with its hash in the file. Raises KeysError."""
    if not _NAME.fullmatch(name):
        raise KeysError(f"'{name[:80]}' cannot name a key: letters, digits and . _ @ - are allowed, 64 at most")
    text = ""
    if path.exists():
        known, _ = _read(path)
        text = path.read_text("utf-8")
        if name in known:
            raise KeysError(f"{path} has a key named {name} already; delete its line first to replace it")
    key = _PREFIX + secrets.token_urlsafe(32)
    line = f"{name} {hashlib.sha256(key.encode()).hexdigest()}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8", opener=_for_me_only) as file:
            file.write(line if not text or text.endswith("\n") else f"\n{line}")
    except OSError as error:
        raise KeysError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
    return key


def _for_me_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _stamp(path: Path) -> tuple[int, ...]:
    """Another one when the file has changed."""
    try:
        found = path.stat()
    except OSError as error:
        raise KeysError(_unreadable(path, error)) from None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> tuple[dict[str, bytes], list[int]]:
    """The keys, and the numbers of the lines that hold none."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise KeysError(_unreadable(path, error)) from None
    except UnicodeDecodeError:
        raise KeysError(f"web.keys_file {path} is not text") from None
    if len(data) > _MAX_BYTES:
        raise KeysError(f"web.keys_file {path} is larger than {_MAX_BYTES:,} bytes")
    keys: dict[str, bytes] = {}
    wrong = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        found = _LINE.fullmatch(content)
        if found and found[1] not in keys:
            keys[found[1]] = bytes.fromhex(found[2])
        elif content:
            wrong.append(number)
    return keys, wrong


def _unreadable(path: Path, error: OSError) -> str:
    return f"web.keys_file {path} cannot be read: {(error.strerror or str(error)).lower()}"


def _wrong_line(path: Path, number: int) -> str:
    """Without the line itself, which may be a key put there by mistake."""
    return f"web.keys_file {path}, line {number}: expected a new name and the SHA-256 of a key (python -m bot key NAME)"
