"""What was found, and what may be said so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from denchi_dashboards.tui import words
from denchi_dashboards.tui.layout import line, said, styled_lines, width_of, wrap
from denchi_dashboards.tui.panels.rows import Lines, heading
from denchi_dashboards.tui.present import BenchView, Present
from denchi_dashboards.tui.words import _


def verdict(present: Present, bench: BenchView, width: int) -> Lines:
    """What may be said so far, with what was not observed."""
    rows = [heading(_("So far"), width)]
    return rows + verdict_lines(bench.state.get("verdict"), width, short=True)


def verdict_head(report: Mapping[str, Any]) -> str:
    """The line that stands above everything else: the word, or the whole sentence of the neutral verdict.

    "No anomaly seen" is never said without what the sentence says besides.
    """
    word = str(report.get("verdict"))
    shape, sentence = words.VERDICT_SHAPES.get(word, "◇"), words.both(report.get("sentence"))
    said_whole = word == "no_anomaly_seen" and sentence
    return f"{shape} {sentence if said_whole else words.verdict(word)}"


def verdict_lines(report: object, width: int, *, short: bool) -> Lines:
    """A verdict with its reasons and what was not observed."""
    if not isinstance(report, Mapping):
        return styled_lines(_("no verdict yet"), "$quiet", width)
    word = str(report.get("verdict"))
    style = words.VERDICT_STYLES.get(word, "$neutral")
    return styled_lines(verdict_head(report), style, width) + verdict_rest(
        report, width, short=short
    )


def verdict_rest(report: Mapping[str, Any], width: int, *, short: bool) -> Lines:
    """What stands below the head. The sentence only repeats head, reasons and list, so each is told once."""
    rows: Lines = []
    sentence = report.get("sentence")
    whole = str(report.get("verdict")) == "no_anomaly_seen"
    reasons = report.get("reasons") or []
    if not reasons and not whole:
        rows += styled_lines(words.both(sentence), "$ink", width)
    for reason in reasons[: 2 if short else 40]:
        rows += styled_lines("· " + words.both(reason), "$quiet" if short else "$ink", width)
    english = str(sentence.get("en")) if isinstance(sentence, Mapping) else ""
    missing = [words.observed(k) for k in report.get("not_observed") or []]
    if missing and not (whole and "Not observed" in english):
        rows += styled_lines(
            _("not observed: {what}").format(what=", ".join(missing)), "$caution", width
        )
    seen = [words.observed(k) for k in report.get("observed") or []]
    if seen and not short:
        rows += styled_lines(_("observed: {what}").format(what=", ".join(seen)), "$quiet", width)
    return rows


def findings(present: Present, bench: BenchView, width: int, *, detail: int) -> Lines:
    """Newest first. ``detail`` 0: one line each; 1: figures for the newest; 2: everything."""
    found = bench.findings()
    if not found:
        return styled_lines(
            _("Nothing found so far. This says nothing about what was not observed."),
            "$quiet",
            width,
        )
    rows: Lines = []
    for i, one in enumerate(reversed(found[-60:])):
        full = detail >= 2 or (detail == 1 and i == 0)
        rows += finding_lines(one, width, full=full)
    return rows


def finding_lines(one: Mapping[str, Any], width: int, *, full: bool) -> Lines:
    """One finding: word, shape and time; what was seen; figures, limit and source; advice."""
    severity = one.get("severity")
    head = f"{words.shape(severity)} {words.severity(severity)} "
    stamp = words.clock_time(one.get("t_ns")) + " "
    indent = width_of(head + stamp)
    text = words.message(one)
    if one.get("acknowledged"):
        text += " " + _("(acknowledged)")
    texts = wrap(text, max(12, width - indent), None if full else 2)
    rows = [
        line((head, words.style(severity)), (stamp, "$quiet"), (texts[0] if texts else "", "bold"))
    ]
    rows += [line(" " * indent, (row, "bold")) for row in texts[1:]]
    question = question_line(one)
    if question:
        rows += styled_lines(question, "$note", width, indent="  ")
    if not full:
        return rows
    facts = [_("onset {t}").format(t=words.clock_time(one.get("onset_ns")))]
    facts += [words.figures(one.get("measured"))]
    if one.get("limit"):
        facts.append(_("limit {limit}").format(limit=words.limit(one.get("limit"))))
    if one.get("place"):
        facts.append(_("place: {place}").format(place=words.place_long(one.get("place"))))
    if one.get("source"):
        facts.append(_("source: {source}").format(source=said(one.get("source"), 200)))
    rows += styled_lines(" · ".join(f for f in facts if f), "$quiet", width, indent="  ")
    advice = words.message(one, "advice")
    if advice:
        rows += styled_lines("→ " + advice, "$ink", width, indent="  ")
    return rows


def question_line(one: Mapping[str, Any]) -> str:
    """What a finding asks, with the keys that answer."""
    return _("answer with y (yes) or n (no)") if one.get("question") else ""
