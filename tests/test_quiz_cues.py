"""The quiz's cues: plain texts with sources, and which of them a face is given."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.quiz.cues import USUAL_BOX, choose_cues, cue_texts, cue_words, cues
from bot.verdict import Side
from bot.words import ENGLISH


def test_every_cue_is_plain_text_with_a_source() -> None:
    assert len(cues()) >= 20
    for key, cue in cues().items():
        assert key == cue.key
        assert cue.source
        assert cue.fake_sign or cue.real_sign
        for text in (cue.title, cue.look, cue.fake_sign, cue.real_sign):
            assert not set(text) & set("{}\n")
            assert len(text) <= 140
    assert {"eyes", "mouth", "hair", "ears", "skin", "clothes", "background", "whole"} == {
        cue.region for cue in cues().values()
    }
    assert len(cue_texts()) == len(set(cue_texts()))
    assert {"Teeth", cues()["teeth"].real_sign} <= set(cue_texts())


@given(
    truth=st.sampled_from(["real", "fake"]),
    kind=st.sampled_from(["stylegan1", "dcgan-digiface", "sd3", "unknown generator", "midjourney"]),
    side=st.integers(16, 1024),
    seed=st.integers(0, 9),
    hot=st.none() | st.tuples(st.integers(0, 31), st.integers(0, 31)),
)
def test_a_cue_fits_the_face_it_is_given_to(
    truth: Side, kind: str, side: int, seed: int, hot: tuple[int, int] | None
) -> None:
    heat = np.zeros((32, 32), np.float32)
    if hot is not None:
        heat[hot] = 1
    kind = "real" if truth == "real" else kind
    chosen = choose_cues(truth, kind, side, heat, None, random.Random(seed))
    assert 1 <= len(chosen) == len(set(chosen)) <= 3
    assert cues()[chosen[-1]].general
    for key in chosen:
        cue = cues()[key]
        assert cue.sign(truth)
        assert cue.min_side <= side
        said = cue_words(key, truth, ENGLISH)
        assert cue.look in said
        assert said.startswith("Remember: " if cue.general else "A place to look at: ")
    assert "water_blobs" not in chosen or kind == "stylegan1"
    assert "melting" not in chosen or truth == "real" or kind == "dcgan-digiface"


@pytest.mark.parametrize(
    ("spot", "region"),
    [((0.5, 0.48), "eyes"), ((0.5, 0.73), "mouth"), ((0.03, 0.3), "background"), ((0.5, 0.1), "hair")],
)
def test_a_cue_is_for_where_the_heat_lies(spot: tuple[float, float], region: str) -> None:
    across, down = np.meshgrid(*[(np.arange(64) + 0.5) / 64] * 2)
    heat = np.exp(-((across - spot[0]) ** 2 + (down - spot[1]) ** 2) / 0.003).astype(np.float32)
    for seed in range(5):
        chosen = choose_cues("fake", "stylegan1", 512, heat, USUAL_BOX, random.Random(seed))
        assert cues()[chosen[0]].region == region
