"""The bot on the stand-in with a quiz deck on disk, and a detector that is not running: the deck has its answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bot.chat.app import App
from bot.monitor import Metrics
from bot.quiz.deck import heatmap_key, picture_key
from bot.quiz.deck_pictures import heat_picture, padded
from bot.records import Records
from bot.worker import DetectorDesk
from infra.http import HttpClient
from infra.images import encode_jpeg
from model_defs.checkpoint import read_card
from tests.bot_bundles import photo
from tests.discord_server import plain, tls
from tests.discord_stage import Stage, on_play, stage_params

FACES = 24
CUES = ["gaze", "glasses", "eye_reflections"]


class QuizStage(Stage):
    """As a stage, but every picture to be looked at is refused in a friendly line."""

    @asynccontextmanager
    async def play(self) -> AsyncIterator[None]:
        """Without a detector's process, whose start takes seconds."""
        desk = DetectorDesk(self._params)
        desk.card = read_card(self._params.bundle)
        http = HttpClient(user_agent="test", allow=self._params.network.allow)
        with Records(self._params.database, keep_days=1) as records:
            async with tls() as self.address, plain(self.address.server), http:
                self.server = self.address.server
                self.server.gateway.url = "wss://gateway.discord.gg"
                self.app = App(self._params, desk, records, http, Metrics())
                await self.enter()
                try:
                    yield
                finally:
                    await self.leave()


@contextmanager
def on_quiz_stage(folder: Path, *, deck: bool = True, **quiz: Any) -> Iterator[QuizStage]:
    """quiz: of the params, as the tests want them, also where no operator may have them so."""
    params = stage_params(folder)
    wanted = params.quiz.model_copy(update={"deck": f"file://{folder}/deck", **quiz})
    stage = QuizStage(params.model_copy(update={"quiz": wanted}))
    if deck:
        write_deck(folder / "deck")
    with on_play(stage):
        yield stage


def write_deck(folder: Path, deck_id: str = "0123456789abcdef", faces: int = FACES) -> None:
    """Half real, half of two generators; the machine is wrong on every sixth face, and unsure of another sixth."""
    made = [_face(n) for n in range(faces)]
    length = max(len(picture) for _, picture, _ in made)
    records = []
    for record, picture, heat in made:
        files = (("picture", picture_key, padded(picture, length)), ("heatmap", heatmap_key, heat))
        for name, key, data in files:
            file = folder / key(f"d-{deck_id}", record["id"])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            record[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        records.append(record)
    content = {
        "format": 1, "id": deck_id, "created_at": "2026-01-02T03:04:05+00:00", "folder": f"d-{deck_id}",
        "replaced": {}, "model": "test", "side": 64, "faces": records,
        "dataset": {"url": "file://./data/test", "version": 1, "hash": "0" * 64, "split": "test"},
    }  # fmt: skip
    (folder / "deck.json").write_text(json.dumps(content))


def _face(n: int) -> tuple[dict[str, Any], bytes, bytes]:
    truth = "fake" if n % 2 else "real"
    p_fake = {0: 0.5, 3: 0.1, 8: 0.9}.get(n % 12, 0.93 if truth == "fake" else 0.07)
    pixels = np.asarray(photo(64, 64, seed=n))
    heat = np.zeros((8, 8), np.float32)
    heat[:3, :3] = 1
    record = {
        "id": hashlib.sha256(f"face {n}".encode()).hexdigest()[:16],
        "truth": truth,
        "kind": "real" if truth == "real" else "stylegan1" if n % 4 == 1 else "sd3",
        "difficulty": abs(p_fake - (truth == "fake")),
        "machine_p_fake": p_fake,
        "machine_verdict": "unsure" if p_fake == 0.5 else "fake" if p_fake > 0.5 else "real",
        "heat_side": "fake",
        "heat_place": "upper left",
        "cues": CUES,
        "credit": {"author": f"Author {n}", "licence": "CC0", "link": f"https://example.org/{n}"},
    }
    return record, encode_jpeg(pixels, 90, "4:2:0"), heat_picture(pixels, heat)
