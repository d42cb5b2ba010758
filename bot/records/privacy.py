"""What is kept about a person, in words, and how it goes: on request, or by its age."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from bot.records import schema
from bot.records.database import moment
from bot.records.people import CODE_S, accounts_of, find_person
from bot.records.rows import Account

# Tables of which rows belong to one person, with the word for them in `my_data`, in the order in which they can go.
_THEIRS = {
    "answers": schema.answers,
    "daily_sets": schema.daily_sets,
    "claims": schema.claims,
    "results": schema.results,
    "link_codes": schema.link_codes,
}
_TIMES = ("at", "expires", "since")
_NOT_SHOWN = ("person", "hash", "is_right")


def my_data(connection: sa.Connection, account: Account) -> dict[str, Any]:
    """Everything that is kept about the account's person, as JSON can hold it; times are ISO 8601, UTC."""
    person = find_person(connection, account)
    p, r, q, s, w = schema.people, schema.rounds, schema.round_players, schema.settings, schema.wrong_codes
    accounts = [account] if person is None else accounts_of(connection, person)
    found: dict[str, Any] = {"language": connection.scalar(sa.select(p.c.language).where(p.c.id == person))}
    found["accounts"] = _rows(connection, sa.select(schema.accounts).where(schema.accounts.c.person == person))
    for name, table in _THEIRS.items():
        found[name] = _rows(connection, sa.select(table).where(table.c.person == person))
    mine = sa.exists().where(q.c.round_id == r.c.id, q.c.person == person)
    found["open_rounds"] = _rows(connection, sa.select(r).where(mine))
    found["wrong_codes"] = _rows(connection, sa.select(w).where(_of(accounts, w.c.platform, w.c.account)))
    found["settings"] = _rows(connection, sa.select(s).where(_of(accounts, s.c.platform, s.c.place)))
    return found


def forget(connection: sa.Connection, account: Account) -> dict[str, int]:
    """Delete everything of the account's person, with all accounts; how many rows of each kind went.

    Rounds that others play too go on without this person.
    """
    person = find_person(connection, account)
    accounts = [account] if person is None else accounts_of(connection, person)
    s, w = schema.settings, schema.wrong_codes
    gone = {"rounds": _leave_rounds(connection, person, [a.key for a in accounts])}
    gone["wrong_codes"] = _delete(connection, w, _of(accounts, w.c.platform, w.c.account))
    gone["settings"] = _delete(connection, s, _of(accounts, s.c.platform, s.c.place))
    for name, table in [*_THEIRS.items(), ("accounts", schema.accounts)]:
        gone[name] = _delete(connection, table, table.c.person == person)
    _delete(connection, schema.people, schema.people.c.id == person)
    return gone


def purge(connection: sa.Connection, at: float) -> dict[str, int]:
    """Delete what has expired, and people of whom nothing is left but an account; how many rows of each kind went."""
    w = schema.wrong_codes
    gone = {
        name: _delete(connection, table, table.c.expires <= at)
        for name, table in (("results", schema.results), ("link_codes", schema.link_codes), ("rounds", schema.rounds))
    }
    gone["wrong_codes"] = _delete(connection, w, w.c.since <= at - CODE_S)
    gone["people"] = _purge_people(connection)
    return gone


def _purge_people(connection: sa.Connection) -> int:
    p, a = schema.people.c, schema.accounts
    something = [sa.exists().where(t.c.person == p.id) for t in (*_THEIRS.values(), schema.round_players)]
    accounts = sa.select(sa.func.count()).where(a.c.person == p.id).scalar_subquery()
    # Two accounts that were linked stay so.
    idle = sa.select(p.id).where(p.language.is_(None), ~sa.or_(*something), accounts < 2)
    people = connection.scalars(idle).all()
    for person in people:
        _delete(connection, a, a.c.person == person)
        _delete(connection, schema.people, p.id == person)
    return len(people)


def _leave_rounds(connection: sa.Connection, person: int | None, keys: Sequence[str]) -> int:
    """Delete rounds that only this person plays, leave the others and take the keys out of their states."""
    r, q, others = schema.rounds, schema.round_players, schema.round_players.alias()
    mine = sa.exists().where(q.c.round_id == r.c.id, q.c.person == person)
    shared = sa.exists().where(others.c.round_id == r.c.id, others.c.person != person)
    gone = _delete(connection, r, mine & ~shared)
    _delete(connection, q, q.c.person == person)
    for round_id, state in connection.execute(sa.select(r.c.id, r.c.state)).all():
        if any(key in state for key in keys):
            without = json.dumps(_without(json.loads(state), keys), ensure_ascii=False)
            connection.execute(sa.update(r).where(r.c.id == round_id).values(state=without))
    return gone


def _without(node: Any, keys: Sequence[str]) -> Any:
    """Nested JSON less what stands under one of the keys, and less the keys where they stand in a list or alone."""
    if isinstance(node, dict):
        return {name: _without(value, keys) for name, value in node.items() if name not in keys}
    if isinstance(node, list):
        return [_without(item, keys) for item in node if not (isinstance(item, str) and item in keys)]
    return None if isinstance(node, str) and node in keys else node


def _delete(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    return connection.execute(sa.delete(table).where(where)).rowcount


def _of(accounts: Sequence[Account], platform: sa.ColumnElement[str], of: sa.ColumnElement[str]) -> Any:
    return sa.or_(*((platform == account.platform) & (of == account.id) for account in accounts))


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    return [_shown(row) for row in connection.execute(query).mappings()]


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    shown = {}
    for name, value in row.items():
        if name in _TIMES:
            shown[name] = moment(value).isoformat(timespec="seconds")
        elif name not in _NOT_SHOWN:
            shown[name] = value.isoformat() if isinstance(value, date) else value
    return shown
