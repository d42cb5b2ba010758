"""Bulk puts, held against a folder and a real S3 server: many threads, killed processes, full disks, outages."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import http.server
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.storage import (
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
    UnsafeKey,
    bulk_local,
    open_bulk_writer,
    open_storage,
)
from tests.servers import s3_hang, s3_outage

ROOT = Path(__file__).resolve().parent.parent


def key_of(data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    return f"images/{digest[:2]}/{digest}.jpg"


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage of each kind."""
    return f"file://{tmp_path}/store" if request.param == "file" else str(request.getfixturevalue("s3_url"))


class TestEveryBulkWriter:
    def test_32_threads_put_objects_of_which_many_are_the_same(self, url: str) -> None:
        blobs = [os.urandom(50_000) for _ in range(100)]
        with open_bulk_writer(url) as writer, ThreadPoolExecutor(32) as pool:
            for put in [pool.submit(writer.put, key_of(blob), blob) for _ in range(5) for blob in blobs]:
                put.result()
            for flush in [pool.submit(writer.flush) for _ in range(8)]:
                flush.result()
        storage = open_storage(url)
        assert list(storage.list()) == sorted(map(key_of, blobs))
        assert all(storage.get(key_of(blob)) == blob for blob in blobs)

    def test_what_is_there_is_left_as_it_is(self, url: str) -> None:
        storage = open_storage(url)
        storage.put("images/k", b"first")
        with open_bulk_writer(url) as writer:
            writer.put("images/k", b"other")
            writer.put("images/empty", b"")
        assert storage.get("images/k") == b"first"
        assert storage.get("images/empty") == b""

    def test_keys_mean_the_same_as_to_the_storage(self, url: str) -> None:
        keys = ["a-b", "a.txt", "b/ü ñ+%20?x=1&y.jpg", "b/a~b*", "b/😀"]
        with open_bulk_writer(url) as writer:
            for key in keys:
                writer.put(key, key.encode())
            for key in ("", "/a", "../a", "a//b", ".tmp-a"):
                with pytest.raises(UnsafeKey):
                    writer.put(key, b"")
        storage = open_storage(url)
        assert [storage.get(key).decode() for key in keys] == keys

    def test_it_travels_and_is_shown_without_credentials(self, url: str) -> None:
        writer = open_bulk_writer(url)
        writer.put("images/a", b"1")
        pickled = pickle.dumps(writer)
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
            secret = os.environ.get(name, "no such")
            assert secret.encode() not in pickled
            assert secret not in repr(writer)
        there = pickle.loads(pickled)
        assert there.url == writer.url == url
        there.put("images/b", b"2")
        there.flush()
        assert list(open_storage(url).list()) == ["images/a", "images/b"]

    def test_a_closed_writer_may_be_used_again(self, url: str) -> None:
        writer = open_bulk_writer(url)
        for number in range(2):
            writer.put(f"images/{number}", b"1")
            writer.flush()
            writer.close()
        assert list(open_storage(url).list()) == ["images/0", "images/1"]

    def test_opening_contacts_and_creates_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        for url in (f"{tmp_path}/store", "s3://bucket/prefix"):
            with open_bulk_writer(url):
                pass
        assert list(tmp_path.iterdir()) == []

    def test_a_killed_writer_leaves_no_broken_object(self, url: str) -> None:
        """`kill -9` while eight threads are in the middle of their puts."""
        for _ in range(3):
            writer = subprocess.Popen(
                [sys.executable, "-c", KILLED_WRITER, url], stdout=subprocess.PIPE, cwd=ROOT, text=True
            )
            assert writer.stdout is not None
            for _ in range(8):
                assert writer.stdout.readline() == "put\n"
            writer.kill()
            writer.communicate()
        storage = open_storage(url)
        keys = list(storage.list())
        assert len(keys) >= 24
        assert [key for key in keys if key_of(storage.get(key)) != key] == []

    def test_the_process_ends_in_peace(self, url: str) -> None:
        """obstore's threads must not take the process down at its exit."""
        program = f"""
from infra.storage import open_bulk_writer
writer = open_bulk_writer({url!r})
for number in range(20):
    writer.put(f"images/{{number}}", b"x" * 1000)
"""
        for _ in range(3):
            done = subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
            )
            assert (done.returncode, done.stderr) == (0, "")


KILLED_WRITER = """
import hashlib, os, sys, threading
from infra.storage import open_bulk_writer

writer = open_bulk_writer(sys.argv[1])

def work():
    while True:
        data = os.urandom(2_000_000)
        digest = hashlib.sha256(data).hexdigest()
        writer.put(f"images/{digest[:2]}/{digest}.jpg", data)
        os.write(1, b"put\\n")

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


class TestFolder:
    def test_a_full_disk_is_worth_waiting_for(self, small_disk: Path) -> None:
        storage = open_storage(str(small_disk))
        with open_bulk_writer(str(small_disk)) as writer:
            writer.put("ballast", b"x" * 900_000)
            for put in (writer.put, storage.put, storage.put_if_absent):
                with pytest.raises(StorageUnavailable, match="no space left on device; free some space"):
                    put("images/k", b"x" * 500_000)
            assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["ballast"]
            storage.delete("ballast")
            writer.put("images/k", b"x" * 500_000)
        assert storage.size("images/k") == 500_000

    def test_a_limit_of_ones_own_is_not(self, tmp_path: Path) -> None:
        program = f"""
import resource
from infra.storage import open_bulk_writer, StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    open_bulk_writer({str(tmp_path)!r}).put("k", b"x" * 100_000)
except StorageError as error:
    print(type(error).__name__, error)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.stdout.startswith("StorageError cannot store 'k' in "), done.stderr
        assert list(tmp_path.iterdir()) == []

    def test_what_a_power_cut_left_short_is_put_again(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        (tmp_path / "images/k").write_bytes(b"")
        with open_bulk_writer(str(tmp_path)) as writer:
            writer.put("images/k", b"whole")
        assert (tmp_path / "images/k").read_bytes() == b"whole"

    def test_a_symbolic_link_out_of_the_root_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir()
        (tmp_path / "store/images").symlink_to(tmp_path)
        with pytest.raises(UnsafeKey, match="symbolic link"), open_bulk_writer(str(tmp_path / "store")) as writer:
            writer.put("images/k", b"1")

    def test_flush_syncs_every_disk_that_was_written_to(self, small_disk: Path, syncs: list[int]) -> None:
        with open_bulk_writer(str(small_disk.parent)) as writer:
            writer.put("k", b"1")
            writer.put("small/k", b"1")
            writer.flush()
            assert sorted(syncs) == sorted([small_disk.parent.stat().st_dev, small_disk.stat().st_dev])

    def test_without_syncfs_every_file_and_its_folders_are_synced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk_local, "_SYNCFS", None)  # as on macOS
        synced: set[int] = set()
        fsync = os.fsync

        def watched(descriptor: int) -> None:
            synced.add(os.fstat(descriptor).st_ino)
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", watched)
        (tmp_path / "images").mkdir()
        (tmp_path / "images/old").write_bytes(b"1")
        writer = open_bulk_writer(str(tmp_path))
        for key in ("images/new", "images/old"):
            writer.put(key, b"1")
        assert not synced, "a put waits for no disk"
        writer.flush()
        expected = {path.stat().st_ino for path in (tmp_path, *tmp_path.rglob("*"))}
        assert expected <= synced
        synced.clear()
        writer.flush()
        assert not synced, "what was flushed is not flushed again"

    def test_after_a_failed_flush_nothing_is_trusted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The kernel reports a failed write once; what the file holds afterwards is anybody's guess."""
        writer = open_bulk_writer(str(tmp_path))
        writer.put("k", b"whole")

        def failing(_: int) -> int:
            ctypes.set_errno(errno.EIO)
            return -1

        with monkeypatch.context() as broken:
            broken.setattr(bulk_local, "_SYNCFS", failing)
            with pytest.raises(StorageError, match=r"^cannot flush .*: input/output error$"):
                writer.flush()
        (tmp_path / "k").write_bytes(b"?????")
        writer.put("k", b"whole")
        writer.flush()
        assert (tmp_path / "k").read_bytes() == b"whole"


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The devices that syncfs is called for, which it then really syncs."""
    if bulk_local._SYNCFS is None:
        pytest.skip("no syncfs here")
    devices: list[int] = []
    syncfs = bulk_local._SYNCFS

    def watched(descriptor: int) -> int:
        devices.append(os.fstat(descriptor).st_dev)
        return syncfs(descriptor)

    monkeypatch.setattr(bulk_local, "_SYNCFS", watched)
    return devices


class TestS3:
    def test_an_outage_is_worth_waiting_for(self, s3_url: str) -> None:
        storage, writer = open_storage(s3_url), open_bulk_writer(s3_url)
        writer.put("images/before", b"1")
        storage.exists("images/before")
        calls: list[Callable[[], object]] = [
            lambda: writer.put("images/during", b"2"),
            lambda: storage.put("images/during", b"2"),
            lambda: storage.put_if_absent("images/during", b"2"),
            lambda: storage.get("images/before"),
            lambda: storage.exists("images/before"),
            lambda: list(storage.list()),
        ]
        start = time.monotonic()
        with s3_outage(), ThreadPoolExecutor(len(calls)) as pool:
            errors = [call.exception() for call in [pool.submit(call) for call in calls]]
        assert time.monotonic() - start < 30
        for error in errors:
            assert isinstance(error, StorageUnavailable), repr(error)
            assert "cannot be reached; check AWS_ENDPOINT_URL" in str(error)
        writer.put("images/after", b"3")
        assert list(storage.list()) == ["images/after", "images/before"]

    def test_a_server_that_says_nothing(self, s3_url: str) -> None:
        writer = open_bulk_writer(s3_url, timeout_s=1)
        writer.put("images/before", b"1")
        start = time.monotonic()
        with s3_hang(), pytest.raises(StorageUnavailable, match="it did not answer in time"):
            writer.put("images/during", b"2")
        assert time.monotonic() - start < 5
        writer.put("images/after", b"3")

    def test_wrong_credentials(
        self, s3_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
        with pytest.raises(StorageError, match=r"does not accept the credentials .*check AWS_ACCESS_KEY_ID") as raised:
            open_bulk_writer(s3_url).put("k", b"")
        assert not isinstance(raised.value, StorageUnavailable)
        assert "wrong-secret" not in caplog.text + "".join(traceback.format_exception(raised.value))

    def test_a_bucket_that_is_not_there(self, s3_url: str) -> None:
        with pytest.raises(StorageError, match="there is no bucket 'no-such-bucket' at http://") as raised:
            open_bulk_writer("s3://no-such-bucket/a").put("k", b"")
        assert not isinstance(raised.value, (StorageUnavailable, ObjectNotFound))

    def test_no_credentials(self, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(StorageError, match="no credentials; set AWS_ACCESS_KEY_ID"):
            open_bulk_writer("s3://bucket").put("k", b"")

    def test_a_broken_address(self, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9")
        with pytest.raises(StorageError, match="write http://host:port"):
            open_bulk_writer("s3://bucket").put("k", b"")

    @pytest.mark.parametrize("kind", ["static", "process"])
    def test_credentials_of_a_profile(
        self, s3_url: str, s3_server: dict[str, str], nowhere: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """As boto3 finds them: none in the variables, a profile with keys or with a program that prints some."""
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server["AWS_ENDPOINT_URL"])
        monkeypatch.setenv("AWS_PROFILE", "faces")
        keys = {"AccessKeyId": s3_server["AWS_ACCESS_KEY_ID"], "SecretAccessKey": s3_server["AWS_SECRET_ACCESS_KEY"]}
        (nowhere / ".aws").mkdir()
        if kind == "static":
            lines = f"aws_access_key_id={keys['AccessKeyId']}\naws_secret_access_key={keys['SecretAccessKey']}\n"
        else:
            expiration = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
            (nowhere / "keys.json").write_text(json.dumps({"Version": 1, "Expiration": expiration, **keys}))
            lines = f"credential_process=cat {nowhere}/keys.json\n"
        (nowhere / ".aws/credentials").write_text(f"[faces]\n{lines}")
        open_bulk_writer(s3_url).put("k", b"1")
        assert open_storage(s3_url).get("k") == b"1"

    def test_variables_that_boto3_does_not_know_change_nothing(
        self, s3_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", os.environ["AWS_ENDPOINT_URL"])
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
        monkeypatch.setenv("AWS_BUCKET", "elsewhere")
        monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
        open_bulk_writer(s3_url).put("k", b"1")
        assert open_storage(s3_url).get("k") == b"1"


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder; no AWS variable is set."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


class TestS3Answers:
    """What radosgw cannot be brought to answer comes from a server reduced to a list of answers."""

    @pytest.mark.parametrize(
        ("answer", "unavailable", "said"),
        [
            ((503, "SlowDown"), True, r"answered SlowDown \(said so\)"),
            ((500, "InternalError"), True, "answered InternalError"),
            ((507, "XMinioStorageFull"), True, "answered XMinioStorageFull"),
            ((502, ""), True, r"answered 502 \(no reason given\)"),
            ((429, ""), True, "answered 429"),
            ((400, "RequestTimeout"), True, "answered RequestTimeout"),
            ((403, "QuotaExceeded"), True, "answered QuotaExceeded"),
            ((403, "AccessDenied"), False, "denies access; check that the credentials"),
            ((401, ""), False, "denies access"),
            ((400, "ExpiredToken"), False, r"does not accept the credentials \(ExpiredToken\)"),
            ((404, "NoSuchBucket"), False, "create it first"),
            ((400, "EntityTooLarge"), False, "answered EntityTooLarge"),
            ((301, ""), False, "sends the request elsewhere; check AWS_REGION"),
            ((0, ""), True, "cannot be reached"),
        ],
    )
    def test_refusals(self, stub: Stub, answer: tuple[int, str], unavailable: bool, said: str) -> None:
        stub.answers = [answer] * 99
        with pytest.raises(StorageError, match=rf"^cannot store 'k' in s3://bucket/p: .*http://.*{said}") as raised:
            open_bulk_writer("s3://bucket/p").put("k", b"1")
        assert isinstance(raised.value, StorageUnavailable) == unavailable

    @pytest.mark.parametrize("answer", [(503, "SlowDown"), (500, "InternalError"), (0, ""), (409, "Conflict")])
    def test_passing_trouble_is_not_even_seen(self, stub: Stub, answer: tuple[int, str]) -> None:
        stub.answers = [answer]
        open_bulk_writer("s3://bucket/p").put("k", b"1")
        assert stub.objects == {"/bucket/p/k": b"1"}

    def test_a_server_that_knows_no_conditions(self, stub: Stub) -> None:
        stub.answers = [(501, "NotImplemented")] * 4
        writer = open_bulk_writer("s3://bucket/p")
        writer.put("a", b"1")
        before = len(stub.conditions)
        writer.put("b", b"2")
        assert stub.conditions[before:] == [None], "it is asked once, not for every object"
        assert stub.objects == {"/bucket/p/a": b"1", "/bucket/p/b": b"2"}

    def test_the_ordinary_storage_says_the_same(self, stub: Stub) -> None:
        storage = open_storage("s3://bucket/p")
        stub.answers = [(403, "QuotaExceeded")]
        with pytest.raises(StorageUnavailable, match="answered QuotaExceeded"):
            storage.put("k", b"1")
        stub.answers = [(403, "AccessDenied")]
        with pytest.raises(StorageError, match="denies access") as raised:
            storage.put("k", b"1")
        assert not isinstance(raised.value, StorageUnavailable)


class Stub(http.server.ThreadingHTTPServer):
    """Takes puts once it has given the answers, each a status and an error code; status 0 breaks the connection."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StubHandler)
        self.answers: list[tuple[int, str]] = []
        self.objects: dict[str, bytes] = {}
        self.conditions: list[str | None] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class StubHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.conditions.append(self.headers.get("If-None-Match"))
        status, code = self.server.answers.pop(0) if self.server.answers else (200, "")
        if status == 0:
            self.close_connection = True
            return
        body = f"<Error><Code>{code}</Code><Message>said so</Message></Error>".encode() if code else b""
        if status == 200:
            self.server.objects[self.path] = data
        self.send_response(status)
        self.send_header("ETag", '"x"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stub(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    server = Stub()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stub")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "stub")
    yield server
    server.shutdown()
    server.server_close()
