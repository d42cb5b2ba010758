"""A small bot of plain discord.py, for the tests of the stand-in itself."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import discord
from discord import app_commands
from PIL import Image

from tests.discord_server.server import DiscordServer
from tests.discord_server.serving import Tls, tls


class Modal(discord.ui.Modal, title="That's wrong"):
    reason: discord.ui.TextInput[Any] = discord.ui.TextInput(label="What is it?", custom_id="reason", max_length=50)

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"noted: {self.reason.value}", ephemeral=True)


class Layer(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"layer:(?P<number>\d+)"):
    def __init__(self, number: int) -> None:
        super().__init__(discord.ui.Button(label=f"Layer {number}", custom_id=f"layer:{number}"))
        self.number = number

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: Any) -> Layer:
        return cls(int(match["number"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        await interaction.response.defer(thinking=True, ephemeral=True)
        heat = discord.File(io.BytesIO(png()), "heat.png", description=f"heat of layer {self.number}")
        await interaction.followup.send(f"layer {self.number}", file=heat)


class Looker(discord.Client):
    """Answers pictures with their size, and remembers every event it was told."""

    def __init__(self, *, content: bool = True, **options: Any) -> None:
        intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True, message_content=content)
        options.setdefault("guild_ready_timeout", 0.05)
        super().__init__(intents=intents, allowed_mentions=discord.AllowedMentions.none(), **options)
        self.tree = app_commands.CommandTree(self)
        self.heard: list[discord.Message] = []
        self.raised: list[BaseException] = []

    async def setup_hook(self) -> None:
        self.add_dynamic_items(Layer)
        group = app_commands.Group(name="quiz", description="Real or not")
        group.add_command(app_commands.Command(name="start", description="Begin", callback=start))
        commands: tuple[Any, ...] = (check, group, wrong, colour, moderate)
        for command in commands:
            self.tree.add_command(command)
        self.tree.add_command(app_commands.ContextMenu(name="Is this real?", callback=look))
        await self.tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Without discord.py's five seconds before a second IDENTIFY."""

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(message)
        if message.author == self.user or not message.attachments:
            return
        try:
            data = await message.attachments[0].read()
            embed = discord.Embed(title="Looked").set_image(url="attachment://seen.png")
            await message.reply(f"{len(data)} bytes", embed=embed, file=discord.File(io.BytesIO(data), "seen.png"))
        except discord.HTTPException as error:
            self.raised.append(error)


@app_commands.command()
async def check(interaction: discord.Interaction, image: discord.Attachment, private: bool = False) -> None:
    """Is it real?"""
    await interaction.response.defer(thinking=True, ephemeral=private)
    view = discord.ui.View(timeout=None)
    view.add_item(Layer(1)).add_item(Layer(2))
    panel = discord.File(io.BytesIO(await image.read()), "panel.png", description="the panel")
    await interaction.edit_original_response(content="Checked", attachments=[panel], view=view)


async def start(interaction: discord.Interaction, rounds: app_commands.Range[int, 5, 10]) -> None:
    select: discord.ui.Select[Any] = discord.ui.Select(custom_id="sure", placeholder="How sure?")
    for label in ("a little", "very"):
        select.add_option(label=label, value=label)
    view = discord.ui.View(timeout=None).add_item(select)

    async def chosen(inner: discord.Interaction) -> None:
        await inner.response.edit_message(content=f"{select.values[0]} sure", view=None)

    select.callback = chosen  # type: ignore[method-assign, assignment]
    await interaction.response.send_message(f"{rounds} rounds", view=view)


@app_commands.command()
async def wrong(interaction: discord.Interaction) -> None:
    """Say what is wrong."""
    await interaction.response.send_modal(Modal())


@app_commands.command()
async def colour(interaction: discord.Interaction, name: str) -> None:
    """Name a colour."""
    await interaction.response.send_message(name)


@colour.autocomplete("name")
async def colours(interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
    return [app_commands.Choice(name=c, value=c) for c in ("red", "green", "grey") if c.startswith(typed)]


@app_commands.command()
@app_commands.default_permissions(manage_guild=True)
@app_commands.guild_only()
async def moderate(interaction: discord.Interaction, where: discord.TextChannel) -> None:
    """For admins."""
    await interaction.response.send_message(f"in {where.name}", ephemeral=True)


async def look(interaction: discord.Interaction, message: discord.Message) -> None:
    await interaction.response.send_message(f"{message.content}: {len(message.attachments)} files", ephemeral=True)


def png(side: int = 32) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (10, 120, 200)).save(out, "PNG")
    return out.getvalue()


@asynccontextmanager
async def looking(server: DiscordServer | None = None, **options: Any) -> AsyncIterator[tuple[Tls, Looker]]:
    async with tls(server) as address:
        client = Looker(connector=address.connector(), **options)
        task = asyncio.create_task(client.start(address.server.token))
        try:
            await address.server.next("ready")
            await asyncio.wait_for(client.wait_until_ready(), 10)
            yield address, client
        finally:
            await client.close()
            await asyncio.gather(task, return_exceptions=True)


def played(test: Callable[[DiscordServer, Looker], Coroutine[Any, Any, None]], **options: Any) -> Callable[[], None]:
    """A test with a client that is ready, as an ordinary function."""

    def run() -> None:
        async def body() -> None:
            async with looking(**options) as (address, client):
                await test(address.server, client)

        asyncio.run(body())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
