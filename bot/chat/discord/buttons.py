"""The buttons below an answer. All they need is in their ids and in the message they stand under, so they outlive
restarts: what the network saw is the embed's thumbnail, and to look at that again gives the same heatmaps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import discord

from bot.chat.answers import answer, layer_choices, thanks_for_claim, wrong_label
from bot.chat.buttons import (
    HOW_TO_READ,
    LAYER_ID,
    WRONG_ID,
    HowToReadButton,
    LayerButton,
    WrongButton,
    model_mark,
    parse_button,
    wrong_buttons,
)
from bot.chat.discord.askers import PLATFORM, request_of, words_for
from bot.chat.discord.cards import Card, Message, card_of, panel_bytes, seen_name
from bot.chat.discord.replies import InteractionReply, say_failed
from bot.chat.found import Candidate
from bot.chat.info import how_to_read
from bot.chat.presses import claim, layer_of
from bot.chat.refusals import NoPicture
from bot.words import Words
from bot.worker import Checked, Want

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot

_MOST_LAYERS = 20  # four of five rows of five
_PICTURE_ID = rf"picture:(?P<number>[0-9]):(?P<wrong>{WRONG_ID.pattern})"


def register(bot: DiscordBot) -> None:
    """Have presses of these buttons answered, also of those that were sent before the last restart."""
    bot.add_dynamic_items(LayerItem, WrongItem, HowItem, PictureItem)


def view_of(found: Sequence[Checked | Exception], t: Words, first: int = 0) -> discord.ui.View | None:
    """The buttons for the pictures of one message: all of them for one picture, for several one each that gets them.

    first: how many pictures came in messages before.
    """
    answered = [(i, one) for i, one in enumerate(found) if isinstance(one, Checked)]
    if not answered:
        return None
    view = discord.ui.View(timeout=None)
    if len(found) == 1:
        _add_buttons(view, answered[0][1], t)
        return view
    for i, one in answered:
        wrong = wrong_buttons(one.sha256, one.verdict.verdict)[0]
        view.add_item(PictureItem(i, wrong, t("Picture {number}", number=first + i + 1)))
    view.add_item(HowItem(t("How to read this")))
    return view


class _Answering(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"(?!)"):
    """A button that is answered in private: acknowledged, then `answer`, and whatever goes wrong is said."""

    counted_as: ClassVar[str] = "button"

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Called by discord.py."""
        bot: DiscordBot = interaction.client
        if not await bot.acknowledge(interaction, ephemeral=True):
            return
        bot.app.metrics.requests.labels(PLATFORM, self.counted_as).inc()
        try:
            t = await words_for(bot.app, interaction)
            await InteractionReply(interaction, ephemeral=True).send(await self.answer(bot, interaction, t))
        except Exception as error:
            await say_failed(interaction, error)

    async def answer(self, bot: DiscordBot, interaction: discord.Interaction[Any], t: Words) -> Message:
        """What is said; may raise anything."""
        raise NotImplementedError


class LayerItem(_Answering, template=LAYER_ID):
    """Shows one layer large."""

    def __init__(self, button: LayerButton, label: str = "…") -> None:
        super().__init__(discord.ui.Button(label=label, custom_id=button.id))
        self._button = button

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py."""
        button = parse_button(match.string)
        if not isinstance(button, LayerButton):
            raise ValueError(f"no such button: {match.string!r}")
        return cls(button)

    async def answer(self, bot: DiscordBot, interaction: discord.Interaction[Any], t: Words) -> Message:
        """The layer's picture; the whole answer anew where another model has come since."""
        data = await _seen(bot, interaction, self._button.picture)
        most = panel_bytes(interaction.filesize_limit, 1)
        layer = await layer_of(bot.app, self._button, data, request_of(interaction, t), most, t)
        if layer is not None:
            return Message(cards=(Card(layer.title, layer.caption, panel=layer.picture, alt=layer.caption),))
        return await _look_anew(bot, interaction, data, t)


class PictureItem(_Answering, template=_PICTURE_ID):
    """Gets the buttons of one picture of several. wrong: that picture's, which knows the hash of what came."""

    def __init__(self, picture: int, wrong: WrongButton, label: str = "…") -> None:
        super().__init__(discord.ui.Button(label=label, custom_id=f"picture:{picture}:{wrong.id}"))
        self._picture = picture
        self._wrong = wrong

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py."""
        return cls(int(match["number"]), _wrong_button(match["wrong"]))

    async def answer(self, bot: DiscordBot, interaction: discord.Interaction[Any], t: Words) -> Message:
        """What was said about the picture, with its own buttons below."""
        data = await _seen(bot, interaction, self._picture)
        checked = await bot.app.look_again(data, request_of(interaction, t), Want(panel=False, language=t.language))
        view = discord.ui.View(timeout=None)
        _add_buttons(view, replace(checked, sha256=self._wrong.sha256), t)
        said = interaction.message.embeds[self._picture] if interaction.message else discord.Embed()
        colour = said.colour.value if said.colour else None
        return Message(
            cards=(Card(said.title or "", said.description or "", colour, said.footer.text or "", seen=data),),
            view=view,
        )


class WrongItem(_Answering, template=WRONG_ID):
    """Keeps that somebody disagrees, for review."""

    def __init__(self, button: WrongButton, label: str = "…") -> None:
        super().__init__(discord.ui.Button(label=label, custom_id=button.id, style=discord.ButtonStyle.danger))
        self._button = button

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py."""
        return cls(_wrong_button(match.string))

    async def answer(self, bot: DiscordBot, interaction: discord.Interaction[Any], t: Words) -> Message:
        """Thanks."""
        await claim(bot.app, self._button, request_of(interaction, t), lambda: _seen(bot, interaction, 0))
        return Message(thanks_for_claim(t))


class HowItem(_Answering, template=HOW_TO_READ):
    """Explains numbers and heatmaps."""

    def __init__(self, label: str = "…") -> None:
        super().__init__(discord.ui.Button(label=label, custom_id=HowToReadButton().id))

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py."""
        return cls()

    async def answer(self, bot: DiscordBot, interaction: discord.Interaction[Any], t: Words) -> Message:
        """The explanation."""
        return Message(cards=tuple(Card(block.title, block.text) for block in how_to_read(t)))


def _add_buttons(view: discord.ui.View, checked: Checked, t: Words) -> None:
    """Those of the only picture of a message."""
    mark = model_mark(checked.verdict.model)
    for layer in layer_choices(checked.verdict, _MOST_LAYERS, t):
        view.add_item(LayerItem(LayerButton(0, layer.index, mark), layer.label))
    view.add_item(HowItem(t("How to read this")))
    for wrong in wrong_buttons(checked.sha256, checked.verdict.verdict):
        view.add_item(WrongItem(wrong, wrong_label(checked.verdict.verdict, wrong.claimed, t)))


def _wrong_button(custom_id: str) -> WrongButton:
    button = parse_button(custom_id)
    if not isinstance(button, WrongButton):
        raise ValueError(f"no such button: {custom_id!r}")
    return button


def _sha256_of(message: discord.Message | None) -> str | None:
    """The hash of the picture as it came, which the buttons of its answer know."""
    rows = message.components if message is not None else []
    for part in (part for row in rows if isinstance(row, discord.ActionRow) for part in row.children):
        button = parse_button(part.custom_id or "")
        if isinstance(button, WrongButton):
            return button.sha256
    return None


async def _seen(bot: DiscordBot, interaction: discord.Interaction[Any], picture: int) -> bytes:
    """What the network saw of a picture of the message. Raises NoPicture when it is not there, and HttpErrors."""
    message = interaction.message
    if message is None:
        raise NoPicture
    # Discord lists attachments that an embed shows under that embed only; others may leave them where they were.
    urls = [a.url for a in message.attachments if a.filename == seen_name(picture)]
    urls += [embed.thumbnail.url or "" for embed in message.embeds[picture : picture + 1]]
    url = next((url for url in urls if url.startswith(("https://", "http://"))), None)
    if url is None:
        raise NoPicture
    return await bot.app.fetch(Candidate(url, "photo"))


async def _look_anew(bot: DiscordBot, interaction: discord.Interaction[Any], data: bytes, t: Words) -> Message:
    want = Want(max_bytes=panel_bytes(interaction.filesize_limit, 1), language=t.language)
    checked = await bot.app.look_again(data, request_of(interaction, t), want)
    checked = replace(checked, sha256=_sha256_of(interaction.message) or checked.sha256)
    text = t(
        "I have a newer model since this answer, so I looked again, at the small copy that I still have. Send the "
        "picture again for a full answer."
    )
    return Message(text, (card_of(answer(checked.verdict, t), checked.panel, data),), view_of([checked], t))
