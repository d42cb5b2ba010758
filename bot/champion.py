"""Which checkpoint answers: the one that was named, or the champion of the result store."""

from __future__ import annotations

from pathlib import Path

from bot.params import AUTO, BotParams
from infra.errors import UserError


class NoChampion(UserError):  # noqa: N818 – says what is missing
    """Nothing has been promoted in the result store, or there is no store."""


def bundle_url(params: BotParams) -> str:
    """The URL of the checkpoint bundle to answer with. Raises NoChampion, or DatabaseError for a store in trouble."""
    if params.bundle != AUTO:
        return params.bundle
    from infra.database import redact

    url = _champion(params.store)
    if url is None:
        raise NoChampion(
            f"no champion yet in {redact(params.store)}: run make demo, or python tune/run.py --params "
            "params/demo.yaml, or name a bundle with --bundle"
        )
    return url


def _champion(store: str) -> str | None:
    file = store.removeprefix("sqlite:///")
    if file != store and not Path(file).expanduser().exists():
        return None  # on a fresh machine the way to a champion helps more than the name of a missing file
    from tune.store.query import champion_url

    return champion_url(store)
