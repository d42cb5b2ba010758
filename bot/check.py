"""The check command: pictures ▶ verdicts, one after the other as they are ready, each with its panel."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from bot.detector import Detector
from bot.lettering import printable
from bot.render import render_panel
from bot.sources import PANEL_SUFFIX, STDIN, Source
from bot.verdict import Verdict
from bot.wording import likelihood, stability_words
from infra.images import ImageRefused
from infra.storage import join_url, open_storage

_PAINTERS = 2  # threads that draw and save panels while the network goes on
_NAME_LENGTH = 48  # of the photo's name in its panel's: four bytes each still fit a file name


@dataclass(frozen=True)
class Answer:
    """One line of output. panel: where the panel was written; None without heatmaps or for a refused picture."""

    source: Source
    outcome: Verdict | ImageRefused
    panel: str | None


def check(detector: Detector, sources: Sequence[Source], out: str | None, all_layers: bool = False) -> Iterator[Answer]:
    """One answer a source, in their order. out: where panels go; None makes no heatmaps."""
    images = (source.image(detector.max_bytes) for source in sources if source.error is None)
    outcomes = detector.check_many(images, heatmaps=out is not None)
    painters = ThreadPoolExecutor(_PAINTERS, thread_name_prefix="panel")
    waiting: deque[tuple[Source, Verdict | ImageRefused, Future[str] | None]] = deque()

    def oldest() -> Answer:
        source, outcome, panel = waiting.popleft()
        return Answer(source, outcome, panel.result() if panel else None)

    try:
        for source in sources:
            outcome = ImageRefused(source.error) if source.error else next(outcomes)
            panel = None
            if out is not None and isinstance(outcome, Verdict):
                panel = painters.submit(write_panel, outcome, source, out, all_layers)
            waiting.append((source, outcome, panel))
            while len(waiting) > 2 * _PAINTERS or (waiting and _is_ready(waiting[0][2])):
                yield oldest()
        while waiting:
            yield oldest()
    finally:
        outcomes.close()
        painters.shutdown(wait=False, cancel_futures=True)


def write_panel(verdict: Verdict, source: Source, out: str, all_layers: bool) -> str:
    """Draw and save a panel; where it is. Raises StorageError."""
    key = panel_name(source, verdict)
    open_storage(out).put(key, render_panel(verdict, source.name, date.today(), all_layers))
    return join_url(out, key)


def panel_name(source: Source, verdict: Verdict) -> str:
    """The photo's name and a hash of where it lies, so that two photos of one name never share a panel.

    A photo from standard input lies nowhere: there it is a hash of what it shows.
    """
    stem = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in Path(source.name).stem)
    if source.path == STDIN:
        place = verdict.picture.preview.tobytes()
    else:
        place = str(Path(source.path).resolve()).encode("utf-8", "surrogateescape")
    mark = hashlib.sha256(place).hexdigest()[:8]
    return f"{stem[:_NAME_LENGTH].lstrip('.') or 'photo'}-{mark}{PANEL_SUFFIX}"


def as_json(answer: Answer) -> str:
    """One JSON object on one line, in ASCII."""
    if isinstance(answer.outcome, ImageRefused):
        return json.dumps({"path": answer.source.path, "error": str(answer.outcome)})
    return json.dumps({"path": answer.source.path, **answer.outcome.to_json(), "panel": answer.panel})


def as_text(answer: Answer) -> str:
    """The answer for a person: three lines, or one for a refused picture."""
    shown = printable(answer.source.path)
    if isinstance(answer.outcome, ImageRefused):
        return f"{shown}: refused: {answer.outcome}"
    verdict = answer.outcome
    lines = [
        f"{shown}: {verdict.verdict.upper()}, {likelihood(verdict)} (p {verdict.p_fake:.3f})",
        f"  {stability_words(verdict)}",
        f"  {verdict.seconds:.2f} s" + (f" · panel {printable(answer.panel)}" if answer.panel else ""),
    ]
    return "\n".join(lines)


def report(answers: Iterator[Answer], as_line: Callable[[Answer], str]) -> Counter[str]:
    """Print each answer as it comes; how many there were of "real", "fake", "unsure" and "refused"."""
    counts: Counter[str] = Counter()
    for answer in answers:
        counts["refused" if isinstance(answer.outcome, ImageRefused) else answer.outcome.verdict] += 1
        print(as_line(answer), flush=True)
    return counts


def summary(counts: Counter[str], seconds: float) -> str:
    """ "12 images in 3.1 s (3.9 images/s): 7 fake, 5 real"."""
    total = counts.total()
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in ("fake", "real", "unsure", "refused") if counts[kind])
    return f"{total} images in {seconds:.1f} s ({total / max(seconds, 1e-9):.1f} images/s): {kinds}"


def _is_ready(panel: Future[str] | None) -> bool:
    return panel is None or panel.done()
