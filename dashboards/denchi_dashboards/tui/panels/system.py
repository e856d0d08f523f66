"""The way of the data: meters looked for, link, journal, outputs."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from denchi_dashboards.tui import words
from denchi_dashboards.tui.layout import line, pair, said, styled_lines
from denchi_dashboards.tui.panels.rows import Lines, heading
from denchi_dashboards.tui.present import BenchView, Present
from denchi_dashboards.tui.words import _


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
        rows.append(pair("", _("frames rejected: {n}").format(n=int(rejected)), width, 10))
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
        rows.append(line(("▲ " + _("samples lost: {n}").format(n=int(lost)), "$caution")))
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
