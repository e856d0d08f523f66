"""The Meters page: the doctor's view of meters, permissions, clock, disk, outputs and lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content

from denchi_dashboards.tui import panels, words
from denchi_dashboards.tui.layout import Part, line, pair, said, styled_lines
from denchi_dashboards.tui.widgets import Page, ScrollPane, key
from denchi_dashboards.tui.words import _

EVERY_S = 5.0


class Meters(Page):
    """What is plugged in, what cannot be opened and why, and the state of the house."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("r", "look", "look again"),
        key("tab", "other", "other side", "⇥"),
    ]

    def __init__(self) -> None:
        super().__init__(id="meters")
        self.meters: Mapping[str, Any] = {}
        self.checks: list[Mapping[str, Any]] = []
        self._due_s = 0.0

    def compose(self) -> ComposeResult:
        """Meters left, checks right."""
        with Horizontal():
            yield ScrollPane(self._meters, id="meters-found", classes="section")
            yield ScrollPane(self._checks, id="meters-checks", classes="section")

    def focus_first(self) -> None:
        """The left side."""
        self.query_one("#meters-found", ScrollPane).focus()

    def opened(self) -> None:
        """Look at once."""
        self._due_s = 0.0

    def sync(self) -> None:
        """Ask every few seconds while the page is open."""
        left, right = (
            self.query_one("#meters-found", ScrollPane),
            self.query_one("#meters-checks", ScrollPane),
        )
        left.title(_("Meters"), words.origin("simulated") if self.present.simulated else "")
        right.title(_("Doctor"))
        left.sync()
        right.sync()
        now_s = self.present.clock.monotonic_ns() / 1e9
        if self.denchi.client is not None and now_s >= self._due_s:
            self._due_s = now_s + EVERY_S
            self.action_look()

    @work(exclusive=True, group="meters", exit_on_error=False)
    async def action_look(self) -> None:
        """Ask the daemon."""
        meters = await self.denchi.ask("get", "/v1/meters")
        doctor = await self.denchi.ask("get", "/v1/doctor")
        if isinstance(meters, Mapping):
            self.meters = meters
        if isinstance(doctor, Mapping):
            self.checks = [c for c in doctor.get("checks") or [] if isinstance(c, Mapping)]
        self.sync()

    def action_other(self) -> None:
        """To the other side."""
        right = self.query_one("#meters-checks", ScrollPane)
        (self.query_one("#meters-found", ScrollPane) if right.has_focus else right).focus()

    def _meters(self, width: int) -> list[Content]:
        rows: list[Content] = []
        for bench in self.present.benches.values():
            rows += self._bench(bench, width)
        found = [m for m in self.meters.get("found") or [] if isinstance(m, Mapping)]
        rows.append(panels.heading(_("Present"), width))
        if not found:
            rows += styled_lines(_("no meter found"), "$quiet", width)
        for one in found:
            name = " ".join(said(one.get(k), 40) for k in ("maker", "model") if one.get(k))
            rows.append(line((name or said(one.get("key"), 30), "bold")))
            facts = [said(one.get(k), 80) for k in ("port", "serial", "firmware") if one.get(k)]
            facts.append(words.maturity(one.get("maturity")) if one.get("maturity") else "")
            rows += styled_lines(" · ".join(f for f in facts if f), "$quiet", width, indent="  ")
        rows += [Content(""), panels.heading(_("Present, but cannot be opened"), width)]
        blocked = [m for m in self.meters.get("unopenable") or [] if isinstance(m, Mapping)]
        if not blocked:
            rows += styled_lines(_("none"), "$quiet", width)
        for one in blocked:
            rows += styled_lines(f"▲ {said(one.get('what'), 120)}", "bold $caution", width)
            rows += styled_lines(said(one.get("reason"), 300), "$ink", width, indent="  ")
            cure = _("cure: {cure}").format(cure=said(one.get("cure"), 300))
            rows += styled_lines(cure, "bold $ink", width, indent="  ")
        return rows

    def _bench(self, bench: Any, width: int) -> list[Content]:
        meter, link = bench.part("meter"), bench.part("link")
        mark = words.origin(bench.state.get("origin"))
        rows = [
            panels.heading(
                f"{_('Bench')} {said(bench.name, 20)}" + (f" [{mark}]" if mark else ""), width
            )
        ]
        if not meter:
            return [*rows, *styled_lines(_("no meter found"), "$quiet", width), Content("")]
        facts: list[tuple[str, Part]] = [
            (
                _("meter"),
                " ".join(said(meter.get(k), 40) for k in ("maker", "model") if meter.get(k)),
            ),
            (_("key"), said(meter.get("key"), 30)),
            (_("serial"), said(meter.get("serial"), 60)),
            (_("firmware"), said(meter.get("firmware"), 40)),
            (_("port"), said(meter.get("port"), 80)),
            (_("support"), words.maturity(meter.get("maturity"))),
            (
                _("its °C"),
                words.place_long(meter.get("temperature_place"))
                if meter.get("temperature_place")
                else _("none"),
            ),
            (
                _("current"),
                {"signed": _("signed"), "unsigned": _("unsigned: say the direction")}.get(
                    str(meter.get("current")), said(meter.get("current"), 30)
                ),
            ),
            (_("link"), (words.link(link.get("state")), panels.link_style(link.get("state")))),
            (
                _("frames"),
                f"{int(words.number(link.get('frames')) or 0):,} · "
                + _("{n} rejected").format(n=int(words.number(link.get("rejected")) or 0)),
            ),
        ]
        for label, fact in facts:
            if isinstance(fact, str):
                rows += panels.labelled(label, fact, width, 12) if fact else []
            else:
                rows.append(pair(label, fact, width, 12))
        for note in (meter.get("notes") or [])[:6]:
            rows += styled_lines("· " + words.both(note), "$quiet", width)
        return [*rows, Content("")]

    def _checks(self, width: int) -> list[Content]:
        rows: list[Content] = []
        for one in self.checks:
            state = str(one.get("state"))
            shape, word, style = {
                "bad": ("■", _("to be mended"), "bold $danger"),
                "notice": ("▲", _("to be looked at"), "bold $caution"),
                "fine": ("─", _("as it should be"), "$neutral"),
            }.get(state, ("◇", said(state, 20), "$note"))
            rows.append(
                line((f"{shape} {said(one.get('name'), 40)}", style), ("  " + word, "$quiet"))
            )
            rows += styled_lines(words.both(one.get("message")), "$ink", width, indent="  ")
            cure = words.both(one.get("cure"))
            if cure:
                rows += styled_lines(
                    _("cure: {cure}").format(cure=cure), "bold $ink", width, indent="  "
                )
        if not rows:
            rows += styled_lines(_("The daemon has not answered yet."), "$quiet", width)
        return [
            *rows,
            Content(""),
            *panels.journal_lines(self.present, width),
            *panels.output_lines(self.present, width),
        ]
