"""The tables of the result store, the same on SQLite and PostgreSQL.

Every table has a natural key and a time `at`: of two rows with one key the later one stands, in whatever order they
arrive. There are no foreign keys, since after an outage a metric may arrive before its trial.
"""

from __future__ import annotations

import sqlalchemy as sa

from infra.database import Step

SCHEMA_NAME = "result store"

metadata = sa.MetaData()

sweeps = sa.Table(
    "sweeps",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("dataset_hash", sa.Text, nullable=False),
    sa.Column("git_commit", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sweep_id", sa.Text, nullable=False, index=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("folder", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("at", sa.Double, nullable=False),
)

metrics = sa.Table(
    "metrics",
    metadata,
    sa.Column("trial_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Double),  # NULL is NaN: SQLite has no NaN
    sa.Column("at", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

# One row for each trial and metric, so that ranking reads as many rows as there are trials.
summary = sa.Table(
    "summary",
    metadata,
    sa.Column("trial_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True, index=True),
    sa.Column("last", sa.Double),
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("best_max", sa.Double),
    sa.Column("best_max_step", sa.BigInteger),
    sa.Column("best_min", sa.Double),
    sa.Column("best_min_step", sa.BigInteger),
    sqlite_with_rowid=False,
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("trial_id", sa.Text, primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("score", sa.Double),
    sa.Column("at", sa.Double, nullable=False),
)

aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("bundle_url", sa.Text, nullable=False),
    sa.Column("trial_id", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sweep_id", sa.Text, nullable=False, index=True),
    sa.Column("trial_id", sa.Text),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)


def _version_1(connection: sa.Connection) -> None:
    metadata.create_all(connection)


# A released step never changes; a change to the tables above is another step.
STEPS: list[Step] = [(1, [_version_1])]
