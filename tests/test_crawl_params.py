"""The params file of a crawl: what is wrong with it, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.params import load_crawl_params
from infra.params import ParamsError

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "params" / "crawl.yaml"
CONTACT = "contact=me@example.org"


def test_the_file_in_the_box_lacks_only_a_contact() -> None:
    with pytest.raises(ParamsError, match="contact: site owners must be able to reach you"):
        load_crawl_params(FILE, [])
    names = [source.name for source in load_crawl_params(FILE, [CONTACT]).parsed_sources]
    assert names == ["ffhq", "tpdne"]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["contact=me"], "contact: contact 'me' is neither an e-mail address nor an http"),
        (["sources=[]"], "sources: "),
        (["sources.0.type=urlist"], "sources.0.type: 'urlist' is none of .*; did you mean 'urllist'"),
        (["sources.0.targt=3"], "sources.0.targt: unknown key; did you mean 'target'"),
        (["sources.0.target=0"], "sources.0.target: should be greater than or equal to 1"),
        (["sources.0.label=reel"], "sources.0.label: .*did you mean 'real'"),
        (["sources.0.generator=gan"], "sources.0: generator: 'gan' cannot have drawn images labelled real"),
        (["sources.1.name=FFHQ"], "sources.1.name: 'FFHQ' is the name of another source"),
        (["sources.1.url=ftp://x"], "sources.1.url: 'ftp://x' is not a web address"),
        (["sources.1.pick={selector: 'a[['}"], r"sources.1.pick.selector: 'a\[\[' is not a CSS selector"),
        (["sources.1.pick={}"], "sources.1.pick: give either selector"),
        (["network.allow=[10.0.0.1/8]"], "network.allow: .*10.0.0.1/8"),
        (["network.per_host=0"], "network.per_host: "),
        (["split.train=0.5"], "split: fractions must add up to 1"),
        (["checks.oneface=true"], "checks.oneface: unknown key; did you mean 'one_face'"),
    ],
)
def test_wrong_params(sets: list[str], said: str) -> None:
    with pytest.raises(ParamsError, match=said) as error:
        load_crawl_params(FILE, [CONTACT, *sets])
    assert str(FILE) in str(error.value) and "\n" not in str(error.value)
