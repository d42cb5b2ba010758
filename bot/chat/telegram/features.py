"""What the bot can do on Telegram: every feature is a module with `register(bot)`, called once before it connects.

A feature adds its commands with `bot.add_command`, its buttons with `bot.add_button`, and functions to
`bot.on_messages` when it looks at messages, to `bot.on_start` when it has to begin something by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.chat.telegram import buttons, info, link, quiz, scores, settings, verdicts

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot


def register_all(bot: TelegramBot) -> None:
    """One line a feature."""
    verdicts.register(bot)
    buttons.register(bot)
    quiz.register(bot)
    scores.register(bot)
    settings.register(bot)
    info.register(bot)
    link.register(bot)
