"""The HTTP client's guard: no URL, name, redirect or second answer of a resolver leads to an address not allowed."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UserError
from infra.http import BlockedAddress, HttpClient, HttpError, Response, UnsafeUrl, shown_url
from infra.http.guard import special_kind
from infra.http.urls import parse_url
from tests.http_site import AGENT, Names, Site, redirect, reply


def fetch(url: str, allow: list[str], resolver: Names | None = None) -> Response:
    async def scenario() -> Response:
        async with HttpClient(user_agent=AGENT, allow=allow, resolver=resolver, total_s=5) as client:
            return await client.get(url)

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f.0x0.0x0.0x1", "0177.0.0.1", "2130706433", "0x7f000001"),
        *("017700000001", "127.0.0.1.", "１２７.0.0.1", "127。0。0。1", "0", "0.0.0.0", "0x0", "127.255.255.254"),
        *("10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.255", "169.254.1.1"),
        *("169.254.169.254", "0xa9fea9fe", "2852039166", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
        *("255.255.255.255", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]"),
        *("[2606:4700::1%25eth0]", "[::1%25]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[::ffff:127.0.0.1]"),
        *("[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]", "[::8.8.8.8]"),
        *("[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::8.8.8.8]", "[2002:7f00:1::]"),
        "[2002:808:808::]",
        *("[2001::1]", "[2001:0:7f00:1::]", "[2001:db8::1]", "[3fff::1]", "[::ffff:0:127.0.0.1]"),
        "[4000::1]",
    ],
)
def test_a_literal_that_is_not_public_is_blocked_before_anything_is_asked(host: str) -> None:
    asked: list[str] = []

    async def before_hop(url: str) -> None:
        asked.append(url)

    async def scenario() -> None:
        async with HttpClient(user_agent=AGENT, total_s=5) as client:
            with pytest.raises(BlockedAddress, match="not reached") as caught:
                await client.get(f"http://{host}:1/x", before_hop=before_hop)
            assert not caught.value.retriable
            assert caught.value.error_class == "blocked address"

    asyncio.run(scenario())
    assert asked == []


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0"),
        *("223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1", "2001:4860::8888", "::ffff:8.8.8.8"),
        "64:ff9b::808:808",
    ],
)
def test_public_addresses_are_open(address: str) -> None:
    assert special_kind(ip_address(address)) is None


@given(st.ip_addresses(v=4))
def test_what_python_calls_not_global_is_special_in_every_disguise(address: IPv4Address) -> None:
    if address.is_global and not address.is_multicast:
        return
    number = int(address)
    prefixes = {"::ffff:0:0": 0, "64:ff9b::": 0, "::": 0, "64:ff9b:1::": 0, "2002::": 80, "2001::": 0}
    assert special_kind(address)
    for prefix, shift in prefixes.items():
        assert special_kind(IPv6Address(int(IPv6Address(prefix)) | number << shift)), prefix


@given(st.ip_addresses(v=6))
def test_what_python_calls_not_global_is_special_in_ipv6(address: IPv6Address) -> None:
    if not address.is_global and not address.ipv4_mapped and address not in NAT64:
        assert special_kind(address)


NAT64 = {IPv6Address("64:ff9b::8.8.8.8")}


@pytest.mark.parametrize("host", ["localhost", "photos.lan"])
def test_a_name_that_means_this_machine_is_blocked(host: str) -> None:
    async def scenario() -> None:
        async with Site({"/": reply(b"secret")}) as site:
            resolver = Names(photos_lan=[["127.0.0.1"]]) if host != "localhost" else None
            async with HttpClient(user_agent=AGENT, resolver=resolver) as client:
                with pytest.raises(BlockedAddress, match="this machine"):
                    await client.get(f"http://{host}:{site.port}/")
            assert site.connections == 0

    asyncio.run(scenario())


def test_an_allowed_name_opens_its_own_connections_and_no_other_names() -> None:
    async def scenario() -> None:
        names = Names(photos_lan=[["127.0.0.1"]], evil_example=[["127.0.0.1"]])
        async with Site({"/": reply(b"photo")}) as site:
            async with HttpClient(user_agent=AGENT, allow=["Photos.LAN"], resolver=names) as client:
                urls = [f"http://{host}:{site.port}/" for host in ["photos.lan", "evil.example", "127.0.0.1"] * 20]
                results = await asyncio.gather(*map(client.get, urls), return_exceptions=True)
            for url, result in zip(urls, results, strict=True):
                assert isinstance(result, Response if "photos" in url else BlockedAddress), url
            assert {headers["host"] for _, headers in site.asked} == {f"photos.lan:{site.port}"}

    asyncio.run(scenario())


def test_an_allowed_name_with_a_port_opens_that_port_only() -> None:
    async def scenario() -> None:
        names = Names(photos_lan=[["127.0.0.1"]])
        async with Site({"/": reply(b"a")}) as open_site, Site({"/": reply(b"b")}) as closed_site:
            allow = [f"photos.lan:{open_site.port}"]
            async with HttpClient(user_agent=AGENT, allow=allow, resolver=names) as client:
                assert (await client.get(f"http://photos.lan:{open_site.port}/")).body == b"a"
                with pytest.raises(BlockedAddress):
                    await client.get(f"http://photos.lan:{closed_site.port}/")
            assert closed_site.connections == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "target", ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "rebound.example"]
)
def test_a_redirect_to_a_port_that_is_not_allowed_is_blocked(target: str) -> None:
    async def scenario() -> None:
        async with Site({"/secret": reply(b"secret")}) as inner:
            async with Site({"/": redirect(f"http://{target}:{inner.port}/secret")}) as outer:
                resolver = Names(rebound_example=[["127.0.0.1"]]) if target == "rebound.example" else None
                client = HttpClient(user_agent=AGENT, allow=[f"127.0.0.1:{outer.port}"], resolver=resolver)
                async with client:
                    with pytest.raises(BlockedAddress, match="redirected to") as caught:
                        await client.get(f"{outer.url}/")
                assert outer.url in str(caught.value)
            assert inner.connections == 0

    asyncio.run(scenario())


def test_a_name_that_is_rebound_between_a_check_and_the_connection_is_blocked() -> None:
    async def scenario() -> None:
        names = Names(rebound_example=[["93.184.216.34"], ["127.0.0.1"]])
        seen: list[str] = []

        async def check(url: str) -> None:
            seen.extend(found["host"] for found in await names.resolve("rebound.example"))

        async with Site({"/": reply(b"secret")}) as site:
            async with HttpClient(user_agent=AGENT, resolver=names) as client:
                with pytest.raises(BlockedAddress):
                    await client.get(f"http://rebound.example:{site.port}/", before_hop=check)
            assert seen == ["93.184.216.34"]
            assert site.connections == 0

    asyncio.run(scenario())


def test_happy_eyeballs_pass_the_guard_too() -> None:
    async def scenario() -> None:
        names = Names(many_example=[["::1", "127.0.0.1", "::ffff:127.0.0.1", "127.0.0.3"]])
        async with Site({"/": reply(b"x")}) as site, Site({"/": reply(b"y")}) as other:
            allow = [f"127.0.0.1:{other.port}"]
            async with HttpClient(user_agent=AGENT, allow=allow, resolver=names) as client:
                with pytest.raises(BlockedAddress):
                    await client.get(f"http://many.example:{site.port}/")
                assert (await client.get(f"http://many.example:{other.port}/")).body == b"y"
            assert (site.connections, other.connections) == (0, 1)

    asyncio.run(scenario())


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8", "0.0.0.0/0"])
def test_an_allowed_network_is_open_in_every_form_of_its_addresses(entry: str) -> None:
    async def scenario() -> None:
        async with Site({"/": reply(b"x")}) as site, HttpClient(user_agent=AGENT, allow=[entry]) as client:
            for host in ["127.0.0.1", "127.1", "[::ffff:127.0.0.1]"]:
                assert (await client.get(f"http://{host}:{site.port}/")).status == 200
            with pytest.raises(BlockedAddress):
                await client.get("http://[::1]:1/")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "entry",
    [
        *(
            "",
            "*",
            "*.lan",
            "http://photos.lan",
            "photos.lan/x",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "127.1",
            "a b",
            "u@h",
            "a:b:c",
        ),
        *("x:99999", "x:0", "a?b", "a#b", " a", "fe80::1%eth0", "[::1", "1.2.3.4.5"),
    ],
)
def test_an_entry_of_allow_that_means_nothing_is_refused_in_one_line(entry: str) -> None:
    with pytest.raises(UserError, match=r"allow: .* is not understood"):
        HttpClient(user_agent=AGENT, allow=["8.8.8.8", entry])


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "//host/x", "/etc/passwd", "ftp://host/x", "file:///etc/passwd", "data:image/png;base64,AAAA"),
        *("http:", "http://", "http:///x", "http:x", "http:\\\\h\\x", "http://:80/", "http://?x", "http://a:0/"),
        *("http://a:99999/", "http://a:b/", "http://a:-1/", "http://ex.com:80:80/", "http://u:p@h/", "http://u@h/"),
        *("http://@h/", "http://[::1", "http://[zz]/", "http://a b/", "http://a..b/", "http://./", "http://a\nb/"),
        *("http://a/\r\nX: y", "http://a/\x00", "http://a\t/", "http://a/\x7f", "http://%6cocalhost/", "http://a%00b/"),
        *("http://a/\ud800", "http://256.1.1.1/", "http://1.2.3.4.5/", "http://99999999999/", "http://h\\@evil/"),
        *("javascript:alert(1)", "gopher://h/", "http://" + "a" * 64 + "/", "http://a/" + "x" * 9000),
        "http://" + ".".join(["abc"] * 90) + "/",
    ],
)
def test_what_is_no_plain_http_url_is_unsafe(url: str) -> None:
    with pytest.raises(UnsafeUrl, match="not fetched") as caught:
        fetch(url, [])
    assert len(str(caught.value)) <= 300
    assert "\n" not in str(caught.value)


@given(st.text() | st.from_regex(r"https?://[^/]{0,20}(:\d+)?(/.*)?"))
def test_any_text_is_a_url_with_a_sane_host_or_unsafe(text: str) -> None:
    try:
        url = parse_url(text)
    except UnsafeUrl:
        return
    host = url.raw_host or ""
    assert url.scheme in {"http", "https"}
    assert host.isascii()
    assert host == host.lower()
    assert not set(host) & set(" /?#@\\\r\n\0")
    assert url.user is None
    assert parse_url(str(url)) == url


SECRETS = st.text(st.characters(codec="ascii", exclude_characters="@", categories=["L", "N", "P", "S"]), min_size=1)


@given(st.sampled_from(["http://", "https://", "ftp://", "HTTP:/", "http:", ""]), SECRETS, SECRETS)
def test_a_message_never_shows_what_stands_before_the_host(scheme: str, name: str, password: str) -> None:
    try:
        fetch(f"{scheme}{name}ZZname:ZZpass{password}@photos.invalid/x", [], Names())
    except HttpError as exc:
        # `http://host/…@…` or `http://host?…@…` is a URL whose path or query holds an @, not one with a password.
        if not set(name) & set("/?#"):
            assert "ZZpass" not in str(exc)


def test_an_at_sign_in_the_path_is_shown() -> None:
    assert shown_url("https://medium.com/@user?q=a@b") == "https://medium.com/@user?q=a@b"
