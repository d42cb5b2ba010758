"""Text out of an image's metadata ▶ the generators that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MARKERS = (
    "c2pa", "c2pa-ai", "iptc-ai", "stable-diffusion", "comfyui", "invokeai", "novelai", "midjourney", "dall-e",
    "firefly", "flux", "ideogram", "grok", "google-ai", "meta-ai", "apple-playground", "aigc-label",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of metadata. field: its PNG keyword or EXIF tag, `program` where it says what made the file, or ""."""

    field: str
    text: str


# What no photographer writes by chance: looked for in every text. Names of products that are words of other meanings
# too (Flux, Grok, Gemini) are not here: a caption may have them.
_ANYWHERE = (
    # https://cv.iptc.org/newscodes/digitalsourcetype/ and the AI properties of IPTC Photo Metadata 2025.1
    ("iptc-ai", re.compile(r"(?<![a-z])(?:trained|compositeWithTrained)?algorithmicMedia\b|\bAISystemUsed\b", re.I)),
    ("google-ai", re.compile(r"(?:Made|Edited) with Google AI")),
    ("meta-ai", re.compile(r"Imagined with (?:Meta )?AI")),
    (
        "stable-diffusion",
        re.compile(r"Stable ?Diffusion|Negative prompt:|Steps: \d+, Sampler: |\bsd_xl_base|sui_image_params"),
    ),
    ("comfyui", re.compile(r"ComfyUI|\"class_type\"\s*:\s*\"")),
    ("invokeai", re.compile(r"invokeai|invoke-ai", re.I)),
    ("novelai", re.compile(r"NovelAI")),
    ("midjourney", re.compile(r"Midjourney|Job ID: [0-9a-f]{8}-[0-9a-f]{4}-", re.I)),
    ("dall-e", re.compile(r"DALL[·-]E\b|gpt-image-\d|gpt-4o image", re.I)),
    ("firefly", re.compile(r"Adobe[ _]Firefly")),
    ("flux", re.compile(r"Black Forest Labs|\bflux\.?[12][-_ .](?:dev|pro|schnell|kontext)", re.I)),
    ("ideogram", re.compile(r"Ideogram AI|ideogram\.ai", re.I)),
    ("apple-playground", re.compile(r"Image Playground")),
    # The AIGC object of GB 45438-2025, in XMP (TC260:AIGC) or in EXIF's UserComment; its Label 1, 2, 3: made, perhaps
    # made, seems made by a generator.
    ("aigc-label", re.compile(r"AIGC.{0,40}?Label(?:\W|quot){1,30}[123]\b", re.S)),
)  # fmt: skip

# In a field that says which program made the file a bare name is enough.
_PROGRAMS = (
    ("dall-e", re.compile(r"\b(?:DALL.?E|OpenAI|ChatGPT|Bing Image Creator|Image Creator from Designer)\b", re.I)),
    ("firefly", re.compile(r"\bFirefly\b", re.I)),
    ("flux", re.compile(r"\bflux\b(?!\.)", re.I)),
    ("ideogram", re.compile(r"\bIdeogram\b", re.I)),
    ("grok", re.compile(r"\b(?:Grok|xAI)\b", re.I)),
    ("google-ai", re.compile(r"\b(?:Imagen|Gemini|Google AI|Nano Banana)\b", re.I)),
    ("stable-diffusion", re.compile(r"\b(?:DreamStudio|Stability AI|Draw Things|Fooocus|SwarmUI)\b", re.I)),
)  # fmt: skip

_KEYWORDS = {
    "parameters": "stable-diffusion", "fooocus_scheme": "stable-diffusion", "generation_data": "stable-diffusion",
    "prompt": "comfyui", "workflow": "comfyui",
    "invokeai_metadata": "invokeai", "invokeai_graph": "invokeai", "invokeai_workflow": "invokeai",
    "sd-metadata": "invokeai", "dream": "invokeai",
    "aigc": "aigc-label",
}  # fmt: skip
_PROGRAM_FIELDS = {"program", "software", "make", "model", "artist", "author", "creator", "source", "generator"}

_XMP_PROGRAM = re.compile(r"(?:CreatorTool|Credit|softwareAgent|AISystemUsed)(?:=[\"']|>)\s*([^\"'<]{1,200})")
_COMFY_IN_EXIF = re.compile(r"(?:prompt|workflow)\s*:\s*\{", re.I)
# xAI signs what Grok draws: a base64 signature as description (seen in its files since 2024).
_GROK_SIGNATURE = re.compile(r"Signature: [A-Za-z0-9+/=]{60,}\s*$")


def names_in(text: Text) -> Iterator[str]:
    """The markers of the generators that `text` names; one may come twice."""
    field = text.field.lower()
    for name, pattern in _ANYWHERE:
        if pattern.search(text.text):
            yield name
    if field in _PROGRAM_FIELDS:
        yield from programs_in(text.text)
    for match in _XMP_PROGRAM.finditer(text.text):
        yield from programs_in(match[1])
    if field in _KEYWORDS and (_KEYWORDS[field] != "comfyui" or text.text.lstrip().startswith("{")):
        yield _KEYWORDS[field]
    if _COMFY_IN_EXIF.match(text.text):
        yield "comfyui"
    if field == "imagedescription" and _GROK_SIGNATURE.match(text.text):
        yield "grok"


def programs_in(text: str) -> Iterator[str]:
    """The markers of the generators in the name of a program."""
    for name, pattern in (*_ANYWHERE, *_PROGRAMS):
        if pattern.search(text):
            yield name
