"""Fixtures for everybody: the real faces, and the real servers of `tests.servers`."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.servers import postgres_server, postgres_url, s3_server, s3_url

__all__ = ["faces_dir", "postgres_server", "postgres_url", "s3_server", "s3_url"]

# An example takes what it takes on a busy machine; speed is measured in benchmarks/.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")

# Two torch threads that wait for each other beside Ray's processes make a test ten times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Hundreds of commands are started, and each would compile the project anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A run in the background of a script ignores Ctrl-C, and so would every command that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def faces_dir() -> Path:
    """The folder of real and generated faces that `FACES_DIR` names, by default one beside the project."""
    folder = Path(os.environ.get("FACES_DIR", ROOT.parent / "shared" / "data" / "faces"))
    if not (folder / "index.csv").is_file():
        pytest.skip(f"no faces at {folder}: set FACES_DIR to a folder with an index.csv")
    return folder
