"""The words round a datasheet's figures, as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from crawler.publish.licences import markdown_text

_LOAD = """\
With [webdataset](https://github.com/webdataset/webdataset) (`pip install webdataset pillow`), in the folder of the
shards; a list of `https://` URLs does as well:

```python
import glob

import webdataset as wds

shards = sorted(glob.glob("{split}-*.tar"))
dataset = (
    wds.WebDataset(shards, shardshuffle=len(shards))
    .shuffle(1000)
    .decode("pilrgb")
    .to_tuple("{extensions}", "json")
)
for image, row in dataset:
    print(image.size, row["label"], row["generator"])
    break
```

With nothing but Python:

```python
import json
import tarfile

with tarfile.open("{first}") as shard:
    for member in shard:
        if member.name.endswith(".json"):
            row = json.load(shard.extractfile(member))
            print(row["sha256"], row["label"])
```

The table alone: `pandas.read_parquet("metadata.parquet")`. Check what you have got: `sha256sum -c checksums.sha256`."""


def datasheet_text(figures: Mapping[str, Any]) -> str:
    """`datasheet.md` of the figures that :func:`crawler.publish.datasheet.datasheet_figures` gives."""
    sections = (
        _head(figures), _motivation(), _composition(figures), _near_duplicates(figures), _audit(figures["audit"]),
        _collection(figures), _preparation(figures), _uses(figures), _distribution(figures), _loading(figures),
        _maintenance(figures),
    )  # fmt: skip
    return "\n\n".join(sections) + "\n"


def _head(figures: Mapping[str, Any]) -> str:
    lines = [
        f"# Datasheet: {markdown_text(figures['title'])}",
        "",
        f"{figures['images']:,} images, {figures['bytes'] / 1e6:,.1f} MB of original bytes, version "
        f"{figures['version']}, dataset hash `{figures['hash']}`.",
    ]
    if figures["warnings"]:
        lines += ["", "**Mind:**", "", *(f"- {markdown_text(warning)}" for warning in figures["warnings"])]
    return "\n".join(lines)


def _motivation() -> str:
    return "## Motivation\n\n" + _prose(
        "Made to train and judge networks that tell photographs of faces from generated ones. Every image carries its "
        "label, `real` or `fake`, and where it is from."
    )


def _composition(figures: Mapping[str, Any]) -> str:
    rows = [
        (split, label, markdown_text("–" if generator == "-" else generator), f"{count:,}")
        for split, labels in figures["splits"].items()
        for label, generators in labels.items()
        for generator, count in generators.items()
    ]
    lines = ["## Composition", "", *_table(("split", "label", "generator", "images"), rows, right=1)]
    of_labels = [
        (
            label, f"{f['images']:,}", _counts(f["formats"]), _counts(f["sizes"], 4), f"{f['median_bytes'] / 1e3:,.1f}",
            _counts(f["jpeg_qualities"], 4) or "–", _counts(f["ai_markers"], 4) or "none found",
        )
        for label, f in figures["labels"].items()
    ]  # fmt: skip
    head = ("label", "images", "formats", "sizes", "median kB", "JPEG quality", "traces of a generator in the file")
    lines += ["", *_table(head, of_labels)]
    people = figures["identities"]
    named = f"For some images it is recorded who is shown: {people:,} people." if people else "Nobody shown is named."
    lines += ["", f"{named} A photograph of a face is personal data all the same; see *Takedown*."]
    return "\n".join(lines)


def _near_duplicates(figures: Mapping[str, Any]) -> str:
    clusters = figures["clusters"]
    return "## Near-duplicates and splits\n\n" + _prose(
        f"{clusters['near_duplicates']:,} images are near-duplicates of another one (64-bit DCT hash, at most 4 bits "
        f"apart, chains included); the largest group of them is of {clusters['largest']:,}; "
        f"{clusters['with_both_labels']:,} clusters hold both labels. Near-duplicates and images of one named person "
        "never cross from one split to another. `ood` holds generators that are kept out of training, to judge on only."
    )


def _audit(audit: Mapping[str, Any] | None) -> str:
    if audit is None:
        return (
            "## Audit\n\nNot audited: nobody has measured whether the label can be told from what is not the picture "
            "(format, size, compression)."
        )
    limit = "" if audit["limit"] is None else f" (limit: AUC {audit['limit']:g})"
    families = [
        (markdown_text(f["name"] or "?"), "–" if f["auc"] is None else f"{f['auc']:.3f}") for f in audit["families"]
    ]
    lines = [
        "## Audit",
        "",
        _prose(
            "Can the label be told from what is not the picture? Cross-validated AUC of each kind of feature; 0.5 is "
            f"guessing. Verdict: **{markdown_text(audit['verdict'] or 'not said')}**{limit}."
        ),
    ]
    return "\n".join(lines + (["", *_table(("features", "AUC"), families, right=1)] if families else []))


def _collection(figures: Mapping[str, Any]) -> str:
    rows = [
        (
            markdown_text(source["source"]),
            f"{source['images']:,}",
            _counts(source["labels"]),
            (_counts(source["hosts"]) + (f", {source['more_hosts']} more" if source["more_hosts"] else ""))
            or "no addresses recorded",
        )
        for source in figures["sources"]
    ]
    dates = figures["fetched"]
    when = (
        f"Fetched from {dates['first']} to {dates['last']}" if dates["first"] else "No dates of fetching are recorded"
    )
    undated = f"; {dates['undated']:,} images have no date" if dates["first"] and dates["undated"] else ""
    lines = ["## Collection", "", *_table(("source", "images", "labels", "hosts"), rows), "", f"{when}{undated}."]
    return "\n".join(lines)


def _preparation(figures: Mapping[str, Any]) -> str:
    derived = figures["derived"]
    bytes_ = (
        f"Of these, {sum(derived.values()):,} are derived from originals (columns `derived_from` and `transform`): "
        f"{_counts(derived)}."
        if derived
        else "No image was re-encoded, resized or cropped: the bytes are those that were fetched."
    )
    return "## Preparation\n\n" + _prose(
        "Every image was decoded in full; broken and animated files were left out, exact copies removed (sha256), "
        f"near-duplicates marked. {bytes_} Labels come from the sources, not from looking at the pictures."
    )


def _uses(figures: Mapping[str, Any]) -> str:
    generators = sorted({g for labels in figures["splits"].values() for g in labels.get("fake", {}) if g != "-"})
    known = ", ".join(markdown_text(name) for name in generators) or "no generator that is named"
    return "## Uses\n\n" + _prose(
        f"The fakes are from: {known}. What a network learns here says little about other generators, and nothing "
        "about who deserves to be believed. Not for recognising people."
    )


def _distribution(figures: Mapping[str, Any]) -> str:
    rows = [
        (markdown_text(entry["licence"]), f"{entry['images']:,}", "; ".join(entry["warnings"]) or "–")
        for entry in figures["licences"]
    ]
    lines = ["## Licences", "", *_table(("licence", "images", "mind"), rows)]
    lines += ["", "`LICENSES.md` says more. The publication grants no rights that the authors did not grant."]
    return "\n".join(lines)


def _loading(figures: Mapping[str, Any]) -> str:
    full = [name for name, shard in figures["shards"].items() if shard["images"]]
    first = next((name for name in full if name.startswith("train-")), full[0])
    code = _LOAD.format(split=first.partition("-")[0], first=first, extensions=";".join(figures["extensions"]))
    count = f"{len(figures['shards']):,} tar archive{'s' * (len(figures['shards']) != 1)}"
    how = _prose(
        f"{count} (plain ustar, {figures['shard_bytes'] / 1e6:,.1f} MB) with two members an image: "
        "`<sha256>.<extension>`, the original bytes, and `<sha256>.json`, its row of the table. Images are in the "
        "order of their sha256, which is as good as a random shuffle: labels and sources are mixed. A shard is a range "
        "of that order, so all shards of a split are alike. `metadata.parquet` is the whole table with the column "
        "`shard`, in the order of the shards; `shards.json` lists the shards. The same version gives the same bytes."
    )
    return f"## Format\n\n{how}\n\n{code}"


def _maintenance(figures: Mapping[str, Any]) -> str:
    contact, gone = figures["contact"], figures["taken_down"]
    who = f"Write to {markdown_text(contact)}" if contact else "Write to whoever published this copy"
    already = f" So far {gone:,} images of this version were taken down and are not in these shards." if gone else ""
    return "## Takedown\n\n" + _prose(
        f"Should an image go? {who} and give its sha256 (its file's name, or `sha256sum FILE`). It leaves the dataset, "
        "this publication is made anew without it, and the hash is kept so that it does not come back."
        f"{already} If you hold a copy, fetch the shards that changed: their checksums differ."
    )


def _prose(text: str) -> str:
    return textwrap.fill(text, 110, break_long_words=False, break_on_hyphens=False)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: int = 0) -> list[str]:
    """right: how many of the last columns hold numbers."""
    rules = ["---"] * (len(head) - right) + ["---:"] * right
    return ["| " + " | ".join(line) + " |" for line in (head, rules, *rows)]


def _counts(counts: Mapping[str, int], at_most: int = 8) -> str:
    shown = [f"{markdown_text(name)} ×{count:,}" for name, count in list(counts.items())[:at_most]]
    return ", ".join(shown) + (f", {len(counts) - at_most} more" if len(counts) > at_most else "")
