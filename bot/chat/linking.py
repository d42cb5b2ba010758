"""Linking accounts: a code from one app makes the account in another the same person's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.chat.app import App
from bot.chat.refusals import friendly
from bot.records import Account, LinkRefused
from bot.words import Words


@dataclass(frozen=True)
class Told:
    """What is said, in plain text, a line each. is_done: whether there is a code, or the accounts are one person's now.

    code: as people are to type it, of `new_code` only; whoever has it can join the person, so nobody else may see it.
    """

    lines: tuple[str, ...]
    is_done: bool
    code: str = ""

    @property
    def text(self) -> str:
        """The lines, one below the other."""
        return "\n".join(self.lines)


async def new_code(app: App, account: Account, t: Words) -> Told:
    """A code for `account`, good for ten minutes and for one other account. Raises DatabaseError."""
    made = await asyncio.to_thread(app.records.link_code, account)
    code = f"{made[:4]}-{made[4:]}"  # to be read from one screen and typed on another; the dash may be left out
    return Told(
        (
            t("Your code: {code}", code=code),
            t("It works once, within 10 minutes. Show it to nobody: whoever uses it shares your score."),
            t(
                "Use it in your other app. Telegram: /link {code} in a chat with me. Discord: /link code:{code}. "
                "In the browser: on the page of the quiz.",
                code=code,
            ),
            *_meaning(t),
        ),
        is_done=True,
        code=code,
    )


async def use_code(app: App, account: Account, code: str, t: Words) -> Told:
    """Make `account` the same person's as the account that the code is from, or say why not. Raises DatabaseError."""
    await app.saved()  # results that wait to be written belong to the person as well
    try:
        await asyncio.to_thread(app.records.link, account, code)
    except LinkRefused as refused:
        return Told((friendly(refused, t),), is_done=False)
    app.forget_choices(account)
    return Told((t("Linked: your two accounts are one person's now."), *_meaning(t)), is_done=True)


def _meaning(t: Words) -> tuple[str, ...]:
    return (
        t("Linked accounts have one score, one daily set and one place on the leaderboard."),
        t("Of a daily set that both have played, the one that was begun first counts; the other is deleted."),
        t("What is deleted or asked for as a file is then everything of both."),
    )
