"""The S3 server that the environment names: how it is reached, and its refusals as one line each."""

from __future__ import annotations

import os
from typing import Any

from infra.storage.contract import StorageError, StorageUnavailable

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
ATTEMPTS = 4  # of a request, with the SDK's growing pauses; a server that is not there is known in one to five seconds
CONNECTIONS = 32  # threads that may talk at once before they wait for each other

NOT_FOUND = {"NoSuchKey", "404", "NotFound"}
LOST_RACE = {"PreconditionFailed", "412"}
RACING = {"ConditionalRequestConflict", "OperationAborted", "409"}

_CREDENTIALS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "AuthorizationHeaderMalformed",
}
_DENIED = {"AccessDenied", "401", "403", "Unauthorized", "Forbidden", "AllAccessDisabled"}
# Statuses of 500 and above pass too. QuotaExceeded is the disk that is full.
_PASSING = {"RequestTimeout", "SlowDown", "Throttling", "TooManyRequests", "QuotaExceeded", "429"}


def new_session() -> Any:
    """A boto3 session: it finds credentials and settings as every AWS tool does (environment, profile, role)."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.session.Session()
    except (BotoCoreError, ValueError) as error:  # such as a profile that is not there
        raise StorageError(f"the S3 settings (AWS_…) in the environment cannot be used: {error}") from None


def new_client(session: Any = None, region: str | None = None) -> Any:
    """A boto3 client. region: instead of the one that the environment names. Raises StorageError."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    custom = is_custom()
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "max_attempts": ATTEMPTS},
        # The checksums boto3 sends by default since 1.36 are not understood by every S3 server.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Host names like bucket.localhost resolve nowhere, so a server of one's own is spoken to by path.
        s3={"addressing_style": "path" if custom else "auto"},
        # Links would be signed with version 2 otherwise, which newer regions refuse.
        signature_version="s3v4",
    )
    try:
        return (session or new_session()).client(
            "s3", region_name=region or ("us-east-1" if custom else None), config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise StorageError(
            f"the S3 settings (AWS_…) in the environment cannot be used: {error}; write http://host:port"
        ) from None


def is_custom() -> bool:
    """Whether the environment names a server of one's own rather than AWS."""
    return endpoint() != "AWS"


def endpoint() -> str:
    """The server, as a line names it."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS"


def error_code(error: Any) -> str:
    """The S3 error code in a botocore ClientError."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def refusal(what: str, bucket: str, code: str, status: int | None, message: str | None) -> StorageError:
    """What the server's answer means. what: "cannot store 'k' in s3://b"; code: S3's, or the HTTP status as text."""
    if code == "NoSuchBucket":
        return StorageError(f"{what}: there is no bucket '{bucket}' at {endpoint()}; create it first")
    if code in _CREDENTIALS:
        return StorageError(
            f"{what}: {endpoint()} does not accept the credentials ({code}); "
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION"
        )
    if code in _DENIED:
        return StorageError(
            f"{what}: {endpoint()} denies access; check that the credentials in the environment may use "
            f"the bucket '{bucket}'"
        )
    kind = StorageUnavailable if code in _PASSING or (status or 0) >= 500 or status == 429 else StorageError
    return kind(f"{what}: {endpoint()} answered {code} ({message or 'no reason given'})")


def failed_call(what: str, error: Exception) -> StorageError:
    """What a botocore error that is not the server's answer means."""
    from botocore.exceptions import (
        ConnectionError,
        HTTPClientError,
        IncompleteReadError,
        NoCredentialsError,
        PartialCredentialsError,
        ResponseStreamingError,
    )

    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return no_credentials(what)
    if isinstance(error, (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)):
        return unreachable(what, str(error), passing="CERTIFICATE_VERIFY_FAILED" not in str(error))
    return StorageError(f"{what}: {error}")


def no_credentials(what: str) -> StorageError:
    """Nobody said who is asking."""
    return StorageError(f"{what}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment")


def unreachable(what: str, reason: str, passing: bool = True) -> StorageError:
    """No answer. passing: waiting may help, as it would not with a certificate that is not trusted."""
    kind = StorageUnavailable if passing else StorageError
    return kind(f"{what}: {endpoint()} cannot be reached; check AWS_ENDPOINT_URL and that the server runs ({reason})")
