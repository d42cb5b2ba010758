"""Traces that image generators leave in a file: read from its metadata, told in the manifest, never used as a label.

Names of markers:

    c2pa              Content Credentials, which cameras and editors write too
    c2pa-ai           … that say that a generator made the picture, or a part of it
    iptc-ai           IPTC digital source type: (trained, composite with trained) algorithmic media; AI properties
    stable-diffusion  comfyui  invokeai  novelai  midjourney  dall-e  firefly  flux  ideogram  grok  google-ai
    meta-ai  apple-playground   the trace of that program or service
    aigc-label        the label that Chinese services must write (GB 45438-2025)
"""

from __future__ import annotations

from crawler.markers.credentials import holds_credentials, read_credentials
from crawler.markers.generators import MARKERS, names_in
from crawler.markers.metadata import read_metadata

__all__ = ["MARKERS", "find_ai_markers", "says_generated"]


def find_ai_markers(data: bytes) -> tuple[str, ...]:
    """The names of the traces in the bytes of an image file, in the order of MARKERS; usually none. Never raises."""
    texts = read_metadata(data)
    found = {name for text in texts for name in names_in(text)}
    if holds_credentials(data):
        found |= read_credentials(data)
    return tuple(name for name in MARKERS if name in found) if found else ()


def says_generated(markers: tuple[str, ...]) -> bool:
    """Whether the markers say that a generator was at work: any does, but Content Credentials alone."""
    return any(name != "c2pa" for name in markers)
