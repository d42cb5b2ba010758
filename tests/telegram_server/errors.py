"""What Telegram answers when it refuses: a code, a description, and parameters for a program to read."""

from __future__ import annotations

from typing import Any

_PREFIXES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
}


class ApiError(Exception):
    """description: as Telegram says it, the code's name in front."""

    def __init__(self, code: int, what: str = "", **parameters: Any) -> None:
        prefix = _PREFIXES[code]
        self.code, self.what = code, what
        self.description = f"{prefix}: {what}" if what else prefix
        self.parameters = parameters
        super().__init__(self.description)

    @property
    def body(self) -> dict[str, Any]:
        body = {"ok": False, "error_code": self.code, "description": self.description}
        return body | ({"parameters": self.parameters} if self.parameters else {})


def bad(what: str) -> ApiError:
    return ApiError(400, what)


def forbidden(what: str) -> ApiError:
    return ApiError(403, what)


def too_many(retry_after: int) -> ApiError:
    return ApiError(429, f"retry after {retry_after}", retry_after=retry_after)
