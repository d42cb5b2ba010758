"""What a decoder process is told to do. The parent names these without importing what they need: it decodes nothing."""

from __future__ import annotations

from pathlib import Path

from crawler.facts import Checks, ImageFacts, Refusal


def prepare(checks: Checks) -> None:
    """See `crawler.examine.prepare_process`."""
    from crawler.examine import prepare_process

    prepare_process(checks)


def examine_bytes(data: bytes, checks: Checks) -> ImageFacts | Refusal:
    """See `crawler.examine.examine_bytes`."""
    from crawler.examine import examine_bytes

    return examine_bytes(data, checks)


def examine_file(path: Path, checks: Checks) -> ImageFacts | Refusal:
    """See `crawler.examine.examine_file`."""
    from crawler.examine import examine_file

    return examine_file(path, checks)
