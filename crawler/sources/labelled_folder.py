"""A labelled folder on disk, in one of three layouts ▶ the images it lists."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crawler.labels import LABELS, SPLITS
from crawler.sources.origin import SourceError, SourceImage

INDEX_NAME = "index.csv"
LAYOUTS = (
    "FOLDER/{real,fake}/… (a folder inside fake names the generator), "
    "FOLDER/{train,val,test}/{real,fake}/… or FOLDER/index.csv with the columns path,label"
)


@dataclass(frozen=True)
class FolderDefaults:
    """What holds for every image of the folder that does not say otherwise. `generator` is for the fakes."""

    source: str
    licence: str | None = None
    generator: str | None = None


# Spellings of the well-known face sets: 140k real and fake faces (train/valid/test), real-and-fake-face-detection
# (training_real), CNNDetection (0_real, 1_fake).
_LABEL_FOLDERS = {
    **dict.fromkeys(("real", "reals", "training_real", "0_real"), "real"),
    **dict.fromkeys(("fake", "fakes", "training_fake", "1_fake"), "fake"),
}
_SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
    "ood": "ood",
}
_NOT_IMAGES = {"thumbs.db", "desktop.ini"}
_DRIVE = re.compile(r"[A-Za-z]:")
_INDEX_COLUMNS = ("path", "label", "generator", "split", "licence", "identity", "author", "url")


def read_labelled_folder(folder: Path, defaults: FolderDefaults) -> list[SourceImage]:
    """The images that `folder` lists, in the order of their names; the files themselves are not opened.

    An index.csv is the only authority where there is one. Raises SourceError where the folder is none of the
    layouts, or where the index is wrong: a label or split that does not exist, a path that leaves the folder.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise SourceError(f"{folder} {what}; expected {LAYOUTS}")
    try:
        index = folder / INDEX_NAME
        images = list(_from_index(index, defaults) if index.is_file() else _from_layout(folder, defaults))
    except OSError as error:
        raise SourceError(f"{folder} cannot be read: {error}") from None
    if not images:
        raise SourceError(f"{folder} holds no labelled images; expected {LAYOUTS}")
    return sorted(images, key=lambda image: image.name)


def _from_layout(folder: Path, defaults: FolderDefaults) -> Iterator[SourceImage]:
    for child in _folders(folder):
        name = child.name.lower()
        if name in _LABEL_FOLDERS:
            yield from _labelled(folder, child, _LABEL_FOLDERS[name], None, defaults)
        elif name in _SPLIT_FOLDERS:
            for grandchild in _folders(child):
                label = _LABEL_FOLDERS.get(grandchild.name.lower())
                if label is not None:
                    yield from _labelled(folder, grandchild, label, _SPLIT_FOLDERS[name], defaults)


def _labelled(root: Path, top: Path, label: str, split: str | None, defaults: FolderDefaults) -> Iterator[SourceImage]:
    for parent, folders, files in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(parent).relative_to(top).parts
        # 00000, 01000, … only keep folders small: they name no generator.
        named = inside[0] if inside and not inside[0].isdigit() else defaults.generator
        for file in files:
            if file.startswith(".") or file.lower() in _NOT_IMAGES:
                continue
            path = Path(parent, file)
            yield SourceImage(
                path=path,
                name=path.relative_to(root).as_posix(),
                label=label,
                source=defaults.source,
                generator=named if label == "fake" else None,
                split=split,
                licence=defaults.licence,
            )


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())


def _from_index(index: Path, defaults: FolderDefaults) -> Iterator[SourceImage]:
    try:
        with index.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", strict=True)
            columns = [name.strip().lower() for name in reader.fieldnames or []]
            missing = [name for name in ("path", "label") if name not in columns]
            if missing:
                raise SourceError(f"{index}: no column {', '.join(missing)}; expected {','.join(_INDEX_COLUMNS)}")
            reader.fieldnames = columns
            for row in reader:
                where = f"{index} line {reader.line_num}"
                cells = {name: (row.get(name) or "").strip() for name in _INDEX_COLUMNS}
                yield _indexed(index.parent, cells, where, defaults)
    except UnicodeDecodeError:
        raise SourceError(f"{index} is not UTF-8 text") from None
    except csv.Error as error:
        raise SourceError(f"{index} is not a CSV file: {error}") from None


def _indexed(folder: Path, cells: dict[str, str], where: str, defaults: FolderDefaults) -> SourceImage:
    label = cells["label"].lower()
    if label not in LABELS:
        raise SourceError(f"{where}: label is '{cells['label']}' where it must be {' or '.join(LABELS)}")
    split = cells["split"].lower()
    split = _SPLIT_FOLDERS.get(split, split)
    if split and split not in SPLITS:
        raise SourceError(f"{where}: split is '{cells['split']}' where it must be {', '.join(SPLITS)} or empty")
    path = _inside(folder, cells["path"], where)
    return SourceImage(
        path=path,
        name=path.relative_to(folder).as_posix(),
        label=label,
        source=defaults.source,
        generator=(cells["generator"] or defaults.generator) if label == "fake" else None,
        split=split or None,
        licence=cells["licence"] or defaults.licence,
        identity=cells["identity"] or None,
        author=cells["author"] or None,
        url=cells["url"] or None,
    )


def _inside(folder: Path, written: str, where: str) -> Path:
    # An index is data that somebody else wrote: it may name only what lies in the folder it came with.
    parts = re.split(r"[/\\]+", written)
    if not written or "\0" in written or parts[0] == "" or _DRIVE.fullmatch(parts[0]) or ".." in parts:
        raise SourceError(f"{where}: path '{written[:120]}' must lead to a file inside {folder}")
    path = folder.joinpath(*parts)
    from_parent = folder.parent.joinpath(*parts)
    if parts[0] == folder.name and not path.exists() and from_parent.exists():
        path = from_parent
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SourceError(f"{where}: path '{written[:120]}' must lead to a file inside {folder}")
    return path
