"""What the stages of all chat platforms share: a bot in this process, started once for a file of tests since starts
cost seconds, or `python -m bot …` as a process of its own; and the pictures that go both ways.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from bot.params import BotParams
from tests.bot_bundles import photo, write_small_bundle
from tests.stand_in import Loop

T = TypeVar("T")
AnyStage = TypeVar("AnyStage", bound="ChatStage")

PATIENCE_S = 60.0  # a machine may be busy; nothing here takes long when it is not
_ROOT = Path(__file__).resolve().parent.parent


def png(seed: int = 0, width: int = 96, height: int = 80) -> bytes:
    """A small picture, another one for each seed."""
    out = io.BytesIO()
    photo(width, height, seed).save(out, "PNG")
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    """A picture that was sent, decoded; it must carry nothing but pixels."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    assert not picture.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment", "parameters"} & set(picture.info), picture.info
    return picture


class ChatStage:
    """A stand-in, our app, and the bot between them. Coroutines run on the stage's own event loop, by `run`."""

    def __init__(self, params: BotParams) -> None:
        self._params = params
        self.loop = Loop(2 * PATIENCE_S)

    def run(self, work: Awaitable[T], timeout_s: float | None = None) -> T:
        """Do something on the stage's loop and wait for it."""
        return self.loop.run(work, timeout_s)

    def play(self) -> AbstractAsyncContextManager[None]:
        """Everything that is on the stage, while it is."""
        raise NotImplementedError

    async def enter(self) -> None:
        """Start a client, as after a restart: it remembers nothing."""
        raise NotImplementedError

    async def leave(self) -> None:
        """End the client as SIGTERM does."""
        raise NotImplementedError

    async def restart(self) -> None:
        """End the client and start another, which has only what was kept."""
        await self.leave()
        await self.enter()


@contextmanager
def on_play(stage: AnyStage) -> Iterator[AnyStage]:
    """The stage's play goes on in a thread of its own meanwhile."""
    with stage.loop.in_thread(), stage.loop.entered(stage.play()):
        yield stage


def stage_params(folder: Path, **sections: Mapping[str, Any]) -> BotParams:
    """A small bundle, a database and downloads of at most 1 MiB; sections: of the params besides."""
    network = {"max_mb": 1.0, **sections.pop("network", {})}
    return BotParams.model_validate({
        "bundle": write_small_bundle(folder / "bundle"),
        "database": f"sqlite:///{folder}/bot.db",
        "network": network,
        "monitor": {"port": None},
        **sections,
    })  # fmt: skip


@contextmanager
def command(platform: str, folder: Path, token: str | None = None, **options: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m bot PLATFORM` with the bundle of `folder`; ended with the block.

    token: in the environment. options: further params, by their dotted names.
    """
    sets = {
        "database": f"sqlite:///{folder}/bot.db",
        "monitor.port": "null",
        "bundle": f"file://{folder}/bundle",
        **options,
    }
    arguments = [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
    variable = f"{platform.upper()}_TOKEN"
    environment = {name: value for name, value in os.environ.items() if name != variable}
    environment |= {"PYTHONUNBUFFERED": "1"} | ({variable: token} if token is not None else {})
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", platform, "--params", "params/bot.yaml", *arguments],
        cwd=_ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def worker_of(process: subprocess.Popen[str]) -> int:
    """The newest child: the process that looks at pictures."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return max(map(int, children))
