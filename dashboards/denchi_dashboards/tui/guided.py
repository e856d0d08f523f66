"""What the Screening page says at each stage: pure functions of the API's ``screening`` object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from textual.content import Content

from denchi_dashboards.tui import panels, words
from denchi_dashboards.tui.layout import Part, bar, cut, fit, line, pair, said, spread, styled_lines
from denchi_dashboards.tui.present import BenchView, Present
from denchi_dashboards.tui.words import _

Lines = list[Content]
STAGES: Final = ("label", "checklist", "maker_answer", "running", "done")


def stage_name(stage: str) -> str:
    """A stage in words."""
    return {
        "label": _("Label"),
        "recall": _("Recall lists"),
        "checklist": _("Look and feel"),
        "maker_answer": _("Maker's answer"),
        "running": _("Guided steps"),
        "done": _("Verdict"),
    }.get(stage, stage)


def stage_of(screening: Mapping[str, Any] | None) -> str:
    """The stage a bench is in; ``label`` = waiting for the next unit."""
    return str(screening.get("state")) if screening else "label"


def path(stage: str, screening: Mapping[str, Any] | None, width: int) -> Lines:
    """The way of a unit, with where it stands; steps of the profile below their stage."""
    shown = [s for s in STAGES if s != "maker_answer" or stage == "maker_answer"]
    current = "checklist" if stage == "recall" else stage
    at = shown.index(current) if current in shown else 0
    rows: Lines = []
    for i, name in enumerate(shown):
        mark, style = ("▸", "bold $primary") if i == at else ("·", "$quiet")
        word = _("now") if i == at else _("behind us") if i < at else ""
        rows.append(spread([(f"{mark} {stage_name(name)}", style)], [(word, "$quiet")], width))
        if name == "running" and screening:
            rows += _steps(screening, width)
    return rows


def _steps(screening: Mapping[str, Any], width: int) -> Lines:
    rows: Lines = []
    step = screening.get("step")
    index = int(words.number(step.get("index")) or 0) if isinstance(step, Mapping) else -1
    for i, one in enumerate((screening.get("steps") or [])[:20]):
        if not isinstance(one, Mapping):
            continue
        outcome = outcome_name(one.get("outcome"))
        style = "bold $ink" if i == index else "$quiet"
        mark = "▸" if i == index else " "
        rows.append(
            spread(
                [(f"   {mark} {words.both(one.get('title'))}", style)], [(outcome, style)], width
            )
        )
    return rows


def outcome_name(word: object) -> str:
    """What became of a step; ``held`` is said as what it is."""
    return {
        "pending": "",
        "waiting": _("waiting"),
        "held": _("held"),
        "not_seen": _("not seen"),
        "wrong_load": _("wrong load"),
        "cut": _("went dark"),
    }.get(str(word), said(word, 20))


def question(screening: Mapping[str, Any]) -> tuple[int, int, Mapping[str, Any] | None]:
    """(number, count, the next unanswered question of the checklist)."""
    listed = [q for q in screening.get("checklist") or [] if isinstance(q, Mapping)]
    answered = screening.get("answers")
    answered = answered if isinstance(answered, Mapping) else {}
    for i, one in enumerate(listed):
        if str(one.get("key")) not in answered:
            return i + 1, len(listed), one
    return len(listed), len(listed), None


def checklist(screening: Mapping[str, Any], width: int) -> Lines:
    """One question at a time, the answered ones above."""
    number, count, asked = question(screening)
    answered = screening.get("answers")
    answered = answered if isinstance(answered, Mapping) else {}
    rows = styled_lines(
        _(
            "Look at the unit, with nothing connected. Any yes ends the screening; no load is applied."
        ),
        "$quiet",
        width,
    )
    rows.append(Content(""))
    for one in screening.get("checklist") or []:
        key = str(one.get("key")) if isinstance(one, Mapping) else ""
        if key in answered:
            word = _("yes") if answered[key] else _("no")
            rows.append(
                spread(
                    [("  " + cut(words.both(one.get("text")), width - 10), "$quiet")],
                    [(word, "$quiet")],
                    width,
                )
            )
    if asked is None:
        return [*rows, Content(""), line((_("Sent. Waiting for the daemon."), "$note"))]
    rows += [Content(""), line((f"{number} / {count}", "bold $primary"))]
    rows += styled_lines(words.both(asked.get("text")), "bold $ink", width)
    rows += [Content(""), choices(("y", _("yes")), ("n", _("no")))]
    return rows


def choices(*keys: tuple[str, str]) -> Content:
    """Keys to press, large enough to see."""
    parts: list[Part] = []
    for name, label in keys:
        parts += [(f" {name} ", "bold $background on $primary"), (f" {label}    ", "bold $ink")]
    return line(*parts)


def maker(bench: BenchView, screening: Mapping[str, Any], width: int) -> Lines:
    """A serial that only the maker can judge."""
    rows = panels.recall_lines(
        screening.get("recall") or bench.state.get("recall"), width, short=False
    )
    rows += [Content("")]
    rows += styled_lines(
        _(
            "Ask the maker whether this serial is affected, then record the answer. Without it the best verdict is CAUTION."
        ),
        "bold $ink",
        width,
    )
    rows += [
        Content(""),
        choices(("y", _("says: affected")), ("n", _("says: not affected")), ("s", _("not asked"))),
    ]
    return rows


def running(present: Present, bench: BenchView, screening: Mapping[str, Any], width: int) -> Lines:
    """The step: what to connect, what is waited for, how long still."""
    step = screening.get("step")
    if not isinstance(step, Mapping):
        return styled_lines(_("The next step begins."), "$note", width)
    index, count = (
        int(words.number(step.get("index")) or 0),
        int(words.number(step.get("count")) or 1),
    )
    left, total = (
        words.number(step.get("seconds_left")),
        words.number(step.get("seconds_total")) or 1.0,
    )
    rows = [
        spread(
            [
                (f"{index + 1} / {count}  ", "bold $primary"),
                (words.both(step.get("title")), "bold $ink"),
            ],
            [(words.duration(left), "bold $ink")],
            width,
        ),
    ]
    rows += styled_lines(words.both(step.get("instruction")), "bold $ink", width)
    waiting = words.both(step.get("waiting_for"))
    rows.append(Content(""))
    if waiting:
        rows += styled_lines("◇ " + waiting, "bold $note", width)
        rows += styled_lines(
            _("denchi commands nothing: the step goes on when the meter sees it."), "$quiet", width
        )
    share = 1 - (left or 0.0) / total
    rows += [
        Content(""),
        _progress(_("step"), share, words.duration(left), width),
        _progress(
            _("whole"),
            words.number(screening.get("progress")) or 0.0,
            words.duration(words.number(screening.get("seconds_left"))),
            width,
        ),
    ]
    if not present.fresh or bench.part("live").get("stale"):
        rows += [
            Content(""),
            line(
                (
                    "▲ " + _("no fresh data from the meter; such time does not count"),
                    "bold $caution",
                )
            ),
        ]
    return rows


def _progress(label: str, share: float, left: str, width: int) -> Content:
    room = max(8, width - 24)
    return line(
        (fit(label, 8), "$quiet"),
        (bar(share, room), "$primary on $panel"),
        (" " + _("{t} left").format(t=left), "$quiet"),
    )


def done(bench: BenchView, screening: Mapping[str, Any], width: int) -> Lines:
    """The verdict with its reasons; the best one is neutral."""
    report = screening.get("verdict")
    if not isinstance(report, Mapping):
        return styled_lines(_("Ended. The verdict is being made."), "$note", width)
    word = str(report.get("verdict"))
    band = {
        "stop_using": "bold $danger-ink on $danger-ground",
        "caution": "bold $caution-ink on $caution-ground",
    }
    style = band.get(word, "bold $ink on $panel")
    head = styled_lines(panels.verdict_head(report), style, width - 4)
    rows = [
        line((" " * width, style)),
        *(line((fit("  " + one.plain, width), style)) for one in head),
        line((" " * width, style)),
        Content(""),
    ]
    rows += panels.verdict_rest(report, width, short=False)
    for key in ("problems", "reasons"):
        told = [words.both(p) for p in screening.get(key) or []]
        known = {words.both(r) for r in report.get("reasons") or []}
        for text in told:
            if text and text not in known:
                rows += styled_lines("· " + text, "$ink", width)
    rows += [Content(""), panels.heading(_("Recall lists"), width)]
    rows += panels.recall_lines(
        screening.get("recall") or bench.state.get("recall"), width, short=True
    )
    rows += [Content(""), choices(("enter", _("next unit")), ("r", _("write the report")))]
    return rows


def result_line(bench: BenchView, screening: Mapping[str, Any]) -> dict[str, Any]:
    """One unit's line of ``denchi screen --json``; a serial is told by its last four characters."""
    unit, recall = screening.get("unit"), screening.get("recall")
    unit = unit if isinstance(unit, Mapping) else {}
    recall = recall if isinstance(recall, Mapping) else {}
    report = screening["verdict"]
    serial = str(unit.get("serial") or "")
    return {
        "id": screening.get("session"),
        "origin": bench.state.get("origin"),
        "bench": bench.name,
        "unit": panels.unit_name(unit),
        "serial": f"…{serial[-4:]}" if serial else "",
        "profile": screening.get("profile"),
        "recall": recall.get("status"),
        "symptoms": [k for k, yes in (screening.get("answers") or {}).items() if yes],
        "verdict": report.get("verdict"),
        "sentence": report.get("sentence"),
        "reasons": report.get("reasons") or [],
        "observed": report.get("observed") or [],
        "not_observed": report.get("not_observed") or [],
    }


def label(
    profile: str,
    minutes: float | None,
    operator: str,
    today: Sequence[Mapping[str, Any]],
    width: int,
) -> Lines:
    """Ready for the scanner, with the day's list below."""
    rows = styled_lines(
        _("Scan or type the unit's label: model first, then the serial number. Enter goes on."),
        "bold $ink",
        width,
    )
    shown = profile + (f" · {_('about {n} min').format(n=f'{minutes:.0f}')}" if minutes else "")
    rows += [
        Content(""),
        pair(_("profile"), (shown, "bold $ink"), width, 10),
        pair(_("operator"), operator or _("– (type the name, then F4)"), width, 10),
        Content(""),
    ]
    rows += styled_lines(
        _(
            "Then: the recall lists, a look-and-feel checklist, guided steps, and a verdict with its reasons. denchi commands no load; it says what to connect."
        ),
        "$quiet",
        width,
    )
    return rows + day_list(today, width)


def day_list(today: Sequence[Mapping[str, Any]], width: int) -> Lines:
    """Today's units, newest first: when, verdict, unit, bench."""
    if not today:
        return []
    counts = " · ".join(
        f"{shape} {n}"
        for verdict, shape in words.VERDICT_SHAPES.items()
        if (n := sum(str(one.get("verdict")) == verdict for one in today))
    )
    title = f"{_('Today')} · {_('Units: {n}').format(n=len(today))} · {counts}"
    rows = [Content(""), panels.heading(title, width)]
    for one in today:
        verdict = str(one.get("verdict"))
        mark = words.origin(one.get("origin"))
        shown = f"{words.VERDICT_SHAPES.get(verdict, '◇')} {words.verdict_short(verdict)}"
        begun = words.clock_time(words.parse_iso(one.get("started")))[:5]
        unit = said(one.get("unit"), 60) or "–"
        tail = " · ".join(p for p in (said(one.get("bench"), 20), mark) if p)
        parts: list[Part] = [
            (begun + "  ", "$quiet"),
            (fit(shown, 18) + " ", words.VERDICT_STYLES.get(verdict, "$note")),
            (unit, "$ink"),
        ]
        rows.append(spread(parts, [(tail, "$quiet")], width))
    hint = _("2 then / searches all days by unit or serial; esc then e writes this day as CSV")
    return rows + styled_lines(hint, "$quiet", width)


def benches(present: Present, chosen: str, dismissed: Mapping[str, str], width: int) -> Lines:
    """All benches in one row each, for a shop with several."""
    rows: Lines = []
    for bench in present.benches.values():
        screening = current(bench, dismissed)
        stage = stage_of(screening)
        text = stage_name(stage)
        if stage == "running" and screening is not None:
            text += " " + words.duration(words.number(screening.get("seconds_left")))
        if (
            stage == "done"
            and screening is not None
            and isinstance(screening.get("verdict"), Mapping)
        ):
            verdict = str(screening["verdict"].get("verdict"))
            text = f"{words.VERDICT_SHAPES.get(verdict, '◇')} {words.verdict(verdict)}"
        mark = words.origin(bench.state.get("origin"))
        style = "bold $ink" if bench.name == chosen else "$quiet"
        lead = "▸ " if bench.name == chosen else "  "
        tail: list[Part] = [(mark, "$quiet")] if mark else []
        rows.append(spread([(lead + said(bench.name, 20), style)], tail, width))
        rows.append(line((cut("    " + text, width), style)))
    return rows


def current(bench: BenchView, dismissed: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The screening that the page shows for a bench; one whose verdict was read is behind us."""
    told = bench.state.get("screening")
    if not isinstance(told, Mapping):
        return None
    if told.get("state") == "done" and dismissed.get(bench.name) == str(told.get("session")):
        return None
    return told


def day_counts(lines: list[Mapping[str, Any]], width: int) -> Lines:
    """Today's screenings by verdict."""
    rows = [panels.heading(_("Today"), width)]
    count: dict[str, int] = {}
    for one in lines:
        verdict = str(one.get("verdict"))
        count[verdict] = count.get(verdict, 0) + 1
    rows.append(line((_("Units: {n}").format(n=len(lines)), "bold $ink")))
    for verdict, shape in words.VERDICT_SHAPES.items():
        if count.get(verdict):
            text = fit(f"{shape} {words.verdict(verdict)}", max(8, width - 5))
            rows.append(
                line((text, words.VERDICT_STYLES[verdict]), (f"{count[verdict]:>5}", "bold $ink"))
            )
    return rows
