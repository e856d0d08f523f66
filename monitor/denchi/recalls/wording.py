"""Every sentence of this room, as English msgids of the ``recalls`` catalogue.

No sentence here says or suggests that a unit is fine: the lists can name a unit or fail to name it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from denchi.i18n import Text

DOMAIN: Final = "recalls"


def t(msgid: str, **params: str | float | int) -> Text:
    """A sentence of this room."""
    return Text(msgid, params, DOMAIN)


@dataclass(frozen=True, slots=True)
class Sentences(Text):
    """Several sentences that are read as one text; each keeps its own figures."""

    parts: tuple[Text, ...] = ()

    def render(self, code: str | None = None) -> str:
        """The sentences in ``code``, one after the other."""
        done = [part.render(code) for part in self.parts]
        return "".join(a if a.endswith("。") else a + " " for a in done).strip()

    def __str__(self) -> str:
        return self.render("en")


def together(*parts: Text) -> Sentences:
    """Sentences as one ``Text``; a reader that knows only ``msgid`` finds the English there."""
    english = " ".join(str(p) for p in parts)
    return Sentences(english.replace("{", "{{").replace("}", "}}"), {}, DOMAIN, parts)
