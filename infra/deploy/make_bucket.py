"""Makes a bucket, unless it is there, on the S3 server that the environment names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from infra.cli import run_cli


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see `--help`. Raises StorageError."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy.make_bucket", description="Make a bucket, unless it is there."
    )
    parser.add_argument("bucket", metavar="BUCKET")
    bucket = parser.parse_args(argv).bucket

    from botocore.exceptions import BotoCoreError, ClientError

    from infra.storage.s3_server import NOT_FOUND, error_code, failed_call, new_client, refusal

    client = new_client()
    what = f"cannot make the bucket '{bucket}'"
    try:
        try:
            client.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error_code(error) not in NOT_FOUND:
                raise
            client.create_bucket(Bucket=bucket)
            print(f"made the bucket '{bucket}'")
        else:
            print(f"the bucket '{bucket}' is there")
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        message = error.response.get("Error", {}).get("Message")
        raise refusal(what, bucket, error_code(error), status, message) from None
    except BotoCoreError as error:
        raise failed_call(what, error) from None
    return 0


if __name__ == "__main__":
    run_cli(main)
