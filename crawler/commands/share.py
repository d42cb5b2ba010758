"""The command `share`: links by which others can look at images of a dataset."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from crawler.commands.frame import add_command
from infra.cli import Subparsers

if TYPE_CHECKING:
    from crawler.manifest import Manifest, ManifestRow

MIN_PREFIX = 8  # hex digits of a sha256: fewer would soon mean another image as a dataset grows

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        _run,
        "share",
        "links to images of a dataset, one a line",
        "On S3 a link works for anybody who holds it, until it expires. In a folder it is a file:// URI.",
        "python -m crawler share s3://bucket/faces 3f2a9c01 --expires 12h",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument(
        "images",
        metavar="SHA256|KEY",
        nargs="+",
        help=f"an image: its sha256, or {MIN_PREFIX} digits of it, or its key",
    )
    parser.add_argument(
        "--expires",
        metavar="TIME",
        type=duration_s,
        default="1h",
        help="such as 30m, 12h or 7d, at most 7d; default 1h",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line: sha256, key, link, expires")


def duration_s(text: str) -> int:
    """An argparse type: `90s`, `30m`, `12h`, `7d` ▶ seconds."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time such as 30m, 12h or 7d")
    return int(match[1]) * _UNITS_S[match[2]]


def _run(args: argparse.Namespace) -> int:
    import json
    from datetime import UTC, datetime, timedelta

    from crawler.manifest import read_manifest
    from infra.storage import open_storage

    manifest = read_manifest(args.url)
    storage = open_storage(args.url)
    rows = [_find(manifest, image) for image in args.images]
    now = datetime.now(UTC).replace(microsecond=0)
    links = [storage.share(row.key, args.expires) for row in rows]
    for row, link in zip(rows, links, strict=True):
        expires = None if link.startswith("file:") else (now + timedelta(seconds=args.expires)).isoformat()
        told = {"sha256": row.sha256, "key": row.key, "link": link, "expires": expires}
        print(json.dumps(told, ensure_ascii=False) if args.json else link)
    return 0


def _find(manifest: Manifest, image: str) -> ManifestRow:
    """The one image that `image` names. Raises UserError."""
    import pyarrow.compute as pc

    from crawler.manifest import rows_of
    from infra.errors import UserError

    where = f"{manifest.url} v{manifest.version:04d}"
    if "/" in image:
        found = manifest.table.filter(pc.equal(manifest.table["key"], image))
    elif re.fullmatch(f"[0-9a-f]{{{MIN_PREFIX},64}}", image.lower()):
        found = manifest.table.filter(pc.starts_with(manifest.table["sha256"], image.lower()))
    else:
        raise UserError(f"'{image}' names no image: give a sha256, at least {MIN_PREFIX} hex digits of it, or a key")
    if found.num_rows == 0:
        raise UserError(f"no image '{image}' in {where}")
    if found.num_rows > 1:
        raise UserError(f"'{image}' begins the sha256 of {found.num_rows} images in {where}; give more digits")
    return rows_of(found)[0]
