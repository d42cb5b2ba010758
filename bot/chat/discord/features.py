"""What the bot can do on Discord: every feature is a module with `register(bot)`, called once before it connects.

A feature adds its commands with `bot.tree.add_command`, its buttons with `bot.add_dynamic_items`, and, when it looks at
messages, a handler to `bot.on_pictures`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.chat.discord import buttons, info, link, quiz, scores, settings, verdicts

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot


def register_all(bot: DiscordBot) -> None:
    """One line a feature."""
    verdicts.register(bot)
    buttons.register(bot)
    quiz.register(bot)
    scores.register(bot)
    settings.register(bot)
    link.register(bot)
    info.register(bot)
