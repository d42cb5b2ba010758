"""What exists on the stand-in: guilds, channels, roles, people, messages, files; and the clock they live by."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.discord_server.interactions import Interaction
    from tests.discord_server.people import Person

EPOCH_MS = 1_420_070_400_000  # Discord's own, of its snowflakes
EPHEMERAL = 1 << 6
LOADING = 1 << 7
IS_COMPONENTS_V2 = 1 << 15
DEFAULT_SIZE_LIMIT = 10 * 1024 * 1024  # bytes, a guild without boosts


class Clock:
    """Seconds since 1970; `advance` moves it on at once, for deadlines of minutes."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now(self) -> float:
        return time.time() + self._ahead_s

    def advance(self, seconds: float) -> None:
        self._ahead_s += seconds


class Snowflakes:
    """Ever growing ids that tell when they were made: 42 bits of milliseconds, then 22 bits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ms = 0

    def __call__(self) -> int:
        self._last_ms = max(self._last_ms + 1, int(self._clock.now() * 1000) - EPOCH_MS)
        return self._last_ms << 22 | (self._last_ms * 7919 & 0xFFF)


@dataclass(eq=False)
class Role:
    id: int
    name: str
    permissions: int = 0
    position: int = 1
    managed: bool = False


@dataclass(eq=False)
class Member:
    person: Person
    roles: list[Role] = field(default_factory=list)
    nick: str | None = None


@dataclass(eq=False)
class Channel:
    """kind: 0 text, 1 direct messages, 2 voice, 4 category, 11 public thread.

    overwrites: (id of a role or a person, type 0 or 1, allowed, denied).
    """

    id: int
    name: str
    kind: int = 0
    guild: Guild | None = None
    parent: Channel | None = None
    overwrites: list[tuple[int, int, int, int]] = field(default_factory=list)
    recipient: Person | None = None
    nsfw: bool = False
    messages: dict[int, Message] = field(default_factory=dict)


@dataclass(eq=False)
class Guild:
    """size_limit: bytes of one attachment, higher with boosts. Channels by name: `guild["general"]`."""

    id: int
    name: str
    owner: Person
    roles: list[Role]
    channels: list[Channel] = field(default_factory=list)
    members: dict[int, Member] = field(default_factory=dict)
    size_limit: int = DEFAULT_SIZE_LIMIT
    locale: str = "en-US"
    has_bot: bool = True

    def __getitem__(self, name: str) -> Channel:
        return next(channel for channel in self.channels if channel.name == name)

    @property
    def everyone(self) -> Role:
        return self.roles[0]


@dataclass(eq=False)
class Attachment:
    """A stored file. path: on the CDN, from attachments/ or ephemeral-attachments/ on."""

    id: int
    name: str
    data: bytes
    path: str
    content_type: str | None
    title: str | None = None
    description: str | None = None
    width: int | None = None
    height: int | None = None
    is_ephemeral: bool = False

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass(eq=False)
class Message:
    """What stands in a channel, or is shown to one person (ephemeral). embeds, components: as they were sent.

    pings: who is notified. server-side state; `copy` is what a test keeps of a moment.
    """

    id: int
    channel: Channel
    author: Person
    content: str = ""
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    kind: int = 0
    created: float = 0.0
    edited: float | None = None
    pings: list[Person] = field(default_factory=list)
    role_pings: list[int] = field(default_factory=list)
    pings_everyone: bool = False
    reference: dict[str, Any] | None = None
    referenced: Message | None = None
    snapshots: list[Message] = field(default_factory=list)
    interaction: Interaction | None = None
    nonce: str | int | None = None
    is_deleted: bool = False

    @property
    def is_ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def is_loading(self) -> bool:
        return bool(self.flags & LOADING)

    @property
    def files(self) -> dict[str, bytes]:
        """The bytes of each attached file, by its name; embeds' pictures are among them."""
        return {attachment.name: attachment.data for attachment in self.attachments}

    @property
    def alt_texts(self) -> dict[str, str | None]:
        return {attachment.name: attachment.description for attachment in self.attachments}

    @property
    def controls(self) -> list[dict[str, Any]]:
        """Every button and select of the message, in the order in which they are seen."""
        return [part for part in _walk(self.components) if part.get("type") in (2, 3, 5, 6, 7, 8)]

    @property
    def labels(self) -> list[str]:
        return [str(part.get("label", "")) for part in self.controls if part["type"] == 2]

    @property
    def text(self) -> str:
        """All that can be read: content, embeds (titles, descriptions, fields, footers), text displays."""
        parts = [self.content]
        for embed in self.embeds:
            parts += [embed.get("title") or "", embed.get("description") or ""]
            parts += [f"{field['name']}\n{field['value']}" for field in embed.get("fields") or []]
            parts += [(embed.get("footer") or {}).get("text") or "", (embed.get("author") or {}).get("name") or ""]
        parts += [part["content"] for part in _walk(self.components) if part.get("type") == 10]
        return "\n".join(part for part in parts if part)

    def control(self, named: str) -> dict[str, Any]:
        """The button or select with this custom_id, label or placeholder."""
        for key in ("custom_id", "label", "placeholder"):
            for part in self.controls:
                if part.get(key) == named:
                    return part
        raise LookupError(
            f"no control {named!r}; there are {[c.get('label') or c.get('custom_id') for c in self.controls]}"
        )

    def copy(self) -> Message:
        return replace(
            self, embeds=list(self.embeds), components=list(self.components), attachments=list(self.attachments)
        )


def _walk(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for part in components:
        found.append(part)
        found += _walk(part.get("components") or [])
        for key in ("accessory", "component"):
            if part.get(key):
                found += _walk([part[key]])
    return found


walk = _walk
