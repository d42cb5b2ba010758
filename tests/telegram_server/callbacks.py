"""Presses of inline buttons, and the bot's answers to them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.telegram_server import payloads
from tests.telegram_server.api import method
from tests.telegram_server.entities import utf16
from tests.telegram_server.errors import bad
from tests.telegram_server.parameters import Call
from tests.telegram_server.world import Account, Message

if TYPE_CHECKING:
    from tests.telegram_server.server import TelegramServer

ANSWER_WITHIN_S = 15.0  # then Telegram takes none; not documented, but what is measured
MAX_ANSWER = 200  # UTF-16 code units


@dataclass
class Answer:
    """What the presser sees: a line on top, or an alert to close. Both may be empty, which only ends the spinner."""

    text: str
    is_alert: bool
    url: str | None
    cache_s: int


@dataclass(eq=False)
class Press:
    """A press of a button. answer: None until the bot gives it. after_s: how long it took, by the server's clock."""

    server: TelegramServer
    id: str
    person: Account
    message: Message
    data: str
    at: float
    given: Answer | None = None
    after_s: float = 0.0

    async def answer(self, timeout: float = 10.0) -> Answer:
        """Wait until the bot has answered."""
        return await self.server.until(lambda: self.given, f"the press of {self.data!r} was not answered", timeout)


def press(server: TelegramServer, person: Account, message: Message, data: str) -> Press:
    """A press comes in: the bot is told."""
    made = Press(server, str(secrets.randbits(62) + 2**60), person, message, data, server.clock.now())
    server.presses[made.id] = made
    payload = {
        "id": made.id,
        "from": payloads.user(person),
        "message": payloads.message_or_stub(message),
        "chat_instance": str(-(abs(message.chat.id) * 2654435761 % 2**62)),
        "data": data,
    }
    server.updates.add("callback_query", payload)
    return made


@method("answerCallbackQuery", callback_query_id="str", text="str", show_alert="bool", url="str", cache_time="int")
async def answer_callback_query(server: TelegramServer, call: Call) -> Any:
    args = call.args
    pressed = server.presses.get(args.get("callback_query_id", ""))
    now = server.clock.now()
    if pressed is None or pressed.given is not None or now - pressed.at > ANSWER_WITHIN_S:
        raise bad("query is too old and response timeout expired or query ID is invalid")
    text = args.get("text", "")
    if utf16(text) > MAX_ANSWER:
        raise bad("MESSAGE_TOO_LONG")
    if args.get("url") and not args["url"].startswith(f"https://t.me/{server.bot.username}?start="):
        raise bad("URL_INVALID")
    pressed.given = Answer(text, args.get("show_alert", False), args.get("url"), args.get("cache_time", 0))
    pressed.after_s = now - pressed.at
    server.record("answer", press=pressed, answer=pressed.given)
    return True
