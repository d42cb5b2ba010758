"""Interactions: how a person's command or click is answered: the callback, the original response, follow-ups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tests.discord_server import message_payloads, payloads
from tests.discord_server.composing import change, compose, form
from tests.discord_server.errors import ApiError, FormErrors, unknown
from tests.discord_server.modal_rules import check_choices, check_modal
from tests.discord_server.rest import Call, route
from tests.discord_server.world import EPHEMERAL, LOADING, Channel, Message

if TYPE_CHECKING:
    from tests.discord_server.people import Person
    from tests.discord_server.server import DiscordServer

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
ACK_WITHIN_S = 3.0
TOKEN_LIVES_S = 15 * 60.0


T = TypeVar("T")


@dataclass(eq=False)
class Interaction:
    """What a person did. message: what a component stands on. target: of a context menu.

    shown: each state of an answer as the person saw it. opened_by: what opened the modal that was sent.
    acked_after_s: from the event's dispatch to the callback, on the wall clock.
    """

    server: DiscordServer
    id: int
    token: str
    kind: int
    person: Person
    channel: Channel
    data: dict[str, Any]
    created: float
    message: Message | None = None
    name: str = ""
    opened_by: Interaction | None = None
    callback: int | None = None
    acked_after_s: float = 0.0
    original: Message | None = None
    target: Message | None = None
    followups: list[Message] = field(default_factory=list)
    shown: list[Message] = field(default_factory=list)
    modal: dict[str, Any] | None = None
    choices: list[dict[str, Any]] | None = None

    @property
    def has_failed(self) -> bool:
        """The person reads "The application did not respond"."""
        return self.callback is None and self.server.clock.now() - self.created > self.server.ack_within_s

    async def acknowledged(self, timeout: float = 10.0) -> int:
        """Waits for the callback; gives its type."""
        return await self._until(lambda: self.callback, "was not acknowledged", timeout)

    async def response(self, matching: Callable[[Message], Any] = bool, timeout: float = 10.0) -> Message:
        """The first visible state (the response, an edit of it, a follow-up) that matches; "thinking…" is none."""
        what = "got no matching response"
        return await self._until(lambda: next((m for m in self.shown if matching(m)), None), what, timeout)

    async def followup(self, matching: Callable[[Message], Any] = bool, timeout: float = 10.0) -> Message:
        what = "got no matching follow-up"
        return await self._until(lambda: next((m for m in self.followups if matching(m)), None), what, timeout)

    async def form(self, timeout: float = 10.0) -> dict[str, Any]:
        """The modal that the bot opened."""
        return await self._until(lambda: self.modal, "opened no modal", timeout)

    async def suggestions(self, timeout: float = 10.0) -> list[dict[str, Any]]:
        """The autocomplete choices."""
        return await self._until(lambda: self.choices, "got no choices", timeout)

    async def _until(self, check: Callable[[], T | None], failure: str, timeout: float) -> T:
        return await self.server.until(check, f"{self!r} {failure}; shown: {[m.text for m in self.shown]}", timeout)

    def __repr__(self) -> str:
        return f"<Interaction {self.kind} {self.name!r} of {self.person.name}>"

    def as_metadata(self, answer: Message | None) -> dict[str, Any]:
        """What a message tells about the interaction that it answers."""
        who = payloads.user(self.person)
        owner = str(self.channel.guild.id) if self.channel.guild else "0"
        known = {"id": str(self.id), "type": self.kind, "user": who, "authorizing_integration_owners": {"0": owner}}
        if self.original is not None and answer is not self.original:
            known["original_response_message_id"] = str(self.original.id)
        if self.kind == COMMAND:
            known |= {"name": self.name, "command_type": self.data.get("type", 1)}
            if "target_id" in self.data:
                known["target_message_id"] = self.data["target_id"]
            old = {"id": str(self.id), "type": self.kind, "name": self.name, "user": who}
            return {"interaction_metadata": known, "interaction": old}
        if self.kind == MODAL and self.opened_by is not None:
            known["triggering_interaction_metadata"] = self.opened_by.as_metadata(None)["interaction_metadata"]
        elif self.message:
            known["interacted_message_id"] = str(self.message.id)
        return {"interaction_metadata": known}

    def show(self, message: Message) -> None:
        """Keep a state of an answer, unless it is still the "thinking…" of a deferral."""
        if not message.is_loading:
            self.shown.append(message.copy())


@route("POST", "/interactions/{interaction}/{token}/callback")
async def create_response(server: DiscordServer, call: Call) -> Any:
    interaction = server.interactions.get(call.params["token"])
    if interaction is None or str(interaction.id) != call.params["interaction"]:
        raise unknown("interaction")
    late = server.clock.now() - interaction.created
    if interaction.callback is None and late > server.ack_within_s:
        raise unknown("interaction")
    if interaction.callback is not None:
        raise ApiError(400, 40060, "Interaction has already been acknowledged.")
    answer = form(call)
    kind: Any = answer.get("type")
    data = answer.get("data") or {}
    _check_kind(interaction, kind)
    call.payload = data
    await _respond(server, interaction, call, kind)
    interaction.callback = kind
    interaction.acked_after_s = late
    server.record("callback", interaction=interaction, type=kind, data=data)
    if not call.switch("with_response"):
        return None
    return 200, _callback_response(server, interaction, kind)


def _check_kind(interaction: Interaction, kind: Any) -> None:
    """Which callback types answer which interactions."""
    errors = FormErrors()
    allowed: tuple[int, ...] = (4, 5, 9)
    if interaction.kind == COMPONENT:
        allowed = (4, 5, 6, 7, 9)
    elif interaction.kind == MODAL:
        allowed = (4, 5, 6, 7) if interaction.message else (4, 5)
    elif interaction.kind == AUTOCOMPLETE:
        allowed = (8,)
    errors.one_of("type", kind, allowed)
    errors.check()


async def _respond(server: DiscordServer, interaction: Interaction, call: Call, kind: int) -> None:
    data = call.payload
    where = interaction.channel
    flags = (data.get("flags") or 0) & EPHEMERAL
    if kind == 4:
        await _publish(server, compose(server, call, where, flags=flags, interaction=interaction), interaction)
    elif kind == 5:
        flags |= LOADING
        fresh = Message(server.new_id(), where, server.bot, flags=flags, created=server.clock.now())
        fresh.interaction = interaction
        await _publish(server, fresh, interaction)
    elif kind in (6, 7):
        interaction.original = interaction.message
        if kind == 7 and interaction.message:
            change(server, call, interaction.message)
            await _changed(server, interaction.message, interaction)
    elif kind == 8:
        check_choices(data)
        interaction.choices = data["choices"]
    elif kind == 9:
        check_modal(data)
        interaction.modal = data


async def _publish(server: DiscordServer, fresh: Message, interaction: Interaction) -> None:
    """A new message of an interaction's: the first is its original response, the others are follow-ups."""
    if fresh.kind == 0 and interaction.kind == COMMAND and interaction.original is None:
        fresh.kind = 20 if interaction.data.get("type", 1) == 1 else 23
    if fresh.kind == 23:
        fresh.referenced = interaction.target
        fresh.reference = {"type": 0, "channel_id": str(fresh.channel.id), "message_id": interaction.data["target_id"]}
    if interaction.original is None:
        interaction.original = fresh
    else:
        interaction.followups.append(fresh)
    server.messages[fresh.id] = fresh
    interaction.show(fresh)
    if not fresh.is_ephemeral:
        fresh.channel.messages[fresh.id] = fresh
        await server.gateway.dispatch_message("MESSAGE_CREATE", fresh)
    server.record("response", message=fresh.copy(), live=fresh, interaction=interaction)


async def _changed(server: DiscordServer, message: Message, interaction: Interaction) -> None:
    interaction.show(message)
    if not message.is_ephemeral:
        await server.gateway.dispatch_message("MESSAGE_UPDATE", message)
    server.record("response", message=message.copy(), live=message, interaction=interaction)


def _callback_response(server: DiscordServer, interaction: Interaction, kind: int) -> dict[str, Any]:
    about: dict[str, Any] = {"id": str(interaction.id), "type": interaction.kind}
    made = interaction.original
    if kind in (4, 5) and made:
        about |= {"response_message_id": str(made.id), "response_message_loading": kind == 5}
        about["response_message_ephemeral"] = made.is_ephemeral
    answer: dict[str, Any] = {"interaction": about}
    if kind in (4, 7) and made:  # a deferral has made nothing yet
        answer["resource"] = {"type": kind, "message": message_payloads.message(server, made, sees_all=True)}
    return answer


def _live(server: DiscordServer, call: Call) -> Interaction:
    """The interaction behind a webhook's token; raises 10015 before it is answered, 50027 after 15 minutes.

    As seen in discord-api-docs #6851 (401 after the window) and discord.js #10798 (its code).
    """
    if call.params["application"] != str(server.bot.id):
        raise unknown("Webhook")
    interaction = server.interactions.get(call.params["token"])
    if interaction is None or server.clock.now() - interaction.created > TOKEN_LIVES_S:
        raise ApiError(401, 50027, "Invalid Webhook Token")
    if interaction.callback is None:
        raise unknown("Webhook")
    return interaction


def _target(server: DiscordServer, call: Call) -> tuple[Interaction, Message]:
    interaction = _live(server, call)
    if call.params["message"] == "@original":
        found = interaction.original
    else:
        number = call.number("message")
        own = [interaction.original, interaction.message, *interaction.followups]
        found = next((m for m in own if m and m.id == number), None)
    if found is None or found.is_deleted:
        raise unknown("Message")
    return interaction, found


@route("POST", "/webhooks/{application}/{token}")
async def create_followup(server: DiscordServer, call: Call) -> Any:
    interaction = _live(server, call)
    if interaction.original and interaction.original.is_loading:
        # documented for backwards compatibility: the first follow-up to a deferral edits the original, whose
        # ephemerality stays as it was
        change(server, call, interaction.original)
        await _changed(server, interaction.original, interaction)
        return message_payloads.message(server, interaction.original, sees_all=True)
    flags = (form(call).get("flags") or 0) & EPHEMERAL
    fresh = compose(server, call, interaction.channel, flags=flags, interaction=interaction)
    if interaction.original:
        fresh.kind, fresh.referenced = 19, interaction.original
        fresh.reference = {"type": 0, "channel_id": str(fresh.channel.id), "message_id": str(interaction.original.id)}
    await _publish(server, fresh, interaction)
    return message_payloads.message(server, fresh, sees_all=True)


@route("GET", "/webhooks/{application}/{token}/messages/{message}")
async def get_response(server: DiscordServer, call: Call) -> Any:
    return message_payloads.message(server, _target(server, call)[1], sees_all=True)


@route("PATCH", "/webhooks/{application}/{token}/messages/{message}")
async def edit_response(server: DiscordServer, call: Call) -> Any:
    interaction, found = _target(server, call)
    change(server, call, found)
    await _changed(server, found, interaction)
    return message_payloads.message(server, found, sees_all=True)


@route("DELETE", "/webhooks/{application}/{token}/messages/{message}")
async def delete_response(server: DiscordServer, call: Call) -> Any:
    interaction, found = _target(server, call)
    await server.delete(found)
    server.record("delete", message=found.copy(), live=found, interaction=interaction)
