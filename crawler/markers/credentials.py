"""Content Credentials (C2PA): whether there are any, and whether they tell of a generator.

Cameras and editors sign pictures as well, so their presence says little. What they say is read by c2pa-python where
it is installed, otherwise looked for in their plain bytes, which finds the same unless the manifest is compressed.
Nothing is fetched, and no signature is judged: a trace in the file is wanted here, not a proof.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from crawler.markers.generators import programs_in

# The UUID of a manifest store (C2PA specification 2.1, section 11.1): in every container.
_STORE = bytes.fromhex("63327061001100108000" + "00aa00389b71")

_AI_SOURCE = re.compile(r"algorithmicMedia$", re.I)  # trained…, compositeWithTrained…, and plain
_AI_SOURCE_BYTES = re.compile(rb"(?:trained|compositeWithTrained)?algorithmicMedia", re.I)

_MIME = ((b"\xff\xd8", "image/jpeg"), (b"\x89PNG", "image/png"), (b"RIFF", "image/webp"), (b"GIF8", "image/gif"),
         (b"II", "image/tiff"), (b"MM", "image/tiff"))  # fmt: skip

_PROGRAM_KEYS = ("softwareAgent", "claim_generator", "claim_generator_info")

_SETTINGS = {
    "verify": {
        "verify_after_reading": False,
        "verify_trust": False,
        "ocsp_fetch": False,
        "remote_manifest_fetch": False,  # it would ask any host that the file names
    }
}


def holds_credentials(data: bytes) -> bool:
    """Whether there is a manifest store in the bytes of an image file."""
    return _STORE in data


def read_credentials(data: bytes) -> set[str]:
    """`c2pa`, with `c2pa-ai` and the generators' names where the store in `data` tells of one. Never raises."""
    try:
        store = _store(data)
    except Exception:  # no c2pa-python, or a store that it cannot read
        return {"c2pa", "c2pa-ai"} if _AI_SOURCE_BYTES.search(data) else {"c2pa"}
    sources, programs = set[str](), set[str]()
    for key, value in _leaves(store):
        if key == "digitalSourceType" and _AI_SOURCE.search(value):
            sources.add(value)
        elif key in _PROGRAM_KEYS:
            programs.update(programs_in(value))
    return {"c2pa", *programs, *(["c2pa-ai"] if sources or programs else [])}


def _store(data: bytes) -> Any:
    c2pa, context = _reader()
    mime = next((mime for head, mime in _MIME if data.startswith(head)), "image/avif")
    with c2pa.Reader(mime, io.BytesIO(data), context=context) as reader:
        return json.loads(reader.json())


@cache
def _reader() -> tuple[Any, Any]:
    import c2pa

    return c2pa, c2pa.Context(c2pa.Settings.from_dict(_SETTINGS))


def _leaves(tree: Any) -> Iterator[tuple[str, str]]:
    """The strings of a JSON tree, each with its key; a program's `name` with the key of the program."""
    todo = [("", tree)]
    while todo:
        key, node = todo.pop()
        if isinstance(node, str):
            yield key, node
        elif isinstance(node, dict):
            todo += [(key if name == "name" and key in _PROGRAM_KEYS else name, node[name]) for name in node]
        elif isinstance(node, list):
            todo += [(key, entry) for entry in node]
