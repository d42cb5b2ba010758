"""The quiz deck: which faces it takes, that its files tell nothing, how it is replaced, and what damage does to it."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bot.__main__ import main
from bot.detector import Detector
from bot.quiz.deck import DECK_KEY, Deck, DeckError, NoDeck, read_record
from bot.quiz.deck_building import GRACE_S, BuiltDeck, build_deck
from bot.quiz.deck_choice import Judged, Recipe, candidates, choose
from bot.quiz.deck_pictures import common_form, is_large_enough
from crawler.audit.features import FEATURES, Measured, measure
from crawler.examine import examine
from crawler.manifest import ManifestRow, read_manifest, table_of, write_manifest
from infra.errors import UserError
from infra.images import decode_image
from infra.storage import open_storage
from tests.bot_bundles import photo, write_small_bundle

FILE_FAMILIES = ("format", "dimensions", "file size", "quantisation", "encoding", "metadata")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PEOPLE, PER_PERSON, FAKES = 12, 2, 6  # fakes of each of two generators


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Every file gives its label away: reals are grainy 92×112 JPEGs with a name, fakes smooth 64×64 PNGs."""
    folder = tmp_path_factory.mktemp("faces")
    rows = []
    for person in range(PEOPLE):
        for take in range(PER_PERSON):
            data = _encoded(photo(92, 112, seed=100 * person + take), "JPEG", quality=75, comment=b"a camera")
            rows.append(_stored(folder, data, "real", None, identity=f"person-{person}"))
    for generator in ("stylegan1", "sd3"):
        for number in range(FAKES):
            small = photo(8, 8, seed=number if generator == "sd3" else 500 + number)
            smooth = small.resize((64, 64), Image.Resampling.BICUBIC)
            rows.append(_stored(folder, _encoded(smooth, "PNG"), "fake", generator))
    write_manifest(str(folder), table_of(rows))
    return str(folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_small_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def detector(bundle: str) -> Detector:
    return Detector(bundle, threads=1)


@pytest.fixture(scope="module")
def built(dataset: str, detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> BuiltDeck:
    """A deck of all that the dataset has: 12 reals, one of each person, and 12 fakes."""
    return build_deck(dataset, str(tmp_path_factory.mktemp("deck")), detector, Recipe(faces=100), NOW)


@pytest.fixture(scope="module")
def deck(built: BuiltDeck) -> Deck:
    return Deck.open(built.url)


def test_a_deck_is_balanced_and_has_every_generator(built: BuiltDeck, deck: Deck) -> None:
    assert Counter(face.kind for face in deck.faces) == {"real": 12, "stylegan1": 6, "sd3": 6} == built.kinds
    assert {face.truth for face in deck.faces if face.kind == "real"} == {"real"}
    assert {face.truth for face in deck.faces if face.kind != "real"} == {"fake"}


def test_nobody_is_in_a_deck_twice(dataset: str, detector: Detector, tmp_path: Path) -> None:
    rows = read_manifest(dataset).rows("test")
    people = [row.identity for row in candidates(rows, Recipe()) if row.identity]
    assert Counter(people) == dict.fromkeys((f"person-{n}" for n in range(PEOPLE)), 1)
    twice = [row.identity for row in candidates(rows, Recipe(per_person=2)) if row.identity]
    assert set(Counter(twice).values()) == {2}
    same = [replace(row, cluster="one") for row in rows]
    assert len(candidates(same, Recipe())) == 1


def test_the_machines_answer_is_for_the_file_that_people_see(deck: Deck, detector: Detector) -> None:
    for face in deck.faces[:8]:
        verdict = detector.check(deck.picture(face.id))
        assert face.machine_p_fake == pytest.approx(verdict.p_fake, abs=1e-5)
        assert (face.machine_verdict, face.heat_side) == (verdict.verdict, verdict.explains)
        assert face.difficulty == pytest.approx(abs(verdict.p_fake - (face.truth == "fake")), abs=1e-5)
        assert face.machine_wrong == (verdict.verdict not in ("unsure", face.truth))
    assert deck.model == detector.card.id


def test_a_face_and_its_heatmap_are_pictures_large_enough_to_be_seen(deck: Deck) -> None:
    for face in deck.faces[:8]:
        shown, heat = Image.open(io.BytesIO(deck.picture(face.id))), Image.open(io.BytesIO(deck.heatmap(face.id)))
        assert (shown.format, heat.format) == ("JPEG", "PNG")
        assert shown.size == (deck.side, deck.side)
        assert shown.width >= heat.width == heat.height >= 256
        assert np.ptp(np.asarray(heat, int), axis=2).max() > 60  # the yellow of the hottest spot


def test_nothing_that_an_audit_measures_of_a_file_differs_within_a_deck(dataset: str, deck: Deck) -> None:
    of_files = [feature.name for feature in FEATURES if feature.family in FILE_FAMILIES]
    storage = open_storage(dataset)
    before = [measure(row, storage.get(row.key)) for row in read_manifest(dataset).rows()]
    after = [_measured(deck.picture(face.id)) for face in deck.faces]
    told = {name for name in of_files if len({image[name] for image in before}) > 1}
    assert told >= {"format", "size", "bytes", "mode", "metadata"}  # what the deck has to hide
    assert {name for name in of_files if len({image[name] for image in after}) > 1} == set()
    assert after[0]["metadata"] == frozenset({"JFIF"})
    assert len({deck.picture(face.id) for face in deck.faces}) == len(deck.faces)


def test_neither_a_faces_name_nor_its_place_tells_the_truth(dataset: str, deck: Deck) -> None:
    hashes = [row.sha256 for row in read_manifest(dataset).rows()]
    hashes += [hashlib.sha256(deck.picture(face.id)).hexdigest() for face in deck.faces]
    for face in deck.faces:
        assert not any(face.id[:8] in digest for digest in hashes)
    truths = [face.truth == "fake" for face in deck.faces]
    by_name = [face.truth == "fake" for face in sorted(deck.faces, key=lambda face: face.id)]
    for order in (truths, by_name):
        changes = sum(a != b for a, b in pairwise(order))
        assert 5 <= changes <= 19  # 12 on average; in two blocks it would be 1, taking turns 23
    assert [face.id for face in deck.faces] != sorted(face.id for face in deck.faces)


def test_where_one_kind_is_grey_the_whole_deck_is(detector: Detector, tmp_path: Path) -> None:
    rows = []
    for seed in range(4):
        grey, coloured = photo(80, 80, seed=seed).convert("L"), photo(80, 80, seed=50 + seed)
        rows.append(_stored(tmp_path / "data", _encoded(grey, "PNG"), "real", None))
        rows.append(_stored(tmp_path / "data", _encoded(coloured, "PNG"), "fake", "stylegan1"))
    write_manifest(str(tmp_path / "data"), table_of(rows))
    built = build_deck(str(tmp_path / "data"), str(tmp_path / "deck"), detector, Recipe(), NOW)
    deck = Deck.open(built.url)
    assert built.form.grey
    for face in deck.faces:
        rgb = decode_image(deck.picture(face.id)).rgb.astype(int)
        assert np.ptp(rgb, axis=2).max() <= 2


def test_the_same_seed_makes_the_same_deck_and_another_seed_another(
    dataset: str, detector: Detector, built: BuiltDeck, deck: Deck, tmp_path: Path
) -> None:
    again = build_deck(dataset, str(tmp_path / "again"), detector, Recipe(faces=100), NOW + timedelta(days=1))
    assert again.id == built.id
    assert Deck.open(again.url).faces == deck.faces
    other = Deck.open(build_deck(dataset, str(tmp_path / "other"), detector, Recipe(faces=4, seed=1), NOW).url)
    assert {face.id for face in other.faces}.isdisjoint(face.id for face in deck.faces)


def test_a_face_keeps_its_name_under_another_champion(dataset: str, deck: Deck, tmp_path: Path) -> None:
    other = Detector(write_small_bundle(tmp_path / "bundle", bias=2.0), threads=1)
    again = Deck.open(build_deck(dataset, str(tmp_path / "deck"), other, Recipe(faces=100), NOW).url)
    assert again.id != deck.id
    truths = {face.id: face.truth for face in deck.faces}
    known = [face for face in again.faces if face.id in truths]
    assert len(known) == len(deck.faces)
    assert all(face.truth == truths[face.id] for face in known)


def test_an_open_deck_goes_on_while_it_is_replaced_and_its_files_go_after_a_day(
    dataset: str, detector: Detector, tmp_path: Path
) -> None:
    url = str(tmp_path)
    first = Deck.open(build_deck(dataset, url, detector, Recipe(faces=4), NOW).url)
    assert not first.is_stale()
    (tmp_path / "notes.txt").write_text("the operator's own")
    build_deck(dataset, url, detector, Recipe(faces=4, seed=1), NOW)
    assert first.is_stale()
    assert all(first.picture(face.id) and first.heatmap(face.id) for face in first.faces)
    second = Deck.open(url)
    assert (second.id != first.id, second.is_stale()) == (True, False)
    build_deck(dataset, url, detector, Recipe(faces=4, seed=1), NOW + timedelta(seconds=GRACE_S + 1))
    assert {key.split("/")[0] for key in open_storage(url).list()} == {f"d-{second.id}", DECK_KEY, "notes.txt"}
    assert all(second.picture(face.id) for face in second.faces)


def test_a_build_that_was_broken_off_is_no_deck_and_is_cleared_away(
    dataset: str, detector: Detector, tmp_path: Path
) -> None:
    left = tmp_path / "d-0123456789abcdef" / "faces"
    left.mkdir(parents=True)
    (left / "0123456789abcdef.jpg").write_bytes(b"half")
    with pytest.raises(NoDeck, match="python -m bot deck --into"):
        Deck.open(str(tmp_path))
    build_deck(dataset, str(tmp_path), detector, Recipe(faces=4), NOW)
    assert left.exists()  # it may be a build that goes on
    build_deck(dataset, str(tmp_path), detector, Recipe(faces=4), NOW + timedelta(seconds=GRACE_S + 1))
    assert not list(left.parent.rglob("*.jpg"))


def test_an_open_deck_is_not_stale_when_the_storage_is_gone(dataset: str, detector: Detector, tmp_path: Path) -> None:
    deck = Deck.open(build_deck(dataset, str(tmp_path), detector, Recipe(faces=2), NOW).url)
    (tmp_path / DECK_KEY).unlink()
    assert not deck.is_stale()


@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: b"\0" + data[1:], None])
@pytest.mark.parametrize("what", ["faces", "heat"])
def test_a_damaged_file_is_one_line_that_names_it(
    built: BuiltDeck, tmp_path: Path, what: str, harm: Callable[[bytes], bytes] | None
) -> None:
    deck = _copied(built.url, tmp_path)
    face = deck.faces[0].id
    (file,) = tmp_path.glob(f"d-*/{what}/{face}.*")
    if harm:
        file.write_bytes(harm(file.read_bytes()))
    else:
        file.unlink()
    with pytest.raises(DeckError, match=rf"{what}/{face}.*python -m bot deck"):
        (deck.picture if what == "faces" else deck.heatmap)(face)
    assert deck.picture(deck.faces[1].id)


def _harms() -> dict[str, Callable[[dict[str, object]], object]]:
    def with_face(**changed: object) -> Callable[[dict[str, object]], object]:
        return lambda deck: {**deck, "faces": [{**deck["faces"][0], **changed}, *deck["faces"][1:]]}  # type: ignore[index]

    return {
        "a list": lambda deck: [deck],
        "nothing": lambda deck: None,
        "of the future": lambda deck: {**deck, "format": 2},
        "a folder elsewhere": lambda deck: {**deck, "folder": "../../etc"},
        "without faces": lambda deck: {**deck, "faces": []},
        "a face twice": lambda deck: {**deck, "faces": [*deck["faces"], *deck["faces"]]},  # type: ignore[misc]
        "a file elsewhere": with_face(id="../../etc/passwd"),
        "an impossible probability": with_face(machine_p_fake=1.5),
        "no truth": with_face(truth="perhaps"),
        "an unknown key": with_face(surprise=1),
        "a huge file": with_face(picture={"sha256": "0" * 64, "bytes": 10**12}),
    }


@pytest.mark.parametrize("harm", _harms())
def test_a_deck_json_that_cannot_be_trusted_is_refused_in_one_line(built: BuiltDeck, tmp_path: Path, harm: str) -> None:
    content = json.loads(open_storage(built.url).get(DECK_KEY))
    (tmp_path / DECK_KEY).write_text(json.dumps(_harms()[harm](content)))
    with pytest.raises(DeckError, match=DECK_KEY) as caught:
        Deck.open(str(tmp_path))
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0a', max_size=200).map(str.encode))
def test_no_bytes_make_the_reader_stumble(data: bytes) -> None:
    with pytest.raises(DeckError):
        read_record(data, "file://./deck")


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(DeckError):
        read_record(b'{"format": 1, "faces": ' + b"[" * 100_000, "file://./deck")


def test_a_face_that_is_not_there_is_a_line(deck: Deck) -> None:
    for ask in (deck.face, deck.picture, deck.heatmap, deck.attribution):
        with pytest.raises(DeckError, match="no face"):
            ask("../../secret")


def test_a_deck_knows_whom_its_pictures_are_owed_to(deck: Deck) -> None:
    assert {(owed.author, owed.licence, owed.faces) for owed in deck.attributions} == {
        ("A. Photographer", "CC BY 4.0", 12),
        (None, "CC0-1.0", 12),
    }
    real = next(face for face in deck.faces if face.truth == "real")
    fake = next(face for face in deck.faces if face.truth == "fake")
    assert deck.attribution(real.id).link == "https://photos.example/1"
    assert deck.attribution(fake.id).link is None  # it holds a password


def test_a_picture_that_cannot_be_read_is_left_out_and_said(detector: Detector, tmp_path: Path) -> None:
    data = tmp_path / "data"
    rows = [_stored(data, _encoded(photo(seed=seed), "PNG"), "real" if seed < 3 else "fake", None) for seed in range(6)]
    write_manifest(str(data), table_of(rows))
    (data / rows[0].key).write_bytes(b"not an image")
    (data / rows[5].key).unlink()
    built = build_deck(str(data), str(tmp_path / "deck"), detector, Recipe(), NOW)
    assert {key for key, _ in built.refused} == {rows[0].key, rows[5].key}
    assert built.kinds == {"real": 2, "unknown generator": 2}


def test_a_thumbnail_does_not_shrink_the_deck() -> None:
    rows = [_judged(n, kind, 0).row for n, kind in enumerate(["real"] * 12 + ["sd3"] * 12)]
    rows = [replace(row, width=100, height=120) for row in rows]
    thumbnail, *large = [replace(rows[0], width=16), *rows[1:]]
    form = common_form([thumbnail, *large])
    assert form.side == 87  # seven eighths of 100: all are resampled, as they are not alike
    assert all(is_large_enough(row, form) for row in large)
    assert not is_large_enough(thumbnail, form)
    assert common_form(large).side == 100
    small_kind = [replace(row, width=40) if row.label == "real" else row for row in rows]
    assert common_form(small_kind).side == 35  # no kind is left out


def test_the_command_builds_a_deck_and_says_what_is_in_it(
    dataset: str, bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = str(tmp_path / "deck")
    assert main(["deck", "--data", dataset, "--set", f"quiz.deck={into}", "--bundle", bundle, "--faces", "8"]) == 0
    said = capsys.readouterr().out
    deck = Deck.open(into)
    assert f"{into}: deck {deck.id}, 8 faces: real ×4, sd3 ×2, stylegan1 ×2" in said
    assert deck.model in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--split", "ood"], "no real faces in ood"),
        (["--split", "tset"], "no split is named 'tset'"),
        (["--faces", "1"], "at least 2 faces"),
        (["--data", "file:///nowhere/at/all"], "no dataset at"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    dataset: str, bundle: str, tmp_path: Path, arguments: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        main(["deck", "--data", dataset, "--into", str(tmp_path / "deck"), "--bundle", bundle, *arguments])
    assert not (tmp_path / "deck").exists()


KINDS = ("real", "stylegan1", "sd3")


@given(
    faces=st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 1)), max_size=60),
    wanted=st.integers(2, 40),
)
@settings(max_examples=60)
def test_whatever_the_machine_says_the_choice_is_balanced_and_keeps_its_mistakes(
    faces: list[tuple[str, float]], wanted: int
) -> None:
    judged = [_judged(number, kind, p_fake) for number, (kind, p_fake) in enumerate(faces)]
    chosen = choose(judged, Recipe(faces=wanted))
    there = Counter(kind for kind, _ in faces)
    each = min(wanted // 2, there["real"], there["stylegan1"] + there["sd3"])
    kinds = Counter(face.row.generator or "real" for face in chosen)
    assert (kinds["real"], kinds["stylegan1"] + kinds["sd3"]) == (each, each)
    assert len({face.row.sha256 for face in chosen}) == len(chosen)
    assert all(kinds[kind] > 0 for kind in KINDS if there[kind] and each >= 2)
    for kind in KINDS:
        wrong = sum(face.is_mistake for face in judged if (face.row.generator or "real") == kind)
        kept = sum(face.is_mistake for face in chosen if (face.row.generator or "real") == kind)
        assert kept >= min(wrong, round(0.2 * kinds[kind]))


def test_the_choice_goes_from_the_easiest_to_the_hardest() -> None:
    judged = [_judged(n, "real", n / 250) for n in range(100)] + [_judged(n + 100, "sd3", 1) for n in range(100)]
    reals = sorted(face.p_fake for face in choose(judged, Recipe(faces=20)) if face.row.label == "real")
    assert np.allclose(np.diff(reals), 10 / 250)


def _judged(number: int, kind: str, p_fake: float) -> Judged:
    label = "real" if kind == "real" else "fake"
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    row = ManifestRow(
        sha256=sha256, key=f"images/{sha256[:2]}/{sha256}.png", label=label,
        generator=None if kind == "real" else kind, source="test", split="test", cluster=sha256, width=64, height=64,
        format="png", bytes=1, phash="0" * 16,
    )  # fmt: skip
    return Judged(row, b"", p_fake, "real" if p_fake < 0.4 else "fake" if p_fake > 0.6 else "unsure")


def _encoded(picture: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_, **options)
    return buffer.getvalue()


def _row(data: bytes, label: str, generator: str | None, identity: str | None = None) -> ManifestRow:
    facts = examine(data)
    real = label == "real"
    return ManifestRow(
        sha256=facts.sha256, key=facts.key, label=label, generator=generator, source="test", split="test",
        cluster=facts.sha256[:16], width=facts.width, height=facts.height, format=facts.format, bytes=facts.bytes,
        phash=facts.phash, jpeg_quality=facts.jpeg_quality, ai_markers=facts.ai_markers, identity=identity,
        author="A. Photographer" if real else None, licence="CC BY 4.0" if real else "CC0-1.0",
        url="https://photos.example/1" if real else "https://me:secret@fakes.example/1",
    )  # fmt: skip


def _measured(data: bytes) -> Measured:
    return measure(_row(data, "real", None), data)


def _stored(folder: Path, data: bytes, label: str, generator: str | None, identity: str | None = None) -> ManifestRow:
    """Put a picture into the dataset in `folder`; its row."""
    row = _row(data, label, generator, identity)
    open_storage(str(folder)).put(row.key, data)
    return row


def _copied(url: str, into: Path) -> Deck:
    source, target = open_storage(url), open_storage(str(into))
    for key in source.list():
        target.put(key, source.get(key))
    return Deck.open(str(into))
