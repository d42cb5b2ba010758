"""`python -m bot.catalogs`: bring the catalogs in bot/locale up to date with the texts in the code.

Texts that are new come in untranslated, texts that are gone leave, translations stay. Nothing in a catalog depends on
the day, the machine or the order of the code. With --check nothing is written, and what is wrong is told.
"""

from __future__ import annotations

import argparse
import ast
import io
import string
from collections.abc import Iterator, Sequence
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import PoFileError, read_po, write_po

from bot.quiz.cues import cue_texts
from bot.words import LANGUAGES, LOCALE
from infra.cli import run_cli
from infra.errors import UserError

Text = str | tuple[str, str]  # the second: one and many

_CODE = Path(__file__).parent
_WIDTH = 120
_HEADER = """\
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plural_forms}\\n"

"""


def main(argv: Sequence[str] | None = None) -> int:
    """Update all catalogs. Raises UserError with --check when one is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m bot.catalogs", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a catalog is not complete")
    check = parser.parse_args(argv).check
    texts = texts_in_code()
    trouble = []
    for language in LANGUAGES:
        if language == "en":
            continue
        file = LOCALE / language / "bot.po"
        catalog = updated(read(file, language), texts)
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(written(catalog), encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != written(catalog):
            trouble.append(f"{language}: not up to date with the code; run python -m bot.catalogs")
        trouble += [f"{language}: {problem}" for problem in problems(catalog)]
    for line in trouble:
        print(line)
    if trouble and check:
        raise UserError(f"{len(trouble)} texts to look at in {LOCALE}")
    return 0


def texts_in_code() -> list[Text]:
    """Every text that is spoken, once: literals given to `t`, `t.n` and `later` below bot/, and the quiz's cues.

    A text that is both alone and one of a pair is listed as the pair.
    """
    found: dict[str, Text] = {text: text for text in cue_texts()}
    for file in sorted(_CODE.rglob("*.py")):
        for text in texts_in(file.read_text(encoding="utf-8"), str(file)):
            key = text if isinstance(text, str) else text[0]
            if not isinstance(found.get(key), tuple):
                found[key] = text
    return [found[key] for key in sorted(found)]


def texts_in(source: str, where: str) -> Iterator[Text]:
    """The texts in one file. where: its name, for errors. Raises UserError for a text that is put together."""
    for node in ast.walk(ast.parse(source, where)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = _name(node.func)
        texts = node.args[: 2 if name == "t.n" else 1]
        if name not in ("t", "t.n", "later"):
            continue
        literals = [arg.value for arg in texts if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if any(isinstance(arg, ast.JoinedStr | ast.BinOp) for arg in texts):
            raise UserError(f"{where}:{node.lineno}: a text that is put together cannot be translated; name its values")
        if name == "t.n" and len(literals) == 2:
            yield literals[0], literals[1]
        elif name != "t.n" and literals and literals[0]:
            yield literals[0]


def read(file: Path, language: str) -> Catalog:
    """The catalog, empty where there is none. Raises UserError for one that is no PO file."""
    if not file.is_file():
        return Catalog(locale=language)
    try:
        return read_po(io.BytesIO(file.read_bytes()), locale=language, abort_invalid=True)
    except (PoFileError, ValueError) as error:
        raise UserError(f"{file}: no valid PO file: {error}") from None


def updated(catalog: Catalog, texts: Sequence[Text]) -> Catalog:
    """A catalog of exactly these texts, with the translations that there are, and the notes of those who made them."""
    fresh = Catalog(locale=catalog.locale)
    for text in texts:
        known = catalog.get(text if isinstance(text, str) else text[0])
        same = known is not None and known.id == text
        fresh.add(
            text,
            known.string if known is not None and same else "",
            flags=known.flags & {"fuzzy"} if known is not None and same else (),
            user_comments=known.user_comments if known is not None else (),
        )
    return fresh


def written(catalog: Catalog) -> str:
    """The catalog as a PO file, sorted by text."""
    body = io.BytesIO()
    write_po(body, catalog, width=_WIDTH, omit_header=True, sort_output=True)
    header = _HEADER.format(language=catalog.locale, plural_forms=catalog.plural_forms)
    return header + body.getvalue().decode().strip() + "\n"


def problems(catalog: Catalog) -> Iterator[str]:
    """What a speaker of the language would stumble over: a text without translation, or with other placeholders."""
    for message in catalog:
        if message.id:
            forms = _texts(message.string)
            if message.fuzzy or not all(forms) or (message.pluralizable and len(forms) != catalog.num_plurals):
                yield f"no translation: {_source(message)!r}"
            elif wrong := _wrong_placeholders(message, forms):
                yield f"other placeholders than {_source(message)!r}: {wrong!r}"


def _wrong_placeholders(message: Message, forms: Sequence[str]) -> str | None:
    """The first form whose placeholders are not its source's. A form of a plural may leave out the count itself."""
    sources = _texts(message.id)
    wanted = _placeholders(sources[-1])
    optional = {"count"} if len(sources) == 2 else set()
    for form in forms:
        try:
            has = _placeholders(form)
        except ValueError:
            return form
        if has - optional != wanted - optional or not has <= wanted:
            return form
    return None


def _placeholders(text: str) -> set[str]:
    """The names in braces. Raises ValueError for braces that `str.format` does not understand."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def _source(message: Message) -> str:
    return _texts(message.id)[0]


def _texts(given: object) -> tuple[str, ...]:
    """What Babel has as one text or several, as several; None is an empty one."""
    several = given if isinstance(given, list | tuple) else (given,)
    return tuple(str(text or "") for text in several)


def _name(func: ast.expr) -> str:
    """ "t", "t.n", "later", also where the `Words` is an attribute, as in `self.t`; else ""."""
    if isinstance(func, ast.Attribute) and func.attr == "n" and _name(func.value) == "t":
        return "t.n"
    name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
    return name if name in ("t", "later") else ""


if __name__ == "__main__":
    run_cli(main)
