"""Today's set goes on wherever its player goes on: from one app to another, from one account to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bot.chat.quiz_state import OpenRound
from bot.quiz.game import Refused
from bot.records import Account, Platform
from bot.words import Words, later

_APPS: Mapping[Platform, str] = {"discord": "Discord", "telegram": "Telegram", "web": later("the browser")}


class Moved(Refused):
    """The round goes on in another app: here it is over, and `said` tells those who click where it went."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("over")
        self._platform = platform

    def said(self, t: Words) -> str:
        """For the message that was left behind."""
        return t(
            "This set goes on in {app} now. Whoever plays it can start today's set here to bring it back.",
            app=t(_APPS[self._platform]),
        )


def moved_within(t: Words) -> str:
    """For a message of the player's other account in the same app."""
    return t("You went on with this set from another account of yours. Start today's set here to bring it back.")


def take_over(open_: OpenRound, account: Account, server: str | None, language: str) -> None:
    """Make a round of one player `account`'s, who is the same person as its owner, with what was answered so far.

    server, language: of where it goes on. Where its message stands is to be told anew.
    """
    open_.round.owner = account.key
    for turn in open_.round.turns:
        turn.answers = [replace(given, player=account.key) for given in turn.answers]
    open_.server, open_.language, open_.where = server, language, {}
    open_.names = {account.key: account.name} if account.name else {}
