"""What was said about pictures, known by their hash: the model's results, and people's claims that they are wrong."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from bot.records import schema
from bot.records.database import moment, upsert
from bot.records.people import need_person
from bot.records.rows import Account, ClaimedPicture, Result


def add_result(connection: sa.Connection, result: Result, asker: Account | None, keep_s: float) -> None:
    """Write a result for `keep_s`, in the place of an earlier one of the same picture, model and asker."""
    at, r = result.at.timestamp(), schema.results
    row: dict[str, Any] = {"sha256": result.sha256, "model": result.model}
    row |= {"person": None if asker is None else need_person(connection, asker, at)}
    # Not an upsert: to a unique key no NULL is like another.
    connection.execute(sa.delete(r).where(*(r.c[name].is_not_distinct_from(value) for name, value in row.items())))
    row |= {"verdict": result.verdict, "p_fake": result.p_fake, "at": at, "expires": at + keep_s}
    connection.execute(sa.insert(r).values(row))


def newest_result(connection: sa.Connection, sha256: str, at: float) -> Result | None:
    """The newest result for a picture that has not expired."""
    r = schema.results.c
    query = sa.select(r.sha256, r.verdict, r.p_fake, r.model, r.at).where(r.sha256 == sha256, r.expires > at)
    row = connection.execute(query.order_by(r.at.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else Result(**{**row, "at": moment(row["at"])})


def add_claim(connection: sa.Connection, account: Account, at: float, **claim: Any) -> None:
    """Write what somebody says about a picture, in the place of what they said before."""
    upsert(connection, schema.claims, person=need_person(connection, account, at), at=at, **claim)


def claimed_pictures(connection: sa.Connection, limit: int) -> list[ClaimedPicture]:
    """Pictures, those with the newest claims first."""
    c = schema.claims.c
    line = sa.func.row_number().over(partition_by=c.sha256, order_by=(c.at.desc(), c.person)).label("line")
    said = [
        sa.func.sum(sa.case((c.claimed == side, 1), else_=0)).over(partition_by=c.sha256).label(f"said_{side}")
        for side in ("real", "fake")
    ]
    lines = sa.select(c.sha256, c.verdict, c.p_fake, c.model, c.server, c.at, line, *said).subquery()
    newest = sa.select(lines).where(lines.c.line == 1).order_by(lines.c.at.desc(), lines.c.sha256).limit(limit)
    return [
        ClaimedPicture(
            row.sha256, int(row.said_real), int(row.said_fake), row.verdict, row.p_fake, row.model, row.server,
            moment(row.at),
        )
        for row in connection.execute(newest)
    ]  # fmt: skip
