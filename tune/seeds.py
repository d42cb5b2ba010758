"""Randomness that is the same on every machine: seeds derived from seeds. No torch, as the driver imports it."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *parts: int | str) -> int:
    """A 32-bit seed that depends on `seed` and every part, the same on every machine."""
    digest = hashlib.sha256(":".join(map(str, (seed, *parts))).encode()).digest()
    return int.from_bytes(digest[:4], "big")
