"""The tables of the bot's records, the same on SQLite and PostgreSQL.

Times are Unix times. `person` always refers to `people`, without a cascade: the database itself refuses to let a person
go while something of theirs is left. A server is known by its platform and id, such as "discord:2000".
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from infra.database import Step

SCHEMA_NAME = "bot records"

metadata = sa.MetaData()


def _person(**options: Any) -> sa.Column[int]:
    return sa.Column("person", sa.BigInteger, sa.ForeignKey("people.id"), autoincrement=False, **options)


people = sa.Table(
    "people",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),  # drawn at random, so never given twice
    sa.Column("language", sa.Text),
    sa.Column("at", sa.Double, nullable=False),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("platform", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    _person(nullable=False, index=True),
    sa.Column("name", sa.Text),  # as leaderboards show it
    sa.Column("at", sa.Double, nullable=False),
)

link_codes = sa.Table(
    "link_codes",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    _person(nullable=False, index=True),
    sa.Column("expires", sa.Double, nullable=False),
)

# By account, not by person: an account that only guesses is nobody yet.
wrong_codes = sa.Table(
    "wrong_codes",
    metadata,
    sa.Column("platform", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("wrong", sa.BigInteger, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
)

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("platform", sa.Text, primary_key=True),
    sa.Column("place", sa.Text, primary_key=True),
    sa.Column("content", sa.JSON, nullable=False),  # what differs from the defaults
    sa.Column("at", sa.Double, nullable=False),
)

# One row a picture, model and asker; those that nobody asked for by name have no person.
results = sa.Table(
    "results",
    metadata,
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    _person(index=True),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("p_fake", sa.Double, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False, index=True),
    sa.UniqueConstraint("sha256", "model", "person"),
)

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True),
    _person(primary_key=True, index=True),
    sa.Column("claimed", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("p_fake", sa.Double, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("server", sa.Text),
    sa.Column("at", sa.Double, nullable=False, index=True),
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("round_id", sa.Text, primary_key=True),
    sa.Column("face_id", sa.Text, primary_key=True),
    _person(primary_key=True),
    sa.Column("deck_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("truth", sa.Text, nullable=False),
    sa.Column("said", sa.Text, nullable=False),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("points", sa.Double, nullable=False),
    sa.Column("machine_p_fake", sa.Double),
    sa.Column("machine_label", sa.Text),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("server", sa.Text),
    sa.Column("day", sa.Date),
    sa.Column("seconds", sa.Double),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("is_right", sa.BigInteger, nullable=False),  # 1 or 0, said == truth: here so that an index can hold it
    sqlite_with_rowid=False,
)

# Leaderboards add up what these hold and never touch the rows; the first also finds a person's newest answers.
sa.Index("answers_of_person", answers.c.person, answers.c.at, answers.c.is_right, answers.c.points)
_played_somewhere, _of_a_day = answers.c.server.is_not(None), answers.c.day.is_not(None)
sa.Index(
    "answers_of_server",
    answers.c.server, answers.c.person, answers.c.at, answers.c.is_right, answers.c.points,
    sqlite_where=_played_somewhere, postgresql_where=_played_somewhere,
)  # fmt: skip
sa.Index(
    "answers_of_day",
    answers.c.day, answers.c.person, answers.c.is_right, answers.c.points,
    sqlite_where=_of_a_day, postgresql_where=_of_a_day,
)  # fmt: skip

daily_sets = sa.Table(
    "daily_sets",
    metadata,
    _person(primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("round_id", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)

rounds = sa.Table(
    "rounds",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("platform", sa.Text, nullable=False),
    sa.Column("server", sa.Text),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
)

round_players = sa.Table(
    "round_players",
    metadata,
    sa.Column("round_id", sa.Text, sa.ForeignKey("rounds.id", ondelete="CASCADE"), primary_key=True),
    _person(primary_key=True, index=True),
)


def _version_1(connection: sa.Connection) -> None:
    metadata.create_all(connection)


# A released step never changes; a change to the tables above is another step.
STEPS: list[Step] = [(1, [_version_1])]
