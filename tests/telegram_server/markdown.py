"""parse_mode MarkdownV2: marks made into entities, or refused in TDLib's words."""

from __future__ import annotations

import re
from typing import Any

from tests.telegram_server.entities import utf16
from tests.telegram_server.html import byte_offset, wrong
from tests.telegram_server.world import Entities

_RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
_MARKS = {"||": "spoiler", "__": "underline", "*": "bold", "_": "italic", "~": "strikethrough"}
_CODES = {"```": ("pre", "Pre"), "`": ("code", "Code")}
_NAMES = {**{mark: kind.title() for mark, kind in _MARKS.items()}, "[": "TextUrl"}
_LINK = re.compile(r"\(([^)]*)\)")
_ESCAPED = re.compile(r"\\(.)")


def parse(text: str) -> tuple[str, Entities]:
    """The text without marks, and its entities; raises ApiError."""
    reader = _Reader(text)
    reader.read()
    return reader.out, sorted(reader.entities, key=lambda e: (e["offset"], -e["length"]))


class _Reader:
    """opened: marks without their second: the mark, where its text begins, where it stands."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.out, self.entities = "", Entities()
        self.opened: list[tuple[str, int, int]] = []

    def read(self) -> None:
        while self.at < len(self.text):
            if not (self._code() or self._mark() or self._link() or self._quote()):
                self._character()
        if self.opened:
            mark, _, offset = self.opened[-1]
            raise wrong(f"Can't find end of {_NAMES[mark]} entity at byte offset {offset}")

    def _code(self) -> bool:
        mark = next((mark for mark in _CODES if self.text.startswith(mark, self.at)), None)
        if mark is None:
            return False
        kind, name = _CODES[mark]
        end = self.text.find(mark, self.at + len(mark))
        if end < 0:
            raise wrong(f"Can't find end of {name} entity at byte offset {byte_offset(self.text[: self.at])}")
        start = utf16(self.out)
        self.out += _ESCAPED.sub(r"\1", self.text[self.at + len(mark) : end])
        self._add(kind, start)
        self.at = end + len(mark)
        return True

    def _mark(self) -> bool:
        mark = next((mark for mark in _MARKS if self.text.startswith(mark, self.at)), None)
        if mark is None:
            return False
        if self.opened and self.opened[-1][0] == mark:
            self._add(_MARKS[mark], self.opened.pop()[1])
        else:
            self._open(mark)
        self.at += len(mark)
        return True

    def _link(self) -> bool:
        if self.text[self.at] == "[":
            self._open("[")
            self.at += 1
            return True
        if self.text[self.at] != "]" or not self.opened or self.opened[-1][0] != "[":
            return False
        start = self.opened.pop()[1]
        self.at += 1
        if link := _LINK.match(self.text, self.at):
            self._add("text_link", start, url=_ESCAPED.sub(r"\1", link[1]))
            self.at = link.end()
        return True

    def _quote(self) -> bool:
        if self.text[self.at] != ">" or (self.out and not self.out.endswith("\n")):
            return False
        end = self.text.find("\n", self.at)
        line = self.text[self.at + 1 : end if end >= 0 else len(self.text)]
        start = utf16(self.out)
        quoted, inner = parse(line)
        self.entities += [{**entity, "offset": entity["offset"] + start} for entity in inner]
        self.out += quoted
        self._add("blockquote", start)
        self.at += 1 + len(line)
        return True

    def _character(self) -> None:
        here = self.text[self.at]
        if here == "\\" and self.at + 1 < len(self.text) and ord(self.text[self.at + 1]) <= 126:
            self.at += 1
        elif here in _RESERVED:
            raise wrong(f"Character '{here}' is reserved and must be escaped with the preceding '\\'")
        self.out += self.text[self.at]
        self.at += 1

    def _open(self, mark: str) -> None:
        self.opened.append((mark, utf16(self.out), byte_offset(self.text[: self.at])))

    def _add(self, kind: str, start: int, **more: Any) -> None:
        if length := utf16(self.out) - start:
            self.entities.append({"type": kind, "offset": start, "length": length, **more})
