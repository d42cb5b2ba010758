"""What Discord refuses of application commands: names, descriptions, options, choices, localisations, contexts."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from tests.discord_server.errors import FormErrors

MAX_COMMANDS = {1: 100, 2: 15, 3: 15}  # chat input, user, message; per scope
MAX_TEXT = 8000  # of names, descriptions and values of a command together
SUBCOMMAND, GROUP, STRING, INTEGER, NUMBER, ATTACHMENT = 1, 2, 3, 4, 10, 11
LOCALES = {
    *("id", "da", "de", "en-GB", "en-US", "es-ES", "es-419", "fr", "hr", "it", "lt", "hu", "nl", "no", "pl", "pt-BR"),
    *("ro", "fi", "sv-SE", "vi", "tr", "cs", "el", "bg", "ru", "uk", "hi", "th", "zh-CN", "ja", "zh-TW", "ko"),
}


def check_commands(commands: Any, *, is_global: bool) -> None:
    errors = FormErrors()
    if not isinstance(commands, list):
        errors.add("", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        errors.check()
    seen: set[tuple[int, str]] = set()
    for index, command in enumerate(commands):
        _check(errors, str(index), command, is_global=is_global)
        key = (command.get("type") or 1, command.get("name"))
        if key in seen:
            errors.add(str(index), "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
        seen.add(key)
    for kind, limit in MAX_COMMANDS.items():
        if sum((c.get("type") or 1) == kind for c in commands) > limit:
            errors.add("_", "APPLICATION_COMMAND_TOO_MANY", f"Maximum number of application commands reached ({limit})")
    errors.check()


def check_command(command: Any, *, is_global: bool) -> None:
    errors = FormErrors()
    _check(errors, "", command, is_global=is_global)
    errors.check()


def _check(errors: FormErrors, path: str, command: dict[str, Any], *, is_global: bool) -> None:
    at = f"{path}." if path else ""
    kind = command.get("type") or 1
    if not errors.one_of(f"{at}type", kind, (1, 2, 3)):
        return
    _check_names(errors, at, command, is_chat=kind == 1)
    if kind == 1:
        _check_descriptions(errors, at, command)
        _check_options(errors, f"{at}options", command.get("options") or [], depth=0)
    elif command.get("description"):
        message = "Context menu commands cannot have description"
        errors.add(f"{at}description", "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION", message)
    if kind != 1 and command.get("options"):
        errors.add(
            f"{at}options", "APPLICATION_COMMAND_CONTEXT_MENU_OPTIONS", "Context menu commands cannot have options"
        )
    for key, allowed in (("contexts", (0, 1, 2)), ("integration_types", (0, 1))):
        listed = command.get(key)
        if listed is None:
            continue
        if not is_global and key == "contexts":
            errors.add(f"{at}{key}", "APPLICATION_COMMAND_CONTEXTS_GUILD", "Only for globally-scoped commands")
        if not listed or len(set(listed)) != len(listed):
            errors.add(f"{at}{key}", "SET_TYPE_BAD_LENGTH", "Must be one or more different values")
        for index, value in enumerate(listed):
            errors.one_of(f"{at}{key}.{index}", value, allowed)
    wanted = command.get("default_member_permissions")
    if wanted is not None and not str(wanted).isdecimal():
        errors.add(f"{at}default_member_permissions", "NUMBER_TYPE_COERCE", f'Value "{wanted}" is not int.')
    if _text(command) > MAX_TEXT:
        errors.add(path or "_", "APPLICATION_COMMAND_TOO_LARGE", f"Command exceeds maximum size ({MAX_TEXT})")


def _check_names(errors: FormErrors, at: str, thing: dict[str, Any], *, is_chat: bool) -> None:
    name = thing.get("name")
    if errors.length(f"{at}name", name if name is not None else "", 1, 32) and is_chat and not _is_chat_name(str(name)):
        errors.add(f"{at}name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    for locale, text in (thing.get("name_localizations") or {}).items():
        _check_locale(errors, f"{at}name_localizations.{locale}", locale)
        fits = errors.length(f"{at}name_localizations.{locale}", text, 1, 32)
        if fits and is_chat and not _is_chat_name(text):
            errors.add(
                f"{at}name_localizations.{locale}", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid"
            )


def _check_descriptions(errors: FormErrors, at: str, thing: dict[str, Any]) -> None:
    errors.length(f"{at}description", thing.get("description") or "", 1, 100)
    for locale, text in (thing.get("description_localizations") or {}).items():
        _check_locale(errors, f"{at}description_localizations.{locale}", locale)
        errors.length(f"{at}description_localizations.{locale}", text, 1, 100)


def _check_locale(errors: FormErrors, path: str, locale: str) -> None:
    if locale not in LOCALES:
        errors.add(path, "LOCALE_INVALID", f"{locale} is not a valid locale")


def _check_options(errors: FormErrors, path: str, options: list[dict[str, Any]], depth: int) -> None:
    if not errors.count(path, options, 0, 25):
        return
    names = [option.get("name") for option in options]
    nested = [option.get("type") in (SUBCOMMAND, GROUP) for option in options]
    if any(nested) and not all(nested):
        message = "Sub-command and sub-command group option types are mutually exclusive to all other types"
        errors.add(path, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", message)
    must = [bool(option.get("required")) for option in options]
    for index, option in enumerate(options):
        at = f"{path}.{index}"
        if names.index(option.get("name")) != index:
            errors.add(f"{at}.name", "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", "Option name has to be unique")
        if must[index] and not all(must[:index]):
            message = "Required options must be placed before non-required options"
            errors.add(at, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message)
        _check_option(errors, f"{at}.", option, depth)


def _check_option(errors: FormErrors, at: str, option: dict[str, Any], depth: int) -> None:
    _check_names(errors, at, option, is_chat=True)
    _check_descriptions(errors, at, option)
    kind: Any = option.get("type")
    if not errors.one_of(f"{at}type", kind, tuple(range(1, 12))):
        return
    if kind in (SUBCOMMAND, GROUP):
        if depth > (1 if kind == SUBCOMMAND else 0):
            errors.add(f"{at}type", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Nested too deeply")
        inner = option.get("options") or []
        if kind == GROUP and any(each.get("type") != SUBCOMMAND for each in inner):
            errors.add(f"{at}options", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "A group holds subcommands only")
        _check_options(errors, f"{at}options", inner, depth + 1)
        return
    choices = option.get("choices") or []
    if choices and option.get("autocomplete"):
        errors.add(f"{at}autocomplete", "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE", "Cannot be used with choices")
    if choices and kind not in (STRING, INTEGER, NUMBER):
        errors.add(f"{at}choices", "APPLICATION_COMMAND_OPTIONS_CHOICES_INVALID", "Option type cannot have choices")
    if errors.count(f"{at}choices", choices, 0, 25):
        for index, choice in enumerate(choices):
            errors.length(f"{at}choices.{index}.name", choice.get("name", ""), 1, 100)
            _check_value(errors, f"{at}choices.{index}.value", kind, choice.get("value"))
            for locale, text in (choice.get("name_localizations") or {}).items():
                _check_locale(errors, f"{at}choices.{index}.name_localizations.{locale}", locale)
                errors.length(f"{at}choices.{index}.name_localizations.{locale}", text, 1, 100)
    if (option.get("min_value") is not None or option.get("max_value") is not None) and kind not in (INTEGER, NUMBER):
        errors.add(at.rstrip("."), "APPLICATION_COMMAND_OPTIONS_VALUE_INVALID", "Only numbers have min and max values")
    for key, low in (("min_length", 0), ("max_length", 1)):
        if option.get(key) is not None and (kind != STRING or not low <= option[key] <= 6000):
            errors.add(
                f"{at}{key}", "NUMBER_TYPE_MAX", f"int value should be between {low} and 6000, of a string option."
            )


def _check_value(errors: FormErrors, path: str, kind: int, value: Any) -> None:
    if kind == STRING:
        errors.length(path, value, 1, 100)
    elif isinstance(value, bool) or not isinstance(value, int if kind == INTEGER else (int, float)):
        errors.add(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not a number.')


def _is_chat_name(name: str) -> bool:
    """The documented pattern ^[-_'\\p{L}\\p{N}\\p{sc=Deva}\\p{sc=Thai}]{1,32}$, lower case where there is one."""
    if name != name.lower():
        return False
    return all(
        c in "-_'" or unicodedata.category(c)[0] in "LN" or re.match("[\u0900-\u097f\u0e00-\u0e7f]", c) for c in name
    )


def _text(thing: dict[str, Any]) -> int:
    """Characters that count: for each localised text the longest of its versions."""
    total = 0
    for key in ("name", "description"):
        total += max(len(text) for text in [thing.get(key) or "", *(thing.get(f"{key}_localizations") or {}).values()])
    if "value" in thing:
        total += len(str(thing["value"]))
    return total + sum(_text(each) for key in ("options", "choices") for each in thing.get(key) or [])
