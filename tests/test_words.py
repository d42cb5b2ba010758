"""What is said in other languages: every text has its translation, with the same placeholders, in a valid catalog."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog

from bot import catalogs
from bot.catalogs import problems, read, texts_in, texts_in_code, updated, written
from bot.render import render_panel
from bot.wording import alt_text, likelihood, share_percent, stability_words
from bot.words import ENGLISH, LANGUAGES, LOCALE, words
from infra.errors import UserError
from tests.test_render import layer, verdict_of

OTHERS = [code for code in LANGUAGES if code != "en"]


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_in_the_code_is_translated(language: str) -> None:
    file = LOCALE / language / "bot.po"
    catalog = updated(read(file, language), texts_in_code())
    assert list(problems(catalog)) == []
    assert file.read_text(encoding="utf-8") == written(catalog), "run python -m bot.catalogs"


def test_texts_are_found_wherever_they_are_spoken() -> None:
    source = """
say(t("alone"), t("with {name}", name=1), self.t("of an " "attribute"), t(variable), t.n("one", "{count} many", 2))
lines = [later("marked"), f"{t('inside')}", other("not spoken"), t(""), t("no") if x else t("yes")]
"""
    assert set(texts_in(source, "x.py")) == {
        ("one", "{count} many"), "marked", "alone", "with {name}", "of an attribute", "no", "yes", "inside",
    }  # fmt: skip


@pytest.mark.parametrize("call", ['t(f"{x} layers")', 'later("a" + b)', 't.n("one", f"{n} many", n)', 't("%s" % x)'])
def test_a_text_that_is_put_together_is_refused_where_it_stands(call: str) -> None:
    with pytest.raises(UserError, match=r"x\.py:2: .* put together"):
        list(texts_in(f"\n{call}", "x.py"))


def catalog_of(*messages: tuple[str | tuple[str, str], str | tuple[str, str]]) -> Catalog:
    catalog = Catalog(locale="de")
    for source, translation in messages:
        catalog.add(source, translation)
    return catalog


def test_an_update_keeps_translations_and_notes_brings_new_texts_and_drops_old_ones() -> None:
    old = catalog_of(("stays", "bleibt"), ("goes", "geht"), ("now a pair", "jetzt ein Paar"))
    old.add("noted", "notiert", user_comments=["a word on why"])
    new = updated(old, ["comes", "noted", ("now a pair", "{count} of them"), "stays"])
    texts = {str(message.id): message.string for message in new if message.id}
    assert texts.pop("stays") == "bleibt"
    assert texts.pop("noted") == "notiert"
    assert not any(any(forms) if isinstance(forms, tuple) else forms for forms in texts.values())
    assert len(texts) == 2
    assert "# a word on why\n" in written(new)


def test_a_catalog_is_written_alike_whatever_the_order_and_can_be_read_again(tmp_path: Path) -> None:
    pairs = [("b", "B"), ("a {x}", "ä {x}"), (("one", "{count} many"), ("eins", "{count} viele"))]
    text = written(catalog_of(*pairs))
    assert text == written(catalog_of(*reversed(pairs)))
    assert "Date" not in text
    assert "bot/" not in text
    (tmp_path / "bot.po").write_text(text, encoding="utf-8")
    assert written(read(tmp_path / "bot.po", "de")) == text


def test_what_a_speaker_would_stumble_over_is_named() -> None:
    bad = catalog_of(
        ("Hello {name}", "Hallo {nome}"),
        ("Bye", ""),
        ("Broken {a}", "Kaputt {a"),
        (("one", "{count} of {all}"), ("eins von {all}", "{count} von")),
        (("a", "{count} b"), ("ein b", "{count} b")),
        ("Left out {x}", "Fehlt"),
    )
    bad.add("Guessed", "Geraten", flags=["fuzzy"])
    assert sorted(problem.split(": ")[0] for problem in problems(bad)) == [
        "no translation", "no translation",
        "other placeholders than 'Broken {a}'", "other placeholders than 'Hello {name}'",
        "other placeholders than 'Left out {x}'", "other placeholders than 'one'",
    ]  # fmt: skip


def test_a_file_that_is_no_catalog_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bot.po").write_text('msgid "a"\nmsgstr "b\nhello\n')
    with pytest.raises(UserError, match="no valid PO file"):
        read(tmp_path / "bot.po", "de")


def test_the_command_updates_checks_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogs, "LOCALE", tmp_path)
    with pytest.raises(UserError, match="texts to look at"):
        catalogs.main(["--check"])
    assert list(tmp_path.iterdir()) == []
    assert catalogs.main([]) == 0
    assert "de: no translation: 'as it came'" in capsys.readouterr().out
    first = (tmp_path / "de" / "bot.po").read_bytes()
    assert catalogs.main([]) == 0
    assert (tmp_path / "de" / "bot.po").read_bytes() == first


@pytest.mark.parametrize(
    ("tag", "language"),
    [("de", "de"), ("de-AT", "de"), ("DE_ch", "de"), ("en-GB", "en"), ("fr", "en"), ("", "en"), (None, "en")],
)
def test_a_tag_finds_its_language_and_an_unknown_one_is_english(tag: str | None, language: str) -> None:
    assert words(tag).language == language


def test_german_is_spoken_with_its_plurals_and_numbers() -> None:
    t, verdict = words("de"), verdict_of([])
    assert likelihood(verdict, t) == "zu 93\N{NO-BREAK SPACE}% wahrscheinlich generiert"
    assert "0,81–0,93" in stability_words(verdict, t)
    assert share_percent(0.012, t) == "1,2\N{NO-BREAK SPACE}%"
    assert (t.n("one face", "{count} faces", 1), t.n("one face", "{count} faces", 5)) == ("ein Gesicht", "5 Gesichter")
    assert (t.number(1234.5, 1), ENGLISH.number(1234.5, 1)) == ("1.234,5", "1,234.5")


def test_a_value_with_braces_is_shown_as_it_is_and_a_text_without_translation_in_english() -> None:
    assert ENGLISH("The layer {name}", name="{0} {x}") == "The layer {0} {x}"
    assert words("de")("never written down {x}", x=1) == "never written down 1"


@pytest.mark.parametrize("language", OTHERS)
def test_a_panel_speaks_the_language_and_differs_from_the_english_one(language: str) -> None:
    verdict = verdict_of([layer("one", 0.7), layer("two", 0.0)])
    t = words(language)
    day = date(2026, 1, 2)
    assert render_panel(verdict, "photo.jpg", day, t=t) != render_panel(verdict, "photo.jpg", day)
    assert alt_text(verdict, t) != alt_text(verdict)
