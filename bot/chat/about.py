"""What /about tells of the model that answers: how good it is, its limits, and whom the quiz's faces are owed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.chat.info import Block, bullets
from bot.quiz.deck import Attribution
from bot.wording import percent
from bot.words import Words, later
from model_defs.checkpoint import Card

MOST_CREDITS = 8  # authors named one by one; the rest are counted
_KINDS_SHOWN = 6  # generators
_SHARES = (
    ("accuracy", later("Right answers: {value}")),
    ("fpr", later("Real photos called generated: {value}")),
    ("recall", later("Generated pictures found: {value}")),
)


def about_blocks(card: Card, t: Words, credits: Sequence[Attribution] = ()) -> list[Block]:
    """The model that answers now, how good it is, and where the quiz's faces come from. Names no places of storage."""
    side = card.preprocess.image_size
    grey = card.preprocess.colour == "grey"
    model = [
        t("{model}, made on {day}.", model=card.id, day=card.created_at[:10]),
        t("It looks at grey pictures of {side}×{side} pixels.", side=side)
        if grey
        else t("It looks at pictures of {side}×{side} pixels.", side=side),
        t(
            "Trained on version {version} of a data set ({hash}).",
            version=card.dataset.version, hash=card.dataset.hash[:12],
        ),
        t(
            "Below {low} I say real, above {high} generated, and unsure between them.",
            low=percent(card.thresholds.unsure_low, t), high=percent(card.thresholds.unsure_high, t),
        ),
    ]  # fmt: skip
    blocks = [Block(t("The model"), bullets(model)), Block(t("How good it is"), bullets(_metrics_lines(card, t)))]
    if card.limits:
        title = t("Its limits") if t.language == "en" else t("Its limits (in English)")
        blocks.append(Block(title, bullets(card.limits)))
    if credits:
        blocks.append(Block(t("The faces of the quiz"), bullets(credit_lines(credits, t))))
    return blocks


def credit_lines(credits: Sequence[Attribution], t: Words) -> list[str]:
    """Whom the quiz's faces are owed to, a line each, the rest counted."""
    lines = []
    for credit in credits[:MOST_CREDITS]:
        author, licence = credit.author or t("author unknown"), credit.licence or t("licence unknown")
        faces = t.n("one face", "{count} faces", credit.faces)
        lines.append(f"{author} · {licence} · {faces}")
    more = len(credits) - MOST_CREDITS
    if more > 0:
        lines.append(t.n("and one more", "and {count} more", more))
    return lines


def _metrics_lines(card: Card, t: Words) -> list[str]:
    test = card.metrics.get("test")
    if not test:
        return [t("It has not been tested on pictures that it was not chosen by. Take it as a toy.")]
    lines = [
        t.n(
            "Judged on one picture that it had never seen.",
            "Judged on {count} pictures that it had never seen.",
            int(test.get("images", 0)),
        )
    ]
    for key, text in _SHARES:
        if _is_number(test.get(key)):
            lines.append(t(text, value=_share_with_interval(test, key, t)))
    if _is_number(test.get("auc")):
        auc = t.number(float(test["auc"]), 3)
        low_high = _interval(test, "auc")
        if low_high:
            auc = t(
                "{value} (95% interval {low} to {high})",
                value=auc, low=t.number(low_high[0], 3), high=t.number(low_high[1], 3),
            )  # fmt: skip
        lines.append(t("AUC, where 1 is perfect and 0.5 is guessing: {value}", value=auc))
    return lines + _kinds_lines(test, t)


def _kinds_lines(test: dict[str, Any], t: Words) -> list[str]:
    """How much of each generator's pictures was found, the worst first."""
    called = test.get("called_fake")
    if not isinstance(called, dict):
        return []
    shares = sorted(
        (float(entry["share"]), str(kind))
        for kind, entry in called.items()
        if kind != "real" and isinstance(entry, dict) and _is_number(entry.get("share"))
    )
    return [t("Found of {kind}: {share}", kind=kind, share=percent(share, t)) for share, kind in shares[:_KINDS_SHOWN]]


def _share_with_interval(test: dict[str, Any], key: str, t: Words) -> str:
    value, low_high = percent(float(test[key]), t), _interval(test, key)
    if not low_high:
        return value
    low, high = (percent(bound, t) for bound in low_high)
    return t("{value} (95% interval {low} to {high})", value=value, low=low, high=high)


def _interval(test: dict[str, Any], key: str) -> tuple[float, float] | None:
    bounds = test.get(f"{key}_ci95")
    if isinstance(bounds, list | tuple) and len(bounds) == 2 and all(_is_number(bound) for bound in bounds):
        return float(bounds[0]), float(bounds[1])
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
