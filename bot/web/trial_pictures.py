"""The pictures that a trial leaves in its folder, where that is on this machine's disk."""

from __future__ import annotations

import json
from pathlib import Path

from infra.storage import StorageError, open_storage

PICTURES = ("roc", "confusion", "calibration", "curves")  # two tall ones, two wide ones

_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_BYTES = 4 << 20


def pictures_in(folder: str) -> list[str]:
    """Which there are. folder: the URL of a trial's."""
    return [name for name in PICTURES if _file(folder, f"{name}.png") is not None]


def pictured_epoch(folder: str) -> int | None:
    """Which epoch all but the curves show: the best by the sweep's metric; None: unknown. It is in the summary that
    `tune.trial_folder` leaves, whose own reader imports more than a server needs."""
    file = _file(folder, "trial.json")
    try:
        epoch = json.loads(file.read_bytes())["best_epoch"] if file else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return epoch if isinstance(epoch, int) and epoch > 0 else None


def picture(folder: str, name: str) -> bytes | None:
    """A PNG; None where there is none, or what lies there is none. name: of PICTURES."""
    file = _file(folder, f"{name}.png") if name in PICTURES else None
    try:
        data = file.read_bytes() if file else b""
    except OSError:
        return None
    return data if data.startswith(_PNG) else None


def _file(folder: str, name: str) -> Path | None:
    if folder.startswith("s3:"):
        return None
    try:
        path = open_storage(folder).local_path(name)
        return path if path is not None and path.is_file() and path.stat().st_size <= _MOST_BYTES else None
    except (StorageError, OSError):
        return None
