"""The OpenAPI description: what routes say of themselves, and what holds for all of them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from bot.params import WebParams
from bot.web.admission import API, COSTLY
from bot.web.api.needed import problems
from bot.web.problems import Problem

_SUMMARY = (
    "Is a photo of a face real, or generated? Answers carry a calibrated probability; they can be wrong, and are no "
    "evidence against anybody. Errors are application/problem+json (RFC 9457)."
)
_SCHEMES = {
    "bearer": {
        "type": "http", "scheme": "bearer",
        "description": "An API key, made with `python -m bot key NAME` by whoever runs the server.",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key in another header."},
}  # fmt: skip
_LIMITS = {
    "RateLimit-Policy": {
        "description": 'What is limited, and to how many a minute: "reads";q=3000;w=60.', "schema": {"type": "string"}
    },
    "RateLimit": {
        "description": 'How many may come now, and in how many seconds all: "reads";r=0;t=60.',
        "schema": {"type": "string"},
    },
}  # fmt: skip
_CHALLENGE = {"WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}}}


class Described(FastAPI):
    """FastAPI whose description knows keys, limits, and the errors that every request may meet."""

    params: WebParams

    def openapi(self) -> dict[str, Any]:
        """OpenAPI 3.1, made once."""
        if self.openapi_schema is None:
            text = f"{_SUMMARY} {access(self.params)}"
            schema = get_openapi(title=self.title, version=self.version, description=text, routes=self.routes)
            for path, operations in schema["paths"].items():
                for method, operation in operations.items():
                    _complete(path, method, operation, self.params)
            components = schema.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; ours are problems
                schemas.pop(name, None)
            schemas["Problem"] = Problem.model_json_schema()
            components["securitySchemes"] = components.get("securitySchemes", {}) | _SCHEMES
            self.openapi_schema = schema
        return self.openapi_schema


def access(params: WebParams) -> str:
    """Who may ask how much, in sentences."""
    limits = params.limits
    if not params.is_open:
        return "Only the machine that it runs on may ask, without a key and without limits."
    page = (
        f" The pages' own requests need none; without a key an address may send {limits.address_checks} pictures and "
        f"{limits.address_reads} other requests a minute." if params.public_page else ""
    )  # fmt: skip
    return (
        f"Programs need an API key, with which {limits.key_checks} pictures and {limits.key_reads} other requests a "
        f"minute are answered; the headers RateLimit and RateLimit-Policy say how it stands.{page}"
    )


def _complete(path: str, method: str, operation: dict[str, Any], params: WebParams) -> None:
    """What holds for all, unless the operation says more of it itself."""
    answers = operation["responses"]
    if "HTTPValidationError" in str(answers.get("422")):  # it is a 400 here
        del answers["422"]
    statuses = {400, 421, 500}
    if "{" in path:
        statuses.add(404)
    if method != "get":
        statuses |= {403, 408, 413}
    if path.startswith(API):
        statuses.add(401)
        operation["security"] = [{name: []} for name in _SCHEMES]
        if not params.is_open:
            operation["security"].append({})
    for status, answer in problems(*statuses, 429).items():
        answers.setdefault(str(status), answer)
    answers["429"].setdefault("headers", {}).update(_LIMITS)
    if "401" in answers:
        answers["401"]["headers"] = _CHALLENGE
    if path in COSTLY:
        operation["description"] = f"{operation.get('description', '')}\n\nCounts as a picture in the limits.".strip()
    operation["responses"] = dict(sorted(answers.items()))
