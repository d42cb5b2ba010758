"""Traces that image generators leave in a file: read from its bytes, told in the manifest, never used as a label."""

from __future__ import annotations

# Exact byte strings of at least eight bytes, so that compressed pixels do not match by chance.
_MARKERS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    # Content Credentials, which cameras write too: the UUID of a manifest store (C2PA specification 2.1, section 11.1).
    ("c2pa", (bytes.fromhex("63327061001100108000 00aa00389b71"),)),
    # IPTC digital source type, https://cv.iptc.org/newscodes/digitalsourcetype/
    ("iptc-ai", (b"trainedAlgorithmicMedia", b"TrainedAlgorithmicMedia", b"algorithmicMedia", b"Made with Google AI")),
    ("stable-diffusion", (b"Stable Diffusion", b"Negative prompt:", b"tEXtparameters\0")),
    ("comfyui", (b"tEXtworkflow\0{", b"tEXtprompt\0{")),
    ("novelai", (b"NovelAI",)),
    ("midjourney", (b"Midjourney", b"midjourney")),
    ("dall-e", (b"DALL\xc2\xb7E", b"DALL-E 2", b"DALL-E 3", b"gpt-image-1")),
    ("firefly", (b"Adobe Firefly", b"Adobe_Firefly")),
)


def find_ai_markers(data: bytes) -> tuple[str, ...]:
    """The names of the generators' traces in the bytes of an image file, in a fixed order; usually none."""
    return tuple(name for name, needles in _MARKERS if any(needle in data for needle in needles))
