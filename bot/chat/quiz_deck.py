"""The deck that is played now: opened when there is one, and anew when another was built, never in the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

from bot.quiz.deck import Deck, DeckError

_LOOK_EVERY_S = 30.0
_KEPT = 3  # decks: rounds that began before a new one was built end with the pictures of theirs


class Decks:
    """The deck at `url`, and those that were there before."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._decks: OrderedDict[str, Deck] = OrderedDict()
        self._looked_at = float("-inf")
        self._opening = asyncio.Lock()

    @property
    def at_hand(self) -> Deck | None:
        """The deck as last opened, without looking."""
        return next(reversed(self._decks.values()), None)

    async def current(self) -> Deck:
        """Raises NoDeck, DeckError and StorageError."""
        async with self._opening:
            deck, now = self.at_hand, time.monotonic()
            if deck is not None and now - self._looked_at < _LOOK_EVERY_S:
                return deck
            if deck is None or await asyncio.to_thread(deck.is_stale):
                try:
                    deck = await asyncio.to_thread(Deck.open, self._url)
                except DeckError:
                    if deck is None:
                        raise
                    self._looked_at = now  # a build that went wrong is no reason to stop playing
                    return deck
                self._decks[deck.id] = deck
                self._decks.move_to_end(deck.id)
                while len(self._decks) > _KEPT:
                    self._decks.popitem(last=False)
            self._looked_at = now
            return deck

    def of(self, deck_id: str) -> Deck | None:
        """A deck that was open; None for one from before the last start."""
        return self._decks.get(deck_id)
