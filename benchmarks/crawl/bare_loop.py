"""The least that an aiohttp download can be: 64 requests at once, bodies read and thrown away. Run as a script."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp

CONCURRENCY = 64


async def download(urls: list[str]) -> int:
    """How many bytes the addresses gave."""
    todo, total = iter(urls), 0
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:

        async def work() -> None:
            nonlocal total
            for url in todo:
                async with session.get(url, allow_redirects=False) as answer:
                    answer.raise_for_status()
                    total += len(await answer.read())

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return total


if __name__ == "__main__":
    print(asyncio.run(download(Path(sys.argv[1]).read_text().split())))
