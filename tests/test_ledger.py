"""The ledger of a crawl: what a lost worker had counted is asked for again."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from crawler.facts import ImageFacts
from crawler.journal import Item, Journal
from crawler.ledger import Ledger
from crawler.params import AnySource, EndpointSource, UrlListSource

HOST = "faces.example:80"


def facts(number: int) -> ImageFacts:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return ImageFacts(digest, 64, 64, "jpeg", 1000, digest[:16], 90, ())


@pytest.mark.parametrize("kind", ["endpoint", "urllist"])
def test_images_that_were_lost_with_their_worker_do_not_reach_a_target(tmp_path: Path, kind: str) -> None:
    async def work() -> None:
        journal = Journal(tmp_path / "journal.db")
        source: AnySource
        if kind == "endpoint":
            source = EndpointSource(
                type="endpoint", name="s", label="fake", url="http://faces.example/new", target=2, concurrency=2
            )
        else:
            source = UrlListSource(type="urllist", name="s", label="fake", list="list.txt", target=2)
            journal.add([Item("s", "image", HOST, f"http://faces.example/{n}.jpg", 0) for n in range(5)])
        ledger = Ledger(journal, [source])
        await ledger.open()
        host = await ledger.claim()
        assert host is not None
        first, second = await ledger.take(host, 2)
        for number, item in enumerate((first, second)):
            assert await ledger.intend(item, facts(number), None, None)
        await ledger.stored([first])
        assert ledger.states["s"].ended == "target reached" and await ledger.take(host, 2) == []

        await ledger.recover(host, lambda _: False)  # the worker is gone, with what it had not uploaded yet
        assert ledger.states["s"].good == 1 and ledger.states["s"].ended is None
        assert await ledger.claim() == host
        (third,) = await ledger.take(host, 2)
        assert await ledger.intend(third, facts(2), None, None)
        await ledger.stored([third])
        assert ledger.states["s"].ended == "target reached"
        await ledger.close()

    asyncio.run(work())
