"""The library that draws charts: plotly's bundle, served from the installed package to pages that have charts."""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

PLOTLY = f"charts/plotly-{version('plotly')}.js"  # its version is in its name, so that browsers keep it for good

routes = APIRouter(include_in_schema=False)


@routes.api_route(f"/{PLOTLY}", methods=["GET", "HEAD"])
def plotly(request: Request) -> Response:
    """4.8 MB, of which 1.5 MB go over the wire to whoever takes gzip."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if takes_gzip(request.headers.get("accept-encoding")):
        headers["Content-Encoding"] = "gzip"
        return Response(_small(), media_type="text/javascript", headers=headers)
    return FileResponse(_bundle(), media_type="text/javascript", headers=headers)


@lru_cache(maxsize=1)
def style_ids() -> tuple[str, ...]:
    """Ids under which it looks for styles of its own before it writes them into the page, which the page's policy
    forbids: something of that name must be there. They are for maps, which nobody draws here."""
    return tuple(sorted(set(re.findall(r'getElementById\("([0-9a-f]{64})"\)', _bundle().read_text("utf-8")))))


def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether the header Accept-Encoding (RFC 9110, section 12.5.3) names gzip, and not with a weight of 0."""
    for part in (accept_encoding or "").split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() == "gzip":
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
    return False


@lru_cache(maxsize=1)
def _small() -> bytes:
    return gzip.compress(_bundle().read_bytes(), 6, mtime=0)


def _bundle() -> Path:
    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"
