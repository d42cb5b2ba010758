"""Remembered: what was read of the records, for a while and with an end, as other processes write there too."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

LASTS_S = 60.0  # then it is read again: it may have been changed, linked or forgotten from another app
_MOST = 10_000  # of what is asked for last

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """clock: seconds, which never go back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[Key, tuple[Value, float]] = OrderedDict()

    def keep(self, key: Key, value: Value) -> None:
        """As it stands now."""
        self._kept[key] = value, self._clock() + LASTS_S
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)

    def is_fresh(self, key: Key) -> bool:
        """Whether it need not be read again."""
        return key in self._kept and self._clock() < self._kept[key][1]

    def last(self, key: Key, default: Value) -> Value:
        """As it was last kept, fresh or not."""
        return self._kept[key][0] if key in self._kept else default

    def drop(self, key: Key) -> None:
        """It is no more."""
        self._kept.pop(key, None)
