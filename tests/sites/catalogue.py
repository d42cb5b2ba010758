"""The single addresses of a site: what each serves, and what a perfect crawler would make of it.

Every good picture is a face of its own number from 9000 on, so that nothing here is a copy unless it says so.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from tests.sites import faults, pictures
from tests.sites.expected import Expected, kept, refused
from tests.sites.faults import Handler

OPT_OUTS: dict[str, tuple[dict[str, str], bool]] = {  # name ▶ headers, whether they mean us
    "noai": ({"X-Robots-Tag": "noai"}, True),
    "noimageai": ({"X-Robots-Tag": "noimageai"}, True),
    "noindex": ({"X-Robots-Tag": "noindex, nofollow"}, True),
    "noml": ({"X-Robots-Tag": "NoML"}, True),
    "mixed": ({"x-robots-tag": "max-snippet:20 , NOAI"}, True),
    "tdm": ({"TDM-Reservation": "1"}, True),
    "tdm-0": ({"TDM-Reservation": "0"}, False),
    "other-robot": ({"X-Robots-Tag": "otherbot: noindex, noai"}, False),
    "other-word": ({"X-Robots-Tag": "noarchive"}, False),
}
HOPS_END = 9610  # the face behind the chains of redirects
TDMREP = [{"location": "/reserved/", "tdm-reservation": 1, "tdm-policy": "https://example.org/policy.json"}]

# What leads out of the site: the name ▶ the target, in which {trap} is the port of a second server on this machine.
TRAPS = {
    "literal": "http://127.0.0.1:{trap}/secret.jpg",
    "name": "http://localhost:{trap}/secret.jpg",
    "short": "http://127.1:{trap}/secret.jpg",
    "decimal": "http://2130706433:{trap}/secret.jpg",
    "hex": "http://0x7f000001:{trap}/secret.jpg",
    "mapped": "http://[::ffff:127.0.0.1]:{trap}/secret.jpg",
    "any": "http://0.0.0.0:{trap}/secret.jpg",
    "user": "http://example.org@127.0.0.1:{trap}/secret.jpg",
    "metadata": "http://169.254.169.254/latest/meta-data/",
}


@dataclass(frozen=True)
class Entry:
    """One address: its answer and its truth."""

    handler: Handler
    expected: Expected
    lands_on: str = ""  # the path behind a redirect, which robots.txt may forbid too


def serve(
    body: bytes, content_type: str = "image/jpeg", status: int = 200, headers: Mapping[str, str] | None = None
) -> Handler:
    """A plain answer."""
    fields = headers or {}

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers={"Content-Type": content_type, **fields})

    return handler


def redirect(target: str, status: int = 302) -> Handler:
    """A redirect to `target`, sent as it is written."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": target})

    return handler


def hops(count: int) -> Handler:
    """The first of `count` redirects, the last of which leads to a good picture."""
    return redirect(f"/redirect/hops-{count - 1}.jpg" if count > 1 else f"/img/{HOPS_END:05d}.jpg")


def catalogue(trap_port: int) -> dict[str, Entry]:
    """Every single address of a site by its path."""
    return {**_odd(), **_broken(), **_slow_and_large(), **_refusals(), **_copies(), **_redirects(trap_port)}


def _good(body: bytes, content_type: str = "image/jpeg", sent: bytes | None = None, coding: str = "") -> Entry:
    return Entry(
        serve(body if sent is None else sent, content_type, headers={"Content-Encoding": coding} if coding else None),
        kept(body),
    )


def _odd() -> dict[str, Entry]:
    """Good pictures under odd circumstances."""
    png = pictures.encoded(pictures.picture(9002), "PNG")
    raw = pictures.face(9007)
    return {
        "/odd/text-plain.jpg": _good(pictures.face(9000), "text/plain"),
        "/odd/octet-stream": _good(pictures.face(9001), "application/octet-stream"),
        "/odd/png-named.jpg": _good(png),
        "/odd/plain.png": _good(pictures.encoded(pictures.picture(9003), "PNG"), "image/png"),
        "/odd/still.gif": _good(pictures.encoded(pictures.picture(9004).convert("P"), "GIF"), "image/gif"),
        "/odd/photo.webp": _good(pictures.encoded(pictures.picture(9005), "WEBP", quality=90), "image/webp"),
        "/odd/turned.jpg": _good(pictures.turned(9006)),
        "/odd/http-1.0.jpg": Entry(faults.raw(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + raw), kept(raw)),
        "/odd/an ümlaut & spaces.jpg": _good(pictures.face(9008)),
        "/odd/gzipped.jpg": _good(pictures.face(9009), sent=gzip.compress(pictures.face(9009), mtime=0), coding="gzip"),
        "/odd/deflated.jpg": _good(pictures.face(9010), sent=zlib.compress(pictures.face(9010)), coding="deflate"),
        "/odd/grey.jpg": _good(pictures.jpeg(pictures.picture(9011).convert("L"))),
        "/odd/prompted.png": Entry(
            serve(pictures.prompted_png(9012), "image/png"), kept(pictures.prompted_png(9012), "ai-marked")
        ),
        "/odd/declared.jpg": Entry(
            serve(pictures.declared_synthetic(9013)), kept(pictures.declared_synthetic(9013), "ai-marked")
        ),
    }


def _broken() -> dict[str, Entry]:
    """Files and transfers with something wrong."""
    page = b"<!DOCTYPE html><html><title>Please log in</title><h1>Please log in</h1></html>"
    whole = pictures.face(9100)
    return {
        "/broken/truncated.jpg": Entry(serve(pictures.truncated(9101)), refused("truncated")),
        "/broken/html.jpg": Entry(serve(page), refused("not-an-image")),
        "/broken/json.jpg": Entry(serve(b'{"error": "rate limit"}'), refused("not-an-image")),
        "/broken/empty.jpg": Entry(serve(b""), refused("not-an-image")),
        "/broken/nothing.jpg": Entry(serve(b"", status=204), refused("not-an-image")),
        "/broken/drawing.svg": Entry(serve(pictures.svg(), "image/svg+xml"), refused("unsupported")),
        "/broken/moving.gif": Entry(serve(pictures.animated_gif(9102), "image/gif"), refused("animated")),
        "/broken/dot.png": Entry(serve(pictures.png_dot(), "image/png"), refused("too-small")),
        "/broken/incomplete.jpg": Entry(faults.incomplete(whole), refused("broken-transfer")),
        "/broken/no-last-chunk.jpg": Entry(faults.without_last_chunk(whole), refused("broken-transfer")),
        "/broken/reset.jpg": Entry(faults.reset(whole), refused("broken-transfer")),
        "/broken/not-http.jpg": Entry(
            faults.raw(b"220 ftp.example.org FTP server ready\r\n"), refused("broken-transfer")
        ),
        "/broken/hung-up.jpg": Entry(faults.raw(b""), refused("broken-transfer")),
        "/broken/not-gzip.jpg": Entry(serve(whole, headers={"Content-Encoding": "gzip"}), refused("broken-transfer")),
    }


def _slow_and_large() -> dict[str, Entry]:
    """What eats time or memory."""

    async def bomb(request: web.BaseRequest) -> web.StreamResponse:
        return await serve(pictures.gzip_bomb(), headers={"Content-Encoding": "gzip"})(request)

    async def huge_png(request: web.BaseRequest) -> web.StreamResponse:
        return await serve(pictures.png_of_900_megapixels(), "image/png")(request)

    return {
        "/slow/drip.jpg": Entry(faults.drip(pictures.face(9200)), refused("too-slow")),
        "/slow/silent.jpg": Entry(faults.silent, refused("too-slow")),
        "/large/endless.jpg": Entry(faults.endless, refused("too-large")),
        "/large/ten-gigabytes.jpg": Entry(faults.ten_gigabytes, refused("too-large")),
        "/large/bomb.jpg": Entry(bomb, refused("too-large")),
        "/large/900-megapixels.png": Entry(huge_png, refused("too-many-pixels")),
    }


def _refusals() -> dict[str, Entry]:
    """Addresses that answer no, or ask not to be collected."""
    outcomes = {404: "not-found", 410: "gone", 401: "forbidden", 403: "forbidden", 451: "forbidden"}
    outcomes |= dict.fromkeys((429, 500, 502, 503, 504), "unavailable")
    # A picture all the same: a client that does not look at the status would store it.
    entries = {
        f"/status/{status}.jpg": Entry(serve(pictures.face(9300 + number), status=status), refused(outcome))
        for number, (status, outcome) in enumerate(outcomes.items())
    }
    for number, (name, (headers, ours)) in enumerate(OPT_OUTS.items()):
        body = pictures.face(9400 + number)
        expected = kept(body)
        entries[f"/opt-out/{name}.jpg"] = Entry(
            serve(body, headers=headers), expected.but("opted-out") if ours else expected
        )
    entries["/reserved/face.jpg"] = Entry(serve(pictures.face(9450)), kept(pictures.face(9450)).but("opted-out"))
    # Good unless robots.txt says otherwise.
    entries["/private/face.jpg"] = _good(pictures.face(9451))
    entries["/private/deep/face.png"] = _good(pictures.encoded(pictures.picture(9452), "PNG"), "image/png")
    entries["/public/face.png"] = _good(pictures.encoded(pictures.picture(9453), "PNG"), "image/png")
    entries["/public/face.png?size=large"] = _good(pictures.encoded(pictures.picture(9454), "PNG"), "image/png")
    return entries


def _copies() -> dict[str, Entry]:
    """One picture under several addresses, and its relatives."""
    body, first = pictures.face(9595), "/copies/first.jpg"
    near = {"q40": pictures.recompressed(9595), "q40-half": pictures.halved(9595)}
    entries = {first: _good(body)}
    for name in ("second.jpg", "third.jpg?utm_source=mail", "deep/fourth.jpeg"):
        entries[f"/copies/{name}"] = Entry(serve(body), kept(body, "duplicate", first))
    for name, data in near.items():
        entries[f"/copies/{name}.jpg"] = Entry(serve(data), kept(data, "near-duplicate", first))
    return entries


def _redirects(trap_port: int) -> dict[str, Entry]:
    """Redirects to good pictures, in circles, and to where a crawler must not go."""
    entries: dict[str, Entry] = {}
    statuses = {"moved": 301, "found": 302, "see-other": 303, "temporary": 307, "permanent": 308}
    for number, (name, status) in enumerate(statuses.items()):
        target = f"/img/{9600 + number:05d}.jpg"
        entries[f"/redirect/{name}.jpg"] = Entry(
            redirect(f"..{target}", status), kept(pictures.face(9600 + number)), target
        )
    entries["/redirect/hops-3.jpg"] = Entry(hops(3), kept(pictures.face(HOPS_END)), f"/img/{HOPS_END:05d}.jpg")
    bad = refused("bad-redirect")
    entries["/redirect/hops-30.jpg"] = Entry(hops(30), bad)
    entries["/redirect/self.jpg"] = Entry(redirect("/redirect/self.jpg"), bad)
    entries["/redirect/ping.jpg"] = Entry(redirect("/redirect/pong.jpg"), bad)
    entries["/redirect/pong.jpg"] = Entry(redirect("/redirect/ping.jpg"), bad)
    entries["/redirect/nowhere.jpg"] = Entry(serve(b"", status=302), bad)
    entries["/redirect/file.jpg"] = Entry(redirect("file:///etc/hostname"), bad)
    entries["/redirect/ftp.jpg"] = Entry(redirect("ftp://127.0.0.1/face.jpg"), bad)
    entries["/redirect/data.jpg"] = Entry(redirect("data:image/gif;base64,R0lGODlhAQABAAAAACw="), bad)
    into_private = kept(pictures.face(9451), "duplicate", "/private/face.jpg")
    entries["/redirect/private.jpg"] = Entry(redirect("/private/face.jpg"), into_private, "/private/face.jpg")
    for name, target in TRAPS.items():
        entries[f"/redirect/trap-{name}.jpg"] = Entry(
            redirect(target.format(trap=trap_port)), refused("private-address")
        )
    return entries
