"""What stands around every page: its head, the way to the other pages, the choice of a language."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bot.words import LANGUAGES, Words

HERE = Path(__file__).resolve().parents[1]  # where templates and static files are


def page(request: Request, template: str, t: Words, **values: object) -> HTMLResponse:
    """A page of `templates/`. Its links are relative, so that a proxy may serve all of it below a path of its own:
    `root` leads from the page to where the first one is, and `query` keeps the language that the reader has chosen."""
    depth = request.url.path.count("/") - 1
    html = _templates().get_template(template).render(
        language=t.language, languages=LANGUAGES, frame=_words(t), root="../" * depth or "./", path=request.url.path,
        query=_chosen(request, t), **values,
    )  # fmt: skip
    tag = f'"{hashlib.sha256(html.encode()).hexdigest()[:32]}"'
    headers = {"Content-Language": t.language, "Vary": "Accept-Language", "Cache-Control": "no-cache", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return HTMLResponse(status_code=304, headers=headers)
    return HTMLResponse(html, headers=headers)


def _chosen(request: Request, t: Words) -> str:
    """What to append to links of pages; empty where the browser's own language is spoken."""
    tag = request.query_params.get("language", "")
    return f"?language={t.language}" if tag.split("-")[0].lower() == t.language else ""


def _words(t: Words) -> dict[str, str]:
    return {
        "skip": t("Skip to the content"),
        "language": t("Language"),
        "api": t("For programs: the HTTP API"),
        "pages": t("Pages"),
        "check": t("Check"),
        "quiz": t("Quiz"),
        "experiments": t("Experiments"),
        "about": t("About"),
    }


@lru_cache(maxsize=1)
def _templates() -> Environment:
    loader = FileSystemLoader(HERE / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
