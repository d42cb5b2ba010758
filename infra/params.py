"""Params files: YAML ▶ a validated pydantic model; an error is one line: the file, the key, what is allowed."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from infra.errors import UserError
from infra.plain_yaml import load_plain_yaml

Model = TypeVar("Model", bound=BaseModel)

# A long params file has 10 kB; PyYAML needs half a minute for 1 MiB, and a photo given by mistake has more.
MAX_FILE_BYTES = 1024 * 1024
# Aliases of aliases unfold a few lines into billions of values; the largest list of options is far below this.
MAX_VALUES = 100_000
MAX_DEPTH = 100  # a params file has six levels; Python gives up at some hundreds


class ParamsError(UserError):
    """A params file or a `--set` that cannot be used."""


class StrictModel(BaseModel):
    """Base of every params section: frozen, unknown keys refused, no type conversions beyond int ▶ float.

    A list is taken where a tuple is declared: YAML and JSON have no tuples.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _list_is_tuple(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields.get(info.field_name or "")
        is_tuple = field is not None and get_origin(field.annotation) is tuple
        return tuple(value) if is_tuple and isinstance(value, list) else value


def parse_yaml(text: str, where: str) -> Any:
    """The content of YAML text, no part of it shared by two. `where` names its origin in errors. Raises ParamsError."""
    try:
        return _tree(load_plain_yaml(text), where)
    except yaml.reader.ReaderError as error:
        raise ParamsError(f"{where}: not text: it holds the character #x{error.character:04x}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        if problem.startswith("found character '\\t'"):
            problem = "a tab cannot indent; use spaces"
        raise ParamsError(f"{where}{line}: {problem}") from None
    except RecursionError:
        raise ParamsError(f"{where}: nested too deep") from None


def read_params_file(path: Path) -> dict[str, Any]:
    """The YAML mapping in `path`. Raises ParamsError when it is missing, unreadable or not a mapping."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise ParamsError(f"no params file at {path}{_near_file(path)}") from None
    except OSError as error:
        raise ParamsError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise ParamsError(f"{path} is not a params file: it is not UTF-8 text") from None
    if len(data) > MAX_FILE_BYTES:
        raise ParamsError(f"{path} is not a params file: it is larger than {MAX_FILE_BYTES:,} bytes")
    content = parse_yaml(text, str(path))
    if content is None:
        raise ParamsError(f"{path}: is empty; expected keys and values")
    if not isinstance(content, dict):
        raise ParamsError(f"{path}: expected keys and values, found {_kind(content)}")
    return content


def apply_sets(params: Mapping[str, Any], sets: Iterable[str]) -> dict[str, Any]:
    """A copy of `params` with each `a.b.0.c=value` applied; values are YAML. Raises ParamsError.

    A key that is not there is made; where a plain value stands in the way, keys take its place.
    """
    changed: dict[str, Any] = _tree(params, "params")
    for assignment in sets:
        dotted, separator, value = assignment.partition("=")
        where = f"--set {_cut(dotted)}"
        path = dotted.strip().split(".")
        if not separator or not all(part.strip() for part in path):
            raise ParamsError(f"{where}: write it as --set key.subkey=value")
        if len(path) > MAX_DEPTH:
            raise ParamsError(f"{where}: nested too deep")
        _assign(changed, path, parse_yaml(value, where), where)
    return changed


def validate(model: type[Model], content: Any, where: str, prefix: str = "") -> Model:
    """`content` as `model`; the first problem becomes one ParamsError line.

    where: the file (or other origin) named in the line. prefix: dotted key under which `content` lives.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ParamsError(f"{where}: {_first_problem(model, error, prefix)}") from None


def load_params(path: str | Path, sets: Iterable[str], model: type[Model]) -> Model:
    """The params file at `path` with every `--set` applied, validated. Raises ParamsError."""
    return validate(model, apply_sets(read_params_file(Path(path)), sets), str(path))


def add_params_arguments(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Give a command its `--params FILE` and any number of `--set a.b=value`."""
    parser.add_argument(
        "--params", metavar="FILE", default=default, required=default is None,
        help="the params file (YAML)" + (f"; default {default}" if default else ""),
    )  # fmt: skip
    parser.add_argument(
        "--set", metavar="A.B=VALUE", dest="sets", action="append", default=[],
        help="override one key of the params file: --set section.key=value; may be repeated",
    )  # fmt: skip


def _tree(node: Any, where: str) -> Any:
    """A copy of nested mappings and lists in which no part is shared, so that changing one alias changes only it."""
    values = 0

    def copy(node: Any, depth: int) -> Any:
        nonlocal values
        values += 1
        if values > MAX_VALUES:
            raise ParamsError(f"{where}: unfolds into more than {MAX_VALUES:,} values")
        if depth > MAX_DEPTH:
            raise ParamsError(f"{where}: nested too deep")
        if isinstance(node, Mapping):
            return {key: copy(value, depth + 1) for key, value in node.items()}
        if isinstance(node, (list, tuple)):
            return [copy(value, depth + 1) for value in node]
        return node

    return copy(node, 0)


def _near_file(path: Path) -> str:
    there = sorted(p.name for p in path.parent.glob("*.y*ml"))
    near = difflib.get_close_matches(path.name, there, n=1)
    if near:
        return f"; did you mean {path.parent / near[0]}?"
    return f"; {path.parent} has {', '.join(there[:8])}" if there else ""


def _assign(root: dict[str, Any], path: Sequence[str], value: Any, where: str) -> None:
    node: Any = root
    for depth, part in enumerate(path):
        index: Any = part
        if isinstance(node, list):
            index = _index(part, len(node), where)
        if depth == len(path) - 1:
            node[index] = value
            return
        below = node[index] if isinstance(node, list) else node.get(index)
        if not isinstance(below, (dict, list)):
            below = node[index] = {}
        node = below


def _index(part: str, length: int, where: str) -> int:
    if not (part.isascii() and part.isdigit() and len(part) < 10 and int(part) < length):
        allowed = f"the list there has {length} items, numbered from 0" if length else "the list there is empty"
        raise ParamsError(f"{where}: '{_cut(part)}' is not the number of an item: {allowed}")
    return int(part)


_KINDS = {
    "int_type": "a whole number", "float_type": "a number", "finite_number": "a finite number",
    "bool_type": "true or false", "string_type": "text", "tuple_type": "a list", "list_type": "a list",
    "model_type": "a mapping of keys to values", "model_attributes_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values", "invalid_key": "text, as every key is",
}  # fmt: skip


def _first_problem(model: type[BaseModel], error: ValidationError, prefix: str) -> str:
    # A misspelt key usually causes a "missing" error too: the unknown key is the one worth showing.
    problems = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    problem = problems[0]
    path, section = _follow(model, problem["loc"])
    key = ".".join(([prefix] if prefix else []) + path)
    start = f"{key}: " if key else ""
    if problem["type"] == "extra_forbidden":
        allowed = [name for candidate in _models_in(section) for name in candidate.model_fields]
        return f"{start}unknown key{_hint(path[-1], allowed)}" + (
            f" (allowed: {', '.join(allowed)})" if allowed else ""
        )
    if problem["type"] == "missing":
        return f"{start}is required"
    if problem["type"] == "value_error":
        return start + problem["msg"].removeprefix("Value error, ")
    # A value that may be of several types has one problem for each of them, all under one key.
    same = [p for p in problems if p["type"] != "extra_forbidden" and _follow(model, p["loc"])[0] == path]
    said = list(dict.fromkeys(_KINDS.get(p["type"]) or _allowed(p["msg"]) for p in same))
    given = problem.get("input")
    options = [option for p in same for option in re.findall(r"'([^']*)'", str(p.get("ctx", {}).get("expected", "")))]
    verb = "" if said[0].startswith("should ") else "should be "
    shown = "" if isinstance(given, (dict, list, tuple, BaseModel)) else f", not {_shown(given)}"
    return f"{start}{verb}{' or '.join(said)}{shown}{_hint(given, options)}"


def _follow(model: type[BaseModel], location: Sequence[int | str]) -> tuple[list[str], Any]:
    """The keys of a pydantic error's location, without pydantic's names for the members of a union, and the type of
    the section that holds the last of them."""
    keys: list[str] = []
    current: Any = model
    section: Any = model
    in_union = False
    for part in location:
        if in_union and isinstance(part, str):
            in_union = False
            continue
        section = current
        keys.append(_cut(str(part)))
        owner = next((m for m in _models_in(current) if part in m.model_fields), None)
        if owner is not None and isinstance(part, str):
            current = owner.model_fields[part].annotation
            in_union = _is_union(current)
    return keys, section


def _is_union(annotation: Any) -> bool:
    members = [arg for arg in get_args(annotation) if arg is not NoneType]
    return get_origin(annotation) in (Union, UnionType) and len(members) > 1


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]


def _allowed(message: str) -> str:
    """Pydantic's sentence without its subject where that is the obvious one."""
    message = message.replace(" after validation", "")
    for subject in ("Input should be ", "Input "):
        message = message.removeprefix(subject)
    message = re.sub(r"^(Tuple|List|Dictionary|String|Keys) should", "should", message)
    return message[:1].lower() + message[1:]


def _hint(given: Any, allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(given.lower(), allowed, n=1) if isinstance(given, str) else []
    return f"; did you mean '{near[0]}'?" if near else ""


def _kind(content: Any) -> str:
    return "a list" if isinstance(content, list) else _shown(content)


def _shown(value: Any) -> str:
    """A value as YAML would spell it, cut to a line's length."""
    words = {None: "nothing", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else _cut(repr(value))


def _cut(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
