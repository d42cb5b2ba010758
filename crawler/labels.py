"""The words for what an image is and what it is for."""

from __future__ import annotations

LABELS = ("real", "fake")
SPLITS = ("train", "val", "test", "ood")
