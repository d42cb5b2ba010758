"""What *Experiments* says: the words in its templates, and those that its scripts speak."""

from __future__ import annotations

import re

from bot.words import Words, later

# A sign besides the word, so that nothing hangs on colour.
_STATES = {
    "running": ("▶", later("running")),
    "finished": ("●", later("finished")),
    "completed": ("●", later("completed")),
    "stopped": ("■", later("stopped early")),
    "interrupted": ("◆", later("interrupted")),
    "failed": ("✖", later("failed")),
    "restored": ("↺", later("taken up again")),
    "retried": ("↻", later("tried again")),
}


def state_words(state: str, t: Words) -> tuple[str, str]:
    """(sign, words) of the state of a trial or a sweep, or of what happened to one."""
    sign, word = _STATES.get(state, ("○", state))
    return sign, t(word)


def event_words(message: str, t: Words) -> str:
    """What the store says of an event: the form that sweeps write is translated, the line of an error is not."""
    after = re.fullmatch(r"after epoch (\d+)", message)
    return t("after epoch {number}", number=after[1]) if after else message


def pictured_words(epoch: int | None, metric: str, t: Words) -> str:
    """Of which epoch a trial's pictures are; nothing when nobody knows. metric: what that epoch was best by."""
    if epoch is None:
        return ""
    return t(
        "Of epoch {epoch}, the best by {metric}; only learning curves show all. Other metrics may be best elsewhere.",
        epoch=epoch, metric=metric,
    )  # fmt: skip


def page_words(t: Words) -> dict[str, str]:
    """What the templates say, by its name there."""
    return {
        "title": t("Experiments"),
        "lead": t("Every network that was tried, and how well it told real faces from generated ones."),
        "none": t("No sweep has been run yet. This command runs a small one on demo faces:"),
        "there": t("Its trials appear here while it runs."),
        "sweep": t("Sweep"),
        "state": t("State"),
        "trials": t("Trials"),
        "trial": t("Trial"),
        "best": t("Best value"),
        "began": t("Began"),
        "took": t("Took"),
        "data": t("Data"),
        "commit": t("Program"),
        "board": t("Leaderboard"),
        "metric": t("Metric"),
        "show": t("Show"),
        "earlier": t("Previous trials"),
        "later": t("Next trials"),
        "pick": t("Show in the charts"),
        "pick_note": t("Ticked trials are drawn in the charts; with none ticked, the best are."),
        "curves": t("Learning curves"),
        "best_of": t("How many trials"),
        "whole": t("Show the whole chart"),
        "parallel": t("Params and results"),
        "parallel_note": t("Each line is a trial; it crosses each param at its value and ends at its result."),
        "importance": t("Which params matter"),
        "script": t("The charts need JavaScript, which comes from this server only. The table says the same."),
        "param": t("Param"),
        "this": t("This trial"),
        "the_best": t("Best trial"),
        "differs": t("differs"),
        "params": t("Params"),
        "metrics": t("Metrics"),
        "epoch": t("Epoch"),
        "last": t("Last"),
        "events": t("What happened"),
        "checkpoints": t("Checkpoints"),
        "pictures": t("On the validation split"),
        "error": t("Why it failed"),
        "all": t("All experiments"),
        "no_trials": t("No trial has begun yet."),
        "is_best": t("This is the best trial of its sweep."),
    }


def live_words(t: Words) -> dict[str, str]:
    """What the script that keeps a page up to date says; it fills the braces."""
    return {
        "live": t("Live: last heard at {time}."),
        "still": t("Nothing runs; last looked at {time}."),
        "away": t("The server does not answer; I keep trying. Last heard at {time}."),
    }


def chart_words(t: Words, metric: str, mode: str) -> dict[str, object]:
    """What the scripts that draw say; they fill the braces."""
    return live_words(t) | {
        "metric": metric,
        "mode": mode,
        "states": {state: t(word) for state, (_, word) in _STATES.items()},
        "epoch": t("Epoch"),
        "trial": t("Trial {number}"),
        "drawing": t("Drawing the charts …"),
        "broken": t("The charts could not be drawn. The table says the same."),
        "noCurves": t("No epoch has been reported yet."),
        "curves": t(
            "Curves of {metric}: {count}. Epochs: {epochs}. The best is trial {number}: {value} at epoch {epoch}."
        ),
        "higher": t("Higher is better."),
        "lower": t("Lower is better."),
        "thinned": t("Long curves are thinned without changing their shape."),
        "noAxes": t("The trials differ in no param."),
        "lines": t("Blue and thick: the best {count}. Dashed: no result yet, or none at all. Grey: the others."),
        "ticked": t("Thickest: ticked trials."),
        "range": t("{param}: {low} to {high}"),
        "most": t("{param}: {value} in {count} of {total}"),
        "have": t("What the best {count} have: {list}."),
        "capped": t("Only the best {shown} of {total} trials are drawn."),
        "param": t("Param"),
        "importance": t("Importance"),
        "spread": t("± over the folds"),
        "few": t("Too few trials have ended to say: {count}, and it takes six whose results differ."),
        "r2": t("Worked out from {count} trials. Of trials it has not seen, the forest explains {percent}."),
        "noise": t("It cannot predict trials that it has not seen, so this order is noise."),
        "hint": t("There are fewer than ten trials for each param: no more than a hint."),
        "method": t(
            "Importance: how much worse a random forest predicts trials it has not seen when the param is shuffled."
        ),
        "waiting": t("Working it out …"),
    }
