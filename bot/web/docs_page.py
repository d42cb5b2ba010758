"""/docs: the OpenAPI description as a plain page, made here: viewers come from a CDN, and nothing here does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from bot.web.languages import reader
from bot.web.pages.frame import page
from bot.web.problems import KINDS

_DEEP = 8  # bodies in bodies
_HOST = "http://127.0.0.1:8000"


def add_docs(web: FastAPI) -> None:
    """Serve the page."""
    web.add_api_route("/docs", _docs, methods=["GET"], include_in_schema=False, response_class=HTMLResponse)


def _docs(request: Request, language: str | None = None) -> HTMLResponse:
    """language: of what stands around it; the description is English."""
    description = request.app.openapi()
    schemas = description["components"]["schemas"]
    host = f"{request.url.scheme}://{request.headers.get('host', '')}" if request.headers.get("host") else _HOST
    return page(
        request, "docs.html", reader(request.headers.get("accept-language"), language),
        title=f"{description['info']['title']}: the HTTP API", about=description["info"]["description"],
        version=description["openapi"], operations=_operations(description, host), problems=KINDS,
        schemes=[_scheme(name, each) for name, each in description["components"]["securitySchemes"].items()],
        bodies=[Body.of(name, schema, schemas) for name, schema in sorted(schemas.items())],
    )  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """What a value is, in a few words. body: the name of the body that it is, or has in a list."""

    text: str
    body: str = ""


@dataclass(frozen=True)
class Row:
    """A parameter or a field of a body."""

    name: str
    kinds: Sequence[Kind]
    is_required: bool
    description: str


@dataclass(frozen=True)
class Answer:
    """status: HTTP's. contents: media type, and what it is. headers: name and meaning. example: JSON, or empty."""

    status: str
    description: str
    contents: Sequence[tuple[str, Kind]]
    headers: Sequence[tuple[str, str]]
    example: str


@dataclass(frozen=True)
class Operation:
    """One thing to ask for. curl: a line for a shell."""

    id: str
    method: str
    path: str
    summary: str
    description: Sequence[str]
    parameters: Sequence[tuple[str, Row]]
    body: str
    takes: Sequence[tuple[str, Kind]]
    answers: Sequence[Answer]
    needs_key: bool
    curl: str


@dataclass(frozen=True)
class Body:
    """One of the bodies of requests and answers."""

    name: str
    description: str
    rows: Sequence[Row]
    kinds: Sequence[Kind]

    @classmethod
    def of(cls, name: str, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Body:
        required = schema.get("required", ())
        rows = [
            Row(field, list(_kinds(each)), field in required, _told(each))
            for field, each in schema.get("properties", {}).items()
        ]
        return cls(name, schema.get("description", ""), rows, [] if rows else list(_kinds(schema)))


def _operations(description: Mapping[str, Any], host: str) -> list[Operation]:
    return [
        _operation(path, method, operation, description["components"]["schemas"], host)
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    ]


def _operation(
    path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any], host: str
) -> Operation:
    taken = operation.get("requestBody", {})
    needs_key = {} not in operation.get("security", [{}])
    parameters = [
        (each["in"], Row(each["name"], list(_kinds(each["schema"])), each.get("required", False), _told(each)))
        for each in operation.get("parameters", ())
    ]
    return Operation(
        id=operation["operationId"], method=method.upper(), path=path, summary=operation["summary"],
        description=[part for part in operation.get("description", "").split("\n\n") if part],
        parameters=parameters, body=taken.get("description", ""), takes=_contents(taken),
        answers=[_answer(status, answer, schemas) for status, answer in operation["responses"].items()],
        needs_key=needs_key, curl=_curl(path, method, taken, schemas, host, needs_key),
    )  # fmt: skip


def _answer(status: str, answer: Mapping[str, Any], schemas: Mapping[str, Any]) -> Answer:
    json_body = answer.get("content", {}).get("application/json")
    example = ""
    if status.startswith("2") and json_body:
        example = json.dumps(_example(json_body["schema"], schemas), indent=2, ensure_ascii=False)
    headers = [(name, each.get("description", "")) for name, each in answer.get("headers", {}).items()]
    return Answer(status, answer["description"], _contents(answer), headers, example)


def _contents(holder: Mapping[str, Any]) -> list[tuple[str, Kind]]:
    """The media types of a body, and what is in it."""
    return [
        (media, next(iter(_kinds(content.get("schema", {}))))) for media, content in holder.get("content", {}).items()
    ]


def _curl(
    path: str, method: str, taken: Mapping[str, Any], schemas: Mapping[str, Any], host: str, needs_key: bool
) -> str:
    parts = ["curl"]
    if needs_key:
        parts.append("-H 'Authorization: Bearer KEY'")
    contents = taken.get("content", {})
    if form := contents.get("multipart/form-data"):
        field = next(iter(form["schema"].get("properties", {"image": {}})))
        parts.append(f"-F {field}=@photo.jpg")
    elif body := contents.get("application/json"):
        parts.append(f"--json '{json.dumps(_example(body['schema'], schemas), ensure_ascii=False)}'")
    elif method != "get":
        parts.append(f"-X {method.upper()}")
    return " ".join([*parts, f"'{host}{path}'"])


def _kinds(schema: Mapping[str, Any]) -> Iterator[Kind]:
    """Each that a value may be; at least one."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield Kind(name, name)
    elif "const" in schema or "enum" in schema:
        for each in schema.get("enum", [schema.get("const")]):
            yield Kind(json.dumps(each, ensure_ascii=False))
    elif "anyOf" in schema or "oneOf" in schema:
        for each in schema.get("anyOf") or schema["oneOf"]:
            yield from _kinds(each)
    elif schema.get("type") == "array" and "items" in schema:
        for each in _kinds(schema["items"]):
            yield Kind(f"list of {each.text}", each.body)
    else:
        yield Kind(_plain(schema))


def _plain(schema: Mapping[str, Any]) -> str:
    """A type and its bounds."""
    if schema.get("format") == "binary":
        return "bytes"
    if schema.get("type") == "null":
        return "nothing"
    if schema.get("properties"):
        return f"object with {', '.join(schema['properties'])}"
    bounds = [
        text.format(schema[name])
        for name, text in (
            ("minimum", "from {:g}"), ("exclusiveMinimum", "above {:g}"), ("maximum", "to {:g}"),
            ("exclusiveMaximum", "below {:g}"), ("minLength", "{} characters or more"),
            ("maxLength", "{} characters at most"), ("pattern", "like {}"),
        )
        if name in schema
    ]  # fmt: skip
    return " ".join([str(schema.get("type", "anything")), ", ".join(bounds)]).strip()


def _told(schema: Mapping[str, Any]) -> str:
    """What a value means, and what it is when left out."""
    text = str(schema.get("description", ""))
    inner = schema.get("schema", schema)
    if inner.get("default") is not None:
        text = f"{text} Default: {json.dumps(inner['default'], ensure_ascii=False)}.".strip()
    return text


def _example(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = 0) -> Any:
    """A value that fits, as short as it may be told."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas, depth + 1) if depth < _DEEP else {}
    given = [*schema.get("examples", ()), *schema.get("enum", ()), schema.get("const"), schema.get("default")]
    for value in given:
        if value is not None:
            return value
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return _example(schema[name][0], schemas, depth)
    return _made_up(schema, schemas, depth)


def _made_up(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return {name: _example(each, schemas, depth) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        items = schema.get("prefixItems") or [schema["items"]] if "items" in schema or "prefixItems" in schema else []
        return [_example(each, schemas, depth) for each in items]
    return {"string": "…", "integer": schema.get("minimum", 1), "number": 0.5, "boolean": True}.get(str(kind))


def _scheme(name: str, scheme: Mapping[str, Any]) -> tuple[str, str]:
    """As it stands in a request, and what it is."""
    header = "Authorization: Bearer KEY" if scheme["type"] == "http" else f"{scheme.get('name', name)}: KEY"
    if scheme.get("in") == "cookie":
        header = f"Cookie: {scheme['name']}=…"
    return header, scheme.get("description", "")
