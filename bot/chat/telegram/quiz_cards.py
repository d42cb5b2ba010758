"""A message of the quiz as Telegram shows it: one picture with a caption, and buttons that outlive restarts."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from PIL import Image
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, MaybeInaccessibleMessage, Message

from bot.chat.quiz_views import HEAT_NAME, Button, Look, Shown
from bot.chat.telegram.replies import MAX_CAPTION
from bot.palette import BACKGROUND
from bot.picture_file import as_png
from bot.quiz.scoring import STEPS, answer_points
from bot.quiz.texts import signed
from bot.wording import percent
from bot.words import Words, words

_TELLING = re.compile(r"@(?=\w)|(?<=[^\W\d_])\.(?=\w)|://")
_GAP = 16  # pixels between the face and its heatmap
_TRUTH_LINES = 6  # the last of a reveal: how many more answered, the machine, the generator, what to look at, credit
# Newer programs colour buttons; older ones, and older Bot API servers, leave it be.
_STYLES: dict[Look, str | None] = {"real": "primary", "fake": "danger", "go": "success", "quiet": None}


def caption_of(shown: Shown) -> str:
    """All that is said, as long as a caption may be. Pictures have no alt text on Telegram, so the heatmap's stands
    here too.
    """
    t = words(shown.language)
    lines = list(shown.lines)
    for picture in shown.pictures:
        if picture.name == HEAT_NAME:
            lines.append(t("Beside it, where the machine looked: {heat}", heat=picture.alt))
    if shown.note:
        lines.append(shown.note)
    if not shown.rows:  # it is over
        lines.append(t("Another round: {command}", command="/quiz"))
    title, *lines = (plain(line) for line in (shown.title, *lines))
    return "\n".join(fitted(title, lines, MAX_CAPTION))


def fitted(title: str, lines: Sequence[str], most: int) -> list[str]:
    """Title and lines, without as many as it takes for all to be `most` long, as Telegram counts (UTF-16). The answers
    of a busy group go first, from the last; the truth stays.
    """
    kept, is_cut = list(lines), False
    while kept and _length("\n".join([title, *kept, *(["…"] if is_cut else [])])) > most:
        del kept[max(0, len(kept) - _TRUTH_LINES - 1)]
        is_cut = True
    if is_cut:
        kept.insert(max(0, len(kept) - _TRUTH_LINES), "…")
    return [title, *kept]


def plain(text: str) -> str:
    """As it is, without Telegram reading addresses or mentions in it: people choose their names themselves."""
    return _TELLING.sub(lambda mark: f"{mark[0]}\N{WORD JOINER}", text)


def picture_of(shown: Shown) -> bytes | None:
    """The face; after the answer a PNG of the face and its heatmap side by side, since a message has one picture."""
    if len(shown.pictures) < 2:
        return shown.pictures[0].data if shown.pictures else None
    pictures = [Image.open(io.BytesIO(each.data)).convert("RGB") for each in shown.pictures]
    side = max(picture.height for picture in pictures)
    pictures = [picture.resize((side, side), Image.Resampling.BICUBIC) for picture in pictures]
    both = Image.new("RGB", (len(pictures) * (side + _GAP) - _GAP, side), BACKGROUND)
    for n, picture in enumerate(pictures):
        both.paste(picture, (n * (side + _GAP), 0))
    return as_png(both)


def keyboard_of(rows: tuple[tuple[Button, ...], ...]) -> InlineKeyboardMarkup | None:
    """The buttons, with ids of at most 20 of Telegram's 64 bytes."""
    if not rows:
        return None
    return InlineKeyboardMarkup([
        [InlineKeyboardButton(each.label, callback_data=each.press.id, style=_STYLES[each.look]) for each in row]
        for row in rows
    ])  # fmt: skip


def is_of_round(message: MaybeInaccessibleMessage, round_id: str) -> bool:
    """Whether a message shows this round. Telegram does not look whether a message has the button that a program says
    was pressed, so one could be pressed on any message of the bot's, in any chat.
    """
    return any(id_.startswith(f"q:{round_id}:") for row in _ids(message) for id_ in row)


def shows_picture(message: MaybeInaccessibleMessage, shown: Shown) -> bool:
    """Whether a message has the picture of `shown` already: buttons belong to one face, before its answer or after."""
    return bool(shown.rows) and _ids(message) == [[button.press.id for button in row] for row in shown.rows]


def short_rules(t: Words) -> str:
    """How points work, in as few words as a press can be answered with."""
    steps = ", ".join(
        t(
            "{percent}: {right} or {wrong}",
            percent=percent(step.confidence, t),
            right=signed(t, answer_points(step.confidence, True)),
            wrong=signed(t, answer_points(step.confidence, False)),
        )
        for step in STEPS
    )
    return t("Points if right or wrong – {steps}. You earn the most by saying how sure you really are.", steps=steps)


def _ids(message: MaybeInaccessibleMessage) -> list[list[str]]:
    if not isinstance(message, Message) or message.reply_markup is None:
        return []
    return [[str(button.callback_data) for button in row] for row in message.reply_markup.inline_keyboard]


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
