"""How a round went: every player's points and streaks, and the machine's on the same faces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.quiz.game import Round
from bot.quiz.scoring import streaks
from bot.quiz.turns import Mode, Turn


@dataclass(frozen=True)
class MachineScore:
    """The machine on some faces. unsure: it took no side, which is neither right nor wrong."""

    points: int
    right: int
    wrong: int
    unsure: int


@dataclass(frozen=True)
class Standing:
    """A player in a round. rank: 1 is best, shared by equal points. streak: the longest. machine: on the faces that
    this player answered.
    """

    rank: int
    player: str
    points: int
    answered: int
    right: int
    streak: int
    machine: MachineScore

    @property
    def accuracy(self) -> float:
        return self.right / self.answered


@dataclass(frozen=True)
class Summary:
    """faces: revealed in this round. length: None is endless. standings: of everybody who answered, best first.

    machine: on all faces.
    """

    mode: Mode
    faces: int
    length: int | None
    standings: tuple[Standing, ...]
    machine: MachineScore


def summarise(round: Round) -> Summary:
    """The round so far: only faces that have been revealed count. A face without an answer earns 0, like a guess."""
    turns = [turn for turn in round.turns if turn.is_revealed]
    players = dict.fromkeys(given.player for turn in turns for given in turn.answers)
    standings = sorted((_standing(turns, player) for player in players), key=lambda each: -each.points)
    return Summary(round.mode, len(turns), round.length, tuple(_ranked(standings)), machine_score(turns))


def machine_score(turns: Iterable[Turn]) -> MachineScore:
    turns = list(turns)
    right = sum(turn.machine_verdict == turn.truth for turn in turns)
    unsure = sum(turn.machine_verdict == "unsure" for turn in turns)
    return MachineScore(sum(turn.machine_points for turn in turns), right, len(turns) - right - unsure, unsure)


def _standing(turns: list[Turn], player: str) -> Standing:
    played = [(turn, given) for turn in turns if (given := turn.answer_of(player))]
    return Standing(
        rank=0,
        player=player,
        points=sum(turn.points(given) for turn, given in played),
        answered=len(played),
        right=sum(turn.is_right(given) for turn, given in played),
        streak=streaks((turn.is_right(given), given.confidence) for turn, given in played)[1],
        machine=machine_score(turn for turn, _ in played),
    )


def _ranked(standings: list[Standing]) -> Iterable[Standing]:
    points = [each.points for each in standings]
    for each in standings:
        yield Standing(**{**vars(each), "rank": points.index(each.points) + 1})
