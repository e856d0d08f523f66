"""The text panels of a bench: what is measured, on which unit, under which contract, found so far.

Pure functions of what is known: ``(present, bench, width) -> lines``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content

from denchi.i18n import language
from denchi_dashboards.tui import words
from denchi_dashboards.tui.layout import (
    Part,
    bar,
    cut,
    fit,
    line,
    pair,
    said,
    spread,
    styled_lines,
    width_of,
    wrap,
)
from denchi_dashboards.tui.present import AMP_CHANNELS, VOLT_CHANNELS, BenchView, Present, Value
from denchi_dashboards.tui.words import _

Lines = list[Content]
TEMPERATURE_COLOURS = ("line-t", "line-t2", "line-v", "line-a")


def waiting(present: Present, width: int) -> Lines:
    """No meter: what was looked for, what is there but cannot be opened, and the cure."""
    told = present.waiting or {}
    rows = [line((_("Waiting for a meter"), "bold $primary")), Content("")]
    rows += styled_lines(
        _(
            "Plug a USB power meter into this computer and the power bank through the meter. This page starts by itself."
        ),
        "$ink",
        width,
    )
    rows.append(Content(""))
    looked = [said(t, 120) for t in told.get("looked_for") or []]
    if looked:
        rows.append(heading(_("Looked for"), width))
        rows += styled_lines(" · ".join(looked), "$quiet", width, limit=8)
        rows.append(Content(""))
    blocked = [b for b in told.get("unopenable") or [] if isinstance(b, Mapping)]
    if blocked:
        rows.append(heading(_("Present, but cannot be opened"), width))
        for one in blocked[:12]:
            rows += styled_lines(f"▲ {said(one.get('what'), 120)}", "bold $caution", width)
            rows += styled_lines(said(one.get("reason"), 300), "$ink", width, indent="  ")
            cure = _("cure: {cure}").format(cure=said(one.get("cure"), 300))
            rows += styled_lines(cure, "bold $ink", width, indent="  ")
        rows.append(Content(""))
    return rows


def heading(text: str, width: int) -> Content:
    """A section's heading with a thin rule."""
    rule = max(0, width - width_of(text) - 1)
    return line((text, "bold $primary"), " ", ("─" * rule, "$faint"))


def temperature_colour(channel: str, index: int) -> str:
    """The meter's own board is always the grey line; places of the unit get the warm ones."""
    if channel == "temp_mc.meter":
        return "line-t3"
    return TEMPERATURE_COLOURS[index % len(TEMPERATURE_COLOURS)]


def age_note(value: Value) -> Part:
    """How old a value is, in words when it is stale."""
    if value.age_s is None:
        return (_("not measured"), "$quiet")
    if value.stale:
        return (_("STALE {age}").format(age=words.age(value.age_s)), "bold $caution")
    return (words.age(value.age_s), "$quiet")


def temperatures(present: Present, bench: BenchView, width: int) -> Lines:
    """Every temperature by place with its age; says so when none speaks of the unit."""
    channels = bench.temperatures()
    rows = [heading(_("Temperatures"), width)]
    for i, channel in enumerate(channels):
        value = present.value(bench, channel)
        name = channel.split(".", 1)[1]
        colour = "$quiet" if value.stale else f"${temperature_colour(channel, i)}"
        shown = words.fixed(value.value, 1, "°C")
        rows.append(
            spread(
                [(fit(words.place(name), 16), "$quiet"), (fit(shown, 9), f"bold {colour}")],
                [age_note(value)],
                width,
            )
        )
    if not any(not c.endswith((".meter", ".ambient")) for c in channels):
        rows += styled_lines(
            "▲ "
            + _(
                "The unit's own temperature is not measured here; heat of the unit cannot be seen."
            ),
            "$caution",
            width,
        )
    return rows


def unit(present: Present, bench: BenchView, width: int) -> Lines:
    """The unit on the bench and what the recall lists say of it."""
    told = bench.part("unit")
    rows = [heading(_("Unit"), width)]
    name = unit_name(told)
    if not name and not told.get("serial"):
        rows += styled_lines(
            _("Not named yet: press u and type or scan its label."), "$note", width
        )
        return rows
    rows.append(line((cut(name or "–", width), "bold")))
    if told.get("serial"):
        rows.append(pair(_("serial"), said(told.get("serial"), 60), width, 8))
    ratings = [
        words.fixed(words.number(told.get(key)), 0 if key != "rated_wh" else 1, sign)
        for key, sign in (("rated_mah", "mAh"), ("rated_wh", "Wh"), ("max_w", "W"))
        if words.number(told.get(key)) is not None
    ]
    if ratings:
        rows.append(pair(_("rated"), " · ".join(ratings), width, 8))
    return rows + recall_lines(bench.state.get("recall"), width, short=True)


def unit_name(told: Mapping[str, Any]) -> str:
    """Brand and model, or the label as scanned."""
    parts = [said(told.get("brand"), 60), said(told.get("model"), 60)]
    return " ".join(p for p in parts if p) or said(told.get("label_text"), 120)


def recall_lines(answer: object, width: int, *, short: bool) -> Lines:
    """A recall line of the API in words."""
    if not isinstance(answer, Mapping):
        return styled_lines(_("Recall lists: not checked"), "$quiet", width)
    status = str(answer.get("status"))
    shape = words.RECALL_SHAPES.get(status, "─")
    style = words.RECALL_STYLES.get(status, "$neutral")
    rows: Lines = []
    if answer.get("symptom"):  # whatever the lists say: a swollen unit on no list is still swollen
        rows += [*symptom_head(width), *safety_lines(answer, width), Content("")]
    rows.append(line((cut(f"{shape} {words.recall(status)}", width), style)))
    for match in (answer.get("matches") or [])[: 1 if short else 20]:
        if isinstance(match, Mapping):
            rows += notice_lines(match, width, short=short)
    text = (
        words.both(answer.get("message"))
        if isinstance(answer.get("message"), Mapping)
        else words.message(answer)
    )
    if text:
        rows += styled_lines(
            text,
            "$ink" if status != "not_listed" else "$neutral",
            width,
            limit=4 if short else None,
        )
    for question in in_language(answer, "questions")[: 1 if short else 10]:
        rows += styled_lines(
            "? " + question_text(question), "$note", width, limit=3 if short else None
        )
    if not short:
        for note in in_language(answer, "notes"):
            rows += styled_lines("! " + said(note, 400), "$ink", width)
        if not answer.get("symptom"):
            rows += safety_lines(answer, width)
        for problem in answer.get("problems") or []:
            rows += styled_lines("▲ " + said(problem, 300), "$caution", width)
    if not text or not short:
        rows += styled_lines(lists_dated(answer.get("lists_dated")), "$quiet", width)
    return rows


def symptom_head(width: int) -> Lines:
    """A symptom needs no list."""
    head = f"{words.VERDICT_SHAPES['stop_using']} {_('STOP USING: a symptom is reported')}"
    return styled_lines(head, words.VERDICT_STYLES["stop_using"], width)


def in_language(answer: Mapping[str, Any], name: str) -> list[Any]:
    """A list of the recall answer in the language in force; English where there is no other."""
    other = answer.get(f"{name}_ja") if language() == "ja" else None
    return list(other or answer.get(name) or [])


def safety_lines(answer: Mapping[str, Any], width: int) -> Lines:
    """What to do with the unit, as the authorities say it, each with its source."""
    told = [g for g in answer.get("safety") or [] if isinstance(g, Mapping)]
    if not told:
        return []
    rows = [line((_("What to do"), "bold $ink"))]
    for one in told[:12]:
        source = " · ".join(said(one.get(k), 120) for k in ("source", "dated") if one.get(k))
        rows += styled_lines("→ " + words.message(one, "text"), "$ink", width)
        rows += styled_lines(source, "$quiet", width, indent="  ")
    return rows


def question_text(question: object) -> str:
    """A question of the recall answer, whatever shape it has."""
    if isinstance(question, Mapping):
        return words.both(question.get("text") or question)
    return said(question, 300)


def notice_lines(match: Mapping[str, Any], width: int, *, short: bool) -> Lines:
    """One notice that touches the unit."""
    brand, product = said(match.get("brand"), 40), said(match.get("product"), 80)
    known = brand and product.lower().startswith(brand.lower())
    head = product if known else f"{brand} {product}".strip()
    rows = styled_lines(head, "bold", width, limit=2 if short else None)
    who = " · ".join(
        p
        for p in (
            said(match.get("regulator"), 60),
            said(match.get("notice") or match.get("id"), 60),
            said(match.get("date"), 20),
        )
        if p
    )
    rows += styled_lines(who, "$quiet", width, limit=1 if short else None)
    if short:
        return rows
    for label, key in (
        (_("models"), "models"),
        (_("agreed"), "agreed"),
        (_("conflicts"), "conflicts"),
        (_("which units"), "unit_scope"),
        (_("jurisdiction"), "jurisdiction"),
        (_("page"), "url"),
        (_("form"), "form"),
    ):
        value = match.get(key)
        text = (
            ", ".join(said(v, 60) for v in value) if isinstance(value, list) else said(value, 300)
        )
        if key == "unit_scope" and text:
            text = words.scope(text)
        if text:
            rows += labelled(label, text, width)
    return [*rows, Content("")]


def labelled(
    label: str, text: str, width: int, label_width: int = 13, style: str = "$ink"
) -> Lines:
    """A label and a text that may take several lines."""
    room = max(8, width - label_width - 1)
    return [
        line((fit(label if i == 0 else "", label_width), "$quiet"), " ", (row, style))
        for i, row in enumerate(wrap(text, room))
    ]


def lists_dated(dated: object) -> str:
    """Which lists were checked and how old the newest is."""
    if not isinstance(dated, Mapping) or not dated:
        return _("no list at hand")
    newest = max((said(v, 20) for v in dated.values() if v), default="–")
    return _("lists checked: {n}, the newest dated {date}").format(n=len(dated), date=newest)


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


def contract(present: Present, bench: BenchView, width: int, *, pdos: bool = True) -> Lines:
    """What source and sink have agreed on, and its limits."""
    told = bench.part("contract")
    rows = [heading(_("Contract"), width)]
    if not told:
        return [*rows, line((_("none known"), "$quiet"))]
    volts, amps = words.number(told.get("voltage_v")), words.number(told.get("current_a"))
    text = " ".join(
        p
        for p in (
            said(told.get("kind"), 30),
            words.fixed(volts, 2, "V") if volts is not None else "",
            words.fixed(amps, 2, "A") if amps is not None else "",
        )
        if p
    )
    source = _("by USB-PD") if told.get("from") == "pd" else _("inferred from the voltage")
    rows.append(line((text, "bold")))
    rows.append(
        line((cut(f"{source} · {words.clock_time(told.get('since_ns'))}", width), "$quiet"))
    )
    low, high = words.number(told.get("low_v")), words.number(told.get("high_v"))
    if low is not None or high is not None:
        rows.append(
            pair(_("limits"), f"{words.fixed(low, 2)} … {words.fixed(high, 2, 'V')}", width, 8)
        )
    if pdos:
        rows += [
            pdo_line(p, width) for p in (told.get("pdos") or [])[:11] if isinstance(p, Mapping)
        ]
    return rows


def pdo_line(pdo: Mapping[str, Any], width: int) -> Content:
    """One power data object; the active one has a mark and a word."""
    active = bool(pdo.get("active"))
    text = f"{'▸' if active else ' '} {said(pdo.get('position'), 3)} {said(pdo.get('text'), 60)}"
    tail: list[Part] = [(_("active"), "bold $primary")] if active else []
    return spread([(text, "bold $ink" if active else "$quiet")], tail, width)


def energy(present: Present, bench: BenchView, width: int) -> Lines:
    """Energy and charge since the session began, and how much of the time is missing."""
    told, session = bench.part("energy"), bench.part("session")
    rows = [heading(_("Energy"), width)]
    out, into = words.number(told.get("wh_out")), words.number(told.get("wh_in"))
    rows.append(_flow(_("out"), out, words.number(told.get("ah_out")), width))
    if into:
        rows.append(_flow(_("in"), into, words.number(told.get("ah_in")), width))
    seconds = words.number(session.get("duration_s"))
    rows.append(pair(_("duration"), words.duration(seconds), width, 10))
    gap_s = words.number(session.get("gap_s"))
    if gap_s:
        count = int(words.number(session.get("gaps")) or 0)
        text = _("{n} gaps, {d} not measured").format(n=count, d=words.duration(gap_s))
        rows.append(line((cut("▲ " + text, width), "$caution")))
    rated = words.number(bench.part("unit").get("rated_wh"))
    if rated and out is not None:
        share = out / rated
        rows.append(
            line(
                (bar(share, max(4, width - 18)), "$line-w on $panel"),
                (" " + _("of rated {p:.0f} %").format(p=share * 100), "$quiet"),
            )
        )
    return rows


def _flow(label: str, wh: float | None, ah: float | None, width: int) -> Content:
    mah = None if ah is None else ah * 1000
    text = f"{words.fixed(wh, 3, 'Wh'):>12} {words.fixed(mah, 0, 'mAh'):>11}"
    return line((fit(label, 10), "$quiet"), " ", (text.strip(), "bold $line-w"))


def system(present: Present, bench: BenchView, width: int) -> Lines:
    """Meter, link, journal, outputs: whether what is seen is also kept and delivered."""
    rows = [heading(_("Meter and record"), width)]
    meter, link = bench.part("meter"), bench.part("link")
    if meter:
        name = " ".join(said(meter.get(k), 40) for k in ("maker", "model") if meter.get(k))
        rows.append(pair(_("meter"), (name, "bold"), width, 10))
        facts = [said(meter.get(k), 60) for k in ("firmware", "port") if meter.get(k)]
        if facts:
            rows.append(pair("", " · ".join(facts), width, 10))
        rows.append(pair(_("support"), words.maturity(meter.get("maturity")), width, 10))
    state = link.get("state")
    text = words.link(state)
    rate = words.number(link.get("rate_hz"))
    rows.append(
        pair(_("link"), (text + (f" {rate:.3g}/s" if rate else ""), link_style(state)), width, 10)
    )
    rejected = words.number(link.get("rejected"))
    if rejected:
        rows.append(pair("", _("{n} frames rejected").format(n=int(rejected)), width, 10))
    for key in ("message", "cure"):
        if said(link.get(key)) and state != "streaming":
            rows += styled_lines(
                said(link.get(key), 300), "$caution" if key == "cure" else "$ink", width
            )
    return rows + journal_lines(present, width) + output_lines(present, width)


def link_style(state: object) -> str:
    """How a link's state is drawn; streaming is plain, never a colour of approval."""
    if state == "streaming":
        return "bold $ink"
    return "bold $caution" if state in ("gone", "refused", "stale") else "$note"


def journal_lines(present: Present, width: int) -> Lines:
    """The journal's state."""
    told = present.state.get("journal")
    if not isinstance(told, Mapping):
        return []
    if told.get("degraded"):
        text = f"▲ {_('journal')}: {words.degraded(told.get('degraded'))}. {words.both(told.get('message'))}"
        return styled_lines(text, "bold $caution", width)
    facts = " · ".join(
        (
            words.size(words.number(told.get("bytes"))),
            _("{size} free").format(size=words.size(words.number(told.get("free_bytes")))),
        )
    )
    rows = [pair(_("journal"), facts, width, 10)]
    commit = words.number(told.get("commit_ms"))
    if commit is not None:
        rows.append(pair("", _("commit {ms:.0f} ms").format(ms=commit), width, 10))
    lost = words.number(told.get("lost_samples"))
    if lost:
        rows.append(line(("▲ " + _("{n} samples lost").format(n=int(lost)), "$caution")))
    return rows


def output_lines(present: Present, width: int) -> Lines:
    """Each destination with its backlog."""
    rows: Lines = []
    for one in (present.state.get("outputs") or [])[:6]:
        if not isinstance(one, Mapping):
            continue
        waits = one.get("state") in ("waiting", "stopped")
        text = words.output_state(one.get("state"))
        backlog = words.number(one.get("backlog_samples"))
        if backlog:
            behind = words.age(words.number(one.get("backlog_s")))
            text += " · " + _("{n} behind ({age})").format(n=f"{int(backlog):,}", age=behind)
        mark = "▲ " if waits else ""
        rows.append(
            pair(
                said(one.get("name"), 20), (mark + text, "$caution" if waits else "$ink"), width, 10
            )
        )
        if waits and said(one.get("last_error")):
            rows += styled_lines(
                said(one.get("last_error"), 160), "$quiet", width, indent="  ", limit=2
            )
    return rows


def data_lines(present: Present, bench: BenchView, width: int) -> Lines:
    """D+ D− CC1 CC2 and cells, where the instrument has them."""
    parts = []
    for name, label in (("dp_uv", "D+"), ("dm_uv", "D−"), ("cc1_uv", "CC1"), ("cc2_uv", "CC2")):
        value = present.value(bench, name)
        if value.age_s is not None:
            parts.append(f"{label} {words.fixed(value.value, 2, 'V')}")
    rows = [line((row, "$quiet")) for row in wrap(" · ".join(parts), width)] if parts else []
    channels = bench.part("live").get("channels")
    cells = sorted(
        (n for n in (channels if isinstance(channels, dict) else ()) if n.startswith("cell_uv.")),
        key=lambda n: int(n.rpartition(".")[2]) if n.rpartition(".")[2].isdigit() else 0,
    )
    volts = [v for v in (present.value(bench, c).value for c in cells) if v is not None]
    if volts:
        text = _("{n} cells {low:.3f} … {high:.3f} V, spread {spread:.0f} mV").format(
            n=len(volts), low=min(volts), high=max(volts), spread=(max(volts) - min(volts)) * 1000
        )
        rows += styled_lines(text, "$ink", width)
    return rows


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


def volts_amps_watts(present: Present, bench: BenchView) -> tuple[Value, Value, Value]:
    """The three large figures."""
    return (
        present.value(bench, *VOLT_CHANNELS),
        present.value(bench, *AMP_CHANNELS),
        present.value(bench, "power_w"),
    )
