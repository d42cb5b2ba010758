"""The storage contract, held against a folder and against a real S3 server; and what each does when things go wrong."""

from __future__ import annotations

import http.server
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UserError
from infra.storage import ObjectNotFound, StorageError, StorageUnavailable, UnsafeKey, check_key, join_url, open_storage

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage of each kind."""
    return f"file://{tmp_path}/store" if request.param == "file" else str(request.getfixturevalue("s3_url"))


class TestEveryStorage:
    def test_what_is_put_is_got(self, url: str) -> None:
        storage = open_storage(url)
        blob = bytes(range(256)) * 1000
        storage.put("images/ab/abcd.jpg", blob)
        assert storage.get("images/ab/abcd.jpg") == blob
        assert storage.size("images/ab/abcd.jpg") == len(blob)
        assert storage.exists("images/ab/abcd.jpg")
        storage.put("images/ab/abcd.jpg", b"")
        assert storage.get("images/ab/abcd.jpg") == b""
        assert storage.size("images/ab/abcd.jpg") == 0

    def test_what_is_absent(self, url: str) -> None:
        storage = open_storage(url)
        assert list(storage.list()) == []
        storage.put("a/b", b"x")
        for key in ("nothing", "a", "a/b/c", "a/bb"):
            assert not storage.exists(key)
            storage.delete(key)
            for read in (storage.get, storage.size):
                with pytest.raises(ObjectNotFound, match=f"'{key}' is not in "):
                    read(key)
        assert storage.get("a/b") == b"x"

    def test_delete(self, url: str) -> None:
        storage = open_storage(url)
        storage.put("a/b", b"x")
        storage.delete("a/b")
        storage.delete("a/b")
        assert not storage.exists("a/b")

    def test_list_is_sorted_by_bytes_and_prefix_is_a_plain_string(self, url: str) -> None:
        storage = open_storage(url)
        keys = ["a-b", "a.txt", "a/b", "a/b.c", "a/b0", "a0", "b/ü ñ+%20?x=1&y.jpg", "b/😀", "b/\uffee", "z/1/2/3/4"]
        for key in reversed(keys):
            storage.put(key, key.encode())
        assert list(storage.list()) == sorted(keys, key=str.encode)
        assert list(storage.list("a")) == ["a-b", "a.txt", "a/b", "a/b.c", "a/b0", "a0"]
        assert list(storage.list("a/b")) == ["a/b", "a/b.c", "a/b0"]
        assert list(storage.list("a/b/")) == []
        assert list(storage.list("z/1/2")) == ["z/1/2/3/4"]
        assert list(storage.list("../")) == []
        assert [storage.get(key).decode() for key in keys] == keys

    def test_more_keys_than_one_page_holds_put_by_many_threads(self, url: str) -> None:
        storage = open_storage(url)
        keys = [f"k/{i:04d}" for i in range(1005)]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda key: storage.put(key, b""), keys))
        assert list(storage.list()) == keys

    def test_put_if_absent_stores_once(self, url: str) -> None:
        storage = open_storage(url)
        assert storage.put_if_absent("a/b", b"first") is True
        assert storage.put_if_absent("a/b", b"second") is False
        assert storage.get("a/b") == b"first"
        storage.delete("a/b")
        assert storage.put_if_absent("a/b", b"third") is True
        assert list(storage.list()) == ["a/b"]

    def test_racing_processes_store_each_key_exactly_once(self, url: str) -> None:
        writers, keys = 4, [f"race/{i}" for i in range(12)]
        context = multiprocessing.get_context("spawn")
        with context.Manager() as manager:
            start = manager.Barrier(writers)
            with context.Pool(writers) as pool:
                jobs = [pool.apply_async(race, (open_storage(url), keys, i, start)) for i in range(writers)]
                won = [job.get(timeout=120) for job in jobs]
        storage = open_storage(url)
        for index, key in enumerate(keys):
            winners = [writer for writer in range(writers) if won[writer][index]]
            assert len(winners) == 1, f"{key} was won by {winners}"
            assert storage.get(key) == content(winners[0])
        assert list(storage.list()) == sorted(keys)

    def test_a_reader_never_sees_half_an_object(self, url: str) -> None:
        storage = open_storage(url)
        old, new = b"o" * 200_000, b"n" * 300_000
        storage.put("k", old)
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                storage.put("k", new)
                storage.put("k", old)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen = {storage.get("k") for _ in range(100)}
        finally:
            stop.set()
            writer.join()
        assert seen <= {old, new}

    def test_it_travels_without_credentials(self, url: str) -> None:
        storage = open_storage(url)
        storage.put("a", b"1")
        pickled = pickle.dumps(storage)
        for secret in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
            assert os.environ.get(secret, "no such").encode() not in pickled
        there = pickle.loads(pickled)
        assert there.url == storage.url == url
        assert there.get("a") == b"1"

    @pytest.mark.parametrize("key", ["", "/a", "../a", "a/../b", "a//b", "a/./b", "a/", "a\\b", "a\0b", "a\nb", ".."])
    def test_unsafe_keys(self, url: str, key: str) -> None:
        storage = open_storage(url)
        for use in (storage.get, storage.exists, storage.size, storage.delete, storage.local_path):
            with pytest.raises(UnsafeKey):
                use(key)
        for store in (storage.put, storage.put_if_absent):
            with pytest.raises(UnsafeKey):
                store(key, b"")


def content(writer: int) -> bytes:
    return f"writer {writer} ".encode() * 5000


def race(storage: Any, keys: list[str], writer: int, start: Any) -> list[bool]:
    start.wait(timeout=60)
    return [storage.put_if_absent(key, content(writer)) for key in keys]


class TestKeys:
    @given(st.text(max_size=30))
    def test_a_safe_key_stays_below_any_root(self, key: str) -> None:
        try:
            check_key(key)
        except UnsafeKey as error:
            assert "\n" not in str(error) and str(error).isprintable()
            return
        assert os.path.normpath(f"/root/{key}") == f"/root/{key}"

    @pytest.mark.parametrize("key", ["k" * 256, "/".join(["k" * 200] * 6), "é" * 128, "\ud800", ".tmp-1/a", "a/.tmp-x"])
    def test_keys_that_not_every_backend_could_hold(self, key: str) -> None:
        with pytest.raises(UnsafeKey):
            check_key(key)

    def test_plain_keys_are_accepted(self) -> None:
        for key in ("a", "a/b.c", "..a", "a/...", ".hidden", "ü ñ+%20?x=1&y", "k" * 255):
            assert check_key(key) == key


class TestUrls:
    @pytest.mark.parametrize("text", ["file://./data", "data", "./data", "data/", "FILE://data"])
    def test_local_spellings_mean_one_folder(self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        storage = open_storage(text)
        storage.put("k", b"1")
        assert storage.local_path("k") == tmp_path / "data" / "k"
        assert storage.url == text
        monkeypatch.chdir("/")
        assert storage.get("k") == b"1", "a storage must not move with the current directory"
        assert pickle.loads(pickle.dumps(storage)).get("k") == b"1"

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("gs://bucket/a", "no storage speaks gs://"),
            ("http://host/a", "no storage speaks http://"),
            ("s3:/bucket", "lacks the slashes"),
            ("file:/x", "lacks the slashes"),
            ("s3://", "names no place"),
            ("file://", "names no place"),
            ("", "names no place"),
            ("s3://Bucket/a", "not a bucket name"),
            ("s3://b/a", "not a bucket name"),
            ("s3://bucket/../a", "'..'"),
            ("s3://bucket/a?endpoint_override=host:1", "AWS_ENDPOINT_URL"),
            ("s3://AKIA123:very-secret@bucket/a", "must not hold credentials"),
        ],
    )
    def test_refused_in_one_line(self, url: str, said: str) -> None:
        with pytest.raises(StorageError) as refused:
            open_storage(url)
        assert said in str(refused.value)
        assert "very-secret" not in str(refused.value)
        assert isinstance(refused.value, UserError)

    def test_join(self) -> None:
        assert join_url("file://./runs", "a/b") == "file://./runs/a/b"
        assert join_url("file://./runs/", "a", "b/") == "file://./runs/a/b"
        assert join_url("s3://bucket", "x") == "s3://bucket/x"
        assert join_url("runs", "x") == "runs/x"
        assert join_url("file:///", "x") == "file:///x"
        assert join_url("/", "x") == "/x"
        assert join_url("runs") == "runs"
        with pytest.raises(UnsafeKey):
            join_url("file://./runs", "../x")
        with pytest.raises(UnsafeKey):
            join_url("file://./runs", "/etc")

    def test_opening_creates_nothing(self, tmp_path: Path) -> None:
        storage = open_storage(f"{tmp_path}/deep/store")
        assert not storage.exists("k") and list(storage.list()) == []
        assert list(tmp_path.iterdir()) == []


class TestFolder:
    def test_symbolic_links_out_of_the_root_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "secret").mkdir()
        (tmp_path / "secret/file").write_bytes(b"secret")
        storage = open_storage(str(tmp_path / "store"))
        storage.put("inside/k", b"1")
        (tmp_path / "store/out").symlink_to(tmp_path / "secret")
        (tmp_path / "store/file").symlink_to(tmp_path / "secret/file")
        (tmp_path / "store/sibling").symlink_to(tmp_path / "store-2")
        (tmp_path / "store/fine").symlink_to("inside/k")
        for key in ("out/file", "file", "sibling/k"):
            with pytest.raises(UnsafeKey, match="symbolic link"):
                storage.get(key)
            with pytest.raises(UnsafeKey, match="symbolic link"):
                storage.put(key, b"overwritten")
        assert (tmp_path / "secret/file").read_bytes() == b"secret"
        assert list(storage.list()) == ["fine", "inside/k"]
        assert storage.get("fine") == b"1"

    def test_a_root_that_is_itself_a_link_is_fine(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        storage = open_storage(str(tmp_path / "link"))
        storage.put("k", b"1")
        assert storage.get("k") == b"1"

    def test_a_file_as_root(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"")
        with pytest.raises(StorageError, match="is a file"):
            open_storage(f"file://{tmp_path}/f")

    def test_an_object_cannot_have_a_folders_name(self, tmp_path: Path) -> None:
        storage = open_storage(str(tmp_path))
        storage.put("a/b", b"1")
        for store in (storage.put, storage.put_if_absent):
            for key in ("a", "a/b/c", "a/b/c/d"):
                with pytest.raises(StorageError, match="name of a folder"):
                    store(key, b"2")
        assert list(storage.list()) == ["a/b"]
        assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]

    def test_temporary_files_are_never_listed(self, tmp_path: Path) -> None:
        storage = open_storage(str(tmp_path))
        storage.put("a/b", b"1")
        (tmp_path / "a/.tmp-0123456789abcdef").write_bytes(b"left by a killed writer")
        (tmp_path / "a/odd\nname").write_bytes(b"")
        assert list(storage.list()) == ["a/b"]

    def test_objects_are_as_readable_as_the_umask_says(self, tmp_path: Path) -> None:
        before = os.umask(0o022)
        try:
            open_storage(str(tmp_path)).put("k", b"")
        finally:
            os.umask(before)
        assert (tmp_path / "k").stat().st_mode & 0o777 == 0o644

    @pytest.mark.parametrize("method", ["put", "put_if_absent"])
    def test_a_disk_that_takes_no_more(self, tmp_path: Path, method: str) -> None:
        """A real write that breaks off half way: the kernel's limit on file size."""
        program = f"""
import resource
from infra.storage import open_storage, StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
storage = open_storage({str(tmp_path)!r})
storage.put("old", b"fits")
for key in ("new", "old2"):
    try:
        storage.{method}(key, b"x" * 100_000)
    except StorageError as error:
        print(error)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.stdout.count("file too large; raise the file size limit") == 2, done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["old"], "half a file was left behind"

    def test_a_folder_that_cannot_be_made(self) -> None:
        # The kernel lets nobody, not even root, make a folder here.
        with pytest.raises(StorageError, match=r"^cannot store 'k' in file:///proc/1/nope: "):
            open_storage("file:///proc/1/nope").put("k", b"")

    def test_put_if_absent_without_hard_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_links(*_: object, **__: object) -> None:
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)  # what exFAT answers
        storage = open_storage(str(tmp_path))
        keys = [f"d/{i:02d}" for i in range(50)]
        start = threading.Barrier(8)

        def write(writer: int) -> list[bool]:
            won = []
            for key in keys:
                start.wait(timeout=60)
                won.append(storage.put_if_absent(key, content(writer)))
            return won

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(write, range(8)))
        for index, key in enumerate(keys):
            winners = [writer for writer in range(8) if won[writer][index]]
            assert len(winners) == 1, f"{key} was won by {winners}"
            assert storage.get(key) == content(winners[0])
        assert list(storage.list()) == keys


class TestS3:
    def test_prefixes_do_not_see_each_other(self, s3_url: str) -> None:
        open_storage(f"{s3_url}/a").put("k", b"1")
        open_storage(f"{s3_url}/ab").put("k", b"2")
        assert list(open_storage(f"{s3_url}/a").list()) == ["k"]
        assert sorted(open_storage(s3_url).list()) == ["a/k", "ab/k"]
        assert open_storage(s3_url).local_path("a/k") is None

    def test_a_bucket_that_is_not_there(self, s3_url: str) -> None:
        storage = open_storage("s3://no-such-bucket/a")
        for use in (storage.get, storage.exists, storage.size, lambda key: storage.put(key, b""), storage.delete):
            with pytest.raises(StorageError, match="there is no bucket 'no-such-bucket' at http://") as raised:
                use("k")
            assert not isinstance(raised.value, ObjectNotFound)
        with pytest.raises(StorageError, match=r"^cannot list s3://no-such-bucket/a: there is no bucket"):
            list(storage.list())

    def test_wrong_credentials(self, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
        with pytest.raises(StorageError, match="check AWS_ACCESS_KEY_ID") as raised:
            open_storage(s3_url).put("k", b"")
        assert "wrong-secret" not in str(raised.value)

    def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(StorageError, match="no credentials; set AWS_ACCESS_KEY_ID"):
            open_storage("s3://bucket").put("k", b"")

    def test_a_server_that_is_not_there(self, stub: Stub) -> None:
        stub.close()
        with pytest.raises(StorageUnavailable, match=r"http://127.0.0.1:\d+ cannot be reached; check AWS_ENDPOINT_URL"):
            open_storage("s3://bucket").get("k")

    def test_a_server_that_ignores_if_none_match(self, stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
        stub.ignores_if_none_match = True
        storage = open_storage("s3://bucket/p")
        assert storage.put_if_absent("k", b"1") is True
        assert storage.put_if_absent("k", b"2") is False
        assert storage.put_if_absent("k2", b"3") is True
        assert stub.objects == {"/bucket/p/k": b"1", "/bucket/p/k2": b"3"}, "the probe must leave nothing behind"
        assert caplog.text.count("ignores If-None-Match") == 1

    def test_a_lost_answer_does_not_lose_the_race(self, stub: Stub) -> None:
        """The server stored the object, the answer got lost, the repeated request meets our own object."""
        stub.loses_answers = 1
        storage = open_storage("s3://bucket/p")
        assert storage.put_if_absent("k", b"1") is True
        assert stub.loses_answers == 0
        assert storage.put_if_absent("k", b"2") is False

    def test_a_body_that_breaks_off_is_read_again(self, stub: Stub) -> None:
        storage = open_storage("s3://bucket")
        storage.put("k", b"x" * 1000)
        stub.breaks_bodies = 2
        assert storage.get("k") == b"x" * 1000
        stub.breaks_bodies = 99
        with pytest.raises(StorageUnavailable, match="cannot read 'k'"):
            storage.get("k")


class Stub(http.server.ThreadingHTTPServer):
    """An S3 server reduced to objects in a dict, that misbehaves on demand."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StubHandler)
        self.objects: dict[str, bytes] = {}
        self.writers: dict[str, str] = {}
        self.ignores_if_none_match = False
        self.loses_answers = 0
        self.breaks_bodies = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class StubHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        conditional = self.headers.get("If-None-Match") == "*" and not self.server.ignores_if_none_match
        if conditional and self.path in self.server.objects:
            return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        self.server.objects[self.path] = data
        self.server.writers[self.path] = self.headers.get("x-amz-meta-writer", "")
        if conditional and self.server.loses_answers:
            self.server.loses_answers -= 1
            self.close_connection = True
            return None
        return self.answer(200)

    def do_GET(self) -> None:
        if self.path not in self.server.objects:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return self.answer(200, self.server.objects[self.path])

    def do_HEAD(self) -> None:
        self.answer(200 if self.path in self.server.objects or self.path == "/bucket" else 404)

    def do_DELETE(self) -> None:
        self.server.objects.pop(self.path, None)
        self.answer(204)

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-amz-meta-writer", self.server.writers.get(self.path, ""))
        self.end_headers()
        if self.command == "GET" and self.server.breaks_bodies:
            self.server.breaks_bodies -= 1
            self.close_connection = True
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    server = Stub()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stub")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "stub")
    yield server
    server.close()
