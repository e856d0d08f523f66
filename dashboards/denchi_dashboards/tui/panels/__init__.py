"""The text panels of a bench: what is measured, on which unit, under which contract, found so far.

Pure functions of what is known: ``(present, bench, width) -> lines``.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from denchi_dashboards.tui import words
from denchi_dashboards.tui.layout import cut, line, said
from denchi_dashboards.tui.panels.judged import (
    finding_lines,
    findings,
    question_line,
    verdict,
    verdict_head,
    verdict_lines,
    verdict_rest,
)
from denchi_dashboards.tui.panels.measured import (
    age_note,
    contract,
    data_lines,
    energy,
    pdo_line,
    temperature_colour,
    temperatures,
    volts_amps_watts,
)
from denchi_dashboards.tui.panels.rows import Lines, heading, labelled
from denchi_dashboards.tui.panels.system import (
    journal_lines,
    link_style,
    output_lines,
    system,
    waiting,
)
from denchi_dashboards.tui.panels.unit import (
    in_language,
    lists_dated,
    notice_lines,
    question_text,
    recall_lines,
    safety_lines,
    symptom_head,
    unit,
    unit_name,
)
from denchi_dashboards.tui.present import BenchView, Present
from denchi_dashboards.tui.words import _

__all__ = [
    "Lines",
    "age_note",
    "brief",
    "contract",
    "data_lines",
    "energy",
    "finding_lines",
    "findings",
    "heading",
    "in_language",
    "journal_lines",
    "labelled",
    "link_style",
    "lists_dated",
    "notice_lines",
    "output_lines",
    "pdo_line",
    "question_line",
    "question_text",
    "recall_lines",
    "safety_lines",
    "side",
    "symptom_head",
    "system",
    "temperature_colour",
    "temperatures",
    "unit",
    "unit_name",
    "verdict",
    "verdict_head",
    "verdict_lines",
    "verdict_rest",
    "volts_amps_watts",
    "waiting",
]


def side(present: Present, bench: BenchView, width: int, *, tall: bool) -> Lines:
    """All panels of a bench under each other."""
    parts: Sequence[Lines] = (
        temperatures(present, bench, width),
        unit(present, bench, width),
        verdict(present, bench, width),
        contract(present, bench, width, pdos=tall) + data_lines(present, bench, width),
        energy(present, bench, width),
        system(present, bench, width),
    )
    rows: Lines = []
    for part in parts:
        if rows and tall:
            rows.append(Content(""))
        rows += part
    return rows


def brief(present: Present, bench: BenchView, width: int) -> Lines:
    """What fits beside the findings on 80 x 24."""
    told, session = bench.part("unit"), bench.part("session")
    recall = bench.part("recall").get("status")
    report = bench.part("verdict").get("verdict")
    out = words.number(bench.part("energy").get("wh_out"))
    ah = words.number(bench.part("energy").get("ah_out"))
    contract_ = bench.part("contract")
    volts = words.number(contract_.get("voltage_v"))
    rows = [
        line((cut(unit_name(told) or _("unit not named (u)"), width), "bold")),
        line(
            (
                cut(f"{words.RECALL_SHAPES.get(str(recall), '─')} {words.recall(recall)}", width),
                words.RECALL_STYLES.get(str(recall), "$neutral"),
            )
        ),
        line(
            (
                cut(f"{words.VERDICT_SHAPES.get(str(report), '◇')} {words.verdict(report)}", width),
                words.VERDICT_STYLES.get(str(report), "$neutral"),
            )
        ),
        line(
            (words.fixed(out, 3, "Wh"), "bold $line-w"),
            ("  " + words.fixed(None if ah is None else ah * 1000, 0, "mAh"), "$line-w"),
            ("  " + words.duration(words.number(session.get("duration_s"))), "$quiet"),
        ),
        line(
            (
                cut(
                    f"{said(contract_.get('kind'), 20)} {words.fixed(volts, 2, 'V')}"
                    if contract_
                    else _("no contract known"),
                    width,
                ),
                "$quiet",
            )
        ),
    ]
    temps = []
    for channel in bench.temperatures()[:3]:
        value = present.value(bench, channel)
        name = channel.split(".", 1)[1]
        stale = " " + _("stale") if value.stale else ""
        temps.append(f"{words.place(name)} {words.fixed(value.value, 1, '°C')}{stale}")
    return rows + [line((cut(t, width), "$quiet")) for t in temps]
