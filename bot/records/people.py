"""People and their accounts: found, made when there is something to keep, named, made one by a code."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

import sqlalchemy as sa

from bot.records import schema
from bot.records.database import upsert
from bot.records.rows import Account
from bot.words import LANGUAGES, later
from infra.errors import UserError

CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that look alike: no 0 O, no 1 I L
CODE_LENGTH = 8
CODE_S = 600.0
MAX_WRONG = 5  # codes an account may get wrong within CODE_S; there are 31 ** 8 of them
MAX_NAME = 80  # characters; no platform has longer names


class LinkRefused(UserError):  # noqa: N818 – the base of what follows
    """Two accounts were not made one. The message is written for people and is in the catalogs."""


class WrongCode(LinkRefused):
    """No such code, or no longer."""


class TooManyWrongCodes(LinkRefused):
    """This account has guessed too often."""


class AlreadyLinked(LinkRefused):
    """Both accounts are one person's."""


def find_person(connection: sa.Connection, account: Account) -> int | None:
    """The person who has this account; None for somebody of whom nothing is kept."""
    a = schema.accounts.c
    return connection.scalar(sa.select(a.person).where(a.platform == account.platform, a.id == account.id))


def need_person(connection: sa.Connection, account: Account, at: float) -> int:
    """The person who has this account, made when there is none."""
    person = find_person(connection, account)
    if person is None:
        person = secrets.randbelow(2**53)  # exact in JSON too
        connection.execute(sa.insert(schema.people).values(id=person, at=at))
        row = {"platform": account.platform, "id": account.id, "person": person, "at": at}
        connection.execute(sa.insert(schema.accounts).values(row))
    return person


def need_people(connection: sa.Connection, accounts: Sequence[Account], at: float) -> set[int]:
    """Those who have these accounts, made where there are none."""
    a = schema.accounts.c
    pairs = [(account.platform, account.id) for account in accounts]
    rows = connection.execute(sa.select(a.platform, a.id, a.person).where(sa.tuple_(a.platform, a.id).in_(pairs)))
    known = {(platform, id): person for platform, id, person in rows}
    people = zip(pairs, accounts, strict=True)
    return {known[pair] if pair in known else need_person(connection, account, at) for pair, account in people}


def name_account(connection: sa.Connection, account: Account, at: float) -> None:
    """Keep the account's name if it has one; the newest is shown."""
    name = _tidy(account.name or "")
    if name:
        a = schema.accounts
        mine = (a.c.platform == account.platform) & (a.c.id == account.id)
        is_new = a.c.name.is_distinct_from(name)
        connection.execute(sa.update(a).where(mine, is_new).values(name=name, at=at))


def rename(connection: sa.Connection, account: Account, name: str | None, at: float) -> str | None:
    """Give the account another name, or take it away; the name as it is kept now, of an account that is kept."""
    a = schema.accounts
    mine = (a.c.platform == account.platform) & (a.c.id == account.id)
    connection.execute(sa.update(a).where(mine).values(name=_tidy(name or "") or None, at=at))
    return connection.scalar(sa.select(a.c.name).where(mine))


def language_of(connection: sa.Connection, account: Account) -> str | None:
    """The language that the account's person has chosen."""
    p = schema.people.c
    return connection.scalar(sa.select(p.language).where(p.id == find_person(connection, account)))


def set_language(connection: sa.Connection, account: Account, language: str | None, at: float) -> None:
    """Keep the choice of the account's person. Raises UserError for a language that is not spoken here."""
    if language is not None and language not in LANGUAGES:
        raise UserError(f"'{language[:20]}' is not spoken here; use {' or '.join(LANGUAGES)}")
    p, person = schema.people, need_person(connection, account, at)
    connection.execute(sa.update(p).where(p.c.id == person).values(language=language))


def accounts_of(connection: sa.Connection, person: int) -> list[Account]:
    """All accounts of a person."""
    a = schema.accounts.c
    rows = connection.execute(sa.select(a.platform, a.id, a.name).where(a.person == person).order_by(a.platform, a.id))
    return [Account(*row) for row in rows]


def make_code(connection: sa.Connection, account: Account, at: float) -> str:
    """A new code for the account's person, in the place of an earlier one."""
    person = need_person(connection, account, at)
    code = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
    _drop_codes(connection, person)
    connection.execute(sa.insert(schema.link_codes).values(hash=_hash(code), person=person, expires=at + CODE_S))
    return code


def use_code(connection: sa.Connection, account: Account, code: str, at: float) -> LinkRefused | None:
    """Make the account's person and the code's one. A refusal is returned, not raised: the count of it must be kept."""
    w, c = schema.wrong_codes, schema.link_codes.c
    mine = (w.c.platform == account.platform) & (w.c.account == account.id)
    tried = connection.execute(sa.select(w.c.wrong, w.c.since).where(mine, w.c.since > at - CODE_S)).one_or_none()
    if tried is not None and tried.wrong >= MAX_WRONG:
        return TooManyWrongCodes(later("Too many wrong codes. Please wait 10 minutes, then get a new one."))
    owner = connection.scalar(sa.select(c.person).where(c.hash == _hash(code), c.expires > at))
    if owner is None:
        wrong, since = (1, at) if tried is None else (tried.wrong + 1, tried.since)
        upsert(connection, w, platform=account.platform, account=account.id, wrong=wrong, since=since)
        return WrongCode(later("That code is wrong or too old. Please get a new one in the other app."))
    if owner == find_person(connection, account):
        return AlreadyLinked(later("These two accounts are linked already."))
    _merge(connection, owner, need_person(connection, account, at))
    return None


def _merge(connection: sa.Connection, kept: int, gone: int) -> None:
    """Give everything of `gone` to `kept`. Of what one may have once the first daily set and the newest claim stand."""
    for person in (kept, gone):
        _drop_codes(connection, person)
    _keep_first_daily_sets(connection, kept, gone)
    _keep_newest(connection, schema.claims, ("sha256",), kept, gone)
    _keep_newest(connection, schema.results, ("sha256", "model"), kept, gone)
    _drop_duplicates(connection, schema.answers, ("round_id", "face_id"), kept, gone)
    _drop_duplicates(connection, schema.round_players, ("round_id",), kept, gone)
    p = schema.people
    for table in schema.metadata.sorted_tables:
        if "person" in table.c:
            connection.execute(sa.update(table).where(table.c.person == gone).values(person=kept))
    language = sa.select(p.c.language).where(p.c.id == gone).scalar_subquery()
    connection.execute(sa.update(p).where(p.c.id == kept).values(language=sa.func.coalesce(p.c.language, language)))
    connection.execute(sa.delete(p).where(p.c.id == gone))


def _keep_first_daily_sets(connection: sa.Connection, kept: int, gone: int) -> None:
    d, a = schema.daily_sets, schema.answers
    both = connection.execute(
        sa.select(d.c.day, d.c.person, d.c.round_id).where(d.c.person.in_((kept, gone))).order_by(d.c.day, d.c.at)
    )
    played = set()
    for day, person, round_id in both.all():
        if day in played:
            theirs = (a.c.person == person) & (a.c.day == day)
            connection.execute(sa.delete(a).where(theirs))
            connection.execute(sa.delete(d).where(d.c.person == person, d.c.day == day))
            connection.execute(sa.delete(schema.rounds).where(schema.rounds.c.id == round_id))
        played.add(day)


def _keep_newest(connection: sa.Connection, table: sa.Table, key: tuple[str, ...], kept: int, gone: int) -> None:
    other = table.alias()
    for loser, winner, is_older in ((gone, kept, table.c.at <= other.c.at), (kept, gone, table.c.at < other.c.at)):
        same = sa.and_(*(other.c[name] == table.c[name] for name in key))
        newer = sa.exists().where(other.c.person == winner, same, is_older)
        connection.execute(sa.delete(table).where(table.c.person == loser, newer))


def _drop_duplicates(connection: sa.Connection, table: sa.Table, key: tuple[str, ...], kept: int, gone: int) -> None:
    other = table.alias()
    same = sa.and_(*(other.c[name] == table.c[name] for name in key))
    there = sa.exists().where(other.c.person == kept, same)
    connection.execute(sa.delete(table).where(table.c.person == gone, there))


def _drop_codes(connection: sa.Connection, person: int) -> None:
    connection.execute(sa.delete(schema.link_codes).where(schema.link_codes.c.person == person))


def _hash(code: str) -> str:
    """Of a code as somebody typed it. Plain SHA-256 will do: in ten minutes the code is worth nothing."""
    typed = "".join(letter for letter in code.upper() if letter.isalnum())
    return hashlib.sha256(typed.encode("utf-8", "replace")).hexdigest()


def _tidy(name: str) -> str:
    """One line that every database and terminal takes: no control characters, no halves of surrogate pairs."""
    printable = "".join(letter if letter.isprintable() else " " for letter in name)
    return " ".join(printable.split())[:MAX_NAME]
