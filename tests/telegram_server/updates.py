"""Updates on their way to the bot: kept until confirmed, fetched by long polling or pushed to a webhook."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.telegram_server.api import method
from tests.telegram_server.errors import ApiError, bad
from tests.telegram_server.parameters import Call

if TYPE_CHECKING:
    from tests.telegram_server.server import TelegramServer

KINDS = (
    "message", "edited_message", "channel_post", "edited_channel_post", "business_connection", "business_message",
    "edited_business_message", "deleted_business_messages", "message_reaction", "message_reaction_count",
    "inline_query", "chosen_inline_result", "callback_query", "shipping_query", "pre_checkout_query",
    "purchased_paid_media", "poll", "poll_answer", "my_chat_member", "chat_member", "chat_join_request", "chat_boost",
    "removed_chat_boost", "managed_bot", "guest_message",
)  # fmt: skip
KEPT_S = 24 * 3600.0  # the documentation of getUpdates
_ONLY_IF_ASKED = ("chat_member", "message_reaction", "message_reaction_count")
_PUSH_PAUSE_S = 0.2  # before a push is tried again; Telegram takes its time, a test has none
_SECRET_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


@dataclass
class Waiting:
    """batch: updates of different batches never come in one answer. since: by the server's clock."""

    id: int
    batch: int
    since: float
    payload: dict[str, Any]


@dataclass
class Webhook:
    url: str
    secret: str | None
    max_connections: int
    error: str = ""
    error_date: int = 0


class Updates:
    """allowed: what the bot asked for last; None for the default. waiting: not confirmed yet."""

    def __init__(self, server: TelegramServer) -> None:
        self._server = server
        self._ids = itertools.count(700_000_001)
        self._batches = itertools.count(1)
        self.waiting: list[Waiting] = []
        self.allowed: list[str] | None = None
        self.webhook: Webhook | None = None
        self._poll: asyncio.Future[ApiError | None] | None = None
        self._pushing: asyncio.Task[None] | None = None

    def new_batch(self) -> int:
        return next(self._batches)

    def add(self, kind: str, payload: dict[str, Any], batch: int | None = None) -> None:
        """An update that the bot is to get, unless it has not asked for such."""
        wants = kind in self.allowed if self.allowed else kind not in _ONLY_IF_ASKED
        if wants:
            number = next(self._ids)
            self.add_raw({"update_id": number, kind: payload}, batch)

    def add_raw(self, update: dict[str, Any], batch: int | None = None) -> None:
        """Anything, also what Telegram would never say; it is given an update_id if it has none."""
        update.setdefault("update_id", next(self._ids))
        self.waiting.append(Waiting(update["update_id"], batch or 0, self._server.clock.now(), update))
        self._server.record("update", update=update)
        self._wake(None)
        self._push()

    async def poll(self, offset: int, limit: int, timeout_s: float) -> list[dict[str, Any]]:
        """Long polling; raises a 409 when another poll, or a webhook, takes its place."""
        if self.webhook:
            raise ApiError(409, "can't use getUpdates method while webhook is active; use deleteWebhook to delete the "
                                "webhook first")  # fmt: skip
        self._wake(ApiError(409, "terminated by other getUpdates request; make sure that only one bot instance is "
                                 "running"))  # fmt: skip
        self.waiting = [w for w in self.waiting if w.since > self._server.clock.now() - KEPT_S]
        if offset > 0:
            self.waiting = [w for w in self.waiting if w.id >= offset]
        elif offset < 0:
            self.waiting = self.waiting[offset:]
        self._server.record("poll", offset=offset)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not self.waiting and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._poll = poll = asyncio.get_running_loop().create_future()
            done, _ = await asyncio.wait({poll}, timeout=left)
            if done and (error := poll.result()):
                raise error
        self._poll = None
        together = itertools.takewhile(lambda w: w.batch == self.waiting[0].batch, self.waiting)
        return [waiting.payload for waiting in itertools.islice(together, limit)]

    def set_webhook(self, webhook: Webhook | None, drops: bool) -> None:
        if webhook:
            self._wake(ApiError(409, "terminated by setWebhook request"))
        self.webhook = webhook
        if drops:
            self.waiting.clear()
        self._push()

    def close(self) -> None:
        self._wake(None)
        if self._pushing:
            self._pushing.cancel()

    def _wake(self, error: ApiError | None) -> None:
        if self._poll and not self._poll.done():
            self._poll.set_result(error)
            if error:
                self._poll = None

    def _push(self) -> None:
        if self.webhook and self.waiting and (self._pushing is None or self._pushing.done()):
            self._pushing = asyncio.create_task(self._push_all())

    async def _push_all(self) -> None:
        async with aiohttp.ClientSession() as session:
            while self.webhook and self.waiting:
                first = self.waiting[0]
                if await self._pushed(session, self.webhook, first):
                    self.waiting = [w for w in self.waiting if w is not first]
                else:
                    await asyncio.sleep(_PUSH_PAUSE_S)

    async def _pushed(self, session: aiohttp.ClientSession, webhook: Webhook, update: Waiting) -> bool:
        headers = {"X-Telegram-Bot-Api-Secret-Token": webhook.secret} if webhook.secret else {}
        to = self._server.webhook_door or webhook.url
        try:
            async with session.post(to, json=update.payload, headers=headers) as answer:
                status, body, kind = answer.status, await answer.read(), answer.content_type
        except aiohttp.ClientError as error:
            status, body, kind = 0, b"", ""
            webhook.error = f"Connection failed: {type(error).__name__}"
        self._server.record("push", update=update.payload, status=status, body=body, content_type=kind)
        if 200 <= status < 300:
            return True
        webhook.error = webhook.error if not status else f"Wrong response from the webhook: {status}"
        webhook.error_date = int(self._server.clock.now())
        return False


@method("getUpdates", offset="int", limit="int", timeout="int", allowed_updates="json")
async def get_updates(server: TelegramServer, call: Call) -> Any:
    args = call.args
    if "allowed_updates" in args:
        server.updates.allowed = _allowed(args["allowed_updates"])
    limit = min(max(args.get("limit", 100), 1), 100)
    timeout_s = min(max(args.get("timeout", 0), 0), server.longest_poll_s)
    return await server.updates.poll(args.get("offset", 0), limit, timeout_s)


@method("setWebhook", url="str", certificate="file", ip_address="str", max_connections="int", allowed_updates="json",
        drop_pending_updates="bool", secret_token="str")  # fmt: skip
async def set_webhook(server: TelegramServer, call: Call) -> Any:
    args = call.args
    url = args.get("url", "")
    secret = args.get("secret_token")
    if secret is not None and not (1 <= len(secret) <= 256 and set(secret) <= _SECRET_LETTERS):
        raise bad("secret token contains unallowed characters" if secret else "secret token is too short")
    if "allowed_updates" in args:
        server.updates.allowed = _allowed(args["allowed_updates"])
    if url and not url.startswith("https://"):
        raise bad("bad webhook: An HTTPS URL must be provided for webhook")
    webhook = Webhook(url, secret, args.get("max_connections", 40)) if url else None
    server.updates.set_webhook(webhook, args.get("drop_pending_updates", False))
    return True


@method("deleteWebhook", drop_pending_updates="bool")
async def delete_webhook(server: TelegramServer, call: Call) -> Any:
    server.updates.set_webhook(None, call.args.get("drop_pending_updates", False))
    return True


@method("getWebhookInfo")
async def get_webhook_info(server: TelegramServer, _: Call) -> Any:
    webhook = server.updates.webhook
    info: dict[str, Any] = {
        "url": webhook.url if webhook else "",
        "has_custom_certificate": False,
        "pending_update_count": len(server.updates.waiting),
    }
    if webhook:
        info |= {"max_connections": webhook.max_connections, "ip_address": "127.0.0.1"}
        if webhook.error:
            info |= {"last_error_date": webhook.error_date, "last_error_message": webhook.error}
    if server.updates.allowed:
        info["allowed_updates"] = server.updates.allowed
    return info


def _allowed(given: Any) -> list[str] | None:
    if not isinstance(given, list):
        raise bad("can't parse allowed updates: expected an Array of String")
    for kind in given:
        if kind not in KINDS:  # Telegram overlooks these
            raise bad(f"there is no update type {kind!r}")
    return given or None
