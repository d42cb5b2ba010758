"""Everything the bot keeps: people, settings, results, claims, and the quiz; and how it is forgotten."""

from bot.records.people import AlreadyLinked, LinkRefused, TooManyWrongCodes, WrongCode
from bot.records.rows import (
    Account,
    Answer,
    ClaimedPicture,
    Mode,
    Platform,
    Result,
    SavedRound,
    Standing,
    Totals,
)
from bot.records.settings import PlaceSettings
from bot.records.store import Records

__all__ = [
    "Account",
    "AlreadyLinked",
    "Answer",
    "ClaimedPicture",
    "LinkRefused",
    "Mode",
    "PlaceSettings",
    "Platform",
    "Records",
    "Result",
    "SavedRound",
    "Standing",
    "TooManyWrongCodes",
    "Totals",
    "WrongCode",
]
