"""The Live page: one bench large, or up to eight as tiles; the waiting page when there is no meter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content

from denchi_dashboards.tui import panels, words
from denchi_dashboards.tui.layout import line, said, styled_lines, width_of
from denchi_dashboards.tui.pages.tiles import Tiles
from denchi_dashboards.tui.plot import Picture, Plot
from denchi_dashboards.tui.present import AMP_CHANNELS, VOLT_CHANNELS, BenchView, Value
from denchi_dashboards.tui.traces import KINDS, SPANS_S, Trace, picture, read_at, span_name
from denchi_dashboards.tui.widgets import Page, Pane, Reading, ScrollPane, key, set_title
from denchi_dashboards.tui.words import _

_UNITS: Final = {"v": "V", "a": "A", "w": "W", "t": "°C"}


class Waiting(Pane):
    """No meter: what was looked for, what cannot be opened and the cure, the demo."""

    def lines(self, width: int) -> Sequence[Content]:
        """The page."""
        width = min(width, 90)
        if not self.present.ever:
            trouble, cure = self.present.trouble
            rows = [line((_("Looking for the daemon"), "bold $primary")), Content("")]
            rows += styled_lines(said(trouble, 300), "$ink", width)
            rows += styled_lines(said(cure, 300), "$caution", width)
            return rows + self._demo(width)
        rows = panels.waiting(self.present, width)
        return rows + self._demo(width)

    def _demo(self, width: int) -> list[Content]:
        if self.denchi.demo_starter is None:
            return []
        return [
            Content(""),
            line(
                (" d ", "bold $background on $primary"),
                "  ",
                (_("start the demo: an emulated meter, marked SIMULATED everywhere"), "$ink"),
            ),
        ]


class Live(Page):
    """Everything about the present."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("plus,equals_sign", "span(-1)", "zoom in", "+"),
        key("minus", "span(1)", "zoom out", "-"),
        key("space", "pause", "pause", "␣"),
        key("enter", "open_tile", "open", "⏎"),
        key("left", "cursor(-1)", "cursor", "←→"),
        key("right", "cursor(1)", "", ""),
        key("v", "plot", "which plot"),
        key("f", "findings", "findings"),
        key("u", "unit", "unit"),
        key("b", "bench(1)", "next bench"),
        key("g", "tiles", "tiles"),
        key("n", "answer(False)", "no"),
        key("y", "answer(True)", "yes"),
        key("s", "session", "new session"),
        key("d", "demo", "demo"),
        key("escape", "release", "back", "esc"),
        key("home", "cursor_end(0)", "", ""),
        key("end", "cursor_end(1)", "", ""),
    ]

    def __init__(self) -> None:
        super().__init__(id="live")
        self.traces: dict[str, Trace] = {}
        self.only = "v"
        self.maximised = False
        self.tiled: bool | None = None
        self.size_class = "-medium"
        self._words_for: tuple[object, ...] = ()

    # -- parts ---------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Waiting, tiles, and one bench large."""
        yield Waiting(id="waiting")
        yield Tiles()
        with Container(id="bench"):
            with Horizontal(id="readings"):
                for kind in KINDS:
                    yield Reading(kind)
            with Horizontal(id="middle"):
                yield ScrollPane(self._side, id="side", classes="section")
                with Vertical(id="plots"):
                    for kind in KINDS:
                        yield Plot(id=f"plot-{kind}", classes="section plot")
            with Horizontal(id="bottom"):
                yield ScrollPane(self._findings, id="findings", classes="section")
                yield Pane(self._brief, id="brief", classes="section")

    def _side(self, width: int) -> list[Content]:
        bench = self.denchi.bench
        tall = self.size.height >= 45
        return panels.side(self.present, bench, width, tall=tall) if bench else []

    def _findings(self, width: int) -> list[Content]:
        bench = self.denchi.bench
        detail = {"-small": 0, "-medium": 1, "-large": 2}[self.size_class]
        return panels.findings(self.present, bench, width, detail=detail) if bench else []

    def _brief(self, width: int) -> list[Content]:
        bench = self.denchi.bench
        return panels.brief(self.present, bench, width) if bench else []

    def trace(self, bench: BenchView) -> Trace:
        """The view of one bench's time."""
        if len(self.traces) > 32:
            self.traces = {n: t for n, t in self.traces.items() if n in self.present.benches}
        return self.traces.setdefault(bench.name, Trace())

    # -- frames --------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        """Small (80 x 24), medium (120 x 40) or large (200 x 60)."""
        width, height = event.size
        size = (
            "-large"
            if width >= 170 and height >= 45
            else "-medium"
            if width >= 100 and height >= 30
            else "-small"
        )
        self.size_class = size
        for name in ("-small", "-medium", "-large"):
            self.set_class(name == size, name)

    def mode(self) -> str:
        """``waiting``, ``tiles`` or ``bench``."""
        benches = self.present.benches
        if not benches or not self.present.ever:
            return "waiting"
        if self.present.waiting is not None and not any(b.part("meter") for b in benches.values()):
            return "waiting"
        tiled = self.tiled if self.tiled is not None else len(benches) > 1
        return "tiles" if tiled and len(benches) > 1 else "bench"

    def sync(self) -> None:
        """One frame."""
        mode = self.mode()
        for name in ("waiting", "tiles", "bench"):
            self.set_class(mode == name, f"-{name}")
        if mode == "waiting":
            self.query_one(Waiting).sync()
            return
        if mode == "tiles":
            self.query_one(Tiles).sync(self)
            return
        bench = self.denchi.bench
        if bench is None:
            return
        self.set_class(bool(self.present.alarms), "-alarm")
        self._readings(bench)
        self._plots(bench)
        words_for = (self.denchi.words_at, bench.name, self.size_class)
        if words_for == self._words_for:
            return
        self._words_for = words_for
        if self.size_class == "-small":
            self.query_one("#brief", Pane).sync()
        else:
            self.query_one("#side", ScrollPane).sync()
        self.query_one("#findings", ScrollPane).sync()
        self._titles(bench)

    def _titles(self, bench: BenchView) -> None:
        mark = words.origin(bench.part("session").get("origin") or bench.state.get("origin"))
        meter = bench.part("meter")
        name = " · ".join(p for p in (said(bench.name, 20), said(meter.get("model"), 30)) if p)
        self.query_one("#side", ScrollPane).title(name, mark)
        self.query_one("#brief", Pane).title(said(bench.name, 20), mark)
        count = len(bench.findings())
        self.query_one("#findings", ScrollPane).title(
            _("Findings") + (f" ({count})" if count else ""), mark
        )

    def _readings(self, bench: BenchView) -> None:
        volts, amps, watts = panels.volts_amps_watts(self.present, bench)
        name = "VBUS" if "vbus_uv" in self._known(bench) else _("pack")
        contract, energy = bench.part("contract"), bench.part("energy")
        low, high = words.number(contract.get("low_v")), words.number(contract.get("high_v"))
        limits = ""
        if low is not None and high is not None:
            limits = _("limits {low:.2f}…{high:.2f}").format(low=low, high=high)
        ah, wh = words.number(energy.get("ah_out")), words.number(energy.get("wh_out"))
        self._put("v", name, volts, 3, limits)
        self._put("a", _("current"), amps, 3, "" if ah is None else f"{ah * 1000:.0f} mAh")
        seconds = words.number(bench.part("session").get("duration_s"))
        used = "" if wh is None else f"{wh:.3f} Wh · {words.duration(seconds)}"
        self._put("w", _("power"), watts, 2, used)
        channels = bench.temperatures()
        if not channels:
            self._put("t", _("temperature"), Value(None, None, False), 1, "")
            return
        value = self.present.value(bench, channels[0])
        room = self.query_one("#reading-t", Reading).content_size.width
        note = ""
        for channel in channels[1:3]:
            other = self.present.value(bench, channel)
            if not other.stale:
                told = f"{words.place(channel.split('.', 1)[1])} {words.fixed(other.value, 1)}"
                longer = f"{note} · {told}" if note else told
                note = longer if width_of(longer) <= room else note  # half a figure says nothing
        self._put("t", words.place(channels[0].split(".", 1)[1]), value, 1, note)

    @staticmethod
    def _known(bench: BenchView) -> Sequence[str]:
        channels = bench.part("live").get("channels")
        names = list(channels) if isinstance(channels, dict) else []
        return names if any(n in names for n in VOLT_CHANNELS + AMP_CHANNELS) else ["vbus_uv"]

    def _put(self, kind: str, name: str, value: Value, decimals: int, note: str) -> None:
        reading = self.query_one(f"#reading-{kind}", Reading)
        if value.age_s is None:
            note = _("not measured")
        elif value.stale:
            note = "▲ " + _("STALE {age}").format(age=words.age(value.age_s))
        colour = "quiet" if value.stale or value.value is None else f"line-{kind}"
        figure = "–––" if value.value is None else words.fixed(value.value, decimals)
        reading.put(name, figure, _UNITS[kind], note, colour)

    def _plots(self, bench: BenchView) -> None:
        trace = self.trace(bench)
        self.denchi.fetch_history(bench, trace)
        single = self.size_class == "-small" or self.maximised
        for kind in KINDS:
            plot = self.query_one(f"#plot-{kind}", Plot)
            shown = not single or kind == self.only
            plot.set_class(not shown, "-hidden")
            if not shown:
                continue
            shot = picture(self.present, bench, trace, kind)
            plot.show(shot)
            self._plot_title(plot, kind, bench, trace, shot)

    def _plot_title(
        self, plot: Plot, kind: str, bench: BenchView, trace: Trace, shot: Picture
    ) -> None:
        names = {"v": _("voltage"), "a": _("current"), "w": _("power"), "t": _("temperature")}
        parts: list[Any] = [(f"{names[kind]} ", f"bold $line-{kind}"), (_UNITS[kind], "$quiet")]
        legend: list[Any] = []
        if len(shot.lines) > 1 or kind == "t":
            for one in shot.lines:
                legend += [("  ━ ", f"${one.colour}"), (one.label, "$quiet")]
        if line(*parts, *legend).cell_length > plot.size.width - 4:
            parts = [(_UNITS[kind], f"bold $line-{kind}")]  # the legend says what it is
        set_title(plot, line(*parts, *legend))
        mark = f"{_('SIMULATED')} · " if bench.simulated else ""
        set_title(plot, line((mark, "$quiet"), self._subtitle(kind, trace, shot)), below=True)

    def _subtitle(self, kind: str, trace: Trace, shot: Picture) -> Content:
        if shot.cursor_t is not None:
            reach = max(3.0, trace.span_s / 100)
            stamp = words.clock_time(shot.base_ns + int(shot.cursor_t * 1e9))
            values = [read_at(one, shot.cursor_t, reach) for one in shot.lines]
            decimals = 1 if kind == "t" else 3
            text = " · ".join(words.fixed(v, decimals, _UNITS[kind]) for v in values) or "–"
            return line((f"│ {stamp}  {text}", "bold $ink"))
        paused = "‖ " + _("paused") + "  " if trace.paused_ns is not None else ""
        return line((paused + span_name(trace.span_s), "bold $caution" if paused else "$quiet"))

    # -- keys ----------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Show only keys that do something here and now."""
        mode = self.mode() if self.is_attached else "bench"
        bench = self.denchi.bench
        if action == "demo":
            return mode == "waiting" and self.denchi.demo_starter is not None
        if mode == "waiting":
            return False
        if action in ("bench", "tiles"):
            return len(self.present.benches) > 1
        if action == "answer":
            return bench is not None and self._question(bench) is not None
        if action == "release":
            trace = self.traces.get(bench.name) if bench else None
            held = trace is not None and (trace.cursor is not None or trace.paused_ns is not None)
            return bool(
                mode == "bench" and (held or self.maximised or len(self.present.benches) > 1)
            )
        if action == "open_tile":
            return mode == "tiles"
        return not (mode == "tiles" and action in ("pause", "cursor_end", "plot"))

    def action_open_tile(self) -> None:
        """The chosen tile large."""
        self.tiled = False
        self.denchi.refresh_keys()

    def action_span(self, step: int) -> None:
        """Zoom in time, from a minute to thirty days."""
        for bench in self.present.benches.values() if self.mode() == "tiles" else self._one():
            trace = self.trace(bench)
            trace.span = min(len(SPANS_S) - 1, max(0, trace.span + step))

    def _one(self) -> list[BenchView]:
        return [self.denchi.bench] if self.denchi.bench else []

    def action_pause(self) -> None:
        """Hold the picture; the data go on."""
        for bench in self._one():
            trace = self.trace(bench)
            trace.paused_ns = None if trace.paused_ns is not None else self.present.now_ns(bench)
        self.denchi.refresh_keys()

    def action_cursor(self, step: int) -> None:
        """Move the read-out line by one cell, or choose a tile."""
        if self.mode() == "tiles":
            self.denchi.next_bench(step)
            return
        for bench in self._one():
            trace = self.trace(bench)
            found = self.query_one(f"#plot-{self.only}", Plot).column_times()
            width = found[0].width if found else 80
            cell = (width - 1 if trace.cursor is None else int(trace.cursor * width)) + step
            if trace.cursor is None and step > 0:
                cell = 0
            trace.cursor = (min(width - 1, max(0, cell)) + 0.5) / width
        self.denchi.refresh_keys()

    def action_cursor_end(self, place: int) -> None:
        """The cursor to the first or the last moment shown."""
        for bench in self._one():
            self.trace(bench).cursor = 0.002 if place == 0 else 0.998

    def action_release(self) -> None:
        """Cursor off, then pause off, then all plots, then tiles."""
        for bench in self._one():
            trace = self.trace(bench)
            if trace.cursor is not None:
                trace.cursor = None
            elif trace.paused_ns is not None:
                trace.paused_ns = None
            elif self.maximised:
                self.maximised = False
            elif len(self.present.benches) > 1:
                self.tiled = True
        self.denchi.refresh_keys()

    def action_plot(self) -> None:
        """The next plot; on a large screen: one large, the last step shows all again."""
        order = list(KINDS)
        if self.size_class == "-small":
            self.only = order[(order.index(self.only) + 1) % len(order)]
            return
        if not self.maximised:
            self.maximised, self.only = True, order[0]
        elif self.only == order[-1]:
            self.maximised, self.only = False, order[0]
        else:
            self.only = order[order.index(self.only) + 1]
        self.denchi.refresh_keys()

    def action_findings(self) -> None:
        """All findings in full."""
        self.denchi.show_findings()

    def action_unit(self) -> None:
        """Say which unit is on the bench."""
        self.denchi.ask_unit()

    def action_bench(self, step: int) -> None:
        """The next bench."""
        self.denchi.next_bench(step)

    def action_tiles(self) -> None:
        """Between tiles and one bench."""
        self.tiled = self.mode() != "tiles"
        self.denchi.refresh_keys()

    def action_session(self) -> None:
        """End this session and begin a new one."""
        self.denchi.ask_session()

    def action_demo(self) -> None:
        """Start the demo."""
        self.denchi.start_demo()

    def action_answer(self, yes: bool) -> None:
        """Answer the newest question."""
        bench = self.denchi.bench
        one = self._question(bench) if bench else None
        if bench is not None and one is not None:
            self.denchi.answer(bench.name, str(one.get("question")), yes)

    @staticmethod
    def _question(bench: BenchView) -> dict[str, Any] | None:
        asked = [f for f in bench.findings() if f.get("question") and not f.get("acknowledged")]
        return asked[-1] if asked else None

    def on_key(self, event: events.Key) -> None:
        """Up and down walk over the tiles."""
        if self.mode() == "tiles" and event.key in ("up", "down"):
            columns = self.query_one(Tiles).columns
            self.denchi.next_bench(columns if event.key == "down" else -columns, wrap=False)
            event.stop()
