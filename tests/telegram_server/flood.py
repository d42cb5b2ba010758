"""Flood control: the limits that the documentation names, when a test turns them on, and refusals on demand."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.telegram_server.errors import too_many
from tests.telegram_server.parameters import Call

if TYPE_CHECKING:
    from tests.telegram_server.server import TelegramServer

PER_CHAT = (1, 1.0)  # messages in seconds, core.telegram.org/bots/faq; short bursts are borne in fact
PER_GROUP = (20, 60.0)
OVERALL = (30, 1.0)


@dataclass
class Ordered:
    """The next `times` calls of a method are refused so. method: "*" for every one that sends or edits."""

    method: str
    retry_after: int
    times: int


class Flood:
    """is_on: the documented limits are kept. ordered: refusals that a test wants."""

    def __init__(self) -> None:
        self.is_on = False
        self.ordered: list[Ordered] = []
        self._sent: dict[object, deque[float]] = defaultdict(deque)

    def check(self, server: TelegramServer, call: Call) -> None:
        """Raises a 429 where the bot must wait."""
        for order in self.ordered:
            if order.times > 0 and (
                order.method.lower() == call.method.lower() or (order.method == "*" and _sends(call))
            ):
                order.times -= 1
                raise too_many(order.retry_after)
        if not self.is_on or not _sends(call):
            return
        chat = call.args.get("chat_id")
        buckets: list[tuple[object, tuple[int, float]]] = [(chat, PER_CHAT), ("all", OVERALL)]
        if isinstance(chat, int) and chat < 0:
            buckets.append((("group", chat), PER_GROUP))
        now = server.clock.now()
        for key, (limit, window_s) in buckets:
            sent = self._sent[key]
            while sent and sent[0] <= now - window_s:
                sent.popleft()
            if len(sent) >= limit:
                raise too_many(max(1, math.ceil(sent[0] + window_s - now)))
        for key, _ in buckets:
            self._sent[key].append(now)


def _sends(call: Call) -> bool:
    name = call.method.lower()
    return name.startswith(("send", "edit", "copy", "forward")) and name != "sendchataction"
