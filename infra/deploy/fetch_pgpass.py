"""Writes ~/.pgpass from AWS's parameter store, for a head node: `python -m infra.deploy.fetch_pgpass /faces/pgpass`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from infra.cli import run_cli
from infra.errors import UserError


class ParameterError(UserError):
    """The parameter cannot be read."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see `--help`. The content is shown nowhere. Raises ParameterError."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy.fetch_pgpass",
        description="Write the password file of PostgreSQL's clients (~/.pgpass) from a parameter of AWS's parameter "
        "store, whose value is such a file: HOST:PORT:DATABASE:USER:PASSWORD.",
    )
    parser.add_argument("parameter", metavar="PARAMETER", help="such as /faces/pgpass")
    name = parser.parse_args(argv).parameter

    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)
    except (BotoCoreError, ClientError) as error:
        raise ParameterError(f"cannot read the parameter {name}: {error}; check AWS_REGION and the role") from None
    path = Path.home() / ".pgpass"
    unfinished = path.with_name(".pgpass.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    unfinished.write_text(found["Parameter"]["Value"].strip() + "\n")
    unfinished.replace(path)
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    run_cli(main)
