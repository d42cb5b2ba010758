"""Params files as people write them: every mistake is one line that says where it is and what is allowed."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from infra.params import (
    MAX_FILE_BYTES,
    ParamsError,
    StrictModel,
    add_params_arguments,
    apply_sets,
    load_params,
    parse_yaml,
    validate,
)


class Layer(StrictModel):
    filters: int = Field(ge=1, le=4096)
    padding: Literal["same", "valid"] | Annotated[int, Field(ge=0, le=15)] = "same"
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Train(StrictModel):
    epochs: int = Field(default=20, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    optimizer: Literal["adam", "adamw", "nadam"] = "adamw"
    mixed_precision: Literal["auto", "off"] = "auto"
    flip: bool = True
    patience: int | None = None


class Params(StrictModel):
    name: str = Field(min_length=1, max_length=20)
    blocks: tuple[Layer, ...] = ()
    train: Train = Train()
    free: dict[str, Any] = Field(default_factory=dict)


GOOD = """\
name: demo
blocks:
  - {filters: 8}
  - {filters: 16, padding: valid}
train: {epochs: 3, lr: 1e-4}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(GOOD)
    return path


def problem(path: Path, *sets: str, model: type[StrictModel] = Params) -> str:
    """The line that a bad file or `--set` ends in, without the path of the file's folder."""
    with pytest.raises(ParamsError) as caught:
        load_params(path, sets, model)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    assert "pydantic" not in line and "Traceback" not in line
    return line.replace(f"{path.parent}/", "")


class TestFile:
    def test_a_good_one(self, file: Path) -> None:
        params = load_params(file, [], Params)
        assert params.blocks == (Layer(filters=8), Layer(filters=16, padding="valid"))
        assert params.train == Train(epochs=3, lr=0.0001)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("nam: demo", "sweep.yaml: nam: unknown key; did you mean 'name'? (allowed: name, blocks, train, free)"),
            (
                "name: a\ntrain: {epoch: 3}",
                "sweep.yaml: train.epoch: unknown key; did you mean 'epochs'? "
                "(allowed: epochs, lr, optimizer, mixed_precision, flip, patience)",
            ),
            (
                "name: a\nblocks: [{filters: 1}, {filtres: 1}]",
                "sweep.yaml: blocks.1.filtres: unknown key; did you mean 'filters'? "
                "(allowed: filters, padding, dropout)",
            ),
            ("name: a\nblocks: [{}]", "sweep.yaml: blocks.0.filters: is required"),
            ("train: {}", "sweep.yaml: name: is required"),
            ("name: 3", "sweep.yaml: name: should be text, not 3"),
            ("name:", "sweep.yaml: name: should be text, not nothing"),
            ("name: ''", "sweep.yaml: name: should have at least 1 character, not ''"),
            ("name: a\ntrain: {epochs: 0}", "sweep.yaml: train.epochs: should be greater than or equal to 1, not 0"),
            ("name: a\ntrain: {epochs: 2.5}", "sweep.yaml: train.epochs: should be a whole number, not 2.5"),
            ("name: a\ntrain: {epochs: '3'}", "sweep.yaml: train.epochs: should be a whole number, not '3'"),
            ("name: a\ntrain: {epochs: true}", "sweep.yaml: train.epochs: should be a whole number, not true"),
            ("name: a\ntrain: {lr: fast}", "sweep.yaml: train.lr: should be a number, not 'fast'"),
            ("name: a\ntrain: {lr: .inf}", "sweep.yaml: train.lr: should be a finite number, not inf"),
            ("name: a\ntrain: {lr: .nan}", "sweep.yaml: train.lr: should be a finite number, not nan"),
            ("name: a\ntrain: {flip: 1}", "sweep.yaml: train.flip: should be true or false, not 1"),
            ("name: a\ntrain: {patience: x}", "sweep.yaml: train.patience: should be a whole number, not 'x'"),
            (
                "name: a\ntrain: {optimizer: adma}",
                "sweep.yaml: train.optimizer: should be 'adam', 'adamw' or 'nadam', not 'adma'; did you mean 'adam'?",
            ),
            ("name: a\ntrain: 3", "sweep.yaml: train: should be a mapping of keys to values, not 3"),
            ("name: a\nblocks: {filters: 3}", "sweep.yaml: blocks: should be a list"),
            (
                "name: a\nblocks: [{filters: 1, padding: sam}]",
                "sweep.yaml: blocks.0.padding: should be 'same' or 'valid' or a whole number, not 'sam'; "
                "did you mean 'same'?",
            ),
            (
                "name: a\nblocks: [{filters: 1, padding: 16}]",
                "sweep.yaml: blocks.0.padding: should be 'same' or 'valid' or less than or equal to 15, not 16",
            ),
            ("", "sweep.yaml: is empty; expected keys and values"),
            ("# nothing yet\n", "sweep.yaml: is empty; expected keys and values"),
            ("- a\n- b", "sweep.yaml: expected keys and values, found a list"),
            ("just words", "sweep.yaml: expected keys and values, found 'just words'"),
            ("name: a\nname: b", "sweep.yaml line 2: the key 'name' is given twice"),
            ("name: a\ntrain: {lr: 1, lr: 1}", "sweep.yaml line 2: the key 'lr' is given twice"),
            ("name: a\ntrain:\n\tlr: 1", "sweep.yaml line 3: a tab cannot indent; use spaces"),
            ("name: [a", "sweep.yaml line 1: expected ',' or ']', but got '<stream end>'"),
            ("3: a", "sweep.yaml line 1: a key must be text, not 3"),
            ("? [a]\n: b", "sweep.yaml line 1: a key must be text, not a list or mapping"),
            ("name: !!python/object/apply:os.getcwd []", "values of the type !!python/object/apply:os.getcwd are not"),
            ("name: !!int x", "sweep.yaml line 1: this is not a whole number that can be used"),
            (f"name: {'9' * 5000}", "sweep.yaml line 1: this is not a whole number that can be used"),
            ("name: a\nfree: &a {b: *a}", "found unconstructable recursive node"),
            ("name: a\nfree: &a {b: [*a]}", "found unconstructable recursive node"),
            ("name: a\x00", "sweep.yaml: not text: it holds the character #x0000"),
            ("name: a\n---\nname: b", "sweep.yaml line 2: but found another document"),
            ("name: a\nfree: " + "[" * 150 + "]" * 150, "sweep.yaml: nested too deep"),
            ("name: a\nfree: " + "[" * 5000, "sweep.yaml: nested too deep"),
            (f"name: {'a' * 5000}", "sweep.yaml: name: should have at most 20 characters, not 'aaaa"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_one_line(self, file: Path, text: str, line: str) -> None:
        file.write_text(text)
        assert line in problem(file)

    def test_an_unknown_key_is_told_before_what_it_leaves_missing(self, file: Path) -> None:
        file.write_text("naem: x\ntrain: {lr: fast}")
        assert problem(file).startswith("sweep.yaml: naem: unknown key; did you mean 'name'?")

    def test_missing_with_a_near_name(self, file: Path) -> None:
        assert problem(file.with_name("sweeep.yaml")) == "no params file at sweeep.yaml; did you mean sweep.yaml?"
        assert problem(file.with_name("zzz")).endswith("has sweep.yaml")

    def test_missing_folder(self, tmp_path: Path) -> None:
        assert problem(tmp_path / "no" / "where.yaml") == "no params file at where.yaml"

    def test_what_is_no_text_file(self, file: Path, tmp_path: Path) -> None:
        assert "cannot be read: is a directory" in problem(tmp_path)
        file.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
        assert problem(file) == "sweep.yaml is not a params file: it is not UTF-8 text"
        file.write_text(GOOD, encoding="utf-16")
        assert problem(file) == "sweep.yaml is not a params file: it is not UTF-8 text"
        file.write_text("#" * (MAX_FILE_BYTES + 1))
        assert "is larger than 1,048,576 bytes" in problem(file)

    def test_a_byte_order_mark_is_fine(self, file: Path) -> None:
        file.write_text(GOOD, encoding="utf-8-sig")
        assert load_params(file, [], Params).name == "demo"

    def test_a_few_lines_of_aliases_cannot_fill_the_memory(self, file: Path) -> None:
        levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
        file.write_text("name: a\nfree:\n  " + "\n  ".join(["l0: &l0 [x, x]", *levels]))
        assert "unfolds into more than 100,000 values" in problem(file)


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("1e-4", 1e-4), ("1E5", 1e5), ("-2.5e+3", -2500.0), ("1.", 1.0), (".5", 0.5), ("1.0e-4", 1e-4),
            ("7", 7), ("-7", -7), ("010", 10), ("10_000", 10_000), ("0", 0), (".inf", float("inf")),
            ("true", True), ("False", False), ("~", None), ("null", None), ("", None),
            # What YAML 1.1 makes of these has surprised everybody once.
            ("off", "off"), ("no", "no"), ("yes", "yes"), ("on", "on"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"),
            ("2024-13-45", "2024-13-45"), ("1e", "1e"), ("e5", "e5"), ("-", None), ("0x1F", "0x1F"), ("'1e-4'", "1e-4"),
            ("s3://bucket/a#b", "s3://bucket/a#b"), ("[1, a]", [1, "a"]), ("{a: {b: 1}}", {"a": {"b": 1}}),
        ],
    )  # fmt: skip
    def test_values(self, text: str, value: object) -> None:
        read = parse_yaml(text, "here")
        if text == "-":
            value = [None]
        assert read == value
        assert type(read) is type(value)

    def test_anchors_and_merge_keys(self, file: Path) -> None:
        file.write_text(
            "name: a\n"
            "free: {base: &base {filters: 8, dropout: 0.5}, more: &more {padding: valid}}\n"
            "blocks:\n"
            "  - *base\n"
            "  - {<<: *base, filters: 16}\n"
            "  - {filters: 32, <<: *base}\n"
            "  - {<<: [*more, *base]}\n"
        )
        blocks = load_params(file, [], Params).blocks
        assert [b.filters for b in blocks] == [8, 16, 32, 8]
        assert [b.dropout for b in blocks] == [0.5] * 4
        assert [b.padding for b in blocks] == ["same", "same", "same", "valid"]

    def test_setting_one_alias_leaves_the_others(self, file: Path) -> None:
        file.write_text("name: a\nfree: {base: &base {filters: 8}}\nblocks: [*base, *base]")
        params = load_params(file, ["blocks.0.filters=99"], Params)
        assert [b.filters for b in params.blocks] == [99, 8]
        assert params.free == {"base": {"filters": 8}}


class TestSet:
    def test_nested_new_and_by_index(self) -> None:
        before = {"name": "a", "blocks": [{"filters": 1}, {"filters": 2}], "train": None}
        after = apply_sets(
            before,
            ["blocks.1.filters=9", "train.lr=1e-4", "free.x.y=[1, {z: off}]", "name=b=c", "blocks.0={filters: 3}"],
        )
        assert after == {
            "name": "b=c",
            "blocks": [{"filters": 3}, {"filters": 9}],
            "train": {"lr": 1e-4},
            "free": {"x": {"y": [1, {"z": "off"}]}},
        }
        assert before == {"name": "a", "blocks": [{"filters": 1}, {"filters": 2}], "train": None}, "it is a copy"

    def test_text_that_looks_like_a_number_stays_text(self) -> None:
        assert apply_sets({"a": "1e-4", "b": "off", "c": "010"}, []) == {"a": "1e-4", "b": "off", "c": "010"}

    def test_a_value_becomes_a_search_space_leaf(self) -> None:
        assert apply_sets({"lr": 0.1, "l": [1, 2]}, ["lr.choice=[1, 2]", "l.0.choice=[3, 4]"]) == {
            "lr": {"choice": [1, 2]},
            "l": [{"choice": [3, 4]}, 2],
        }

    def test_the_last_one_wins(self) -> None:
        assert apply_sets({}, ["a=1", "a=2"]) == {"a": 2}

    @pytest.mark.parametrize(
        ("assignment", "line"),
        [
            ("train.epochs", "--set train.epochs: write it as --set key.subkey=value"),
            ("=3", "--set : write it as --set key.subkey=value"),
            ("train..epochs=3", "--set train..epochs: write it as --set key.subkey=value"),
            ("train.=3", "--set train.: write it as --set key.subkey=value"),
            ("blocks.2.filters=3", "'2' is not the number of an item: the list there has 2 items, numbered from 0"),
            ("blocks.-1.filters=3", "'-1' is not the number of an item"),
            ("blocks.first.filters=3", "'first' is not the number of an item"),
            ("blocks.².filters=3", "'²' is not the number of an item"),
            (f"blocks.{'9' * 5000}=3", "is not the number of an item"),
            ("train.epochs=[3", "--set train.epochs line 1: expected ',' or ']'"),
            ("train.epochs=a: b: c", "--set train.epochs line 1: mapping values are not allowed here"),
            ("train.epochs=*x", "--set train.epochs line 1: found undefined alias 'x'"),
            ("train.epochs=many", "sweep.yaml: train.epochs: should be a whole number, not 'many'"),
            ("train.epoch=3", "sweep.yaml: train.epoch: unknown key; did you mean 'epochs'?"),
            ("train=", "sweep.yaml: train: should be a mapping of keys to values, not nothing"),
            (".".join("a" * 200) + "=1", "nested too deep"),
        ],
    )
    def test_a_mistake_is_one_line(self, file: Path, assignment: str, line: str) -> None:
        assert line in problem(file, assignment)

    def test_a_password_in_a_value_is_not_repeated(self, file: Path) -> None:
        assert "secret" not in problem(file, "store..url=postgresql://me:secret@host/db")

    def test_arguments(self, file: Path) -> None:
        parser = argparse.ArgumentParser()
        add_params_arguments(parser)
        arguments = parser.parse_args(["--params", str(file), "--set", "train.epochs=4", "--set", "name=x"])
        params = load_params(arguments.params, arguments.sets, Params)
        assert (params.name, params.train.epochs) == ("x", 4)
        with_default = argparse.ArgumentParser()
        add_params_arguments(with_default, default="params/bot.yaml")
        assert with_default.parse_args([]).params == "params/bot.yaml"


class TestStrictModel:
    def test_only_int_becomes_float_and_list_tuple(self) -> None:
        assert isinstance(Train(lr=1).lr, float)
        assert validate(Params, {"name": "a", "blocks": [{"filters": 1}]}, "x").blocks == (Layer(filters=1),)
        for wrong in ({"epochs": 3.0}, {"epochs": "3"}, {"lr": "1"}, {"lr": True}, {"flip": "yes"}, {"optimizer": 1}):
            with pytest.raises(ParamsError):
                validate(Train, wrong, "x")

    def test_json_round_trip(self) -> None:
        params = Params(name="a", blocks=(Layer(filters=3),), free={"x": [1, 2]})
        assert Params.model_validate_json(params.model_dump_json()) == params
        assert Params.model_validate(params.model_dump(mode="json")) == params

    def test_frozen(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            Train().epochs = 3

    def test_prefix(self) -> None:
        with pytest.raises(ParamsError, match=re.escape("f.yaml: train.epochs: should be a whole number, not 'x'")):
            validate(Train, {"epochs": "x"}, "f.yaml", "train")
        with pytest.raises(ParamsError, match=re.escape("f.yaml: train: should be a mapping of keys to values, not 3")):
            validate(Train, 3, "f.yaml", "train")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
keys = st.sampled_from(["name", "blocks", "train", "free", "filters", "padding", "lr", "epochs"]) | st.text(max_size=5)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
yamlish = st.text(alphabet="ab:{}[]&*!|>-?#%@`\"'\n\t ,.<=~0123456789e+_", max_size=40)
paths = st.lists(keys | st.integers(-2, 3).map(str), max_size=4).map(".".join)


@given(content=trees)
def test_validate_raises_nothing_but_params_errors(content: object) -> None:
    try:
        validate(Params, content, "x")
    except ParamsError as error:
        assert "\n" not in str(error)


@given(text=yamlish | st.text(max_size=30))
def test_parse_yaml_raises_nothing_but_params_errors(text: str) -> None:
    try:
        parse_yaml(text, "x")
    except ParamsError as error:
        assert str(error).startswith("x")


@given(
    content=st.dictionaries(keys, trees, max_size=4),
    sets=st.lists(st.tuples(paths, yamlish).map("=".join) | st.text(max_size=12), max_size=3),
)
def test_apply_sets_raises_nothing_but_params_errors(content: dict[str, object], sets: list[str]) -> None:
    try:
        validate(Params, apply_sets(content, sets), "x")
    except ParamsError as error:
        assert "\n" not in str(error)


@given(path=st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), min_size=1, max_size=5), value=st.integers())
def test_what_is_set_is_there(path: list[str], value: int) -> None:
    node: Any = apply_sets({"a": {"b": 1}}, [f"{'.'.join(path)}={value}"])
    for part in path:
        node = node[part]
    assert node == value
