"""Which face comes next: as hard as the player is good, what was missed sooner, and nothing that tells the truth."""

from __future__ import annotations

import bisect
import hashlib
import math
import random
from collections.abc import Collection, Iterable, Sequence
from datetime import date

from bot.quiz.contracts import AnswerLike, DeckLike
from bot.quiz.deck import Face
from bot.verdict import Side
from infra.errors import UserError

AIM = 0.7  # of a player's answers right: mostly success, still something to learn in every third
RECENT = 30  # faces of one truth before one of them may come again
_LOGITS = 4.0  # between the easiest and the hardest face: right with 88% and 12% for an average player
_WIDTH = 0.5  # logits: how far from the aim a face is still likely to be chosen
_SEEN = 0.1  # the weight of a face that the player has met before, against 1
_MEMORY = 20  # answers of a kind by which it is judged, and the longest wait that counts


class OneSidedDeck(UserError):  # noqa: N818 – says what is so
    """The deck has no real faces or no fake ones: there is nothing to tell apart."""


def next_face(
    deck: DeckLike, history: Sequence[AnswerLike], shown: Sequence[str], rng: random.Random, stumbles: float
) -> Face:
    """The next face for a player.

    history: the player's answers, oldest first; empty for a channel. shown: faces of this round so far. stumbles: how
    often, in [0, 1], a face is chosen because the machine is wrong on it; else the machine is wrong as often as it is.
    Real or fake is a fair coin's toss each time, so that neither counting nor the player's history tells anything.
    The same arguments and the same state of `rng` give the same face. Raises OneSidedDeck.
    """
    truth: Side = "fake" if rng.random() < 0.5 else "real"
    met = [answer.face_id for answer in history] + list(shown)
    pool = _rested(_of(deck, truth), met)
    wrong = [face for face in pool if face.machine_wrong]
    if rng.random() < stumbles and wrong:
        pool = wrong
    kinds = sorted({face.kind for face in pool})
    kind = rng.choices(kinds, [_need(kind, history) for kind in kinds])[0]
    pool = [face for face in pool if face.kind == kind]
    hardness, aim, seen = _hardness(deck), ability(deck, history) - _logit(AIM), set(met)
    weights = [_fit(hardness[face.id], aim) * (_SEEN if face.id in seen else 1) for face in pool]
    return rng.choices(pool, weights)[0]


def ability(deck: DeckLike, history: Iterable[AnswerLike]) -> float:
    """How good the player is, in logits on the faces' scale; 0 before the first answer.

    Elo's rating against faces of known difficulty, with the Rasch model's expectation and a step that shrinks as
    answers come in (R. Pelánek, 2016, Computers & Education 98, 169–179), but never to nothing: people learn.
    Answers to faces that are no longer in the deck are left out.
    """
    hardness, theta = _hardness(deck), 0.0
    for n, answer in enumerate(answer for answer in history if answer.face_id in hardness):
        expected = 1 / (1 + math.exp(hardness[answer.face_id] - theta))
        theta += max(0.2, 1 / (1 + 0.05 * n)) * ((answer.said == answer.truth) - expected)
    return theta


def daily(deck: DeckLike, day: date, count: int) -> tuple[str, ...]:
    """The faces of a day: at most `count`, the same wherever the same deck is played, on any version of Python.

    Half are fake, give or take one: were it exactly half, counting would give the last face away. What the deck has too
    few of is made up by the other; all of it, where it has fewer faces than `count`. Raises OneSidedDeck.
    """
    salt = f"{deck.id} {day.isoformat()}"
    fakes, reals = (_shuffled(_of(deck, side), f"{salt} choice") for side in ("fake", "real"))
    odd = count % 2
    extra = _number(f"{salt} fakes") % (2 if odd else 3) - (0 if odd else 1)
    few = min(max(count // 2 + extra, 1, count - len(reals)), len(fakes))
    chosen = fakes[:few] + reals[: count - few]
    return tuple(face.id for face in _shuffled(chosen, f"{salt} order"))


def _of(deck: DeckLike, truth: Side) -> list[Face]:
    faces = [face for face in deck.faces if face.truth == truth]
    if not faces:
        raise OneSidedDeck(f"the quiz deck has no {truth} faces: make one from real and fake faces: python -m bot deck")
    return faces


def _rested(faces: list[Face], met: Sequence[str]) -> list[Face]:
    """Without those met last: RECENT of them, or half of the faces where there are fewer than twice as many."""
    ids = {face.id for face in faces}
    latest = list(dict.fromkeys(face for face in reversed(met) if face in ids))
    tired = set(latest[: min(RECENT, len(faces) // 2)])
    return [face for face in faces if face.id not in tired]


def _need(kind: str, history: Sequence[AnswerLike]) -> float:
    """How much a player needs a kind: the share missed (Laplace's estimate) times the answers since it was last met."""
    misses = [answer.said != answer.truth for answer in history if answer.kind == kind][-_MEMORY:]
    wait = next((n for n, answer in enumerate(reversed(history), 1) if answer.kind == kind), _MEMORY)
    return (sum(misses) + 1) / (len(misses) + 2) * min(wait, _MEMORY)


def _fit(hardness: float, aim: float) -> float:
    """A bell round the aim; never quite 0, as the hardest faces may all be too easy for a player."""
    return math.exp(-0.5 * ((hardness - aim) / _WIDTH) ** 2) + 1e-6


def _hardness(deck: DeckLike) -> dict[str, float]:
    """Of every face, in logits: by its rank among the faces of its truth, equal ones sharing theirs.

    A deck's difficulties order faces well and measure them badly: most lie near 0 where the machine is good.
    """
    scales = {side: sorted(face.difficulty for face in deck.faces if face.truth == side) for side in ("real", "fake")}
    return {face.id: _LOGITS * (_rank(scales[face.truth], face.difficulty) - 0.5) for face in deck.faces}


def _rank(scale: list[float], value: float) -> float:
    """In (0, 1), the middle of the places that `value` takes in the sorted `scale`."""
    return (bisect.bisect_left(scale, value) + bisect.bisect_right(scale, value)) / (2 * len(scale))


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def _shuffled(faces: Collection[Face], salt: str) -> list[Face]:
    """By a hash, not by `random`: of that only `random()` itself is promised to stay the same between versions."""
    return sorted(faces, key=lambda face: _number(f"{salt} {face.id}"))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest())
