"""`s3://`: objects in a bucket of AWS or of any S3 server."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.storage.contract import (
    TEMPORARY_PREFIX,
    ObjectNotFound,
    StorageError,
    check_key,
    check_share_time,
    is_safe_key,
)
from infra.storage.s3_server import ATTEMPTS, LOST_RACE, NOT_FOUND, RACING, error_code, failed_call, new_client, refusal

log = logging.getLogger(__name__)


class S3Storage:
    """Objects in `bucket` below `prefix`.

    Some S3 servers ignore `If-None-Match: *` without a word. The first `put_if_absent` therefore tries it on an
    object of its own; on a server that ignores it, `put_if_absent` looks and then puts: **not safe against two
    writers racing for one key**, which is said once in the log. Content-addressed keys do not mind.
    """

    def __init__(self, bucket: str, prefix: str, url: str) -> None:
        self.url = url
        self.bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._lock = threading.Lock()
        self._client_of: tuple[int, Any] | None = None
        self._has_if_none_match: bool | None = None
        self._bucket_seen = False

    def __reduce__(self) -> tuple[type[S3Storage], tuple[str, str, str]]:
        return S3Storage, (self.bucket, self._prefix.rstrip("/"), self.url)

    def __repr__(self) -> str:
        return f"S3Storage({self.url!r})"

    def put(self, key: str, data: bytes) -> None:
        with self._clear_errors("store", key):
            self._client.put_object(Bucket=self.bucket, Key=self.full_key(key), Body=data)
            self._bucket_seen = True

    def put_if_absent(self, key: str, data: bytes) -> bool:
        full = self.full_key(key)
        with self._clear_errors("store", key):
            if self.exists(key):
                return False
            if self._server_knows_if_none_match():
                return self._put_conditionally(full, data)
            self._client.put_object(Bucket=self.bucket, Key=full, Body=data)
            return True

    def get(self, key: str) -> bytes:
        from botocore.exceptions import ConnectionError, HTTPClientError, IncompleteReadError

        full = self.full_key(key)
        with self._clear_errors("read", key):
            for attempt in range(1, ATTEMPTS + 1):
                answer = self._client.get_object(Bucket=self.bucket, Key=full)
                try:
                    data: bytes = answer["Body"].read()
                except (IncompleteReadError, ConnectionError, HTTPClientError):
                    # The SDK retries requests, but not a body that breaks off.
                    if attempt == ATTEMPTS:
                        raise
                else:
                    self._bucket_seen = True
                    return data
        raise AssertionError("unreachable")

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except ObjectNotFound:
            return False
        return True

    def size(self, key: str) -> int:
        full = self.full_key(key)
        with self._clear_errors("look up", key):
            length: int = self._client.head_object(Bucket=self.bucket, Key=full)["ContentLength"]
            self._bucket_seen = True
            return length

    def list(self, prefix: str = "") -> Iterator[str]:
        with self._clear_errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for item in page.get("Contents", []):
                    key = item["Key"].removeprefix(self._prefix)
                    if is_safe_key(key):
                        yield key

    def delete(self, key: str) -> None:
        full = self.full_key(key)
        with self._clear_errors("delete", key):
            self._client.delete_object(Bucket=self.bucket, Key=full)

    def share(self, key: str, expires_s: int) -> str:
        full = self.full_key(key)
        check_share_time(expires_s)
        self.size(key)  # a link is signed here, without the server: nothing else would notice that nothing is there
        with self._clear_errors("share", key):
            link: str = self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self.bucket, "Key": full}, ExpiresIn=expires_s
            )
            return link

    def local_path(self, key: str) -> Path | None:
        check_key(key)
        return None

    def full_key(self, key: str) -> str:
        """The key in the bucket. Raises UnsafeKey."""
        return self._prefix + check_key(key)

    @property
    def _client(self) -> Any:
        """This process's client; one made before a fork must not be used after it."""
        with self._lock:
            if self._client_of is None or self._client_of[0] != os.getpid():
                self._client_of = (os.getpid(), new_client())
            return self._client_of[1]

    def _put_conditionally(self, full: str, data: bytes) -> bool:
        from botocore.exceptions import ClientError

        writer = secrets.token_hex(8)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._client.put_object(
                    Bucket=self.bucket, Key=full, Body=data, IfNoneMatch="*", Metadata={"writer": writer}
                )
            except ClientError as error:
                code, retries = error_code(error), error.response["ResponseMetadata"].get("RetryAttempts", 0)
                if code in LOST_RACE:
                    # When an answer was lost and the SDK sent the request again, the object in the way may be our own.
                    return bool(retries) and self._written_by(full, writer)
                # 409: another conditional write is under way; whether it wins is not known yet (S3 asks to try again).
                if code not in RACING or attempt == ATTEMPTS:
                    raise
            else:
                return True
        raise AssertionError("unreachable")

    def _written_by(self, full: str, writer: str) -> bool:
        found = self._client.head_object(Bucket=self.bucket, Key=full)
        return bool(found.get("Metadata", {}).get("writer") == writer)

    def _server_knows_if_none_match(self) -> bool:
        from botocore.exceptions import ClientError

        if self._has_if_none_match is None:
            probe = f"{self._prefix}{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
            self._client.put_object(Bucket=self.bucket, Key=probe, Body=b"")
            try:
                self._client.put_object(Bucket=self.bucket, Key=probe, Body=b"", IfNoneMatch="*")
                known = False
            except ClientError as error:
                if error_code(error) not in LOST_RACE | {"NotImplemented", "501"}:
                    raise
                known = error_code(error) in LOST_RACE
            finally:
                self._client.delete_object(Bucket=self.bucket, Key=probe)
            if not known:
                log.warning(
                    "%s: this S3 server ignores If-None-Match; two writers racing for one key may both win", self.url
                )
            self._has_if_none_match = known
        return self._has_if_none_match

    @contextmanager
    def _clear_errors(self, verb: str, key: str) -> Iterator[None]:
        """Whatever the SDK raises ▶ one line that says what could not be done, where, and what to do."""
        from botocore.exceptions import BotoCoreError, ClientError

        what = f"cannot {verb} '{key}' in {self.url}" if key else f"cannot {verb} {self.url}"
        try:
            yield
        except ClientError as error:
            raise self._explained(error, what, key) from None
        except BotoCoreError as error:
            raise failed_call(what, error) from None

    def _explained(self, error: Any, what: str, key: str) -> StorageError:
        code = error_code(error)
        if code in NOT_FOUND and self._bucket_is_there():
            return ObjectNotFound(f"'{key}' is not in {self.url}")
        if code in NOT_FOUND:
            code = "NoSuchBucket"
        message = error.response.get("Error", {}).get("Message")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return refusal(what, self.bucket, code, status, message)

    def _bucket_is_there(self) -> bool:
        """A 404 to a HEAD does not tell a missing object from a missing bucket, so the bucket is asked for, once."""
        from botocore.exceptions import BotoCoreError, ClientError

        if not self._bucket_seen:
            try:
                self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                return error_code(error) not in NOT_FOUND | {"NoSuchBucket"}
            except BotoCoreError:
                return True
            self._bucket_seen = True
        return True
