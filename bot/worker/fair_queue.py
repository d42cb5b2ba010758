"""Who is next: a bounded queue in which nobody's hundred pictures hold up another's one.

Servers take turns, the people of a server take turns among them, and each person's pictures come in their order. So
the pictures of one person, or of many people of one server with a picture each, come in order of arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from typing import Generic, TypeVar

from bot.words import later
from bot.worker.errors import QueueFull, TooManyWaiting
from bot.worker.requests import Asker

Item = TypeVar("Item")

_FULL = later(
    "There are {count} pictures waiting already, more than I can promise to get through. Try again in a minute."
)
_USER_FULL = later("You have {count} pictures waiting already. Let me finish some of them first.")
_SERVER_FULL = later("This server has {count} pictures waiting already. Let me finish some of them first.")


class FairQueue(Generic[Item]):
    """most, per_user, per_server: how many items may wait: in all, of one person, of one server."""

    def __init__(self, most: int, per_user: int, per_server: int) -> None:
        self._most = most
        self._per_user = per_user
        self._per_server = per_server
        # The order of the keys is the order of turns.
        self._servers: dict[str, dict[str, deque[Item]]] = {}
        self._by_user: dict[str, int] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, item: Item, asker: Asker) -> None:
        """Raises QueueFull or TooManyWaiting."""
        if self._length >= self._most:
            raise QueueFull(_FULL, count=self._length)
        # A person is one in all servers together: turns are the servers', patience is for people.
        own = self._by_user.get(asker.user, 0)
        if own >= self._per_user:
            raise TooManyWaiting(_USER_FULL, count=own)
        users = self._servers.get(asker.server, {})
        in_server = sum(map(len, users.values()))
        if in_server >= self._per_server:
            raise TooManyWaiting(_SERVER_FULL, count=in_server)
        self._servers.setdefault(asker.server, users).setdefault(asker.user, deque()).append(item)
        self._count(asker.user, 1)

    def take(self, but: Container[str] = ()) -> Item:
        """The next item, of other people than `but`. Raises IndexError when none waits."""
        turn = next(
            ((server, user) for server, users in self._servers.items() for user in users if user not in but), None
        )
        if turn is None:
            raise IndexError("nothing waits")
        server, user = turn
        users = self._servers[server]
        items = users[user]
        item = items.popleft()
        # Whose turn it was goes to the end, or away.
        del users[user]
        if items:
            users[user] = items
        del self._servers[server]
        if users:
            self._servers[server] = users
        self._count(user, -1)
        return item

    def remove(self, item: Item, asker: Asker) -> bool:
        """Take out an item that waits no longer; whether it was there. Turns stay as they are."""
        users = self._servers.get(asker.server, {})
        items = users.get(asker.user, deque())
        if item not in items:
            return False
        items.remove(item)
        if not items:
            del users[asker.user]
        if not users:
            del self._servers[asker.server]
        self._count(asker.user, -1)
        return True

    def __iter__(self) -> Iterator[Item]:
        """All items in the order in which they would be taken if nothing else came."""
        servers = deque(deque(map(deque, users.values())) for users in self._servers.values())
        while servers:
            users = servers.popleft()
            items = users.popleft()
            yield items.popleft()
            if items:
                users.append(items)
            if users:
                servers.append(users)

    def _count(self, user: str, change: int) -> None:
        self._length += change
        self._by_user[user] = self._by_user.get(user, 0) + change
        if not self._by_user[user]:
            del self._by_user[user]
