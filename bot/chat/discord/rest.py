"""Answers of REST as a proxy hands them on, read more kindly than discord.py reads Discord's own.

Beside `bot.chat.discord.gateway` the one place that reaches into discord.py's private parts; it checks that they are as
it expects.
"""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import discord
import discord.http
import discord.webhook.async_

_READERS = (discord.http, discord.webhook.async_)  # each has the function under its own name


async def read_answer(response: aiohttp.ClientResponse) -> Any:
    """The JSON or the text of an answer, in place of discord.py's `json_or_text`.

    That takes `application/json; charset=utf-8` for text, and an acknowledgement without the body that it asks for,
    which Discord's documentation leaves open, for a failure.
    """
    text = await response.text(encoding="utf-8")
    if response.content_type == "application/json" and text:
        return json.loads(text)
    parts = response.url.parts
    if not text and response.ok and parts[-1] == "callback" and "interactions" in parts:
        return {"interaction": {"id": parts[-3], "type": 0}}
    return text


def read_kindly() -> None:
    """Have discord.py read answers with `read_answer`."""
    for module in _READERS:
        if not hasattr(module, "json_or_text"):
            raise ImportError(f"discord.py {discord.__version__} is not the version that {__name__} was written for")
        vars(module)["json_or_text"] = read_answer
