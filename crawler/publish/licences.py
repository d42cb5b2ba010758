"""What the licences of a dataset allow, as far as their names tell, and the file that lists them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

UNKNOWN = "unknown"

_WARNINGS = (
    (re.compile(r"\bNC\b|non.?commercial|research|academic|educational|personal use", re.I), "no commercial use"),
    (re.compile(r"\bND\b|no.?deriv", re.I), "no changed copies: resized or re-encoded images may not be passed on"),
    (re.compile(r"\bSA\b|share.?alike", re.I), "changed copies under the same licence only"),
    (re.compile(r"all rights reserved|\(c\)|©|copyright", re.I), "a notice of rights: is it a licence at all?"),
)
_CREATIVE_COMMONS = re.compile(r"CC[ -](BY(?:-NC)?(?:-SA|-ND)?)[ -](\d\.\d)", re.I)
_PUBLIC_DOMAIN = (
    (re.compile(r"\bCC0\b", re.I), "https://creativecommons.org/publicdomain/zero/1.0/"),
    (re.compile(r"public domain mark", re.I), "https://creativecommons.org/publicdomain/mark/1.0/"),
    (re.compile(r"\bMIT\b"), "https://opensource.org/license/mit"),
)


@dataclass(frozen=True)
class LicenceFigures:
    """The images under one licence. licence: as the manifest has it, :data:`UNKNOWN` for none."""

    licence: str
    images: int
    sources: Mapping[str, int]
    authors: int
    url: str | None
    warnings: Sequence[str]


def licence_figures(table: pa.Table) -> list[LicenceFigures]:
    """One entry a licence, the most frequent first."""
    groups = table.group_by(["licence", "source"]).aggregate([("sha256", "count")]).to_pylist()
    named = table.group_by("licence").aggregate([("author", "count_distinct")]).to_pylist()
    authors = {name_of(group["licence"]): 0 for group in named}
    for group in named:
        authors[name_of(group["licence"])] += group["author_count_distinct"]
    sources: dict[str, Counter[str]] = {}
    for group in groups:
        sources.setdefault(name_of(group["licence"]), Counter())[group["source"]] += group["sha256_count"]
    entries = [
        LicenceFigures(
            name, of.total(), dict(sorted(of.items())), authors[name], licence_url(name), licence_warnings(name)
        )
        for name, of in sources.items()
    ]
    return sorted(entries, key=lambda entry: (-entry.images, entry.licence))


def name_of(licence: str | None) -> str:
    """What to call the licence of a row: blank is none at all."""
    return (licence or "").strip() or UNKNOWN


def licence_warnings(licence: str) -> list[str]:
    """What its name says it forbids, as short phrases; a hint for a reader, no legal advice."""
    if licence == UNKNOWN:
        return ["no licence is known: all rights may be reserved"]
    return [meaning for pattern, meaning in _WARNINGS if pattern.search(licence)]


def licence_url(licence: str) -> str | None:
    """The text of a well-known licence, None where its name is not one."""
    match = _CREATIVE_COMMONS.search(licence)
    if match:
        return f"https://creativecommons.org/licenses/{match[1].lower()}/{match[2]}/"
    return next((url for pattern, url in _PUBLIC_DOMAIN if pattern.search(licence)), None)


def licences_md(title: str, figures: Sequence[LicenceFigures]) -> str:
    """`LICENSES.md`: which licences there are, for how many images, and what to mind."""
    lines = [
        f"# Licences of {markdown_text(title)}",
        "",
        "Every image keeps the licence of its author. The columns `licence`, `author` and `url` of `metadata.parquet`,",
        "and the JSON beside every image, say which and whose; keep them with the images: many licences ask for it.",
        "The remarks are read off the licences' names. They are no legal advice.",
        "",
        "| licence | images | named authors | sources | mind |",
        "|---|---:|---:|---|---|",
    ]
    for entry in figures:
        name = markdown_text(entry.licence) + (f" ([text]({entry.url}))" if entry.url else "")
        sources = ", ".join(f"{markdown_text(source)} ({count:,})" for source, count in entry.sources.items())
        lines.append(
            f"| {name} | {entry.images:,} | {entry.authors:,} | {sources} | {'; '.join(entry.warnings) or '–'} |"
        )
    return "\n".join(lines) + "\n"


def markdown_text(text: str) -> str:
    """`text`, which some web page may have written, as one line of Markdown that means nothing but itself."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", line)
