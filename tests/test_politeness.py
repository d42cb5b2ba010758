"""Who we say we are, and how origins and hosts are told apart."""

from __future__ import annotations

import pytest

from crawler.politeness import USER_AGENT_TOKEN, host_of, origin_of, user_agent
from infra.errors import UserError
from infra.http import UnsafeUrl


def test_origins_and_hosts() -> None:
    assert origin_of("HTTPS://Example.COM:443/a?b") == "https://example.com"
    assert origin_of("http://example.com:8080/") == "http://example.com:8080"
    assert host_of("https://Example.com/a") == "example.com:443"
    assert host_of("http://[2606:4700::1111]/a") == "[2606:4700::1111]:80"
    assert host_of("http://bücher.example/") == "xn--bcher-kva.example:80"
    for url in ("ftp://example.com/", "http://", "no url", "http://[broken/"):
        with pytest.raises(UnsafeUrl):
            origin_of(url)


def test_the_user_agent_names_the_crawler_and_a_way_to_reach_its_owner() -> None:
    assert user_agent("me@example.com") == "faces-crawler/0.1 (+me@example.com)"
    assert user_agent("https://lab.example/bot") == "faces-crawler/0.1 (+https://lab.example/bot)"
    named = user_agent("me@example.com", "lab-faces", "2.0", url="https://lab.example/bot")
    assert named == "lab-faces/2.0 (+https://lab.example/bot; me@example.com)"
    assert user_agent("me@example.com").startswith(USER_AGENT_TOKEN)


@pytest.mark.parametrize(
    "contact",
    ["", "me", "me@host", "me @example.com", "me@example.com\r\nX-Evil: 1", "me@example.com)", "ftp://example.com", "http://",
     "https://user:secret@example.com/", "http://[broken", "ich@bücher.example"],
)  # fmt: skip
def test_a_contact_that_reaches_nobody_is_refused(contact: str) -> None:
    with pytest.raises(UserError, match="contact"):
        user_agent(contact)


def test_a_name_that_robots_txt_cannot_address_is_refused() -> None:
    for changes in ({"name": "faces crawler"}, {"version": "0.1 (x)"}, {"url": "example.com"}):
        with pytest.raises(UserError):
            user_agent("me@example.com", **changes)
