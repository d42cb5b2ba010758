"""Rounds, daily sets and answers of the quiz, and the leaderboards that they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from bot.records import schema
from bot.records.database import insert, moment, upsert
from bot.records.people import name_account, need_people, need_person
from bot.records.rows import Account, Answer, Platform, SavedRound, Standing, Totals

_FIELDS = [field.name for field in fields(Answer)]
_SAME = 10_000  # means that differ by less than one part of this many share a rank


def add_answers(connection: sa.Connection, answers: Iterable[tuple[Account, Answer]], at: float) -> int:
    """Write answers and the names of who gave them; how many are new.

    Left out: those that are there, and those of a daily set that this person plays or has played in another round.
    """
    added = 0
    people: dict[Account, int] = {}
    for account, answer in answers:
        if account not in people:
            people[account] = need_person(connection, account, at)
            name_account(connection, account, at)
        person = people[account]
        day, round_id = answer.day, answer.round_id
        if day is not None and begin_daily(connection, person, day, round_id, at) != round_id:
            continue
        row = {name: getattr(answer, name) for name in _FIELDS}
        row |= {"person": person, "at": answer.at.timestamp(), "is_right": int(answer.is_right)}
        new = insert(connection, schema.answers).values(row).on_conflict_do_nothing().returning(schema.answers.c.person)
        added += len(connection.execute(new).all())
    return added


def answers_of(connection: sa.Connection, person: int, limit: int | None) -> list[Answer]:
    """The newest answers of a person, the newest last."""
    a = schema.answers.c
    query = sa.select(*(a[name] for name in _FIELDS)).where(a.person == person)
    rows = connection.execute(query.order_by(a.at.desc(), a.round_id.desc(), a.face_id.desc()).limit(limit)).mappings()
    return [Answer(**{**row, "at": moment(row["at"])}) for row in rows][::-1]


def begin_daily(connection: sa.Connection, person: int, day: date, round_id: str, at: float) -> str:
    """The round in which this person plays the set of `day`: `round_id`, unless there is an earlier one."""
    d = schema.daily_sets
    row = {"person": person, "day": day, "round_id": round_id, "at": at}
    connection.execute(insert(connection, d).values(row).on_conflict_do_nothing())
    began = connection.scalars(sa.select(d.c.round_id).where(d.c.person == person, d.c.day == day))
    return str(began.one())


def save_round(
    connection: sa.Connection, round_id: str, at: float, *, platform: Platform, kind: str, state: str,
    expires: datetime, players: Sequence[Account], server: str | None,
) -> None:  # fmt: skip
    """Write a round as it stands now, with those who play it."""
    row = {"id": round_id, "platform": platform, "server": server, "kind": kind, "state": state}
    upsert(connection, schema.rounds, **row, expires=expires.timestamp())
    # With sixty players in a channel this is done at each press, so only what is new is written.
    p = schema.round_players
    people = need_people(connection, players, at)
    there = set(connection.scalars(sa.select(p.c.person).where(p.c.round_id == round_id)))
    if gone := there - people:
        connection.execute(sa.delete(p).where(p.c.round_id == round_id, p.c.person.in_(gone)))
    if new := people - there:
        connection.execute(sa.insert(p), [{"round_id": round_id, "person": person} for person in sorted(new)])


def open_rounds(connection: sa.Connection, *conditions: Any, at: float) -> list[SavedRound]:
    """Rounds that are not over, by their id."""
    r = schema.rounds.c
    columns = (r.id, r.platform, r.server, r.kind, r.state, r.expires)
    rows = connection.execute(sa.select(*columns).where(r.expires > at, *conditions).order_by(r.id)).mappings()
    return [SavedRound(**{**row, "expires": moment(row["expires"])}) for row in rows]


def drop_round(connection: sa.Connection, round_id: str) -> None:
    """Delete a round; its players with it."""
    connection.execute(sa.delete(schema.rounds).where(schema.rounds.c.id == round_id))


def totals(connection: sa.Connection) -> Totals:
    """How much there is of everything."""
    count, a = sa.func.count(), schema.answers.c
    answers, right = connection.execute(sa.select(count, sa.func.coalesce(sa.func.sum(a.is_right), 0))).one()
    people, results, claims = (
        connection.scalars(sa.select(count).select_from(table)).one()
        for table in (schema.people, schema.results, schema.claims)
    )
    return Totals(people, answers, int(right), results, claims)


def leaderboard(
    connection: sa.Connection, server: str | None, min_answers: int, since: datetime | None, limit: int, you: int | None
) -> list[Standing]:
    """By mean points: added up, they would reward whoever plays most. In a server: only answers given there count."""
    a = schema.answers.c
    where = [] if server is None else [a.server == server]
    if since is not None:
        where.append(a.at >= since.timestamp())
    board = _sums(where).having(sa.func.count() >= min_answers).subquery()
    worth = sa.func.round(board.c.mean * _SAME)
    return _ranked(connection, board, worth, limit, you, server)


def daily_standings(
    connection: sa.Connection, day: date, server: str | None, min_answers: int, limit: int, you: int | None
) -> list[Standing]:
    """By total points, since all had the same faces. In a server: of those who have ever answered there."""
    a, there = schema.answers.c, schema.answers.alias().c
    where = [a.day == day]
    if server is not None:
        where.append(sa.exists().where(there.server == server, there.person == a.person))
    board = _sums(where).having(sa.func.count() >= min_answers).subquery()
    worth = sa.func.round(board.c.total * _SAME)
    return _ranked(connection, board, worth, limit, you, server)


def _sums(where: Sequence[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    a = schema.answers.c
    columns = (
        a.person,
        sa.func.count().label("answers"),
        sa.func.sum(a.is_right).label("right"),
        sa.func.avg(a.points).label("mean"),
        sa.func.sum(a.points).label("total"),
    )
    return sa.select(*columns).where(*where).group_by(a.person)


def _ranked(
    connection: sa.Connection, board: sa.Subquery, worth: sa.ColumnElement[Any], limit: int, you: int | None,
    server: str | None,
) -> list[Standing]:  # fmt: skip
    order = (worth.desc(), board.c.answers.desc(), board.c.person)
    rank, line = sa.func.rank().over(order_by=worth.desc()), sa.func.row_number().over(order_by=order)
    ranked = sa.select(board, rank.label("rank"), line.label("line")).subquery()
    shown = ranked.c.line <= limit
    query = sa.select(ranked).where(shown if you is None else shown | (ranked.c.person == you)).order_by(ranked.c.line)
    rows = connection.execute(query).all()
    names = _names(connection, [row.person for row in rows], None if server is None else server.partition(":")[0])
    return [
        Standing(
            rank=row.rank, person=row.person, name=names.get(row.person), answers=row.answers,
            accuracy=int(row.right) / row.answers, mean_points=row.mean, total_points=row.total,
            is_you=row.person == you,
        )
        for row in rows
    ]  # fmt: skip


def _names(connection: sa.Connection, people: Sequence[int], platform: str | None) -> dict[int, str]:
    """A name for each: of an account on this platform if there is one, else the newest."""
    a = schema.accounts.c
    query = sa.select(a.person, a.name).where(a.person.in_(people), a.name.is_not(None))
    # Of several rows the last stays in the dict.
    return {row.person: row.name for row in connection.execute(query.order_by(a.platform == platform, a.at))}
