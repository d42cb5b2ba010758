"""Params files: YAML ▶ a validated pydantic model; an error is one line: the file, the key, what is allowed."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from infra.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


class ParamsError(UserError):
    """A params file or a `--set` that cannot be used."""


class StrictModel(BaseModel):
    """Base of every params section: frozen, unknown keys refused, no silent type conversions beyond int ▶ float."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads `1e-4` as a number (YAML 1.1 makes it a string) and refuses a key given twice."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def _mapping_without_duplicates(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, (dict, list)):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a plain word", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' is given twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping_without_duplicates)


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML text. `where` names its origin in errors. Raises ParamsError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ParamsError(f"{where}{line}: {problem}") from None
    except RecursionError:
        raise ParamsError(f"{where}: nested too deep") from None


def read_params_file(path: Path) -> dict[str, Any]:
    """The YAML mapping in `path`. Raises ParamsError when it is missing, unreadable or not a mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.y*ml")], n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise ParamsError(f"no params file at {path}{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} cannot be read: {error}") from None
    content = parse_yaml(text, str(path))
    if not isinstance(content, dict):
        raise ParamsError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def apply_sets(params: dict[str, Any], sets: Iterable[str]) -> dict[str, Any]:
    """A copy of `params` with each `a.b.0.c=value` applied; values are YAML. Raises ParamsError."""
    params = yaml.load(yaml.safe_dump(params), Loader=_Loader)
    for assignment in sets:
        dotted, separator, value = assignment.partition("=")
        if not separator or not dotted.strip():
            raise ParamsError(f"--set {assignment}: write it as --set key.subkey=value")
        _assign(params, dotted.strip().split("."), parse_yaml(value, f"--set {dotted}"), assignment)
    return params


def _assign(node: Any, path: Sequence[str], value: Any, assignment: str) -> None:
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                raise ParamsError(f"--set {assignment}: '{part}' is not an index below {len(node)}")
            index: Any = int(part)
        elif isinstance(node, dict):
            index = part
            if not last and not isinstance(node.get(index), (dict, list)):
                node[index] = {}
        else:
            raise ParamsError(f"--set {assignment}: '{'.'.join(path[:depth])}' holds no keys")
        if last:
            node[index] = value
        else:
            node = node[index]


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
        help="override one key of the params file, e.g. --set train.epochs=3; may be repeated",
    )  # fmt: skip


def _first_problem(model: type[BaseModel], error: ValidationError, prefix: str) -> str:
    # A misspelt key usually causes a "missing" error too: the unknown key is the one worth showing.
    problems = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    problem = problems[0]
    location = [str(part) for part in problem["loc"]]
    key = ".".join(([prefix] if prefix else []) + location) or "the file"
    if problem["type"] == "extra_forbidden":
        allowed = _keys_at(model, problem["loc"][:-1])
        near = difflib.get_close_matches(location[-1], allowed, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"{key}: unknown key{hint}" + (f" (allowed: {', '.join(allowed)})" if allowed else "")
    if problem["type"] == "missing":
        return f"{key}: is required"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    shown = "" if isinstance(given, (dict, list, BaseModel)) else f", not {given!r}"
    if problem["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {message[0].lower()}{message[1:]}{shown}"


def _keys_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys allowed in the section of `model` that `location` leads to; empty where that cannot be told."""
    current: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        candidates = _models_in(current)
        current = next((c.model_fields[part].annotation for c in candidates if part in c.model_fields), current)
    return [key for candidate in _models_in(current) for key in candidate.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]
