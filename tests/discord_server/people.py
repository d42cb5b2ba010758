"""What people do: write, reply, forward, use commands, click, choose, fill in forms; as Discord's client allows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.discord_server import permissions
from tests.discord_server.cdn import Upload
from tests.discord_server.doings import command_data, interact, modal_data, resolve
from tests.discord_server.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL, Interaction
from tests.discord_server.world import EPHEMERAL, Channel, Message

if TYPE_CHECKING:
    from tests.discord_server.server import DiscordServer

Files = Sequence["Upload | tuple[str, bytes]"]


class NotPossibleError(AssertionError):
    """Discord's client would not let this person do that."""


@dataclass(eq=False)
class Person:
    """locale: of their client. blocks_bot: does not take direct messages from it."""

    server: DiscordServer = field(repr=False)
    id: int
    name: str
    global_name: str | None = None
    is_bot: bool = False
    locale: str = "en-US"
    blocks_bot: bool = False

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    async def say(
        self,
        where: Channel,
        text: str = "",
        *,
        files: Files = (),
        mention: bool = False,
        reply_to: Message | None = None,
        ping: bool = False,
        embeds: Sequence[dict[str, Any]] = (),
    ) -> Message:
        """Post a message. mention: names the bot in front. ping: a reply notifies the author of the original.

        embeds: the previews that Discord made of links in the text, such as {"type": "image", "url": …, …}.
        """
        if mention:
            text = f"{self.server.bot.mention} {text}".strip()
        posted = self._message(where, text)
        posted.attachments = [self.server.cdn.store(_upload(f), where) for f in files]
        posted.embeds = list(embeds)
        posted.pings = [p for p in self.server.people.values() if re.search(rf"<@!?{p.id}>", text)]
        if reply_to is not None:
            reply_to = self._live(reply_to)
            posted.kind, posted.referenced = 19, reply_to
            posted.reference = _reference(reply_to, 0)
            # a reply to an interaction's response does not notify the bot (discord-api-docs #5395)
            if ping and not reply_to.interaction and reply_to.author not in posted.pings:
                posted.pings.append(reply_to.author)
        return await self._post(posted)

    async def dm(self, text: str = "", *, files: Files = (), **more: Any) -> Message:
        """Write to the bot alone."""
        return await self.say(self.server.dm_of(self), text, files=files, **more)

    async def forward(self, message: Message, where: Channel) -> Message:
        """Forward a message: a snapshot of it, without a text of one's own."""
        message = self._live(message)
        posted = self._message(where, "")
        posted.reference, posted.snapshots, posted.flags = _reference(message, 1), [message.copy()], 1 << 14
        return await self._post(posted)

    async def edit(self, message: Message, text: str) -> None:
        message = self._live(message)
        message.content, message.edited = text, self.server.clock.now()
        await self.server.gateway.dispatch_message("MESSAGE_UPDATE", message)

    async def delete(self, message: Message) -> None:
        await self.server.delete(self._live(message))

    async def slash(self, command: str, where: Channel | None = None, /, **options: Any) -> Interaction:
        """Use a command: "check", or with a subcommand "quiz start". where: None is the direct messages with the bot.

        options: by name; a person, channel, role as the object; a file as (name, bytes) or Upload.
        """
        where = where or self.server.dm_of(self)
        name, *path = command.split()
        registered = self._may_use(name, 1, where)
        data = command_data(self.server, registered, path, options, where)
        return await interact(self.server, self, COMMAND, where, data, name=command)

    async def complete(self, command: str, option: str, typed: str, where: Channel | None = None) -> Interaction:
        """Type into an option with autocomplete; its `suggestions()` are what the bot offers."""
        where = where or self.server.dm_of(self)
        name, *path = command.split()
        registered = self._may_use(name, 1, where)
        data = command_data(self.server, registered, path, {option: typed}, where, focused=option)
        return await interact(self.server, self, AUTOCOMPLETE, where, data, name=command)

    async def context_menu(self, name: str, message: Message) -> Interaction:
        """Right-click a message ▶ Apps ▶ name."""
        message = self._live(message)
        registered = self._may_use(name, 3, message.channel)
        data = {"id": registered["id"], "name": name, "type": 3, "target_id": str(message.id)}
        return await interact(self.server, self, COMMAND, message.channel, data, name=name, target=message)

    async def click(self, message: Message, named: str) -> Interaction:
        """Click a button, known by its custom_id or its label."""
        message = self._live(message)
        button = self._control(message, named)
        if button["type"] != 2 or button.get("style") == 5:
            raise NotPossibleError(f"{named!r} is no button that tells the bot")
        data = {"custom_id": button["custom_id"], "component_type": 2, "id": button.get("id", 1)}
        return await interact(self.server, self, COMPONENT, message.channel, data, name=named, message=message)

    async def choose(self, message: Message, named: str, *values: Any) -> Interaction:
        """Choose in a select, known by its custom_id or placeholder: values or labels of its options, or the people,
        channels and roles themselves.
        """
        message = self._live(message)
        select = self._control(message, named)
        chosen = [_option(select, value) for value in values]
        if not select.get("min_values", 1) <= len(chosen) <= select.get("max_values", 1):
            raise NotPossibleError(f"{named!r} wants another number of choices")
        data = {"custom_id": select["custom_id"], "component_type": select["type"], "id": select.get("id", 1)}
        data["values"] = chosen
        if select["type"] != 3:
            resolved: dict[str, dict[str, Any]] = {}
            data["resolved"] = resolved
            for value in values:
                resolve(self.server, value, message.channel, resolved)
        return await interact(self.server, self, COMPONENT, message.channel, data, name=named, message=message)

    async def submit(self, opened: Interaction, **values: str) -> Interaction:
        """Fill in and send the modal that an interaction opened: text by custom_id."""
        modal = await opened.form()
        data = modal_data(modal, values)
        return await interact(
            *(self.server, self, MODAL, opened.channel, data),
            name=modal["custom_id"],
            message=opened.message,
            opened_by=opened,
        )

    def sees(self, message: Message) -> bool:
        """An ephemeral answer is seen by the one who asked."""
        if message.is_deleted:
            return False
        return not message.flags & EPHEMERAL or (message.interaction is not None and message.interaction.person is self)

    def may(self, where: Channel) -> int:
        home = where.guild
        return permissions.permissions_of(home.members.get(self.id) if home else None, home, where)

    def _may_use(self, name: str, kind: int, where: Channel) -> dict[str, Any]:
        if where.guild and not (where.guild.has_bot and self.id in where.guild.members):
            raise NotPossibleError(f"the bot or {self.name} is not in {where.guild.name}")
        registered = self.server.commands.find(name, kind, where.guild.id if where.guild else None)
        contexts = registered["contexts"]
        if contexts is not None and (0 if where.guild else 1) not in contexts:
            raise NotPossibleError(f"/{name} is not offered here: its contexts are {contexts}")
        wanted = registered["default_member_permissions"]
        if where.guild:
            may = self.may(where)
            if not may & permissions.USE_APPLICATION_COMMANDS:
                raise NotPossibleError(f"{self.name} may not use commands in {where.name}")
            is_admin = may == permissions.ALL
            if wanted is not None and not is_admin and (int(wanted) == 0 or may & int(wanted) != int(wanted)):
                raise NotPossibleError(f"/{name} is not offered to {self.name}: it wants permissions {wanted}")
        return registered

    def _live(self, message: Message) -> Message:
        """The message as it stands now; raises if this person does not see it, or no longer."""
        live = self.server.messages[message.id]
        if not self.sees(live):
            raise NotPossibleError(f"{self.name} does not see that message")
        return live

    def _control(self, message: Message, named: str) -> dict[str, Any]:
        control = message.control(named)
        if control.get("disabled"):
            raise NotPossibleError(f"{named!r} is disabled")
        return control

    def _message(self, where: Channel, text: str) -> Message:
        if where.guild and not self.may(where) & permissions.SEND_MESSAGES:
            raise NotPossibleError(f"{self.name} may not write in {where.name}")
        return Message(self.server.new_id(), where, self, content=text, created=self.server.clock.now())

    async def _post(self, posted: Message) -> Message:
        posted.channel.messages[posted.id] = posted
        self.server.messages[posted.id] = posted
        await self.server.gateway.dispatch_message("MESSAGE_CREATE", posted)
        return posted


def _upload(file: Upload | tuple[str, bytes]) -> Upload:
    return file if isinstance(file, Upload) else Upload(*file)


def _reference(message: Message, kind: int) -> dict[str, Any]:
    known = {"type": kind, "channel_id": str(message.channel.id), "message_id": str(message.id)}
    if message.channel.guild:
        known["guild_id"] = str(message.channel.guild.id)
    return known


def _option(select: dict[str, Any], value: Any) -> str:
    if select["type"] != 3:
        return str(getattr(value, "id", value))
    for option in select["options"]:
        if value in (option["value"], option["label"]):
            return str(option["value"])
    raise NotPossibleError(f"no option {value!r}; there are {[o['label'] for o in select['options']]}")
