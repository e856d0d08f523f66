"""The answer about one unit: which notices touch it, what is asked, what to do.

The status comes from the notice's scope alone: a model named with all its units, or a printed rule that
says yes, is ``affected``; any other model match is ``check_serial``; a product name or a brand is at most
``brand_hint``; else ``not_listed``, which clears nothing. Pure: the day is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from denchi.i18n import Text
from denchi.model import RecallMatch, RecallStatus, Unit
from denchi.recalls import serials
from denchi.recalls.ages import stale_lists, stale_text
from denchi.recalls.facts import country_code
from denchi.recalls.judge import Asked, Touch, judge
from denchi.recalls.lists import RecallLists
from denchi.recalls.matching import Found, match_texts
from denchi.recalls.normalise import normalised
from denchi.recalls.notice import Notice, web_link
from denchi.recalls.privacy import query_text
from denchi.recalls.questions import ask
from denchi.recalls.safety import Guidance, guidance
from denchi.recalls.wording import t, together
from denchi.text import clean

_TEXT_LIMIT: Final = 20_000


@dataclass(frozen=True, slots=True)
class Match:
    """One notice that touches the unit, with how it was matched."""

    notice: Notice
    match: RecallMatch
    models: tuple[str, ...] = ()
    """The models of the notice that the unit matched; empty for a brand or product name."""
    superseded_by: str = ""
    also_in: tuple[str, ...] = ()
    """Other lists that hold the same notice."""
    elsewhere: bool = False
    """The notice is of another country than the user's."""
    rule: str = ""
    """What a printed rule said: ``yes`` ``no`` ``unknown``, or empty where none is printed."""

    @property
    def status(self) -> RecallStatus:
        """The status of this match."""
        return self.match.status

    def to_json(self) -> dict[str, Any]:
        """One entry of ``matches`` in the recall line (DESIGN.md §6), with additions behind."""
        n = self.notice
        return {
            "id": clean(n.id),
            "brand": clean(n.brand),
            "product": clean(n.product),
            "models": [clean(m, 60) for m in n.models],
            "jurisdiction": clean(n.jurisdiction, 20),
            "regulator": clean(n.regulator),
            "notice": clean(n.number) or None,
            "date": clean(n.date, 20) or None,
            "unit_scope": n.unit_scope,
            "url": web_link(n.url) or None,
            "form": web_link(n.form) or None,
            "confidence": n.confidence,
            "agreed": list(self.match.agreed),
            "conflicts": list(self.match.conflicts),
            "status": self.status.word,
            "matched_models": [clean(m, 60) for m in self.models],
            "sold": {"from": clean(n.sold[0], 20) or None, "to": clean(n.sold[1], 20) or None},
            "hazard": clean(n.hazard, 400) or None,
            "remedy": clean(n.remedy, 400) or None,
            "rule": self.rule or None,
            "extracted_by": clean(n.extracted_by, 60),
            "superseded_by": self.superseded_by or None,
            "also_in": list(self.also_in),
            "list": clean(n.list_name, 60),
            "testable": n.testable,
        }


@dataclass(frozen=True, slots=True)
class RecallAnswer:
    """What the lists say about a unit."""

    status: RecallStatus
    matches: tuple[Match, ...]
    questions: tuple[Text, ...]
    lists_dated: Mapping[str, str]
    message: Text
    safety: tuple[Text, ...]
    query: str = ""
    """What was asked, serials cut to their last four characters."""
    notes: tuple[Text, ...] = ()
    stale_lists: tuple[str, ...] = ()
    guidance: tuple[Guidance, ...] = ()
    problems: tuple[str, ...] = ()
    serial: str = field(default="", repr=False)
    """The serial ready to paste into the maker's form; never in ``to_json``, ``repr`` or a log."""
    symptom: bool = False

    @property
    def exit_code(self) -> int:
        """3 affected, 4 check_serial or brand_hint, 0 otherwise (DESIGN.md §6)."""
        return {RecallStatus.AFFECTED: 3, RecallStatus.NOT_LISTED: 0}.get(self.status, 4)

    def to_json(self, lang: str | None = None) -> dict[str, Any]:
        """The recall line of DESIGN.md §6; ``lang`` is the language of ``message`` (English unless said)."""
        code = lang or "en"
        return {
            "query": self.query,
            "status": self.status.word,
            "matches": [match.to_json() for match in self.matches],
            "questions": [q.render(code) for q in self.questions],
            "lists_dated": dict(self.lists_dated),
            "message": self.message.render(code),
            "message_ja": self.message.render("ja"),
            "questions_ja": [q.render("ja") for q in self.questions],
            "notes": [n.render(code) for n in self.notes],
            "notes_ja": [n.render("ja") for n in self.notes],
            "safety": [
                {
                    "text": g.text.render(code),
                    "text_ja": g.text.render("ja"),
                    "source": g.source,
                    "dated": g.dated,
                    "confidence": g.confidence,
                }
                for g in self.guidance
            ],
            "symptom": self.symptom,
            "stale_lists": list(self.stale_lists),
            "problems": list(self.problems),
        }


def check(
    unit: Unit,
    lists: RecallLists,
    *,
    text: str = "",
    country: str = "",
    symptoms: Iterable[str] = (),
    today: date,
) -> RecallAnswer:
    """Ask the lists about a unit; every text is untrusted and may be a whole pasted label.

    ``symptoms``: what the user reports (swelling, heat, smell, leaking ...): the safety text then comes
    first, whatever the lists say.
    """
    fields = [unit.model, unit.label_text, text, unit.brand, unit.serial]
    texts = [normalised(str(f)[:_TEXT_LIMIT]) for f in fields if f]
    found = match_texts(texts, lists)
    marks = serials.marks(str(unit.serial or "")[:200], texts, found.tokens)
    asked = Asked(unit, country_code(country or unit.country), marks)
    touches = judge(asked, found, lists)
    matches = tuple(_match(touch, lists) for touch in touches)
    status = max((m.status for m in matches), default=RecallStatus.NOT_LISTED)
    symptom = any(str(s).strip() for s in symptoms)
    stale = stale_lists(lists, today)
    advice = _advice(matches, asked.country, symptom)
    questions, notes = ask(asked, found, touches, lists, texts)
    message = _message(status, matches, found, lists, symptom)
    return RecallAnswer(
        status=status,
        matches=matches,
        questions=questions,
        lists_dated=lists.dated,
        message=together(*message, *stale_text(lists, stale, today)),
        safety=tuple(g.text for g in advice),
        query=query_text(unit, text, marks.given, lists),
        notes=notes,
        stale_lists=stale,
        guidance=advice,
        problems=tuple(clean(p, 300) for p in lists.problems),
        serial=_to_paste(marks, matches),
        symptom=symptom,
    )


def _to_paste(marks: serials.Marks, matches: Sequence[Match]) -> str:
    """The serial for the maker's form; an unlabelled one only where its shape is that of the brand."""
    anker = any("Anker" in m.notice.brand for m in matches)
    known = marks.given or (marks.shaped if anker else ())
    return known[0] if known else ""


def _match(touch: Touch, lists: RecallLists) -> Match:
    n = touch.notice
    return Match(
        n,
        RecallMatch(touch.status, n.id, touch.agreed, touch.conflicts, n.list_date),
        tuple(m for m in n.models if m in touch.models) or tuple(sorted(touch.models)),
        lists.superseded.get(n.id, ""),
        touch.also_in,
        touch.elsewhere,
        touch.rule,
    )


def _advice(matches: Sequence[Match], country: str, symptom: bool) -> tuple[Guidance, ...]:
    listed = any(m.status >= RecallStatus.CHECK_SERIAL for m in matches)
    places = {country} if country else {m.notice.jurisdiction for m in matches if listed}
    anker_jp = any(m.notice.jurisdiction == "JP" and "Anker" in m.notice.brand for m in matches)
    return guidance(symptom=symptom, listed=listed, countries=frozenset(places), anker_jp=anker_jp)


# -- the sentence --------------------------------------------------------------------------------


def _message(
    status: RecallStatus,
    matches: Sequence[Match],
    found: Found,
    lists: RecallLists,
    symptom: bool,
) -> list[Text]:
    first = (
        [t("You report a symptom: stop using the unit now, whatever the lists say.")]
        if symptom
        else []
    )
    if status is RecallStatus.NOT_LISTED:
        return [
            *first,
            t(
                "Not on the lists checked, the newest dated {date}. That clears nothing: lists have gaps.",
                date=lists.newest or "?",
            ),
        ]
    top = [m for m in matches if m.status is status]
    names = ", ".join(dict.fromkeys(x for m in top for x in (m.models or m.notice.models)))
    told = "; ".join(f"{m.notice.jurisdiction} {m.notice.label}" for m in top[:4])
    if len(top) > 4:
        told += " …"
    params = {"models": clean(names, 160) or "?", "notices": clean(told, 300), "date": lists.newest}
    if status is RecallStatus.AFFECTED:
        return [
            *first,
            t(
                "RECALLED: {models} ({notices}). Stop using and charging it and follow the notice.",
                **params,
            ),
        ]
    if status is RecallStatus.CHECK_SERIAL:
        return [*first, t(_CHECK, **params)]
    return [*first, *_hint(top, params)]


_CHECK: Final = (
    "{models} is named in a recall ({notices}). Which units are affected is decided by the serial number: ask the maker, "
    "and do not use or charge it until the answer is there."
)


def _hint(top: Sequence[Match], params: Mapping[str, str]) -> list[Text]:
    if params["models"] != "?":
        return [
            t(
                "No model number was recognised, but the lists hold recalls of this brand or product. Read the model number on the "
                "label and check again; numbers to look for: {models}.",
                **params,
            )
        ]
    return [
        t(
            "The lists hold a recall of this brand, but not its model numbers ({notices}). Look at the official page.",
            **params,
        )
    ]
