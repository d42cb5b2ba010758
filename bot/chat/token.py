"""A bot's token: where it comes from, and that nobody reads it in a log."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.errors import UserError


class TokenError(UserError):
    """There is no token, it cannot be one, or the platform does not know it."""


@dataclass(frozen=True)
class TokenSource:
    """variable: of the environment. setting: the name, in the params file, of the file that holds the token instead.
    where: people get one.
    """

    variable: str
    setting: str
    where: str

    def read(self, file: str | None, environ: Mapping[str, str]) -> str:
        """The token in `file`, or else in the environment. Raises TokenError, which never quotes it."""
        if file is not None:
            source = f"{self.setting} {file}"
            try:
                text = Path(file).expanduser().read_text("utf-8")
            except OSError as error:
                raise TokenError(f"{source} cannot be read: {(error.strerror or str(error)).lower()}") from None
            except UnicodeDecodeError:
                raise TokenError(f"{source} is not text; it must hold the bot's token and nothing else") from None
        else:
            source = self.variable
            if source not in environ:
                raise TokenError(f"no token: set {source} or {self.setting}; {self.where}")
            text = environ[source]
        token = text.strip()
        if not token:
            raise TokenError(f"{source} is empty; {self.where}")
        if len(token.split()) > 1 or not token.isascii() or not token.isprintable():
            raise TokenError(f"{source} holds something else than a token (spaces or odd characters); {self.where}")
        return token


class RedactingFormatter(logging.Formatter):
    """One timestamped line a record, in which `token` is blotted out, and what `patterns` find after group 1."""

    def __init__(self, token: str, *patterns: re.Pattern[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._token = token
        self._patterns = patterns

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, its traceback included."""
        text = super().format(record).replace(self._token, "[token]")
        for pattern in self._patterns:
            text = pattern.sub(r"\1[token]", text)
        return text
