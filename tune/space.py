"""The search space: leaves such as `{loguniform: [a, b]}` anywhere in `data`, `model` and `train`, and the walk
that turns it into concrete points.

Every algorithm of `tune.points` walks the same tree through :func:`resolve` and only decides differently at a leaf:
the grid counts through all options, random search draws, Optuna suggests. The walk settles first what decides
whether other leaves matter (which option of a nested choice, how many layers, pooling, optimiser), so parameters of
layers that are not there are never decided at all.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from infra.params import ParamsError

Kind = Literal["choice", "grid", "uniform", "loguniform", "randint"]
Decide = Callable[[str, "Leaf"], Any]

_KINDS = ("choice", "grid", "uniform", "loguniform", "randint")

# Keys that decide whether other keys matter come first in a walk.
_GATES = ("pool", "optimizer")

# Lists of layers, with the keys that say how many of them are used and what they share.
_LAYERS = (("blocks", "depth", "block_defaults"), ("dense", "dense_depth", "dense_defaults"))


@dataclass(frozen=True)
class Leaf:
    """One open decision. values: the options of choice and grid, else the two bounds.

    uniform and loguniform: a ≤ x ≤ b. randint: a ≤ x < b, as in NumPy and Ray Tune.
    """

    kind: Kind
    values: tuple[Any, ...]

    @property
    def is_finite(self) -> bool:
        """Whether all its options can be listed."""
        return self.kind in ("choice", "grid")


def as_leaf(node: Any, path: str, where: str) -> Leaf | None:
    """The Leaf that a mapping such as `{choice: [1, 2]}` spells, None for anything else. Raises ParamsError."""
    if not isinstance(node, dict):  # what YAML makes; asking for a Mapping costs a third of a walk
        return None
    if not any(kind in node for kind in _KINDS):
        _refuse_misspelt(node, path, where)
        return None
    kind, values = next(iter(node.items()))
    if len(node) != 1:
        raise ParamsError(
            f"{where}: {path}: a search-space leaf has one key of {', '.join(_KINDS)} and nothing beside it"
        )
    if not isinstance(values, list) or not values:
        raise ParamsError(f"{where}: {path}.{kind}: needs a list, not {values!r}")
    if kind in ("choice", "grid"):
        distinct = [v for n, v in enumerate(values) if not any(_same(v, w) for w in values[:n])]
        return Leaf(cast(Kind, kind), tuple(distinct))
    number = (int,) if kind == "randint" else (int, float)
    if len(values) != 2 or not all(isinstance(v, number) and not isinstance(v, bool) for v in values):
        raise ParamsError(
            f"{where}: {path}.{kind}: needs two {'whole ' * (kind == 'randint')}numbers [a, b], not {values}"
        )
    low, high = values
    if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
        raise ParamsError(f"{where}: {path}.{kind}: the first number must be below the second, not {values}")
    if kind == "loguniform" and low <= 0:
        raise ParamsError(f"{where}: {path}.loguniform: both numbers must be above 0, not {values}")
    return Leaf(cast(Kind, kind), (low, high))


def resolve(space: Mapping[str, Any], decide: Decide, where: str = "params") -> dict[str, Any]:
    """A concrete point of `space`: every leaf replaced by what `decide(path, leaf)` answers.

    `decide` is asked once for each leaf that matters; a leaf without effect (Adam's betas under SGD, the size of a
    pool that is not there) silently takes its first option. The path of a leaf inside the second option of a choice
    at `model.blocks` starts with `model.blocks[1]`. Raises ParamsError.
    """
    walk = _Walk(decide, where)
    return {key: walk.resolve(node, key) for key, node in space.items()}


@dataclass(frozen=True)
class _Walk:
    decide: Decide
    where: str

    def resolve(self, node: Any, path: str) -> Any:
        if not isinstance(node, (dict, list)):
            return node
        node, path = self._settle(node, path)
        if isinstance(node, Mapping):
            return self._mapping(node, path)
        if isinstance(node, list):
            return [self.resolve(child, f"{path}.{number}") for number, child in enumerate(node)]
        return node

    def _settle(self, node: Any, path: str) -> tuple[Any, str]:
        """What `node` is once decided, and its path. An option that is itself a leaf is decided in its turn."""
        while (leaf := as_leaf(node, path, self.where)) is not None:
            node = self.decide(path, leaf)
            if not leaf.is_finite or not isinstance(node, (Mapping, list)):
                break
            # An option may hold leaves of its own; its number keeps their paths apart from those of its siblings.
            path = f"{path}[{next(n for n, option in enumerate(leaf.values) if option is node)}]"
        return node, path

    def _mapping(self, node: Mapping[str, Any], path: str) -> dict[str, Any]:
        rest, resolved = dict(node), dict[str, Any]()
        for layers, depth, defaults in _LAYERS:
            if layers in rest:
                resolved[layers] = self._layers(rest, path, layers, depth, defaults)
        for key in sorted(rest, key=_gates_first):
            resolved[key] = self._value(key, rest[key], path, without_effect=_is_inactive(key, resolved))
        return {key: resolved[key] for key in node if key in resolved}

    def _layers(self, rest: dict[str, Any], path: str, layers: str, depth: str, defaults: str) -> Any:
        """The layers that are used, resolved, with the shared defaults decided once and copied in.

        Takes the keys it deals with out of `rest`. What is no list of layers is left for the network's own check.
        """
        stack, place = self._settle(rest.pop(layers), f"{path}.{layers}")
        if not isinstance(stack, list):
            return self.resolve(stack, place)
        if depth in rest:
            count = self.resolve(rest.pop(depth), f"{path}.{depth}")
            if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= len(stack):
                raise ParamsError(
                    f"{self.where}: {path}.{depth}: {count} layers are asked for but {len(stack)} are given in {place}"
                )
            stack = stack[:count]
        settled = [self._settle(layer, f"{place}.{number}") for number, layer in enumerate(stack)]
        shared, shared_place = self._settle(rest.pop(defaults, None) or {}, f"{path}.{defaults}")
        if not isinstance(shared, Mapping):
            raise ParamsError(f"{self.where}: {shared_place}: expected keys and values, not {shared!r}")
        common: dict[str, Any] = {}
        for key in sorted(shared, key=_gates_first):
            # A default that every layer overrides decides nothing.
            takers = [layer for layer, _ in settled if isinstance(layer, Mapping) and key not in layer]
            if takers:
                without_effect = all(_is_inactive(key, {**common, **layer}) for layer in takers)
                common[key] = self._value(key, shared[key], shared_place, without_effect=without_effect)
        return [
            self.resolve({**common, **layer} if isinstance(layer, Mapping) else layer, layer_place)
            for layer, layer_place in settled
        ]

    def _value(self, key: str, node: Any, path: str, *, without_effect: bool) -> Any:
        walk = _Walk(_first_option, self.where) if without_effect else self
        return walk.resolve(node, f"{path}.{key}")


def _first_option(_path: str, leaf: Leaf) -> Any:
    return leaf.values[0]


def _gates_first(key: str) -> int:
    return _GATES.index(key) if key in _GATES else len(_GATES)


def _is_inactive(key: str, beside: Mapping[str, Any]) -> bool:
    """Whether `key` has no effect beside what is decided already."""
    if key == "pool_size":
        return beside.get("pool") == "none"
    if key in ("beta_1", "beta_2"):
        return beside.get("optimizer") in ("sgd", "rmsprop")
    if key == "momentum":
        return beside.get("optimizer", "adamw") not in ("sgd", "rmsprop")
    return False


def _refuse_misspelt(node: dict[Any, Any], path: str, where: str) -> None:
    """A lone key over a list that nearly names a kind of leaf is one misspelt."""
    key, value = next(iter(node.items()), ("", None))
    if len(node) == 1 and isinstance(value, list):
        near = difflib.get_close_matches(str(key), _KINDS, n=1, cutoff=0.75)
        if near:
            raise ParamsError(f"{where}: {path}: unknown search-space leaf '{key}'; did you mean '{near[0]}'?")


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
