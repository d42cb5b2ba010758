"""YAML as people mean it: the core schema of YAML 1.2 plus merge keys, and nothing that could surprise or run.

PyYAML follows YAML 1.1, where `off` and `no` are false, `010` is eight, `1:30` is ninety, `2024-01-01` is a date and
`1e-4` is text. Here `true` and `false` are the only truth values, numbers are decimal, and the rest is text.
"""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar

import yaml
from yaml.constructor import ConstructorError

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"

_INT = re.compile(r"[-+]?[0-9][0-9_]*$")
_FLOAT = re.compile(
    r"[-+]?(?:(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
)
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"(?:~|null|Null|NULL|)$")


def load_plain_yaml(text: str) -> Any:
    """The content of `text` as dict, list, str, int, float, bool and None.

    Keys are text, and given once in a mapping; no value contains itself. Raises yaml.YAMLError, or RecursionError
    for hundreds of levels.
    """
    return yaml.load(text, Loader=_Loader)


class _Loader(yaml.SafeLoader):
    """PyYAML's loader with resolvers and constructors of its own: any other tag (dates, sets, objects) is refused."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 – PyYAML declares it so
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}


def _null(loader: _Loader, node: yaml.ScalarNode) -> None:
    loader.construct_scalar(node)


def _bool(loader: _Loader, node: yaml.ScalarNode) -> bool:
    text = loader.construct_scalar(node)
    if not _BOOL.match(text):
        raise ConstructorError(None, None, f"'{text}' is neither true nor false", node.start_mark)
    return text.lower() == "true"


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    try:
        return int(loader.construct_scalar(node).replace("_", ""))
    except ValueError:  # also numbers of thousands of digits
        raise ConstructorError(None, None, "this is not a whole number that can be used", node.start_mark) from None


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).replace("_", "").lower()
    if text.endswith((".inf", ".nan")):
        return math.nan if text.endswith("nan") else -math.inf if text.startswith("-") else math.inf
    try:
        return float(text)
    except ValueError:
        raise ConstructorError(None, None, f"'{text}' is not a number", node.start_mark) from None


def _list(loader: _Loader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node, deep=True)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise ConstructorError(None, None, "keys and values are expected here", node.start_mark)
    # Before merge keys are resolved: a key may override one that `<<` brings in.
    seen: set[str] = set()
    for key_node, _ in node.value:
        if key_node.tag == _MERGE:
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
            raise ConstructorError(None, None, f"a key must be text, not {shown or 'nothing'}", key_node.start_mark)
        if key in seen:
            raise ConstructorError(None, None, f"the key '{key}' is given twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    mapping: dict[str, Any] = loader.construct_mapping(node, deep=True)  # type: ignore[assignment]
    return mapping


def _refused(_loader: _Loader, node: yaml.Node) -> Any:
    tag = str(node.tag).replace(_TAG, "!!")
    raise ConstructorError(None, None, f"values of the type {tag} are not allowed", node.start_mark)


for _tag, _pattern, _first in (
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789.")),
    ("null", _NULL, ["~", "n", "N", ""]),
    ("merge", re.compile(r"<<$"), ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _tag, _pattern, _first)

for _tag, _constructor in (
    ("null", _null), ("bool", _bool), ("int", _int), ("float", _float),
    ("str", yaml.SafeLoader.construct_yaml_str), ("seq", _list), ("map", _mapping),
):  # fmt: skip
    _Loader.add_constructor(_TAG + _tag, _constructor)
_Loader.add_constructor(None, _refused)
