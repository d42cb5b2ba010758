"""Which checkpoint answers: the one that was named, or what an alias of the result store stands for."""

from __future__ import annotations

from pathlib import Path

from bot.params import AUTO, BotParams
from infra.errors import UserError

CHAMPION = "champion"  # the alias that sweeps give to their best


class NoChampion(UserError):  # noqa: N818 – says what is missing
    """The result store has no such alias, or there is no store."""


def bundle_url(params: BotParams) -> str:
    """The URL of the checkpoint bundle to answer with, as things are now.

    `bundle` is a URL or a folder (anything with a slash) and taken as it is, or an alias; auto is the champion.
    Raises NoChampion, or DatabaseError for a store in trouble.
    """
    if "/" in params.bundle:
        return params.bundle
    from infra.database import redact

    name = CHAMPION if params.bundle == AUTO else params.bundle
    url = _stands_for(name, params.store)
    if url is None and name == CHAMPION:
        raise NoChampion(
            f"no champion yet in {redact(params.store)}: run make demo, or python tune/run.py --params "
            "params/demo.yaml, or name a bundle with --bundle"
        )
    if url is None:
        raise NoChampion(
            f"no alias {name!r} in {redact(params.store)}: auto is its champion, and a bundle is named by its URL, "
            "such as file://./runs/champions/demo-1a2b3c4d"
        )
    return url


def _stands_for(name: str, store: str) -> str | None:
    file = store.removeprefix("sqlite:///")
    if file != store and not Path(file).expanduser().exists():
        return None  # on a fresh machine the way to a champion helps more than the name of a missing file
    from tune.store.query import alias
    from tune.store.reader import open_reader

    engine = open_reader(store)
    try:
        found = alias(engine, name)
    finally:
        engine.dispose()
    return None if found is None else found.bundle_url
