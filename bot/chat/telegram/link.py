"""/link: the account here and the one in another app become one person's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from telegram import Message

from bot.chat.linking import new_code, use_code
from bot.chat.telegram.askers import PLATFORM, account_of, place_of, sender_of, words_for
from bot.chat.telegram.menu import MenuEntry
from bot.chat.telegram.replies import say
from bot.words import later

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

_LINK = later("One score here, on Discord and in the browser")


def register(bot: TelegramBot) -> None:
    """Add the command."""
    bot.add_command(MenuEntry("link", _LINK, in_groups=False), partial(link, bot))


async def link(bot: TelegramBot, message: Message, code: str) -> None:
    """Answer /link with a code, and /link CODE; alone with somebody only, since a code is for nobody else."""
    bot.app.metrics.requests.labels(PLATFORM, "link").inc()
    sender, app = sender_of(message), bot.app
    t, account = await words_for(app, sender, message.chat), account_of(sender)
    if place_of(message.chat) is not None:
        await say(bot, message, t("Only in private, please: whoever sees a code can use it. Send me /link there."))
        return
    told = await (use_code(app, account, code, t) if code else new_code(app, account, t))
    await say(bot, message, told.text)
