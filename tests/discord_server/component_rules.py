"""What Discord refuses of components: rows, buttons, selects, and the layout parts of version 2.

From developers/components/reference of its documentation; a message may not use one custom_id twice.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from tests.discord_server.errors import FormErrors
from tests.discord_server.world import walk

ROW, BUTTON, STRING_SELECT, TEXT_INPUT, SECTION, TEXT, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER = (
    *(1, 2, 3, 4, 9, 10, 11, 12, 13, 14),
    17,
)
SELECTS = (3, 5, 6, 7, 8)
LINK, PREMIUM = 5, 6
MAX_ROWS, MAX_PARTS_V2, MAX_TEXT_V2 = 5, 40, 4000


def check_components(components: Any, *, is_v2: bool) -> None:
    """Raises 50035 with everything that is wrong."""
    errors = FormErrors()
    if errors.count("components", components, 0, MAX_PARTS_V2 if is_v2 else MAX_ROWS):
        allowed = (ROW, SECTION, TEXT, GALLERY, FILE, SEPARATOR, CONTAINER) if is_v2 else (ROW,)
        for index, part in enumerate(components):
            if errors.one_of(f"components.{index}.type", part.get("type"), allowed):
                _check_part(errors, f"components.{index}", part)
        check_unique(errors, components)
        if is_v2:
            _check_totals(errors, components)
    errors.check()


def check_unique(errors: FormErrors, components: list[dict[str, Any]]) -> None:
    """No custom_id and no explicit id twice."""
    for key, code in (("custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED"), ("id", "COMPONENT_ID_DUPLICATED")):
        used = Counter(part[key] for part in walk(components) if part.get(key))
        if any(times > 1 for times in used.values()):
            errors.add("components", code, f"Component {key} cannot be duplicated")


def check_select(errors: FormErrors, path: str, select: dict[str, Any]) -> None:
    """Any of the five selects; in a message or in a modal's label."""
    errors.length(f"{path}.custom_id", select.get("custom_id") or "", 1, 100)
    if select.get("placeholder") is not None:
        errors.length(f"{path}.placeholder", select["placeholder"], 0, 150)
    low, high = select.get("min_values", 1), select.get("max_values", 1)
    if not 0 <= low <= 25:
        errors.add(f"{path}.min_values", "NUMBER_TYPE_MAX", "int value should be between 0 and 25.")
    if not max(1, low) <= high <= 25:
        errors.add(
            f"{path}.max_values", "NUMBER_TYPE_MAX", "int value should be between 1 and 25, not below min_values."
        )
    if select["type"] != STRING_SELECT:
        return
    options = select.get("options")
    if not errors.count(f"{path}.options", options if options is not None else [], 1, 25):
        return
    assert options is not None
    if high > len(options):
        errors.add(f"{path}.max_values", "COMPONENT_SELECT_MAX_VALUES", "There are fewer options than max_values")
    for index, option in enumerate(options):
        at = f"{path}.options.{index}"
        errors.length(f"{at}.label", option.get("label") or "", 1, 100)
        errors.length(f"{at}.value", option.get("value") or "", 1, 100)
        if option.get("description") is not None:
            errors.length(f"{at}.description", option["description"], 0, 100)
    if len({option.get("value") for option in options}) < len(options):
        message = "The specified option value is already used"
        errors.add(f"{path}.options", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", message)
    if sum(bool(option.get("default")) for option in options) > high:
        errors.add(f"{path}.options", "COMPONENT_SELECT_DEFAULTS", "More defaults than max_values")


def _check_part(errors: FormErrors, path: str, part: dict[str, Any]) -> None:
    _CHECKS[part["type"]](errors, path, part)


def _check_text(errors: FormErrors, path: str, text: dict[str, Any]) -> None:
    errors.length(f"{path}.content", text.get("content") or "", 1, MAX_TEXT_V2)


def _check_gallery(errors: FormErrors, path: str, gallery: dict[str, Any]) -> None:
    if errors.count(f"{path}.items", gallery.get("items") or [], 1, 10):
        for index, item in enumerate(gallery["items"]):
            _check_media(errors, f"{path}.items.{index}", item)


def _check_file(errors: FormErrors, path: str, part: dict[str, Any]) -> None:
    if not str((part.get("file") or {}).get("url")).startswith("attachment://"):
        errors.add(f"{path}.file.url", "URL_TYPE_INVALID_SCHEME", "Only attachment:// references are supported.")


def _check_separator(errors: FormErrors, path: str, separator: dict[str, Any]) -> None:
    errors.one_of(f"{path}.spacing", separator.get("spacing", 1), (1, 2))


def _check_container(errors: FormErrors, path: str, container: dict[str, Any]) -> None:
    inner = container.get("components") or []
    if errors.count(f"{path}.components", inner, 1, MAX_PARTS_V2):
        for index, each in enumerate(inner):
            at = f"{path}.components.{index}"
            if errors.one_of(f"{at}.type", each.get("type"), (ROW, TEXT, SECTION, GALLERY, SEPARATOR, FILE)):
                _check_part(errors, at, each)


def _check_row(errors: FormErrors, path: str, row: dict[str, Any]) -> None:
    """Up to five buttons, or one select alone."""
    parts = row.get("components") or []
    if not errors.count(f"{path}.components", parts, 1, 5):
        return
    for index, part in enumerate(parts):
        at = f"{path}.components.{index}"
        if not errors.one_of(f"{at}.type", part.get("type"), (BUTTON, *SELECTS)):
            continue
        if part["type"] == BUTTON:
            _check_button(errors, at, part)
        else:
            check_select(errors, at, part)
    if len(parts) > 1 and any(part.get("type") in SELECTS for part in parts):
        message = "The specified component exceeds the maximum width"
        errors.add(f"{path}.components", "COMPONENT_LAYOUT_WIDTH_EXCEEDED", message)


def _check_button(errors: FormErrors, path: str, button: dict[str, Any]) -> None:
    style = button.get("style")
    if not errors.one_of(f"{path}.style", style, (1, 2, 3, 4, LINK, PREMIUM)):
        return
    if button.get("label") is not None:
        errors.length(f"{path}.label", button["label"], 0, 80)
    if not button.get("label") and not button.get("emoji") and style != PREMIUM:
        errors.add(path, "BUTTON_COMPONENT_INVALID", "A button must have a label or an emoji")
    if style == LINK:
        if button.get("custom_id"):
            message = "A custom id and url cannot both be specified"
            errors.add(path, "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE", message)
        if urlsplit(str(button.get("url") or "")).scheme not in ("http", "https", "discord"):
            errors.add(f"{path}.url", "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('http', 'https', 'discord').")
        elif len(button["url"]) > 512:
            errors.add(f"{path}.url", "BASE_TYPE_MAX_LENGTH", "Must be 512 or fewer in length.")
    elif style == PREMIUM:
        if not button.get("sku_id"):
            errors.required(f"{path}.sku_id")
    else:
        if button.get("url"):
            message = "A custom id and url cannot both be specified"
            errors.add(path, "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE", message)
        errors.length(f"{path}.custom_id", button.get("custom_id") or "", 1, 100)


def _check_section(errors: FormErrors, path: str, section: dict[str, Any]) -> None:
    texts = section.get("components") or []
    if errors.count(f"{path}.components", texts, 1, 3):
        for index, text in enumerate(texts):
            if errors.one_of(f"{path}.components.{index}.type", text.get("type"), (TEXT,)):
                _check_part(errors, f"{path}.components.{index}", text)
    accessory = section.get("accessory")
    if accessory is None:
        errors.required(f"{path}.accessory")
    elif errors.one_of(f"{path}.accessory.type", accessory.get("type"), (BUTTON, THUMBNAIL)):
        check = _check_button if accessory["type"] == BUTTON else _check_part
        check(errors, f"{path}.accessory", accessory)


def _check_media(errors: FormErrors, path: str, part: dict[str, Any]) -> None:
    url = str((part.get("media") or {}).get("url") or "")
    if urlsplit(url).scheme not in ("http", "https", "attachment"):
        message = "Scheme must be one of ('http', 'https', 'attachment')."
        errors.add(f"{path}.media.url", "URL_TYPE_INVALID_SCHEME", message)
    if part.get("description") is not None:
        errors.length(f"{path}.description", part["description"], 1, 1024)


def _check_totals(errors: FormErrors, components: list[dict[str, Any]]) -> None:
    parts = walk(components)
    if len(parts) > MAX_PARTS_V2:
        message = f"The total number of components exceeds {MAX_PARTS_V2}"
        errors.add("components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", message)
    if sum(len(part.get("content") or "") for part in parts if part.get("type") == TEXT) > MAX_TEXT_V2:
        message = f"The text of all components exceeds {MAX_TEXT_V2} characters"
        errors.add("components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", message)


_CHECKS = {
    ROW: _check_row,
    TEXT: _check_text,
    SECTION: _check_section,
    GALLERY: _check_gallery,
    THUMBNAIL: _check_media,
    FILE: _check_file,
    SEPARATOR: _check_separator,
    CONTAINER: _check_container,
}
