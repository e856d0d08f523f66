"""Messages in English and Japanese: gettext catalogues, one domain a room.

English is the msgid. A room makes its translator once: ``_ = translator("recalls")``; it looks the
language up at each call, so a running TUI can switch. A ``Text`` keeps msgid and figures apart, so
that what was found in one language can be read in the other, years later from the journal.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

LANGUAGES: Final = ("en", "ja")
LOCALE_DIR: Final = Path(__file__).parent / "locale"
_current: str | None = None


def language() -> str:
    """The language in force: set, else ``DENCHI_LANG``, else the environment's, else English."""
    if _current is not None:
        return _current
    for name in ("DENCHI_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "ja" if value.lower().startswith("ja") else "en"
    return "en"


def set_language(code: str | None) -> None:
    """Set the language for this process (``None``: back to the environment's)."""
    global _current  # noqa: PLW0603  one setting a process, as gettext itself has it
    _current = code if code in LANGUAGES else None


@lru_cache(maxsize=64)
def _catalogue(domain: str, code: str) -> gettext.NullTranslations:
    return gettext.translation(domain, LOCALE_DIR, [code], fallback=True)


def translate(msgid: str, domain: str, code: str | None = None) -> str:
    """``msgid`` in ``code`` (default: the language in force); English when there is no translation."""
    code = code or language()
    return msgid if code == "en" or not msgid else _catalogue(domain, code).gettext(msgid)


def translator(domain: str) -> Callable[[str], str]:
    """A gettext function for one room's catalogue."""

    def _(msgid: str) -> str:
        return translate(msgid, domain)

    return _


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence with its figures kept apart: ``msgid`` is an English ``str.format`` template."""

    msgid: str
    params: Mapping[str, str | float | int | Text | tuple[Text, ...]] = field(default_factory=dict)
    """Figures and words; a ``Text`` (or several, a list) is rendered in the sentence's own language."""
    domain: str = "health"

    def render(self, code: str | None = None) -> str:
        """The sentence in ``code`` (default: the language in force).

        Domain ``profile``: a shop's own file brings both languages as parameters.

        Parameters are data: their own braces are never interpreted. A broken translation falls
        back to English rather than losing a warning.
        """
        if self.domain == "profile":
            return str(self.params["ja" if (code or language()) == "ja" else "en"])
        code = code or language()
        params = {name: _said(value, code) for name, value in self.params.items()}
        try:
            return translate(self.msgid, self.domain, code).format_map(params)
        except (KeyError, ValueError, IndexError):
            return self.msgid.format_map(params)

    def __str__(self) -> str:
        return self.render("en")


def _said(value: str | float | int | Text | tuple[Text, ...], code: str) -> str | float | int:
    if isinstance(value, Text):
        return value.render(code)
    if isinstance(value, tuple):
        return ("、" if code == "ja" else ", ").join(part.render(code) for part in value)
    return value
