"""HTML pages and JSON answers ▶ the links and images that they name."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin, urlsplit

from crawler.params import GallerySource, Pick
from infra.errors import UserError

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_META_CHARSET = re.compile(rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.+-]{1,40})", re.IGNORECASE)
_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.+-]{1,40})", re.IGNORECASE)
_PRESCAN = 4096  # the standard looks at 1024 bytes; pages with long comments first are common
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# What browsers take these names for (WHATWG Encoding Standard, section 4.2); Python means the narrower sets.
_BROWSER_NAMES = {
    "iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252",
    "iso-8859-9": "cp1254", "shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932", "x-sjis": "cp932",
    "windows-31j": "cp932", "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949", "big5": "big5hkscs", "tis-620": "cp874", "iso-8859-11": "cp874", "x-x-big5": "big5hkscs",
    # A page that declares UTF-16 in ASCII letters is not UTF-16.
    "utf-16": "utf-8", "utf-16le": "utf-8", "utf-16be": "utf-8",
}  # fmt: skip
_IMAGE_ATTRIBUTES = ("data-srcset", "srcset", "data-src", "data-original", "data-lazy-src", "src", "href", "content")
_CANDIDATE = re.compile(r"\s*,?\s*([^\s,]\S*[^\s,]|[^\s,])(?:\s+([0-9.]+)([wx]))?\s*(?:,|$)")
_MAX_SRCSET = 20_000  # characters; the pattern is quadratic on what only looks like a srcset
_MAX_LINKS = 10_000  # of one page; more is a trap, not a gallery


class NoImageNamedError(UserError):
    """An answer that should name an image does not."""

    error_class = "no image named"
    retriable = False


@dataclass(frozen=True, slots=True)
class Page:
    """What a gallery page leads to, absolute URLs without fragment, in the order of the page."""

    images: tuple[str, ...]
    deeper: tuple[str, ...]
    next: tuple[str, ...]


def read_page(tree: LexborHTMLParser, url: str, source: GallerySource) -> Page:
    """The links of the page in `tree`, found at `url`. Never raises for what is in the page."""
    base = _base(tree, url)
    return Page(
        images=_urls((_image_of(node, source.attribute) for node in tree.css(source.images)), base),
        deeper=_urls(_links(tree, source.follow), base),
        next=_urls(_links(tree, source.next), base),
    )


def pick_image(body: bytes, content_type: str, url: str, pick: Pick) -> str:
    """The absolute URL of the image that an endpoint's answer names. Raises NoImageNamedError."""
    if pick.key is not None:
        named = _by_key(body, pick.key, url)
        base = url
    else:
        tree = parse_html(body, content_type)
        node = tree.css_first(pick.selector or "")
        if node is None:
            raise NoImageNamedError(f"{url}: nothing on the page matches '{pick.selector}'")
        named, base = _image_of(node, pick.attribute), _base(tree, url)
    found = _urls([named], base)
    if not found:
        raise NoImageNamedError(f"{url}: names no image where one was expected, but '{str(named)[:80]}'")
    return found[0]


def parse_html(body: bytes, content_type: str) -> LexborHTMLParser:
    """The tree of a page in whatever encoding it declares, or seems to have."""
    from selectolax.lexbor import LexborHTMLParser  # a crawl of a list of images reads no page

    return LexborHTMLParser(decode_html(body, content_type))


def decode_html(body: bytes, content_type: str) -> str:
    """The text of a page by the rules of browsers: byte order mark, header, <meta>, else UTF-8, else windows-1252.

    HTML Living Standard, section 13.2.3.1. Bytes that do not fit become U+FFFD.
    """
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    in_header = _HEADER_CHARSET.search(content_type)
    in_page = _META_CHARSET.search(body[:_PRESCAN])
    named = [in_header[1]] if in_header else []
    named += [in_page[1].decode("ascii")] if in_page else []
    for name in named:
        codec = _codec(name)
        if codec is not None:
            return body.decode(codec, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _codec(name: str) -> str | None:
    name = _BROWSER_NAMES.get(name.lower(), name.lower())
    try:
        info = codecs.lookup(name)
    except LookupError:
        return None
    # Python also has "codecs" that compress or encode otherwise; they do not make text of bytes.
    return info.name if info._is_text_encoding else None


def _base(tree: LexborHTMLParser, url: str) -> str:
    node = tree.css_first("base[href]")
    return _joined(url, (node.attributes.get("href") or "") if node is not None else "") or url


def _links(tree: LexborHTMLParser, selector: str | None) -> Iterator[str | None]:
    if selector is not None:
        for node in tree.css(selector):
            yield node.attributes.get("href")


def _image_of(node: LexborNode, attribute: str) -> str | None:
    attributes = node.attributes
    if attribute != "auto":
        value = attributes.get(attribute)
        return _largest(value) if value and "srcset" in attribute else value
    for name in _IMAGE_ATTRIBUTES:
        value = (attributes.get(name) or "").strip()
        if value.startswith("data:"):  # a placeholder, until a script puts the real one in its place
            continue
        found = _largest(value) if name.endswith("srcset") else value
        if found:
            return found
    return None


def _largest(srcset: str) -> str | None:
    """The URL of the largest candidate of a `srcset` (HTML Living Standard, section 4.8.4.2.1)."""
    candidates = [
        (float(match[2] or 1) if _is_number(match[2]) else 1.0, match[1])
        for match in _CANDIDATE.finditer(srcset[:_MAX_SRCSET])
    ]
    return max(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


def _is_number(text: str | None) -> bool:
    return text is None or (text.count(".") <= 1 and any(c.isdigit() for c in text))


def _urls(found: Iterable[str | None], base: str) -> tuple[str, ...]:
    urls: dict[str, None] = {}
    for text in found:
        if text and len(urls) < _MAX_LINKS:
            url = _joined(base, text)
            if url is not None:
                urls[url] = None
    return tuple(urls)


def _joined(base: str, text: str) -> str | None:
    try:
        url = urldefrag(urljoin(base, text.strip())).url
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.hostname else None


def _by_key(body: bytes, key: str, url: str) -> str | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise NoImageNamedError(f"{url}: the answer is not JSON") from None
    for part in key.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise NoImageNamedError(f"{url}: the answer has no '{key}' (nothing at '{part[:40]}')")
    return value if isinstance(value, str) else None
