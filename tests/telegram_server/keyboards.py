"""What Telegram takes as reply_markup: inline keyboards, reply keyboards, their removal, forced replies."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tests.telegram_server.errors import bad

MAX_BUTTONS, MAX_IN_ROW = 100, 8  # the second is not documented; what is more is not shown
MAX_DATA = 64  # bytes
_ACTIONS = ("url", "callback_data", "web_app", "login_url", "switch_inline_query", "switch_inline_query_current_chat",
            "switch_inline_query_chosen_chat", "copy_text", "callback_game", "pay")  # fmt: skip
_LOOKS = ("text", "style", "icon_custom_emoji_id")
_STYLES = ("danger", "success", "primary")
_OTHERS = {
    "keyboard": {"keyboard", "is_persistent", "resize_keyboard", "one_time_keyboard", "input_field_placeholder",
                 "selective"},
    "remove_keyboard": {"remove_keyboard", "selective"},
    "force_reply": {"force_reply", "input_field_placeholder", "selective"},
}  # fmt: skip

Keyboard = list[list[dict[str, Any]]]


def inline(markup: Any) -> Keyboard | None:
    """The rows of an inline keyboard, None for an empty one; raises ApiError for any other markup."""
    if not isinstance(markup, dict):
        raise bad("object expected as reply markup")
    if "inline_keyboard" not in markup:
        raise bad("inline keyboard expected")
    if set(markup) != {"inline_keyboard"}:
        raise bad(f"can't parse inline keyboard: unknown fields {sorted(set(markup) - {'inline_keyboard'})}")
    rows = markup["inline_keyboard"]
    if not isinstance(rows, list):
        raise bad('field "inline_keyboard" must be of the type Array')
    if not all(isinstance(row, list) for row in rows):
        raise bad('field "inline_keyboard" must be an Array of Arrays')
    rows = [row for row in rows if row]
    for row in rows:
        if len(row) > MAX_IN_ROW:
            raise bad("reply markup is too long")
        for button in row:
            _check(button)
    if sum(len(row) for row in rows) > MAX_BUTTONS:
        raise bad("reply markup is too long")
    return rows or None


def any_markup(markup: Any) -> tuple[Keyboard | None, dict[str, Any] | None]:
    """Of a message that is sent: its inline keyboard, or another markup."""
    if not isinstance(markup, dict):
        raise bad("object expected as reply markup")
    for kind, fields in _OTHERS.items():
        if kind in markup:
            if not set(markup) <= fields:
                raise bad(f"can't parse reply keyboard markup: unknown fields {sorted(set(markup) - fields)}")
            return None, markup
    return inline(markup), None


def _check(button: Any) -> None:
    where = "can't parse inline keyboard button"
    if not isinstance(button, dict):
        raise bad(f"{where}: expected an Object")
    if not isinstance(button.get("text"), str) or not button["text"].strip():
        raise bad(f'{where}: Field "text" must be a non-empty String')
    if unknown := set(button) - set(_ACTIONS) - set(_LOOKS):
        raise bad(f"{where}: unknown fields {sorted(unknown)}")
    if button.get("style", "primary") not in _STYLES:
        raise bad(f"{where}: invalid button style specified")
    actions = [action for action in _ACTIONS if action in button]
    if not actions:
        raise bad(f"{where}: Text buttons are unallowed in the inline keyboard")
    if len(actions) > 1:
        raise bad(f"{where}: exactly one of the optional fields must be used, not {actions}")
    if "callback_data" in button:
        data = button["callback_data"]
        if not isinstance(data, str) or not 1 <= len(data.encode()) <= MAX_DATA:
            raise bad("BUTTON_DATA_INVALID")
    if "url" in button:
        parts = urlsplit(str(button["url"]))
        is_host = "." in (parts.hostname or "") and parts.hostname != "localhost"
        if parts.scheme not in ("http", "https", "tg") or (parts.scheme != "tg" and not is_host):
            raise bad(f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")
