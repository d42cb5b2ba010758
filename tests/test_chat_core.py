"""What every platform says and decides: answers, buttons, refusals, manners, information, and pictures found."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.chat.about import about_blocks
from bot.chat.answers import (
    Answer,
    answer,
    layer_caption,
    layer_choices,
    numbered,
    probability_words,
    summary,
    thanks_for_claim,
    wrong_label,
)
from bot.chat.buttons import (
    HowToReadButton,
    LayerButton,
    WrongButton,
    model_mark,
    parse_button,
    wrong_buttons,
)
from bot.chat.found import Candidate, check_size, distinct, fetch, left_out_note, link, links_in, looks_like_picture
from bot.chat.info import (
    Block,
    forget_question,
    forgotten,
    help_blocks,
    how_to_read,
    own_data_blocks,
    privacy_blocks,
    settings_blocks,
)
from bot.chat.manners import is_private, may_answer_post, speaks
from bot.chat.refusals import (
    FileTooLarge,
    ModelChanged,
    NoPicture,
    NotAllowed,
    NotAPictureLink,
    OldButton,
    OwnMessage,
    friendly,
    is_unexpected,
)
from bot.quiz.deck import Attribution, NoDeck
from bot.records import PlaceSettings
from bot.verdict import Label, Stability, Variant
from bot.words import ENGLISH, LANGUAGES, words
from bot.worker import QueueFull
from infra.database import DatabaseError
from infra.errors import UserError
from infra.http import BlockedAddress, BodyTooLarge, ConnectionFailed, StatusError, TimedOut, UnsafeUrl
from infra.images import ImageRefused, ImageTooLarge, NotAnImage, TruncatedImage, UnsupportedImage, decode_image
from model_defs.checkpoint import BundleError, read_card
from tests.bot_bundles import photo, write_small_bundle
from tests.http_site import Site, client, redirect, reply
from tests.test_render import layer, verdict_of

SHA = "0123456789abcdef" * 4
ALL_WORDS = [words(code) for code in LANGUAGES]
labels = st.sampled_from(["fake", "real", "unsure"])

# Answers


def test_an_answer_says_all_that_it_must() -> None:
    said = answer(verdict_of([layer("blocks.one", 0.6)], preview=(300, 400)), ENGLISH)
    assert said.title == "Probably generated"
    assert said.lines == (
        "93%: very likely to be generated.",
        "It holds when the picture is recompressed or resized (from 81% to 93%).",
        "Answered by the model demo-1a2b3c4d.",
    )
    assert "no evidence against anybody" in said.caution
    assert "heatmap is no proof" in said.caution
    assert "Verdict: fake, 93% likely to be generated" in said.alt
    assert said.colour == 0xFF9F43
    assert said.text.splitlines() == [said.title, *said.lines, said.caution]


def test_an_answer_that_does_not_hold_says_what_changes_it() -> None:
    variants = (Variant("JPEG q50", 0.5, "unsure"), Variant("half size", 0.1, "real"))
    said = answer(verdict_of([], stability=Stability(variants, 0.1, 0.93, flips=True)), ENGLISH)
    assert said.lines[1] == (
        "It does not hold when the picture is recompressed or resized: unsure after JPEG q50 and real after half size "
        "(from 10% to 93%). Do not lean on it."
    )


def test_a_small_or_recompressed_copy_is_told_and_a_large_original_is_not() -> None:
    def hints(preview: tuple[int, int], recompressed: bool) -> list[str]:
        lines = answer(verdict_of([], preview=preview), ENGLISH, recompressed).lines
        return [word for word in ("is small (200×300", "Send the original as a file") if any(word in x for x in lines)]

    assert hints((300, 200), False) == ["is small (200×300"]
    assert hints((300, 300), True) == ["Send the original as a file"]
    assert hints((256, 256), False) == []


@pytest.mark.parametrize(
    ("p_fake", "words_"),
    [
        (1.0, "over 99%: extremely likely to be generated."),
        (0.9, "90%: very likely to be generated."),
        (0.7, "70%: likely to be generated."),
        (0.6, "60%: a little more likely generated than not."),
        (0.5, "50%: about as likely generated as not."),
        (0.4, "40%: a little less likely generated than not."),
        (0.3, "30%: unlikely to be generated."),
        (0.07, "7%: very unlikely to be generated."),
        (0.0, "under 1%: extremely unlikely to be generated."),
    ],
)
def test_the_probability_is_of_one_side_in_words_and_number(p_fake: float, words_: str) -> None:
    assert probability_words(p_fake, ENGLISH) == words_


@given(p_fake=st.floats(0, 1), label=labels, flips=st.booleans(), language=st.sampled_from(list(LANGUAGES)))
def test_any_verdict_has_an_answer_in_any_language(p_fake: float, label: Label, flips: bool, language: str) -> None:
    other: Label = "real" if label != "real" else "fake"
    stability = Stability((Variant("JPEG q50", p_fake, other if flips else label),), p_fake, p_fake, flips=flips)
    said = answer(verdict_of([], p_fake=p_fake, verdict=label, stability=stability), words(language))
    assert isinstance(said, Answer)
    assert all(said.lines) and said.alt and said.caution and said.title
    assert not re.search(r"[{}]", said.text + said.alt)


def test_several_pictures_are_numbered_and_summed_up_in_a_line() -> None:
    said = answer(verdict_of([]), ENGLISH)
    assert numbered(said, 2).title == "2. Probably generated"
    assert summary(["fake", "real", "fake", None], ENGLISH) == (
        "4 pictures: 2 probably generated, 1 probably real, 1 not answered."
    )
    assert summary(["unsure"], ENGLISH) == "One picture: 1 unsure."


def test_buttons_are_offered_for_layers_with_heat_the_loudest_first_when_there_are_many() -> None:
    layers = [layer(f"net.l{n}.conv", share=n / 1000) for n in range(30)]
    layers[5] = layer("net.l5.conv", 0.9, size=(1, 1))
    verdict = verdict_of(layers)
    choices = layer_choices(verdict, 20, ENGLISH)
    assert [choice.index for choice in choices] == list(range(10, 30))
    assert choices[-1].label == "l29.conv · 2.9%"
    everything = [choice.index for choice in layer_choices(verdict, 99, ENGLISH)]
    assert everything == [n for n in range(1, 30) if n != 5]
    assert layer_choices(verdict_of([layer(share=0.0)]), 20, ENGLISH) == []
    caption = layer_caption(verdict, 29, ENGLISH)
    assert "The layer l29.conv (8×8 spots, 2.9% of the evidence)" in caption


def test_a_label_fits_a_button_whatever_the_layers_name() -> None:
    (choice,) = layer_choices(verdict_of([layer("x" * 70 + "." + "y" * 70 + "conv2")]), 5, ENGLISH)
    assert len(choice.label) <= 80
    assert "conv2 · 50%" in choice.label


# Buttons


@given(st.integers(0, 99), st.integers(0, 9999), st.text(max_size=200))
def test_a_layer_button_comes_back_as_it_went(picture: int, index: int, model: str) -> None:
    button = LayerButton(picture, index, model_mark(model))
    assert parse_button(button.id) == button
    assert len(button.id.encode()) <= 64


@given(st.binary(min_size=32, max_size=32), labels)
def test_a_wrong_button_comes_back_as_it_went_and_names_the_other_side(digest: bytes, said: Label) -> None:
    buttons = wrong_buttons(digest.hex(), said)
    assert [parse_button(button.id) for button in buttons] == list(buttons)
    assert {button.claimed for button in buttons} == {"real", "fake"} - {said}
    assert all(len(button.id.encode()) <= 64 and wrong_label(said, button.claimed, ENGLISH) for button in buttons)


ID_LIKE = st.one_of(
    st.text(max_size=80),
    st.from_regex(r"layer:[0-9]{1,4}:[0-9]{1,6}:[0-9a-fA-F]{10,14}", fullmatch=True),
    st.from_regex(r"wrong:[A-Za-z0-9_=-]{41,45}:[a-z]{1,3}", fullmatch=True),
)


@given(ID_LIKE)
@example("layer:00:1:0123456789ab")
@example("layer:0:01:0123456789ab")
@example("layer:٠:1:0123456789ab")
@example("layer:0:1:0123456789ab\n")
@example("wrong:" + "A" * 42 + "B:fr")  # stray bits after the 256th
@example("wrong:" + "A" * 43 + ":ff")
@example("wrong:" + "A" * 43 + ":ur")
@example("how")
def test_an_id_is_a_buttons_own_or_none(text: str) -> None:
    button = parse_button(text)
    assert button is None or button.id == text


def test_how_to_read_has_a_button_and_strays_are_none() -> None:
    assert parse_button("how") == HowToReadButton()
    assert isinstance(parse_button("wrong:" + "A" * 43 + ":ur"), WrongButton)
    for stray in ("", "How", "layer:0:1:0123456789ab:2", "layer:-1:1:0123456789ab", "wrong:" + "A" * 42 + "B:fr",
                  "wrong:" + "A" * 43 + ":ff", "layer:0:01:0123456789ab"):  # fmt: skip
        assert parse_button(stray) is None
    assert model_mark("demo-1") != model_mark("demo-2")


# Refusals

SECRET = "https://cdn.example.org/x?token=s3cr3t"
TROUBLES: list[Exception] = [
    NoPicture(), FileTooLarge(25 * 2**20), NotAPictureLink(), NotAllowed(), OwnMessage(), OldButton(),
    ModelChanged(),
    NotAnImage(SECRET), TruncatedImage(SECRET), ImageTooLarge(SECRET), UnsupportedImage(SECRET), ImageRefused(SECRET),
    UnsafeUrl(SECRET), BlockedAddress(SECRET), BodyTooLarge(SECRET), TimedOut(SECRET), ConnectionFailed(SECRET),
    StatusError(SECRET, status=403), DatabaseError(SECRET), BundleError(SECRET), NoDeck(SECRET), UserError(SECRET),
    RuntimeError(SECRET), KeyError("password"), QueueFull("The queue is full."),
]  # fmt: skip


@pytest.mark.parametrize("error", TROUBLES, ids=lambda error: type(error).__name__)
def test_every_trouble_is_one_friendly_line_that_tells_no_secret(error: Exception) -> None:
    lines = [friendly(error, t) for t in ALL_WORDS]
    for line in lines:
        assert line
        assert "\n" not in line
        assert not re.search(r"https?:|token|s3cr3t|password|Error|Traceback|[{}]", line)
        assert len(line) <= 200
    if not isinstance(error, QueueFull):
        assert len(set(lines)) == len(LANGUAGES)


def test_a_size_is_named_and_only_mistakes_of_the_program_are_unexpected() -> None:
    assert "up to 25 MiB" in friendly(FileTooLarge(25 * 2**20), ENGLISH)
    assert "up to 1.5 MiB" in friendly(FileTooLarge(3 * 2**19), ENGLISH)
    assert "bis zu 1,5 MiB" in friendly(FileTooLarge(3 * 2**19), words("de"))
    assert [is_unexpected(error) for error in (NoPicture(), TimedOut("x"), ValueError("x"))] == [False, False, True]


# Manners

NIGHT = PlaceSettings(channels=("1", "2"), quiet_from="22:00", quiet_to="06:00", timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("channel", "parent", "hour", "expected"),
    [
        ("1", None, 12, True),
        ("3", None, 12, False),
        ("9", "2", 12, True),
        ("9", "3", 12, False),
        ("1", None, 23, False),
        ("1", None, 21, False),
        ("1", None, 5, True),
    ],
)
def test_a_post_is_answered_in_an_open_channel_by_day(
    channel: str, parent: str | None, hour: int, expected: bool
) -> None:
    now = datetime(2026, 1, 2, hour, tzinfo=UTC)
    assert may_answer_post(NIGHT, channel, now, parent) is expected


def test_no_channel_is_open_until_somebody_opened_it() -> None:
    assert not may_answer_post(PlaceSettings(), "1", datetime(2026, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("place", "asked", "private"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
def test_an_answer_is_private_as_asked_else_as_the_place_has_it(place: bool, asked: bool | None, private: bool) -> None:
    assert is_private(PlaceSettings(ephemeral=place), asked) is private


@pytest.mark.parametrize(
    ("person", "place", "locale", "language"),
    [
        ("de", "en", "en-GB", "de"),
        (None, "de", "en-GB", "de"),
        ("auto", "auto", "de-AT", "de"),
        (None, None, "fr", "en"),
        ("xx", None, None, "en"),
    ],
)
def test_a_persons_language_goes_before_the_places_and_the_programs(
    person: str | None, place: str | None, locale: str | None, language: str
) -> None:
    assert speaks(person, place, locale).language == language


# Information


@pytest.mark.parametrize("t", ALL_WORDS, ids=lambda t: t.language)
def test_every_block_is_plain_text_that_fits_a_field(t: Any, tmp_path: Path) -> None:
    card = read_card(write_small_bundle(tmp_path)).model_copy(
        update={"metrics": METRICS, "limits": ("It is no proof.",)}
    )
    credits = [Attribution(f"Author {n}", "CC BY 4.0", 3) for n in range(40)]
    settings = PlaceSettings(channels=tuple(str(10**18 + n) for n in range(500)), quiet_from="22:00", quiet_to="06:00")
    for blocks in (
        help_blocks(t), how_to_read(t), privacy_blocks(t, 30), about_blocks(card, t, credits),
        settings_blocks(settings, t, lambda channel: f"<#{channel}>"), settings_blocks(PlaceSettings(), t),
        own_data_blocks(DATA, t), own_data_blocks({}, t),
    ):  # fmt: skip
        assert 1 <= len(blocks) <= 25
        for block in blocks:
            assert 0 < len(block.title) <= 256
            assert 0 < len(block.text) <= 1024
            assert "{" not in block.text
            assert "**" not in block.text
    assert forget_question(t) and forgotten(t) and thanks_for_claim(t)


METRICS: dict[str, dict[str, Any]] = {
    "test": {
        "images": 120, "accuracy": 0.93, "accuracy_ci95": [0.87, 0.978], "fpr": 0.033, "fpr_ci95": [None, None],
        "recall": 0.9, "auc": 0.9931, "auc_ci95": [0.928, 1.0],
        "called_fake": {"real": {"share": 0.03}, "sd3": {"share": 0.5}, "gan": {"share": 0.9}},
    }
}  # fmt: skip
DATA = {
    "language": "de", "answers": [{}, {}], "results": [{}], "claims": [], "accounts": [
        {"platform": "discord", "id": "4", "name": "Kim"}
    ],
}  # fmt: skip


def text_of(blocks: list[Block]) -> str:
    return "\n".join(f"{block.title}: {block.text}" for block in blocks)


def test_about_tells_how_good_the_model_is_and_whose_faces_they_are(tmp_path: Path) -> None:
    card = read_card(write_small_bundle(tmp_path)).model_copy(update={"metrics": METRICS, "limits": ("No proof.",)})
    text = text_of(about_blocks(card, ENGLISH, [Attribution(None, None, 1), Attribution("Ann", "CC0", 7)]))
    for part in (
        card.id, "32×32 pixels", "120 pictures", "Right answers: 93% (95% interval 87% to 98%)", "generated: 3%\n",
        "0.993 (95% interval 0.928 to 1.000)", "Found of sd3: 50%\n• Found of gan: 90%", "No proof.", "Below 40%",
        "author unknown · licence unknown · one face", "Ann · CC0 · 7 faces",
    ):  # fmt: skip
        assert part in text
    assert card.dataset.url not in text
    untested = text_of(about_blocks(card.model_copy(update={"metrics": {}}), ENGLISH))
    assert "has not been tested" in untested


def test_privacy_names_what_is_kept_for_how_long_and_how_it_goes() -> None:
    text = text_of(privacy_blocks(ENGLISH, 30, lambda name: f"/{name.replace('-', '_')}"))
    assert "for 30 days" in text
    assert "/my_data gives you all" in text
    assert "/forget_me deletes it" in text
    assert "for one day" in text_of(privacy_blocks(ENGLISH, 0.5))


def test_ones_own_data_are_counted_and_settings_shown() -> None:
    text = text_of(own_data_blocks(DATA, ENGLISH))
    assert "• 2 answers in the quiz\n• one verdict on a picture\n• Account: discord, Kim\n• Language: Deutsch" in text
    nameless = text_of(own_data_blocks({"accounts": [{"platform": "discord", "name": None}]}, ENGLISH))
    assert "• Account: discord\n" in nameless
    assert "I have nothing about you" in text_of(own_data_blocks({"answers": [], "language": None}, ENGLISH))
    shown = text_of(settings_blocks(NIGHT, ENGLISH, lambda channel: f"#{channel}"))
    assert "#1, #2" in shown
    assert "From 22:00 to 06:00 (Europe/Berlin)" in shown


# Pictures found


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("look: https://a.example/x.jpg, real?", ["https://a.example/x.jpg"]),
        ("(https://a.example/x_(1).jpg)", ["https://a.example/x_(1).jpg"]),
        ("<https://a.example/x> ||https://b.example/y||", ["https://a.example/x", "https://b.example/y"]),
        ("[me](https://a.example/x.png?a=1&b=2)", ["https://a.example/x.png?a=1&b=2"]),
        ("HTTPS://A.example/X https://a.example/X", ["https://a.example/X"]),
        ("ftp://a.example/x javascript:alert(1) file:///etc/passwd", []),
        ("https:// http://user:password@a.example/x https://", []),
        ("**https://a.example/x**", ["https://a.example/x"]),
        ("", []),
    ],
)
def test_links_are_found_in_what_people_write(text: str, links: list[str]) -> None:
    assert links_in(text, 5) == links


@given(st.lists(st.sampled_from(["https://a.example/", "http://", "x", "(", ")", ".", " ", "\n", "@", "é", "<"])))
def test_links_in_any_text_are_few_clean_and_different(parts: list[str]) -> None:
    found = links_in("".join(parts), 3)
    assert len(found) == len(set(found)) <= 3
    assert all(re.fullmatch(r"https?://[!-~]+", url) for url in found)


def test_pictures_are_told_by_type_else_by_name() -> None:
    yes = [
        ("x", "image/png"),
        ("x.JPG", None),
        ("a b.webp", ""),
        ("x.txt", "image/webp; q=1"),
        ("x.jpg", "application/octet-stream"),
    ]
    no = [("x.png", "text/plain"), ("x.txt", None), ("x", None), ("x.mp4", "video/mp4")]
    assert all(looks_like_picture(*file) for file in yes)
    assert not any(looks_like_picture(*file) for file in no)


def test_each_picture_is_looked_at_once_and_what_is_left_out_is_told() -> None:
    several = [Candidate(f"https://a.example/{n}", f"{n}.jpg") for n in (1, 2, 1, 3, 4)]
    kept, left_out = distinct(several, 3)
    assert [candidate.name for candidate in kept] == ["1.jpg", "2.jpg", "3.jpg"]
    assert left_out == 1
    assert "one picture more" in left_out_note(1, ENGLISH)
    assert "2 pictures more" in left_out_note(2, ENGLISH)
    assert left_out_note(0, ENGLISH) == ""
    assert link("https://a.example/b/face.png?x=1").name == "face.png"


def test_a_file_is_refused_by_its_size_before_it_is_asked_for() -> None:
    check_size(None, 10)
    check_size(10, 10)

    async def scenario() -> None:
        async with Site() as site, client() as http:
            with pytest.raises(FileTooLarge):
                await fetch(Candidate(f"{site.url}/x.jpg", "x.jpg", size=11), http, 10)
            assert site.asked == []

    asyncio.run(scenario())


def test_a_link_is_fetched_when_it_leads_to_a_picture_and_refused_when_not(tmp_path: Path) -> None:
    photo().save(tmp_path / "x.png")
    picture = (tmp_path / "x.png").read_bytes()
    answers: dict[str, Any] = {
        "/x.png": reply(picture), "/page": reply(b"<!doctype html><p>hello"), "/big": reply(b"x" * 100_000),
        "/away": redirect("http://10.0.0.1/x.png"), "/jxl": reply(b"\xff\x0a" + b"x" * 50),
    }  # fmt: skip

    async def scenario() -> None:
        async with Site(answers) as site, client() as http:

            async def get(path: str) -> bytes:
                return await fetch(link(f"{site.url}{path}"), http, 90_000)

            assert decode_image(await get("/x.png")).width == 96
            for path, kind in (
                ("/page", NotAPictureLink), ("/big", BodyTooLarge), ("/away", BlockedAddress), ("/none", StatusError),
            ):  # fmt: skip
                with pytest.raises(kind):
                    await get(path)
            assert await get("/jxl")  # an image of a kind that is not read: the detector's refusal says which
            # What the platform itself holds is handed on as it is: its refusal belongs to the picture, not to a link.
            assert await fetch(Candidate(f"{site.url}/page", "x.jpg"), http, 90_000)

    asyncio.run(scenario())
