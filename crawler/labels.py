"""The words for what an image is and what it is for, and the names that are needed where Arrow is not."""

from __future__ import annotations

LABELS = ("real", "fake")
SPLITS = ("train", "val", "test", "ood")

TAKEDOWNS_KEY = "manifest/takedowns.json"  # in a dataset: what must not come back (crawler.takedown)
