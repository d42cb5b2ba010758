"""HTML of a stranger's galleries: pagination, nested albums, lazy images, base addresses, every wrong encoding.

Pictures named by a page are faces under `/g/NNNNN.jpg`, or under a name in the page's own script for encodings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.sites import pictures
from tests.sites.expected import Expected, kept

PAGES, PER_PAGE = 4, 5  # of the numbered gallery
ALBUMS, PER_ALBUM = 2, 3  # of the nested one


@dataclass(frozen=True)
class Page:
    """One HTML page as it is sent."""

    body: bytes
    content_type: str = "text/html; charset=utf-8"


@dataclass
class Gallery:
    """Pages that belong together, and what can be found by them.

    `images` holds path ▶ Expected for every picture that must be found; what else the pages name (logos, thumbnails,
    other hosts) must not be, or need not be.
    """

    start: str  # path of the first page
    link: str  # CSS selector of the links to follow
    image: str  # CSS selector of the pictures
    depth: int  # how many links lie between the start and the farthest picture's page
    pages: dict[str, Page] = field(default_factory=dict)  # by path with query
    images: dict[str, Expected] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)  # pictures that are no numbered face: path ▶ JPEG

    def expect(self, number: int) -> str:
        """Note that face `number` is to be found here; gives its path."""
        path = face_path(number)
        self.images[path] = kept(pictures.face(number))
        return path


def face_path(number: int) -> str:
    """Where pages have their pictures."""
    return f"/g/{number:05d}.jpg"


def galleries(trap_port: int) -> dict[str, Gallery]:
    """Every gallery by its name."""
    return {
        "numbered": _numbered(),
        "album": _album(trap_port),
        "based": _based(),
        "lazy": _lazy(),
        "opted-out": _opted_out(),
        **{f"encoded-{name}": gallery for name, gallery in _encoded().items()},
    }


def _html(title: str, body: str, head: str = "") -> str:
    logo = '<img class="logo" src="/logo.png" alt="">'
    return f"<!DOCTYPE html><html><head><title>{title}</title>{head}</head><body>{logo}{body}</body></html>"


def _numbered() -> Gallery:
    """Four numbered pages; rel=next leads on, and on the last one back to the first."""
    gallery = Gallery("/gallery/", 'a[rel="next"], nav a', "img.face", PAGES - 1)
    for page in range(1, PAGES + 1):
        first = 1000 + (page - 1) * PER_PAGE
        faces = "".join(
            f'<figure><img class="face" src="{gallery.expect(number)}"></figure>'
            for number in range(first, first + PER_PAGE)
        )
        numbers = "".join(f'<a href="?page={number}">{number}</a> ' for number in range(1, PAGES + 1))
        following = page % PAGES + 1
        html = _html(f"Page {page}", f'{faces}<nav>{numbers}</nav><a rel="next" href="?page={following}">older</a>')
        gallery.pages[f"/gallery/?page={page}"] = Page(html.encode())
        if page == 1:
            gallery.pages["/gallery/"] = Page(html.encode())
    return gallery


def _album(trap_port: int) -> Gallery:
    """Album ▶ set ▶ photo page ▶ photo; links that lead back, round, out and nowhere; a calendar without end."""
    gallery = Gallery("/album/", "a", "img.full", 2)
    strays = (
        '<a href="#top">top</a><a href="/album/">home</a><a href="">here</a><a href="mailto:a@example.org">mail</a>'
        '<a href="javascript:void(0)">menu</a><a href="tel:+4912345">call</a><a>no target</a><a href="http://[broken">x</a>'
        f'<a href="http://127.0.0.1:{trap_port}/out.html">partner</a><a href="//offsite.invalid/x.html">shop</a>'
        '<a href="/album/missing.html">old</a><a href="/album/report.pdf">report</a>'
    )
    sets = "".join(f'<a href="set{number}/">set {number}</a>' for number in range(ALBUMS))
    calendar = '<a href="/album/calendar/1">calendar</a>'
    gallery.pages["/album/"] = Page(_html("Albums", sets + calendar + strays).encode())
    for album in range(ALBUMS):
        links = "".join(f'<a href="./{photo}.html#photo">photo</a>' for photo in range(PER_ALBUM))
        other = f'<a href="../set{(album + 1) % ALBUMS}/">another set</a>'
        gallery.pages[f"/album/set{album}/"] = Page(_html("Set", links + other + strays).encode())
        for photo in range(PER_ALBUM):
            number = 1100 + album * PER_ALBUM + photo
            image = f'<img class="full" src="../..{gallery.expect(number)}">'
            back = '<a href="..">up</a>'
            page = _html("Photo", image + back + strays)
            gallery.pages[f"/album/set{album}/{photo}.html"] = Page(page.encode())
    gallery.pages["/album/report.pdf"] = Page(b"%PDF-1.7\n" + bytes(1000), "application/pdf")
    return gallery


def calendar(day: int) -> Page:
    """Day `day` of a calendar that always has a next day, and no picture."""
    links = "".join(f'<a href="/album/calendar/{day + step}">day {day + step}</a>' for step in (1, 7))
    return Page(_html(f"Day {day}", links).encode())


def _based() -> Gallery:
    """Addresses relative to a <base> that is not the page's own."""
    gallery = Gallery("/based/deep/page.html", "a", "img", 1)
    first, second = gallery.expect(1200), gallery.expect(1201)
    head = '<base href="/g/">'
    body = f'<img src="{first.removeprefix("/g/")}"><a href="../based/deep/more.html">more</a>'
    gallery.pages["/based/deep/page.html"] = Page(_html("Based", body, head).encode())
    body = f'<img src="./{second.removeprefix("/g/")}?v=2"><img src="">'
    gallery.pages["/based/deep/more.html"] = Page(_html("More", body, head).encode())
    gallery.images[f"{second}?v=2"] = gallery.images.pop(second)
    return gallery


def _lazy() -> Gallery:
    """Pictures that a script would load: data-src, srcset, <picture>; blanks of one pixel stand in for them."""
    blank = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    gallery = Gallery("/lazy/", "a", "img, source", 0)
    paths = [gallery.expect(1300 + number) for number in range(5)]
    half = [f"/half{path}" for path in paths]  # smaller copies, which need not be found
    body = (
        f'<img src="{blank}" data-src="{paths[0]}">'
        f'<img src="{half[1]}" srcset="{half[1]} 1x, {paths[1]} 2x">'
        f'<img srcset="{half[2]} 50w,\n {paths[2]} 100w" sizes="50vw">'
        f'<picture><source srcset="{paths[3]}" type="image/jpeg"><img src="{half[3]}"></picture>'
        f'<img src="{blank}" data-srcset="{half[4]} 320w, {paths[4]} 640w">'
    )
    gallery.pages["/lazy/"] = Page(_html("Lazy", body).encode())
    for number, path in enumerate(half):
        gallery.files[path] = pictures.halved(1300 + number)
    return gallery


def _opted_out() -> Gallery:
    """A page whose meta tag keeps its pictures from being collected."""
    gallery = Gallery("/no-ai/", "a", "img.face", 0)
    path = gallery.expect(1400)
    head = '<meta name="robots" content="noai, noimageai">'
    gallery.pages[gallery.start] = Page(_html("Mine", f'<img class="face" src="{path}">', head).encode())
    gallery.images[path] = gallery.images[path].but("opted-out")
    return gallery


# name ▶ (codec of the bytes, Content-Type, <head>, a name of the picture that this codec can write)
_ENCODINGS = {
    "windows-1251": ("cp1251", "text/html; charset=windows-1251", "", "портрет"),
    "windows-1251-meta": ("cp1251", "text/html", '<meta charset="windows-1251">', "лицо"),
    "koi8-r": ("koi8-r", "text/html; charset=KOI8-R", "", "человек"),
    "shift-jis": ("shift_jis", "text/html; charset=Shift_JIS", "", "写真"),
    "shift-jis-meta": (
        "shift_jis",
        "text/html",
        '<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS">',
        "表示ソ",  # their second bytes are those of a backslash
    ),
    "utf-16-bom": ("utf-16", "text/html", "", "προσωπο"),
    "utf-8-bom": ("utf-8-sig", "text/html; charset=windows-1252", "", "ansikte-å"),  # a BOM outranks the header
    "latin-1": ("latin-1", "text/html", "", "café"),
    # What is declared cannot be right; the names are plain, so that a lenient reader finds them all the same.
    "not-utf-8": ("latin-1", "text/html; charset=utf-8", "", "plain-a"),
    "unknown": ("latin-1", "text/html; charset=klingon", '<meta charset="x-klingon">', "plain-b"),
}


def _encoded() -> dict[str, Gallery]:
    galleries = {}
    for number, (name, (codec, content_type, head, word)) in enumerate(_ENCODINGS.items()):
        gallery = Gallery(f"/encoded/{name}/", "a", "img.face", 0)
        title = "é à ü" if codec == "latin-1" else word
        page = _html(title, f'<p>{title}</p><img class="face" src="{word}-1.jpg">', head)
        gallery.pages[gallery.start] = Page(page.encode(codec), content_type)
        path = f"{gallery.start}{word}-1.jpg"
        gallery.files[path] = pictures.face(1500 + number)
        gallery.images[path] = kept(pictures.face(1500 + number))
        galleries[name] = gallery
    return galleries
