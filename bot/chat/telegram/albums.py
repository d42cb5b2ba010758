"""Albums come as one message a picture, which share an id; they are answered together."""

from __future__ import annotations

import asyncio

from telegram import Message

_QUIET_S = 0.7  # without another picture: Telegram delivers those of an album within some tenths of a second
_LONGEST_S = 3.0
_MOST = 10  # pictures of an album


class Albums:
    """Gathers the messages of albums."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, str], _Album] = {}

    def joins(self, message: Message) -> bool:
        """Whether `message` belongs to an album of which others came before, and is answered with those.

        One that outstays all patience gets an answer of its own, rather than none.
        """
        key = _key(message)
        album = self._open.get(key) if key is not None else None
        if album is None:
            return False
        album.add(message)
        return True

    async def whole(self, message: Message) -> list[Message]:
        """`message` alone, or all of the album whose first it is, in their order."""
        key = _key(message)
        if key is None:
            return [message]
        album = self._open[key] = _Album(message)
        try:
            await album.complete()
        finally:
            del self._open[key]
        return sorted(album.messages, key=lambda one: one.message_id)


class _Album:
    def __init__(self, first: Message) -> None:
        self.messages = [first]
        self._came = asyncio.Event()

    def add(self, message: Message) -> None:
        self.messages.append(message)
        self._came.set()

    async def complete(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST_S
        while len(self.messages) < _MOST and (left_s := min(_QUIET_S, end - loop.time())) > 0:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), left_s)
            except TimeoutError:
                return


def _key(message: Message) -> tuple[int, str] | None:
    return None if message.media_group_id is None else (message.chat.id, message.media_group_id)
