"""The search space: every point once, none missing, nothing decided that has no effect; mistakes are one line."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from infra.errors import UserError
from infra.params import ParamsError
from model_defs.spec import SpecError
from tune.params import METRIC_MODES, SearchParams, TrainParams, parse_trial_params
from tune.points import check_space, grid_trials, optuna_point, random_trials
from tune.space import resolve

W = "p.yaml"
LEAF_KINDS = ("choice", "grid", "uniform", "loguniform", "randint")


def _space(model: Any = None, **train: Any) -> dict[str, Any]:
    model = {"family": "cnn", "blocks": [{"filters": 8}], **(model or {})}
    return {"data": {"image_size": 32}, "model": model, "train": {"epochs": 2, **train}}


# --- the grid against a brute force that knows nothing of the walk ---------------------------------------------------


def _all_concrete(node: Any) -> list[Any]:
    """Every way to replace the leaves of `node`, those of unused layers too: the blunt product."""
    if isinstance(node, dict):
        if len(node) == 1 and next(iter(node)) in LEAF_KINDS:
            return [concrete for option in next(iter(node.values())) for concrete in _all_concrete(option)]
        return [
            dict(zip(node, values, strict=True)) for values in itertools.product(*map(_all_concrete, node.values()))
        ]
    if isinstance(node, list):
        return [list(values) for values in itertools.product(*map(_all_concrete, node))]
    return [node]


def _what_it_trains(concrete: dict[str, Any]) -> str:
    """A name for the training that a concrete point means, written down by hand from what the keys mean."""
    model, train = concrete["model"], concrete["train"]
    blocks, dense = (
        [{**(model.get(defaults) or {}), **layer} for layer in model.get(layers, [])][: model.get(depth)]
        for layers, depth, defaults in (
            ("blocks", "depth", "block_defaults"),
            ("dense", "dense_depth", "dense_defaults"),
        )
    )
    for block in blocks:
        if block.get("pool", "max") == "none":
            block.pop("pool_size", None)
        elif "pool_size" not in block:
            block["pool_size"] = 2
        block.setdefault("kernel", 3)
        block.setdefault("pool", "max")
    for layer in dense:
        layer.setdefault("l2", 0.0)
    optimizer = train.get("optimizer", "adamw")
    useless = ("beta_1",) if optimizer in ("sgd", "rmsprop") else ("momentum",)
    train = {key: value for key, value in train.items() if key not in useless}
    return repr([[sorted(layer.items()) for layer in stack] for stack in (blocks, dense)] + [sorted(train.items())])


def _grid_of(*options: Any) -> st.SearchStrategy[Any]:
    """One of the options, or a leaf of two or three different ones."""
    several = st.lists(st.sampled_from(options), min_size=2, max_size=3, unique=True)
    kind = st.sampled_from(["grid", "choice"])
    return st.sampled_from(options) | st.builds(lambda k, values: {k: values}, kind, several)


_block = st.fixed_dictionaries(
    {"filters": _grid_of(4, 8)},
    optional={"kernel": _grid_of(3, 5), "pool": _grid_of("max", "none"), "pool_size": _grid_of(2, 3)},
)
_nested_block = _block | st.lists(
    st.sampled_from([{"filters": 4}, {"filters": {"grid": [8, 16]}, "kernel": 5}, {"filters": 8, "pool": "none"}]),
    min_size=2, max_size=2, unique_by=repr,
).map(lambda options: {"choice": options})  # fmt: skip
_defaults = st.fixed_dictionaries(
    {}, optional={"pool_size": _grid_of(2, 3), "pool": _grid_of("max", "none"), "kernel": _grid_of(3, 5)}
)
_model = st.fixed_dictionaries(
    {"blocks": st.lists(_nested_block, min_size=2, max_size=3)},
    optional={
        "depth": _grid_of(1, 2),
        "block_defaults": _defaults | st.just({"grid": [{"kernel": 3}, {"pool": "none"}]}),
        "dense": st.just([{"nodes": {"grid": [4, 8]}}, {"nodes": 6}]),
        "dense_depth": _grid_of(0, 1),
        "dense_defaults": st.fixed_dictionaries({"l2": _grid_of(0.0, 0.1)}),
    },
)
_train = st.fixed_dictionaries(
    {"epochs": st.just(2)},
    optional={
        "optimizer": _grid_of("adam", "sgd"),
        "beta_1": _grid_of(0.5, 0.9),
        "momentum": _grid_of(0.5, 0.9),
        "batch_size": _grid_of(8, 16),
    },
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(_model, _train)
def test_the_grid_is_every_distinct_training_once(model: dict[str, Any], train: dict[str, Any]) -> None:
    if "dense" not in model:
        model = {k: v for k, v in model.items() if not k.startswith("dense_")}
    space = {"data": {"image_size": 128}, "model": model, "train": train}
    concrete = _all_concrete(space)
    assume(len(concrete) <= 200)
    expected = {_what_it_trains(c) for c in concrete}

    points = grid_trials(space, W)

    prints = {point.params.fingerprint() for point in points}
    assert len(points) == len(prints) == len(expected)
    assert prints == {parse_trial_params(c, W).fingerprint() for c in concrete}
    for point in points:
        used = len(point.params.model.blocks)  # type: ignore[union-attr]
        assert not any(f"model.blocks.{n}" in path for path in point.choices for n in range(used, 9))
        useless = "train.beta_1" if point.params.train.optimizer == "sgd" else "train.momentum"
        assert useless not in point.choices
    assert set().union(*(point.choices for point in points)) <= set(check_space(space, W).leaves)


def test_the_last_leaf_of_the_file_changes_fastest() -> None:
    points = grid_trials(_space(batch_size={"grid": [8, 16]}, lr={"grid": [0.1, 0.01]}), W)
    assert [(p.params.train.batch_size, p.params.train.lr) for p in points] == [
        (8, 0.1),
        (8, 0.01),
        (16, 0.1),
        (16, 0.01),
    ]
    assert points[0].choices == {"train.batch_size": 8, "train.lr": 0.1}


def test_a_space_without_leaves_is_one_point() -> None:
    assert len(grid_trials(_space(), W)) == 1


def test_equal_options_and_other_spellings_of_one_padding_are_one_point() -> None:
    assert len(grid_trials(_space(lr={"grid": [0.1, 0.10, 1e-1]}), W)) == 1
    spellings = {"blocks": [{"filters": 8, "kernel": 3, "padding": {"grid": ["same", 1]}}]}
    assert len(grid_trials(_space(spellings), W)) == 1


def test_one_choice_in_the_defaults_is_one_decision_for_all_layers() -> None:
    blocks = [{"filters": 4}, {"filters": 8}, {"filters": 16, "norm": "group"}]
    points = grid_trials(_space({"block_defaults": {"norm": {"grid": ["none", "batch"]}}, "blocks": blocks}), W)
    norms = [[block.norm for block in p.params.model.blocks] for p in points]  # type: ignore[union-attr]
    assert norms == [["none", "none", "group"], ["batch", "batch", "group"]]
    assert points[1].choices == {"model.block_defaults.norm": "batch"}


def test_a_whole_list_of_blocks_and_a_whole_model_can_be_choices() -> None:
    stacks = [[{"filters": {"choice": [4, 8]}}], [{"filters": {"choice": [16, 32, 64]}}, {"filters": 8}]]
    points = grid_trials(_space({"blocks": {"choice": stacks}}), W)
    assert len(points) == 2 + 3
    assert {path for p in points for path in p.choices} == {
        "model.blocks", "model.blocks[0].0.filters", "model.blocks[1].0.filters",
    }  # fmt: skip
    models = {"choice": [{"family": "cnn", "blocks": [{"filters": {"choice": [4, 8]}}]}, {"family": "resnet18"}]}
    assert len(grid_trials({"model": models}, W)) == 3


def test_a_grid_beyond_all_reason_is_refused() -> None:
    leaf = {"grid": list(range(1, 61))}
    space = _space({"blocks": [{"filters": leaf}]}, batch_size={"grid": list(range(2, 62))}, epochs=leaf)
    with pytest.raises(ParamsError, match=r"the grid has about 216,000 points; use search\.algorithm: random"):
        grid_trials(space, W)


# --- random search ---------------------------------------------------------------------------------------------------

_OPEN = {
    "lr": {"loguniform": [1e-4, 1e-1]},
    "label_smoothing": {"uniform": [0.1, 0.3]},
    "batch_size": {"randint": [4, 7]},
    "schedule": {"choice": ["none", "cosine"]},
}


def test_random_points_come_again_from_the_same_seed_only() -> None:
    first, again, other = (random_trials(_space(**_OPEN), 20, seed, W) for seed in (1, 1, 2))
    assert first == again
    assert [p.choices for p in first] != [p.choices for p in other]
    assert random_trials(_space(**_OPEN), 30, 1, W)[:20] == first


def test_random_values_stay_in_their_ranges_and_reach_all_of_them() -> None:
    train = [p.params.train for p in random_trials(_space(**_OPEN), 400, 0, W)]
    assert all(1e-4 <= t.lr <= 1e-1 and 0.1 <= t.label_smoothing <= 0.3 for t in train)
    assert Counter(t.batch_size for t in train).keys() == {4, 5, 6}
    assert min(Counter(t.schedule for t in train).values()) > 150
    # loguniform: each of the three decades gets a third; uniform: the mean is the middle
    decades = Counter(math.floor(math.log10(t.lr)) for t in train)
    assert all(abs(decades[d] - 400 / 3) < 40 for d in (-4, -3, -2))
    assert abs(np.mean([t.label_smoothing for t in train]) - 0.2) < 0.01


def test_every_draw_is_tried_in_every_cell_of_the_grid() -> None:
    space = _space(lr={"loguniform": [1e-4, 1e-1]}, batch_size={"grid": [8, 16]}, optimizer={"grid": ["adam", "sgd"]})
    points = random_trials(space, 5, 0, W)
    cells = Counter((p.params.train.batch_size, p.params.train.optimizer) for p in points)
    assert len(points) == 20
    assert set(cells.values()) == {5}
    assert Counter(p.params.train.lr for p in points).most_common() and len({p.params.train.lr for p in points}) == 5
    assert set(points[0].choices) == {"train.lr", "train.batch_size", "train.optimizer"}


def test_grid_leaves_of_layers_that_are_not_there_make_no_more_random_trials() -> None:
    model = {"depth": {"grid": [1, 2]}, "blocks": [{"filters": 8}, {"filters": {"grid": [8, 16]}}]}
    points = random_trials(_space(model, lr={"uniform": [0.1, 0.2]}), 3, 0, W)
    assert len(points) == 3 * (1 + 2)
    assert all(("model.blocks.1.filters" in p.choices) == (p.choices["model.depth"] == 2) for p in points)


def test_a_grid_inside_a_drawn_option_is_enumerated_where_it_was_drawn() -> None:
    options = [{"filters": 4}, {"filters": {"grid": [8, 16, 32]}}]
    points = random_trials(_space({"blocks": [{"choice": options}]}), 20, 0, W)
    filters = Counter(p.params.model.blocks[0].filters for p in points)  # type: ignore[union-attr]
    assert filters[8] == filters[16] == filters[32] > 0
    assert filters[4] + filters[8] == 20


# --- Optuna ----------------------------------------------------------------------------------------------------------


def _study(trials: int, space: dict[str, Any]) -> list[Any]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=8))
    points = []
    for _ in range(trials):
        trial = study.ask()
        points.append(optuna_point(space, trial, W))
        assert trial.params.keys() == points[-1].choices.keys()
        study.tell(trial, points[-1].params.train.lr)
    return points


def test_optuna_searches_within_the_ranges_and_learns_from_answers() -> None:
    space = _space(
        {"depth": {"choice": [1, 2]}, "blocks": [{"filters": {"randint": [4, 6]}}, {"filters": {"choice": [8, 16]}}]},
        **_OPEN,
    )
    points = _study(40, space)
    for point in points:
        assert point.params.model.blocks[0].filters in (4, 5)  # type: ignore[union-attr]
        assert 4 <= point.params.train.batch_size <= 6
        assert 1e-4 <= point.params.train.lr <= 1e-1
        assert ("model.blocks.1.filters" in point.choices) == (point.choices["model.depth"] == 2)
    # the study is told that a high rate is good
    assert np.median([p.params.train.lr for p in points[-15:]]) > np.median([p.params.train.lr for p in points[:8]])


def test_optuna_keeps_the_leaves_of_two_options_apart() -> None:
    stacks = [[{"filters": {"choice": [4, 8]}}], [{"filters": {"choice": [16, 32, 64]}}]]
    points = _study(15, _space({"blocks": {"choice": stacks}}))
    assert {p.params.model.blocks[0].filters for p in points} >= {4, 16}  # type: ignore[union-attr]


def test_optuna_refuses_a_grid() -> None:
    with pytest.raises(ParamsError, match=r"p\.yaml: train\.lr: optuna does not enumerate a grid"):
        _study(1, _space(lr={"grid": [0.1, 0.2]}))


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leaf", "said"),
    [
        ({"choice": []}, "train.lr.choice: needs a list"),
        ({"choice": 3}, "train.lr.choice: needs a list, not 3"),
        ({"choice": None}, "train.lr.choice: needs a list"),
        ({"choice": [0.1], "grid": [0.2]}, "train.lr: a search-space leaf has one key"),
        ({"uniform": [0.1]}, "train.lr.uniform: needs two numbers"),
        ({"uniform": [0.1, 0.2, 0.3]}, "train.lr.uniform: needs two numbers"),
        ({"uniform": ["a", "b"]}, "train.lr.uniform: needs two numbers"),
        ({"uniform": [False, True]}, "train.lr.uniform: needs two numbers"),
        ({"uniform": [0.2, 0.1]}, "train.lr.uniform: the first number must be below the second"),
        ({"uniform": [0.1, 0.1]}, "train.lr.uniform: the first number must be below the second"),
        ({"uniform": [0.1, math.inf]}, "train.lr.uniform: the first number must be below"),
        ({"uniform": [math.nan, 1.0]}, "train.lr.uniform: the first number must be below"),
        ({"loguniform": [0, 1]}, "train.lr.loguniform: both numbers must be above 0"),
        ({"loguniform": {"low": 1, "high": 2}}, "train.lr.loguniform: needs a list"),
        ({"randint": [0.5, 3]}, "train.lr.randint: needs two whole numbers"),
        ({"choise": [0.1, 0.2]}, "train.lr: unknown search-space leaf 'choise'; did you mean 'choice'?"),
        ({"log_uniform": [0.1, 0.2]}, "did you mean 'loguniform'?"),
        ({"loguniform": [1.0, 200]}, "less than or equal to 100"),
        ({"choice": [0.1, "fast"]}, "train.lr: "),
    ],
)
def test_a_malformed_leaf_is_one_line_that_names_it(leaf: Any, said: str) -> None:
    with pytest.raises(ParamsError) as caught:
        check_space(_space(lr=leaf), W)
    assert str(caught.value).startswith(W)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"depth": {"choice": [1, 3]}}, "model.depth: 3 layers are asked for but 1 are given in model.blocks"),
        ({"depth": "two"}, "model.depth: two layers"),
        ({"depth": {"grid": [True]}}, "model.depth: True layers"),
        ({"block_defaults": [1, 2]}, "model.block_defaults: expected keys and values"),
        ({"block_defaults": {"kernal": 3}}, "unknown key; did you mean 'kernel'?"),
        ({"blocks": []}, "model.blocks"),
        ({"momentum": 0.9}, "model.momentum: unknown key"),
        ({"pool": "none", "pool_size": 2}, "unknown key"),
    ],
)
def test_a_wrong_network_is_one_line_that_names_the_key(model: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_space(_space(model), W)
    assert said in str(caught.value)


def test_a_bad_option_behind_another_choice_is_found() -> None:
    inner = {"choice": [8, {"choice": [16, "many"]}]}
    blocks = {"choice": [[{"filters": 4}], [{"filters": 4}, {"filters": inner}]]}
    with pytest.raises(ParamsError, match=r"model\.blocks\.1\.filters.*many"):
        check_space(_space({"blocks": blocks, "depth": {"choice": [1]}, "frontend": {"choice": ["none", "npr"]}}) | {
            "model": {"blocks": blocks, "frontend": {"choice": ["none", "npr"]}}
        }, W, samples=0)  # fmt: skip


def test_the_upper_bound_of_a_range_is_checked_before_anything_starts() -> None:
    with pytest.raises(ParamsError, match=r"train\.batch_size"):
        check_space(_space(batch_size={"randint": [32, 100_000]}), W, samples=0)


def test_a_network_that_cannot_work_is_refused_with_its_layer() -> None:
    blocks = [{"filters": 4, "kernel": {"choice": [3, 7]}, "padding": "valid"} for _ in range(3)]
    with pytest.raises(UserError, match=r"model\.blocks\.2\.kernel: 7×7 is larger than the"):
        check_space(_space({"depth": {"choice": [1, 3]}, "blocks": blocks}), W)


def test_all_trials_of_a_sweep_share_one_dataset() -> None:
    space = _space() | {"data": {"manifest": {"choice": ["file://./a", "file://./b"]}}}
    with pytest.raises(ParamsError, match=r"data: manifest, version and cache must be the same.*a and file://\./b"):
        check_space(space, W)


def test_the_longest_training_is_known_wherever_it_is_written() -> None:
    assert check_space(_space(), W).max_epochs == 2
    assert check_space(_space(epochs={"choice": [3, 9, 5]}), W).max_epochs == 9
    assert check_space(_space(epochs={"randint": [3, 9]}), W).max_epochs == 8
    nested = {"choice": [{"epochs": 4}, {"epochs": {"choice": [6, 7]}}]}
    assert check_space({"model": _space()["model"], "train": nested}, W).max_epochs == 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"warmup_epochs": 2.0}, "train.warmup_epochs: 2.0 must be below epochs (2)"),
        ({"batch_size": 0}, "train.batch_size"),
        ({"optimizer": "adamax"}, "train.optimizer"),
        ({"augment": {"shfit": 0.1}}, "train.augment.shfit: unknown key; did you mean 'shift'?"),
        ({"lr": math.nan}, "train.lr: "),
    ],
)
def test_impossible_training_values_are_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError) as caught:
        parse_trial_params(_space(**changes), W)
    assert said in str(caught.value)


def test_batch_norm_over_one_picture_is_refused() -> None:
    model = {"dense": [{"nodes": 4}, {"nodes": 4, "norm": "batch"}]}
    with pytest.raises(SpecError, match=r"p\.yaml: train\.batch_size: batch norm of single numbers needs 2 pictures"):
        parse_trial_params(_space(model, batch_size=1), W)
    parse_trial_params(_space(batch_size=1), W)


def test_every_metric_a_sweep_may_choose_by_has_its_direction() -> None:
    assert SearchParams(metric="eer").direction == "min"
    assert SearchParams(metric="auc").direction == "max"
    assert SearchParams(metric="auc", mode="min").direction == "min"
    with pytest.raises(ValueError, match=f"choose one of {', '.join(METRIC_MODES)}"):
        SearchParams(metric="auroc")


def test_resolve_leaves_the_space_as_it_was() -> None:
    space = _space({"depth": {"choice": [1]}, "block_defaults": {"norm": "batch"}}, lr={"choice": [0.1]})
    before = repr(space)
    resolve(space, lambda _, leaf: leaf.values[0])
    assert repr(space) == before
    assert TrainParams().lr == 1e-3
