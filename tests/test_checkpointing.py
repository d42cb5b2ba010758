"""A checkpoint is whole or it is not there, and of the whole ones the furthest is taken."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.storage import open_storage
from model_defs.checkpoint import Card, DatasetRef, Origin, load_bundle, weights_bytes
from model_defs.network import build_network
from model_defs.preprocess import Preprocess
from model_defs.spec import parse_model_spec
from tests.test_manifest import _row
from tune.checkpointing import (
    BUNDLE,
    STATE,
    STATE_TENSORS,
    VALIDATION,
    Best,
    answers_table,
    checkpoint_files,
    newest_checkpoint,
    read_best,
    read_saved,
    write_folder,
)
from tune.training import Progress


def _best() -> Best:
    spec = parse_model_spec({"blocks": [{"filters": 2}]}, "test")
    card = Card(
        id="test-1", created_at="2026-01-01T00:00:00+00:00", model=spec, preprocess=Preprocess(image_size=8),
        dataset=DatasetRef(url="file://./data", version=1, hash="0" * 64),
        origin=Origin(sweep="s", trial="t", epoch=1, params={}),
    )  # fmt: skip
    rows = [_row(n) for n in range(3)]
    return Best(card, weights_bytes(build_network(spec, 8, "rgb")), answers_table(rows, np.array([-1, 0.5, 2])))


BEST = _best()


def _files(epoch: int = 1, tensors: bytes = b"tensors " * 50, best: Best | None = BEST) -> dict[str, bytes]:
    history = [{"epoch": float(n), "auc": 0.5} for n in range(1, epoch + 1)]
    return checkpoint_files("t1", tensors, Progress(epoch, 1, 0.5, history), best)


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    write_folder(tmp_path / "checkpoint_000003", _files(7))
    storage = open_storage(str(tmp_path))
    saved = read_saved(storage, "checkpoint_000003")
    assert saved is not None
    assert (saved.trial_id, saved.tensors) == ("t1", b"tensors " * 50)
    assert Progress(**saved.progress) == Progress(7, 1, 0.5, [{"epoch": float(n), "auc": 0.5} for n in range(1, 8)])
    best = read_best(storage, "checkpoint_000003")
    assert best is not None
    assert (best.weights, best.validation) == (BEST.weights, BEST.validation)
    assert best.card.origin == BEST.card.origin
    load_bundle(str(tmp_path / "checkpoint_000003" / BUNDLE))
    assert read_saved(open_storage(str(tmp_path / "checkpoint_000003")), "") == saved


def test_a_training_without_a_best_epoch_is_saved_all_the_same(tmp_path: Path) -> None:
    progress = Progress(1, 0, None, [{"epoch": 1.0, "auc": float("nan")}])
    write_folder(tmp_path, checkpoint_files("t", b"x", progress, None))
    saved = read_saved(open_storage(str(tmp_path)), "")
    assert saved is not None
    assert saved.progress["best_value"] is None
    assert np.isnan(saved.progress["history"][0]["auc"])
    assert read_best(open_storage(str(tmp_path)), "") is None


@settings(max_examples=60, deadline=None)
@given(st.permutations(sorted(_files())), st.data())
def test_a_torn_folder_is_never_taken(order: list[str], data: st.DataObject) -> None:
    """A crash while the files arrive in any order, the last of them cut off anywhere."""
    files = _files()
    arrived = data.draw(st.integers(0, len(order) - 1))
    cut = data.draw(st.integers(0, len(files[order[arrived]]) - 1))
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder) / "checkpoint_000000", {name: files[name] for name in order[:arrived]})
        torn = Path(folder) / "checkpoint_000000" / order[arrived]
        torn.parent.mkdir(parents=True, exist_ok=True)
        torn.write_bytes(files[order[arrived]][:cut])
        storage = open_storage(folder)
        assert read_saved(storage, "checkpoint_000000") is None
        assert newest_checkpoint(storage) is None
        torn.write_bytes(files[order[arrived]])
        write_folder(Path(folder) / "checkpoint_000000", files)
        newest = newest_checkpoint(storage)
        assert newest is not None and newest.folder == "checkpoint_000000"


@pytest.mark.parametrize("name", sorted(_files()))
def test_a_flipped_bit_is_noticed(name: str, tmp_path: Path) -> None:
    write_folder(tmp_path, _files())
    damaged = bytearray((tmp_path / name).read_bytes())
    damaged[len(damaged) // 2 if name != STATE else 0] ^= 1
    (tmp_path / name).write_bytes(damaged)
    assert read_saved(open_storage(str(tmp_path)), "") is None


@pytest.mark.parametrize("state", [b"", b"[]", b"3", b"null", b"{}", b'{"files": []}', b'{"files": {}}', b"\xff\xfe"])
def test_a_state_that_is_something_else_is_not_a_checkpoint(state: bytes, tmp_path: Path) -> None:
    write_folder(tmp_path, {**_files(), STATE: state})
    assert read_saved(open_storage(str(tmp_path)), "") is None


_checkpoint = st.tuples(st.integers(0, 999_999), st.integers(1, 50), st.booleans())


@settings(max_examples=50, deadline=None)
@given(st.lists(_checkpoint, max_size=6, unique_by=(lambda c: c[0], lambda c: c[1])), st.randoms())
def test_the_whole_checkpoint_of_the_latest_epoch_wins(found: list[tuple[int, int, bool]], rng: Any) -> None:
    """Whatever their numbers: after a hard kill they no longer grow with the epochs."""
    with tempfile.TemporaryDirectory() as folder:
        rng.shuffle(found)
        for number, epoch, whole in found:
            files = _files(epoch, best=None)
            if not whole:
                files[STATE_TENSORS] = files[STATE_TENSORS][:-1]
            write_folder(Path(folder) / f"checkpoint_{number:06d}", files)
        write_folder(Path(folder) / "checkpoint_of_mine", _files(99))
        write_folder(Path(folder) / "checkpoint_000000.tmp", _files(99))
        write_folder(Path(folder) / "old" / "checkpoint_000001", _files(99))
        whole_ones = [(epoch, number) for number, epoch, whole in found if whole]
        expected = f"checkpoint_{max(whole_ones)[1]:06d}" if whole_ones else None
        newest = newest_checkpoint(open_storage(folder))
        assert (newest and newest.folder) == expected


def test_no_folder_at_all_has_no_checkpoint(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "nothing"))
    assert newest_checkpoint(storage) is None
    assert read_saved(storage, "checkpoint_000001") is None
    assert read_best(storage, "checkpoint_000001") is None


def test_answers_keep_their_order_and_their_columns() -> None:
    rows = [_row(n) for n in (3, 1, 2)]
    table = pq.read_table(io.BytesIO(answers_table(rows, np.array([0.25, -1, 3], np.float32))))
    assert table.to_pylist() == [
        {"sha256": r.sha256, "label": r.label, "generator": r.generator, "cluster": r.cluster, "logit": logit}
        for r, logit in zip(rows, (0.25, -1.0, 3.0), strict=True)
    ]


def test_the_files_are_named_as_people_are_told() -> None:
    files = _files()
    assert list(files)[-1] == STATE
    assert set(files) == {STATE, STATE_TENSORS, VALIDATION, f"{BUNDLE}/weights.safetensors", f"{BUNDLE}/card.json"}
    assert set(json.loads(files[STATE])["files"]) == set(files) - {STATE}
