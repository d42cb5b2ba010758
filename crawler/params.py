"""CrawlParams: the validated params file of a crawl."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from crawler.split import Fractions
from infra.errors import UserError
from infra.params import ParamsError, StrictModel, apply_sets, read_params_file, validate

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Label: TypeAlias = Literal["real", "fake"]

AUTO = "auto"

_HTTP_URL = re.compile(r"https?://[^\s/]+", re.IGNORECASE)


def _http_url(url: str) -> str:
    if not _HTTP_URL.match(url):
        raise ValueError(f"'{url[:80]}' is not a web address; write http://… or https://…")
    return url


class Source(StrictModel):
    """What every source says of its images.

    label: of all of them. generator: what drew them, for fakes. target: how many different good images are wanted,
    null for all there are. split: `ood` keeps a source out of training; train, val, test pin it; null lets the split
    decide.
    """

    type: str
    name: Name
    label: Label
    generator: Name | None = None
    licence: str | None = Field(default=None, min_length=1, max_length=200)
    target: int | None = Field(default=None, ge=1)
    split: Literal["train", "val", "test", "ood"] | None = None

    @model_validator(mode="after")
    def _reals_have_no_generator(self) -> Source:
        if self.label == "real" and self.generator is not None:
            raise ValueError(f"generator: '{self.generator}' cannot have drawn images labelled real")
        return self


class Pick(StrictModel):
    """Where an answer that is not the image itself names it: a CSS selector of an HTML page, or a key of JSON.

    selector: the first element that matches; attribute: which of its attributes, auto takes the largest of srcset,
    then data-src, src, href, content. key: dotted, items of lists by number: `data.images.0.url`.
    """

    selector: str | None = Field(default=None, min_length=1)
    attribute: str = Field(default="auto", min_length=1)
    key: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_way(self) -> Pick:
        if (self.selector is None) == (self.key is None):
            raise ValueError("give either selector (of an HTML page) or key (of a JSON answer)")
        return self

    @field_validator("selector")
    @classmethod
    def _selector_parses(cls, selector: str | None) -> str | None:
        return None if selector is None else _checked_selector(selector)


class EndpointSource(Source):
    """One URL that gives another image at every GET.

    pick: for an endpoint that answers with a page or JSON which names the image. concurrency: GETs at once; some
    such sites give the same image to everybody who asks in the same second. stop_below: the source ends when the
    chance that the next image is a new one has fallen to this.
    """

    type: Literal["endpoint"]
    url: str
    pick: Pick | None = None
    target: int = Field(ge=1)
    concurrency: int = Field(default=2, ge=1, le=64)
    stop_below: float = Field(default=0.05, gt=0, lt=1)

    _url = field_validator("url")(_http_url)


class GallerySource(Source):
    """HTML pages that show images, and pages that they lead to.

    start: the first pages. images: selector of the elements that name an image. follow: selector of links to further
    pages, one level deeper each. next: selector of the link to the next page of the same level. depth: how many
    levels below the start are opened. hosts: which hosts' pages are opened, besides the start's own.
    """

    type: Literal["gallery"]
    start: tuple[str, ...] = Field(min_length=1)
    images: str = Field(default="img", min_length=1)
    attribute: str = Field(default="auto", min_length=1)
    follow: str | None = Field(default=None, min_length=1)
    next: str | None = Field(default="a[rel~=next], link[rel~=next]", min_length=1)
    depth: int = Field(default=1, ge=0, le=100)
    max_pages: int = Field(default=1000, ge=1)
    hosts: tuple[str, ...] = ()

    @field_validator("start")
    @classmethod
    def _start_is_http(cls, start: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_http_url(url) for url in start)

    @field_validator("images", "follow", "next")
    @classmethod
    def _selectors_parse(cls, selector: str | None) -> str | None:
        return None if selector is None else _checked_selector(selector)


class Columns(StrictModel):
    """Which columns of a CSV or Parquet list say what; the others are ignored. identity: who is shown.

    auto: the first of the usual names that is there, in any case of letters, if any (`url` must be).
    """

    url: str = AUTO
    licence: str = AUTO
    author: str = AUTO
    identity: str | None = None
    md5: str = AUTO


class UrlListSource(Source):
    """A list of image URLs: a local path, a storage URL (file://, s3://) or a web address.

    format: auto goes by the name's ending and content. columns: for csv and parquet. image: which of FFHQ's pictures,
    where the list is FFHQ's own JSON.
    """

    type: Literal["urllist"]
    list: str = Field(min_length=1)
    format: Literal["auto", "txt", "csv", "parquet", "ffhq"] = "auto"
    columns: Columns = Columns()
    image: Literal["image", "thumbnail", "in_the_wild"] = "image"


class FolderSource(Source):
    """Image files below a local folder, all with one label. (`crawler import` reads labelled folders.)"""

    type: Literal["folder"]
    path: str = Field(min_length=1)


AnySource: TypeAlias = EndpointSource | GallerySource | UrlListSource | FolderSource

SOURCE_TYPES: Mapping[str, type[AnySource]] = {
    "endpoint": EndpointSource,
    "gallery": GallerySource,
    "urllist": UrlListSource,
    "folder": FolderSource,
}


class NetworkParams(StrictModel):
    """How the web is asked.

    concurrency: requests at once, per_host of them to one host, per_second to one host (null: no limit but what the
    host itself asks for). timeout_s: for a whole request, redirects included. allow: hosts or networks of one's own
    that may be asked although their addresses are private. retries: further attempts after a failure that may pass.
    robots, opt_outs: obeying robots.txt, and X-Robots-Tag, noai and TDM reservations; turning them off is for
    sites of one's own.
    """

    concurrency: int = Field(default=64, ge=1, le=4096)
    per_host: int = Field(default=4, ge=1, le=1024)
    per_second: float | None = Field(default=None, gt=0)
    timeout_s: float = Field(default=30.0, gt=0, le=3600)
    connect_s: float = Field(default=10.0, gt=0, le=600)
    max_mb: float = Field(default=32.0, gt=0, le=1024)
    max_redirects: int = Field(default=5, ge=0, le=20)
    retries: int = Field(default=3, ge=0, le=20)
    allow: tuple[str, ...] = ()
    robots: bool = True
    opt_outs: bool = True

    @property
    def max_bytes(self) -> int:
        """`max_mb` in bytes."""
        return int(self.max_mb * 2**20)


class CheckParams(StrictModel):
    """What a good image is. min_side: pixels of the shorter side. one_face: exactly one face must be found in it.

    min_face: of its box, as a share of the image's shorter side.
    """

    min_side: int = Field(default=64, ge=1, le=20_000)
    one_face: bool = False
    min_face: float = Field(default=0.15, ge=0, le=1)


class SplitParams(StrictModel):
    """The shares of train, val and test among new images; near-duplicates stay together."""

    train: float = Field(default=0.7, ge=0, le=1)
    val: float = Field(default=0.15, ge=0, le=1)
    test: float = Field(default=0.15, ge=0, le=1)

    @model_validator(mode="after")
    def _adds_up(self) -> SplitParams:
        try:
            _ = self.fractions
        except UserError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def fractions(self) -> Fractions:
        """The three shares as the split wants them."""
        return Fractions(self.train, self.val, self.test)


class CrawlParams(StrictModel):
    """A params file. name: of the crawl; the same name goes on where it stopped. into: the dataset's URL.

    contact: an e-mail or web address that site owners can turn to; part of the user agent. work: the local folder of
    the crawl's journal.
    """

    name: Name
    into: str = Field(min_length=1)
    contact: str = Field(max_length=200)
    work: str = Field(default="./runs/crawls", min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    sources: tuple[dict[str, Any], ...] = Field(min_length=1)
    network: NetworkParams = NetworkParams()
    checks: CheckParams = CheckParams()
    split: SplitParams = SplitParams()

    @property
    def parsed_sources(self) -> tuple[AnySource, ...]:
        """The sources as models; they were validated when the file was loaded."""
        return tuple(SOURCE_TYPES[content["type"]].model_validate(content) for content in self.sources)


def load_crawl_params(path: str | Path, sets: list[str], *, to_fetch: bool = True) -> CrawlParams:
    """The params file with every `--set` applied. Raises ParamsError.

    to_fetch: whether the web will be asked, so that contact and network.allow must be usable (what checks them imports
    the web client).
    """
    params = validate(CrawlParams, apply_sets(read_params_file(Path(path)), sets), str(path))
    if to_fetch:
        _check_manners(params, str(path))
    sources = [_source(content, str(path), f"sources.{n}") for n, content in enumerate(params.sources)]
    names = [source.name.lower() for source in sources]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ParamsError(f"{path}: sources.{number}.name: '{sources[number].name}' is the name of another source")
    return params


def _check_manners(params: CrawlParams, where: str) -> None:
    from crawler.politeness import user_agent
    from infra.http.guard import Guard

    if not params.contact.strip():
        raise ParamsError(f"{where}: contact: site owners must be able to reach you: give an e-mail or web address")
    for key, check in (
        ("contact", lambda: user_agent(params.contact)),
        ("network.allow", lambda: Guard(params.network.allow)),
    ):
        try:
            check()
        except UserError as error:
            raise ParamsError(f"{where}: {key}: {error}") from None


def _source(content: Mapping[str, Any], where: str, prefix: str) -> AnySource:
    kind = content.get("type")
    if kind is None:
        raise ParamsError(f"{where}: {prefix}.type: is required: {', '.join(SOURCE_TYPES)}")
    model = SOURCE_TYPES.get(kind) if isinstance(kind, str) else None
    if model is None:
        near = difflib.get_close_matches(str(kind), SOURCE_TYPES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ParamsError(f"{where}: {prefix}.type: '{str(kind)[:80]}' is none of {', '.join(SOURCE_TYPES)}{hint}")
    source: AnySource = validate(model, content, where, prefix)
    return source


def _checked_selector(selector: str) -> str:
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    try:
        LexborHTMLParser("<p>").css(selector)
    except SelectolaxError:
        raise ValueError(f"'{selector[:80]}' is not a CSS selector") from None
    return selector
