"""What is measured: the large figures, temperatures with their age, contract, energy, lines and cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.content import Content

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
    wrap,
)
from denchi_dashboards.tui.panels.rows import Lines, heading
from denchi_dashboards.tui.present import AMP_CHANNELS, VOLT_CHANNELS, BenchView, Present, Value
from denchi_dashboards.tui.words import _

TEMPERATURE_COLOURS = ("line-t", "line-t2", "line-v", "line-a")


def volts_amps_watts(present: Present, bench: BenchView) -> tuple[Value, Value, Value]:
    """The three large figures."""
    return (
        present.value(bench, *VOLT_CHANNELS),
        present.value(bench, *AMP_CHANNELS),
        present.value(bench, "power_w"),
    )


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
        text = _("gaps: {n}, {d} not measured").format(n=count, d=words.duration(gap_s))
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
