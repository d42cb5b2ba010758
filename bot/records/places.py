"""Servers, groups and chats: what their admins have set, until the bot leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from bot.records import schema
from bot.records.database import upsert
from bot.records.settings import PlaceSettings
from infra.params import validate


def read_settings(connection: sa.Connection, platform: str, place: str) -> PlaceSettings:
    """What holds in a place. Raises ParamsError when what is kept is no longer understood."""
    s = schema.settings.c
    kept = connection.scalar(sa.select(s.content).where(s.platform == platform, s.place == place))
    return validate(PlaceSettings, kept or {}, f"settings of {platform}:{place}")


def change_settings(
    connection: sa.Connection, platform: str, place: str, changes: Mapping[str, Any], at: float
) -> PlaceSettings:
    """Change what holds in a place. Raises ParamsError for what cannot be."""
    now = read_settings(connection, platform, place).model_dump()
    settings = validate(PlaceSettings, {**now, **changes}, "settings")
    content = settings.model_dump(mode="json", exclude_defaults=True)
    upsert(connection, schema.settings, platform=platform, place=place, content=content, at=at)
    return settings


def open_channel(
    connection: sa.Connection, platform: str, place: str, channel: str, is_open: bool, at: float
) -> PlaceSettings:
    """Open a channel or close it. Raises ParamsError where too many are open."""
    others = [each for each in read_settings(connection, platform, place).channels if each != channel]
    channels = [*others, channel] if is_open else others
    return change_settings(connection, platform, place, {"channels": tuple(channels)}, at)


def forget_place(connection: sa.Connection, platform: str, place: str) -> None:
    """Delete the settings and open rounds of a place; answers and claims stay their people's, without it."""
    s, server = schema.settings, f"{platform}:{place}"
    connection.execute(sa.delete(s).where(s.c.platform == platform, s.c.place == place))
    connection.execute(sa.delete(schema.rounds).where(schema.rounds.c.server == server))
    for table in (schema.answers, schema.claims):
        connection.execute(sa.update(table).where(table.c.server == server).values(server=None))
