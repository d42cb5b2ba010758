"""What a member may do in a channel, computed as Discord documents it: roles, then the channel's overwrites."""

from __future__ import annotations

from tests.discord_server.world import Channel, Guild, Member

ADMINISTRATOR = 1 << 3
MANAGE_CHANNELS = 1 << 4
MANAGE_GUILD = 1 << 5
ADD_REACTIONS = 1 << 6
VIEW_CHANNEL = 1 << 10
SEND_MESSAGES = 1 << 11
MANAGE_MESSAGES = 1 << 13
EMBED_LINKS = 1 << 14
ATTACH_FILES = 1 << 15
READ_MESSAGE_HISTORY = 1 << 16
MENTION_EVERYONE = 1 << 17
USE_APPLICATION_COMMANDS = 1 << 31
SEND_MESSAGES_IN_THREADS = 1 << 38
ALL = (1 << 53) - 1
EVERYBODY = (
    ADD_REACTIONS
    | VIEW_CHANNEL
    | SEND_MESSAGES
    | EMBED_LINKS
    | ATTACH_FILES
    | READ_MESSAGE_HISTORY
    | USE_APPLICATION_COMMANDS
    | SEND_MESSAGES_IN_THREADS
)
IN_DIRECT_MESSAGES = EVERYBODY


def permissions_of(member: Member | None, guild: Guild | None, channel: Channel) -> int:
    """The bits of `member` in `channel`; in direct messages what both sides may always do; nothing for a stranger."""
    if guild is None:
        return IN_DIRECT_MESSAGES
    if member is None:
        return 0
    base = guild_permissions(member, guild)
    if base & ADMINISTRATOR:
        return ALL
    place = channel.parent if channel.kind == 11 and channel.parent else channel
    allowed = {(whom, kind): (allow, deny) for whom, kind, allow, deny in place.overwrites}
    allow, deny = allowed.get((guild.id, 0), (0, 0))
    bits = base & ~deny | allow
    of_roles = [allowed[role.id, 0] for role in member.roles if (role.id, 0) in allowed]
    denied = _union(deny for _, deny in of_roles)
    bits = bits & ~denied | _union(allow for allow, _ in of_roles)
    allow, deny = allowed.get((member.person.id, 1), (0, 0))
    bits = bits & ~deny | allow
    speak = SEND_MESSAGES_IN_THREADS if channel.kind == 11 else SEND_MESSAGES
    if not bits & speak:  # documented as implicit
        bits &= ~(MENTION_EVERYONE | ATTACH_FILES | EMBED_LINKS)
    return bits if bits & VIEW_CHANNEL else 0


def guild_permissions(member: Member, guild: Guild) -> int:
    if guild.owner is member.person:
        return ALL
    bits = guild.everyone.permissions | _union(role.permissions for role in member.roles)
    return ALL if bits & ADMINISTRATOR else bits


def _union(bits: object) -> int:
    total = 0
    for each in bits:  # type: ignore[attr-defined]
        total |= each
    return total
