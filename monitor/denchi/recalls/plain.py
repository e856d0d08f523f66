"""An answer as plain lines for a terminal: no colour, no sign that could be read as a clearance."""

from __future__ import annotations

from collections.abc import Iterator

from denchi.i18n import translate, translator
from denchi.model import RecallStatus
from denchi.recalls.answer import Match, RecallAnswer
from denchi.recalls.notice import web_link
from denchi.text import clean

_ = translator("recalls")
_MAX_HINTS = 6


def answer_lines(answer: RecallAnswer, *, show_serial: bool = False) -> list[str]:
    """The answer in the language in force.

    ``show_serial``: print the serial in full, ready to paste into the maker's form. Only for a person's
    own screen; a file or a pipe gets the last four characters.
    """
    lines: list[str] = []
    if answer.symptom:
        lines += [*_safety(answer), ""]
    lines += [f"[{status_word(answer.status)}] {answer.message.render()}", ""]
    shown = answer.matches
    if answer.status is RecallStatus.BRAND_HINT:
        shown = shown[:_MAX_HINTS]
    for match in shown:
        lines += [*match_lines(match), ""]
    if len(shown) < len(answer.matches):
        lines += [
            _("… and {count} more notices (--json lists all).").format(
                count=len(answer.matches) - len(shown)
            ),
            "",
        ]
    lines += [f"! {note.render()}" for note in answer.notes]
    lines += [f"? {question.render()}" for question in answer.questions]
    if answer.serial and answer.status is RecallStatus.CHECK_SERIAL:
        serial = answer.serial if show_serial else "…" + answer.serial[-4:]
        lines.append(_("Serial for the maker's form: {serial}").format(serial=clean(serial, 60)))
    if answer.safety and not answer.symptom:
        lines += ["", *_safety(answer)]
    lines += [
        "",
        _("Lists: {lists}").format(
            lists=", ".join(f"{clean(n, 40)} {d}" for n, d in answer.lists_dated.items())
        ),
    ]
    lines += [f"! {clean(p, 300)}" for p in answer.problems]
    return lines


def status_word(status: RecallStatus) -> str:
    """The status in words; none of them clears."""
    return {
        RecallStatus.AFFECTED: _("RECALLED"),
        RecallStatus.CHECK_SERIAL: _("CHECK THE SERIAL"),
        RecallStatus.BRAND_HINT: _("BRAND OR PRODUCT ON A LIST"),
        RecallStatus.NOT_LISTED: _("NOT ON THE LISTS CHECKED"),
    }[status]


def scope_words(scope: str, lang: str | None = None) -> str:
    """Which units a notice means, in words; in the language in force, or in ``lang``."""

    def _(msgid: str) -> str:
        return translate(msgid, "recalls", lang)

    return {
        "all-units-of-model": _("all units of the model"),
        "manufacturer-serial-check": _("some units: the maker decides by the serial number"),
        "serial-list": _("some units: a list of serial numbers"),
        "serial-prefix": _("some units: by the first characters of the serial number"),
        "serial-suffix": _("some units: by the last character of the serial number"),
        "lot-list": _("some units: a list of production lots"),
        "date-code": _("some units: by the date code"),
        "manufacture-date": _("some units: by the date of manufacture"),
    }.get(scope, _("which units is not known: ask the maker"))


def _safety(answer: RecallAnswer) -> Iterator[str]:
    yield _("What to do:")
    for item in answer.guidance:
        yield f"- {item.text.render()}  [{clean(item.source)}; {item.dated}]"


def match_lines(match: Match) -> list[str]:
    """One notice: who, what, which units, where to turn, where it was read."""
    n = match.notice
    known = n.product.lower().startswith(n.brand.lower())
    named = n.product if known else f"{n.brand} {n.product}"
    rows = [f"* {status_word(match.status)}: {clean(named, 180)}"]

    def row(label: str, value: str) -> None:
        if value:
            rows.append(f"    {label}: {value}")

    number = clean(" ".join(p for p in (n.jurisdiction, n.regulator, n.number) if p), 80)
    row(_("notice"), ", ".join(p for p in (number, clean(n.date, 20)) if p))
    row(_("models"), clean(", ".join(n.models), 200))
    row(
        _("which units"),
        scope_words(n.unit_scope) + (f" ({clean(n.rule_text, 300)})" if n.rule_text else ""),
    )
    sold = (
        f"{clean(n.sold[0], 20) or '…'} – {clean(n.sold[1], 20) or '…'}"
        if any(n.sold)
        else clean(n.sold_text, 160)
    )
    row(_("sold"), sold)
    row(_("made"), clean(n.made_text, 160))
    row(_("colours named"), clean(", ".join(n.colours), 160))
    row(_("remedy"), _(n.remedy) if n.remedy and "{" not in n.remedy else clean(n.remedy, 160))
    row(_("official page"), web_link(n.url))
    row(_("maker's form"), web_link(n.form))
    row(_("matched by"), clean(", ".join(match.match.agreed), 200))
    row(_("in conflict"), clean(", ".join(match.match.conflicts), 200))
    row(_("source"), _source(match))
    if match.superseded_by:
        row(_("widened by"), clean(match.superseded_by, 80))
    return rows


def _source(match: Match) -> str:
    n = match.notice
    told = {
        "official-quoted": _("the regulator's own words were read"),
        "pasted": _("pasted by the user"),
    }.get(n.confidence, _("news or other secondary sources"))
    parts = [told, _("list {name} of {date}").format(name=clean(n.list_name, 40), date=n.list_date)]
    if n.by_machine:
        parts.append(_("machine-extracted from prose, not reviewed"))
    if match.also_in:
        parts.append(_("also in {lists}").format(lists=clean(", ".join(match.also_in), 80)))
    return "; ".join(parts)


__all__ = ["answer_lines", "match_lines", "scope_words", "status_word"]
