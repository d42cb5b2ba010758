"""What Discord refuses of modals and of autocomplete choices."""

from __future__ import annotations

from typing import Any

from tests.discord_server.component_rules import SELECTS, check_select, check_unique
from tests.discord_server.errors import FormErrors

ROW, TEXT_INPUT, TEXT, LABEL = 1, 4, 10, 18
FILE_UPLOAD, RADIOS, CHECKBOXES, CHECKBOX = 19, 21, 22, 23


def check_choices(data: dict[str, Any]) -> None:
    """At most 25 suggestions, each with a name of up to 100 characters and a value."""
    errors = FormErrors()
    if errors.count("data.choices", data.get("choices"), 0, 25):
        for index, choice in enumerate(data["choices"]):
            errors.length(f"data.choices.{index}.name", choice.get("name") or "", 1, 100)
            if choice.get("value") is None:
                errors.required(f"data.choices.{index}.value")
            elif isinstance(choice["value"], str):
                errors.length(f"data.choices.{index}.value", choice["value"], 1, 100)
    errors.check()


def check_modal(data: dict[str, Any]) -> None:
    """A title, a custom_id, and one to five labels with an input each, text displays, or rows with a text input."""
    errors = FormErrors()
    errors.length("data.custom_id", data.get("custom_id") or "", 1, 100)
    errors.length("data.title", data.get("title") or "", 1, 45)
    parts = data.get("components")
    if errors.count("data.components", parts if parts is not None else [], 1, 5):
        assert parts is not None
        for index, part in enumerate(parts):
            _check_part(errors, f"data.components.{index}", part)
        check_unique(errors, parts)
    errors.check()


def _check_part(errors: FormErrors, path: str, part: dict[str, Any]) -> None:
    if not errors.one_of(f"{path}.type", part.get("type"), (ROW, TEXT, LABEL)):
        return
    if part["type"] == ROW:
        inner = part.get("components") or []
        if errors.count(f"{path}.components", inner, 1, 1):
            at = f"{path}.components.0"
            if errors.one_of(f"{at}.type", inner[0].get("type"), (TEXT_INPUT,)):
                errors.length(f"{at}.label", inner[0].get("label") or "", 1, 45)
                _check_text_input(errors, at, inner[0])
    elif part["type"] == LABEL:
        errors.length(f"{path}.label", part.get("label") or "", 1, 45)
        if part.get("description") is not None:
            errors.length(f"{path}.description", part["description"], 0, 100)
        _check_input(errors, f"{path}.component", part.get("component"))
    else:
        errors.length(f"{path}.content", part.get("content") or "", 1, 4000)


def _check_input(errors: FormErrors, path: str, part: dict[str, Any] | None) -> None:
    if part is None:
        errors.required(path)
        return
    kinds = (TEXT_INPUT, *SELECTS, FILE_UPLOAD, RADIOS, CHECKBOXES, CHECKBOX)
    if not errors.one_of(f"{path}.type", part.get("type"), kinds):
        return
    if part["type"] == TEXT_INPUT:
        _check_text_input(errors, path, part)
    elif part["type"] in SELECTS:
        check_select(errors, path, part)
        if part.get("required", True) and part.get("min_values", 1) < 1:
            errors.add(f"{path}.min_values", "NUMBER_TYPE_MIN", "must be at least 1 of what is required")
        if part.get("disabled"):
            errors.add(f"{path}.disabled", "COMPONENT_DISABLED_IN_MODAL", "Modals have no disabled components")
    else:
        errors.length(f"{path}.custom_id", part.get("custom_id") or "", 1, 100)


def _check_text_input(errors: FormErrors, path: str, part: dict[str, Any]) -> None:
    errors.length(f"{path}.custom_id", part.get("custom_id") or "", 1, 100)
    errors.one_of(f"{path}.style", part.get("style"), (1, 2))
    for key, low in (("min_length", 0), ("max_length", 1)):
        if part.get(key) is not None and not low <= part[key] <= 4000:
            errors.add(f"{path}.{key}", "NUMBER_TYPE_MAX", f"int value should be between {low} and 4000.")
    if part.get("placeholder") is not None:
        errors.length(f"{path}.placeholder", part["placeholder"], 0, 100)
    if part.get("value") is not None:
        errors.length(f"{path}.value", part["value"], 0, 4000)
