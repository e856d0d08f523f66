"""Up to eight benches side by side, each with its figures, a plot and its newest finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from denchi_dashboards.tui import panels, words
from denchi_dashboards.tui.layout import cut, line, said, wrap
from denchi_dashboards.tui.plot import Plot
from denchi_dashboards.tui.present import BenchView, Value
from denchi_dashboards.tui.traces import picture
from denchi_dashboards.tui.widgets import BADGE, Pane, big, set_title
from denchi_dashboards.tui.words import _

if TYPE_CHECKING:
    from denchi_dashboards.tui.pages.live import Live

MAX_TILES: Final = 8
TURNS_FROM: Final = 2
"""More tiles than this take turns."""


class TileText(Pane):
    """The figures of a tile."""

    def __init__(self, part: str) -> None:
        super().__init__(classes=f"tile-{part}")
        self.part = part
        self.bench: BenchView | None = None

    def lines(self, width: int) -> Sequence[Content]:
        """Head: figures; foot: the newest finding or the recall state."""
        if self.bench is None:
            return []
        if self.part == "foot":
            return self._foot(self.bench, width)
        return self._head(self.bench, width)

    def _head(self, bench: BenchView, width: int) -> list[Content]:
        volts, amps, watts = panels.volts_amps_watts(self.present, bench)
        temps = bench.temperatures()
        temp = self.present.value(bench, temps[0]) if temps else Value(None, None, False)
        place = words.place(temps[0].split(".", 1)[1]) if temps else _("temperature")
        if self.content_size.height < 4:
            parts: list[Any] = []
            for value, decimals, unit, colour in (
                (volts, 3, "V", "line-v"),
                (amps, 3, "A", "line-a"),
                (watts, 1, "W", "line-w"),
                (temp, 1, "°C", "line-t"),
            ):
                style = "$quiet" if value.stale else f"bold ${colour}"
                parts.append((words.fixed(value.value, decimals, unit) + "  ", style))
            state = str(bench.part("link").get("state"))
            if state != "streaming" or volts.stale:
                parts.append((self._state(bench, volts), "bold $caution"))
            return [line(*parts).truncate(width, ellipsis=True)]
        v_rows = big("–––" if volts.value is None else words.fixed(volts.value, 2))
        a_rows = big("–––" if amps.value is None else words.fixed(amps.value, 2))
        v_style = "$quiet" if volts.stale else "bold $line-v"
        a_style = "$quiet" if amps.stale else "bold $line-a"
        rows = []
        for i in range(3):
            unit_v, unit_a = (" V  ", " A") if i == 2 else ("    ", "  ")
            rows.append(
                line(
                    (v_rows[i], v_style), (unit_v, v_style), (a_rows[i], a_style), (unit_a, a_style)
                ).truncate(width)
            )
        tail = [
            (words.fixed(watts.value, 2, "W"), "$quiet" if watts.stale else "bold $line-w"),
            (f"   {place} ", "$quiet"),
            (words.fixed(temp.value, 1, "°C"), "$quiet" if temp.stale else "bold $line-t"),
        ]
        if volts.stale or bench.part("link").get("state") != "streaming":
            tail.append(("   " + self._state(bench, volts), "bold $caution"))
        return [*rows, line(*tail).truncate(width, ellipsis=True)]

    @staticmethod
    def _state(bench: BenchView, volts: Value) -> str:
        state = words.link(bench.part("link").get("state"))
        if volts.stale and volts.age_s is not None:
            return _("STALE {age}").format(age=words.age(volts.age_s))
        return state

    def _foot(self, bench: BenchView, width: int) -> list[Content]:
        height = max(1, self.content_size.height)
        found = [f for f in bench.findings() if f.get("severity") != "info"] or bench.findings()
        recall = str(bench.part("recall").get("status"))
        rows: list[Content] = []
        danger = any(f.get("severity") == "danger" for f in found)
        if recall in ("affected", "check_serial") and (height > 1 or not danger):
            text = f"{words.RECALL_SHAPES[recall]} {words.recall(recall)}"
            rows.append(line((cut(text, width), words.RECALL_STYLES[recall])))
        if found and len(rows) < height:
            one = found[-1]
            head = f"{words.shape(one.get('severity'))} {words.severity(one.get('severity'))} "
            told = wrap(head + words.message(one), width, height - len(rows))
            rows += [line((row, words.style(one.get("severity")))) for row in told]
        if rows:
            return rows
        report = str(bench.part("verdict").get("verdict"))
        text = f"{words.VERDICT_SHAPES.get(report, '◇')} {words.verdict(report)}"
        return [line((cut(text, width), words.VERDICT_STYLES.get(report, "$neutral")))]


class Tile(Container):
    """One bench small."""

    def __init__(self) -> None:
        super().__init__(classes="tile section")
        self.head, self.foot = TileText("head"), TileText("foot")
        self.plot = Plot(classes="tile-plot")
        self._words_for: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Figures, plot, finding."""
        yield self.head
        yield self.plot
        yield self.foot

    def show(self, page: Live, bench: BenchView, chosen: bool) -> None:
        """Draw one bench: its figures and its plot, and its words when they can be others."""
        self.head.bench = self.foot.bench = bench
        words_for = (page.denchi.words_at, bench.name, chosen, self.size)
        if words_for != self._words_for:
            self._words_for = words_for
            self._words(bench, chosen)
        self.head.sync()
        trace = page.trace(bench)
        page.denchi.fetch_history(bench, trace)
        if self.content_size.height >= 4:
            self.plot.show(picture(page.present, bench, trace, "v"))

    def _words(self, bench: BenchView, chosen: bool) -> None:
        inner = self.content_size.height
        self.head.styles.height = 4 if inner >= 9 else 1
        self.foot.styles.height = 2 if inner >= 12 else 1
        self.plot.set_class(inner < 4, "-hidden")
        self.set_class(chosen, "-chosen")
        alarm = next((f for f in reversed(bench.findings()) if f.get("severity") == "danger"), None)
        self.set_class(alarm is not None, "-danger")
        self.foot.sync()
        self._title(bench, chosen)

    def _title(self, bench: BenchView, chosen: bool) -> None:
        name = panels.unit_name(bench.part("unit")) or said(bench.part("meter").get("model"), 30)
        room = max(8, self.size.width - 22)
        parts: list[Any] = [
            ("▸ " if chosen else "", "bold $primary"),
            (said(bench.name, 20), "bold"),
        ]
        parts.append((" " + cut(name, max(4, room - len(bench.name))), "$quiet"))
        mark = words.origin(bench.part("session").get("origin") or bench.state.get("origin"))
        if mark:
            parts += [" ", (f" {mark} ", BADGE)]
        set_title(self, line(*parts))


class Tiles(Container):
    """The grid of tiles."""

    def __init__(self) -> None:
        super().__init__(id="tiles")
        self.columns = 2
        self._layout: tuple[object, ...] = ()
        self._turn = 0

    def compose(self) -> ComposeResult:
        """Eight tiles, shown as needed."""
        for _index in range(MAX_TILES):
            yield Tile()

    def sync(self, page: Live) -> None:
        """One frame."""
        benches = list(page.present.benches.values())[:MAX_TILES]
        count = len(benches)
        wide, high = self.size.width, self.size.height
        columns = 1 if count == 1 else 2
        if wide >= 150 and (count > 4 or high < 20):
            columns = 4 if count > 6 else 3
        self.columns = columns
        rows = -(-count // columns)
        self.styles.grid_size_columns = columns
        self.styles.grid_size_rows = max(1, rows)
        chosen = page.denchi.bench
        layout = (count, self.size, chosen.name if chosen else "")
        # Figures that change ten times a second cannot be read: where there are many, each is drawn in
        # every other frame. It is a third of what the screen costs.
        whole = page.denchi.whole_frame or count <= TURNS_FROM or layout != self._layout
        self._layout, self._turn = layout, 1 - self._turn
        for i, tile in enumerate(self.query(Tile)):
            tile.set_class(i >= count, "-hidden")
            if i < count and (whole or i % 2 == self._turn):
                tile.show(page, benches[i], benches[i] is chosen)
