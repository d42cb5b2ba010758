"""What is said to people, in their language: GNU gettext catalogs in `bot/locale/LANGUAGE/bot.po`, read as they are.

English is the source. To add a language see docs/translating.md.
"""

from __future__ import annotations

import gettext
import io
from functools import lru_cache
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
LANGUAGES = {"en": "English", "de": "Deutsch"}


class Words:
    """Speaks one language. A text is its own name, in English; `{name}` in it is filled with the value of that name.

    Texts that are extracted into the catalogs are the literal arguments of calls of a `Words`, by convention named `t`:
    `t("…")`, `t.n("one …", "{count} …", count)`, and `later("…")` for those that are spoken elsewhere.
    """

    def __init__(self, language: str, catalog: gettext.NullTranslations, separators: str = ",.") -> None:
        """separators: that of thousands, and that before decimals."""
        self.language = language
        self._catalog = catalog
        self._separators = str.maketrans(",.", separators)

    def __call__(self, text: str, /, **values: object) -> str:
        spoken = self._catalog.gettext(text) if text else ""
        return spoken.format(**values) if values else spoken

    def n(self, one: str, many: str, count: int, **values: object) -> str:
        """The form for `count`, which both texts may name as `{count}`."""
        return self._catalog.ngettext(one, many, count).format(count=count, **values)

    def number(self, value: float, digits: int = 0) -> str:
        """`value` with so many decimals, as the language writes it: 1,234.5 is 1.234,5 in German."""
        return f"{value:,.{digits}f}".translate(self._separators)


def later(text: str) -> str:
    """Marks a text for the catalogs where it is written down; a `Words` speaks it later."""
    return text


def words(language: str | None) -> Words:
    """The language of a tag such as "de", "de-AT" or "en_GB"; English for one that is not spoken here, and for None."""
    code = (language or "en").replace("_", "-").split("-")[0].lower()
    return _words(code if code in LANGUAGES else "en")


@lru_cache(maxsize=len(LANGUAGES))
def _words(code: str) -> Words:
    file = LOCALE / code / "bot.po"
    if code == "en" or not file.is_file():
        return Words(code, gettext.NullTranslations())
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po
    from babel.numbers import get_decimal_symbol, get_group_symbol

    compiled = io.BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=code))
    compiled.seek(0)
    return Words(code, gettext.GNUTranslations(compiled), get_group_symbol(code) + get_decimal_symbol(code))


ENGLISH = words("en")
