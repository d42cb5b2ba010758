"""Real servers for tests, started once a session: PostgreSQL and an S3 server. Skips in one line where they are absent.

Use them through the fixtures: `postgres_url` (a database of its own for every test), `s3_url` (a prefix of its own for
every test, the S3 variables being set in the environment meanwhile). `s3_outage` stops the S3 server for a while.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_FOLDERS: dict[str, Path] = {}  # where the S3 servers that run keep their files, by address

DEV = Path(__file__).resolve().parent.parent / "infra" / "dev"


@contextmanager
def server(script: str) -> Iterator[dict[str, str]]:
    """Run `infra/dev/<script>` up and, in the end, down; yields the variables that it tells to export."""
    # Not pytest's tmp_path: a server may run as another user, who cannot reach into it.
    folder = Path(tempfile.mkdtemp(prefix="faces-"))
    try:
        up = subprocess.run([DEV / script, "up", folder], capture_output=True, text=True, timeout=180, check=False)
        if up.returncode != 0:
            reason = up.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            if "not installed" in reason[0]:
                pytest.skip(reason[0].removeprefix("error: "))
            pytest.fail(f"{script} did not start: {up.stderr}", pytrace=False)
        environment = dict(word.split("=", 1) for word in shlex.split(up.stdout) if "=" in word)
        if "AWS_ENDPOINT_URL" in environment:
            _FOLDERS[environment["AWS_ENDPOINT_URL"]] = folder
        yield environment
    finally:
        subprocess.run([DEV / script, "down", folder], check=False, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server's own database; take `postgres_url` unless the server itself is the subject."""
    with server("postgres.sh") as environment:
        yield environment["DATABASE_URL"]


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of an empty PostgreSQL database, for this test alone."""
    import sqlalchemy as sa

    name = f"test_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{postgres_server.rpartition('/')[0]}/{name}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, str]]:
    """The variables (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …, S3_URL) of a running S3 server with an empty bucket."""
    with server("radosgw.sh") as environment:
        yield environment


@pytest.fixture
def s3_url(s3_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty prefix on a real S3 server, for this test alone; the environment holds its credentials."""
    for name, value in s3_server.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return f"{s3_server['S3_URL']}/{uuid.uuid4().hex[:12]}"


@contextmanager
def s3_outage() -> Iterator[None]:
    """Nobody answers at the S3 server's address meanwhile (connection refused); afterwards it is back, objects and all.

    For a test that has `s3_url`, whose server is everybody's: the end of the block brings it back whatever happens.
    `stop_s3` and `start_s3` are its two halves, for outages that do not begin and end in one place; call `start_s3` in
    a `finally`.
    """
    stop_s3()
    try:
        yield
    finally:
        start_s3()


def stop_s3() -> None:
    """Kill the S3 server that the environment names, as a power cut would."""
    _gateway("stop-gateway")


def start_s3() -> None:
    """Bring it back at the same address; returns when it answers. One that runs already is left alone."""
    _gateway("start-gateway")


@contextmanager
def s3_hang() -> Iterator[None]:
    """The S3 server accepts connections and says nothing meanwhile."""
    process = int((_folder() / "radosgw.pid").read_text())
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def _gateway(command: str) -> None:
    done = subprocess.run(
        [DEV / "radosgw.sh", command, _folder()], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr


def _folder() -> Path:
    return _FOLDERS[os.environ["AWS_ENDPOINT_URL"]]
