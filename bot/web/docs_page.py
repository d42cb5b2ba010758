"""/docs: the OpenAPI description as a plain page, made here: viewers come from a CDN, and nothing here does."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from bot.web.problems import KINDS


def add_docs(web: FastAPI) -> None:
    """Serve the page."""
    web.add_api_route("/docs", _docs, methods=["GET"], include_in_schema=False, response_class=HTMLResponse)


async def _docs(request: Request) -> HTMLResponse:
    return HTMLResponse(docs_page(request.app.openapi()))


def docs_page(description: dict[str, Any]) -> str:
    """description: OpenAPI 3.1."""
    operations = "".join(
        _operation(method, path, operation)
        for path, methods in description["paths"].items() for method, operation in methods.items()
    )  # fmt: skip
    schemas = "".join(_schema(name, schema) for name, schema in description["components"]["schemas"].items())
    kinds = "".join(
        f'<tr id="{kind.name}"><td><code>/docs#{kind.name}</code></td><td>{kind.status}</td>'
        f"<td>{escape(kind.title)}</td></tr>"
        for kind in KINDS
    )
    title = escape(description["info"]["title"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: the HTTP API</title>
<link rel="stylesheet" href="/static/page.css">
</head>
<body>
<main>
<h1>{title}: the HTTP API</h1>
<p>{escape(description["info"]["description"])}</p>
<p>For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI {escape(description["openapi"])}).</p>
{operations}
<h2>Problems</h2>
<p>What <code>type</code> of a problem may be.</p>
<table><thead><tr><th>type</th><th>status</th><th>title</th></tr></thead><tbody>{kinds}</tbody></table>
<h2>Bodies</h2>
{schemas}
</main>
</body>
</html>
"""


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = "".join(
        f"<li>Parameter <code>{escape(each['name'])}</code>: {_kind(each['schema'])}. "
        f"{escape(each.get('description', ''))}</li>"
        for each in operation.get("parameters", ())
    )
    body = operation.get("requestBody")
    taken = f"<li>Body: {_types(body)}. {escape(body['description'])}</li>" if body else ""
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td><td>{_types(answer)}</td></tr>"
        for status, answer in sorted(operation["responses"].items())
    )
    return f"""<section>
<h2><code>{method.upper()} {escape(path)}</code></h2>
<p>{escape(operation["summary"])}</p>
<p>{escape(operation.get("description", ""))}</p>
<ul>{parameters}{taken}</ul>
<table><thead><tr><th>status</th><th>when</th><th>body</th></tr></thead><tbody>{answers}</tbody></table>
</section>
"""


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{'' if field in required else ' (not always)'}</td>"
        f"<td>{_kind(each)}</td><td>{escape(each.get('description', ''))}</td></tr>"
        for field, each in schema.get("properties", {}).items()
    )
    return f"""<h3 id="body-{escape(name)}">{escape(name)}</h3>
<p>{escape(schema.get("description", ""))}</p>
<table><thead><tr><th>field</th><th>kind</th><th>meaning</th></tr></thead><tbody>{rows}</tbody></table>
"""


def _types(holder: dict[str, Any]) -> str:
    """The content types of a body, with a link to what is in it."""
    parts = []
    for kind, content in holder.get("content", {}).items():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        link = f': <a href="#body-{escape(name)}">{escape(name)}</a>' if name else ""
        parts.append(f"<code>{escape(kind)}</code>{link}")
    return ", ".join(parts)


def _kind(schema: dict[str, Any]) -> str:
    """In a few words what a value is."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#body-{name}">{name}</a>'
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if schema.get("type") == "array" and "items" in schema:
        return f"list of {_kind(schema['items'])}"
    return escape(str(schema.get("type", "anything")))
