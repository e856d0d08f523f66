"""Large windows over the session list: one session opened, or two compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen

from denchi_dashboards.tui import panels, recorded, words
from denchi_dashboards.tui.layout import Part, cut, fit, line, right, said, styled_lines
from denchi_dashboards.tui.plot import Picture, Plot
from denchi_dashboards.tui.recorded import KINDS, UNITS, Recorded
from denchi_dashboards.tui.traces import read_at
from denchi_dashboards.tui.widgets import BADGE, ScrollPane, key, set_title
from denchi_dashboards.tui.words import _


class PlotWindow(ModalScreen[None]):
    """Four plots over time since the start, with zoom and cursor, and a text beside them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape,q", "close", "back", "esc"),
        key("plus,equals_sign", "zoom(0.5)", "zoom in", "+"),
        key("minus", "zoom(2.0)", "zoom out", "-"),
        key("left", "cursor(-1)", "cursor", "←→"),
        key("right", "cursor(1)", "", ""),
        key("v", "plot", "which plot"),
        key("down", "scroll(2)", "scroll", "↑↓"),
        key("up", "scroll(-2)", "", ""),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.only: str | None = None
        self.t0, self.t1 = 0.0, 1.0
        self.cursor_t: float | None = None

    def compose(self) -> ComposeResult:
        """Text and plots."""
        with Vertical(classes="window wide section", id="plot-window"), Horizontal():
            yield ScrollPane(self.text, id="window-text")
            with Vertical(id="window-plots"):
                for kind in KINDS:
                    yield Plot(id=f"w-{kind}", classes="section plot")

    def on_mount(self) -> None:
        """First picture."""
        self.t1 = self.whole_s()
        self.query_one("#window-text", ScrollPane).focus()
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        """Choose what fits."""
        self.set_class(self.size.width < 100 or self.size.height < 30, "-small")
        self.call_after_refresh(self.draw)

    # -- for the two kinds of window -----------------------------------------------------------

    def whole_s(self) -> float:
        """The whole time."""
        raise NotImplementedError

    def picture(self, kind: str) -> Picture:
        """One plot."""
        raise NotImplementedError

    def text(self, width: int) -> list[Content]:
        """The text beside the plots."""
        raise NotImplementedError

    def heading(self) -> Content:
        """The window's title."""
        raise NotImplementedError

    # -- drawing -------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw everything."""
        if not self.is_attached:
            return
        window = self.query_one("#plot-window")
        set_title(window, self.heading())
        set_title(
            window,
            line((_("esc back · +/- zoom · ←→ cursor · v plot · ↑↓ scroll"), "$quiet")),
            below=True,
        )
        self.query_one("#window-text", ScrollPane).sync()
        names = {"v": _("voltage"), "a": _("current"), "w": _("power"), "t": _("temperature")}
        only = self.only or ("v" if self.has_class("-small") else None)
        for kind in KINDS:
            plot = self.query_one(f"#w-{kind}", Plot)
            plot.set_class(only is not None and kind != only, "-hidden")
            shot = self.picture(kind)
            plot.show(shot)
            parts: list[Part] = [(f"{names[kind]} ", f"bold $line-{kind}"), (UNITS[kind], "$quiet")]
            for one in shot.lines:
                if one.label:
                    parts += [("  ━ ", f"${one.colour}"), (one.label, "$quiet")]
            set_title(plot, line(*parts))
            set_title(plot, self._under(kind, shot), below=True)

    def _under(self, kind: str, shot: Picture) -> Content:
        if shot.cursor_t is None:
            return line((words.duration(self.t1 - self.t0), "$quiet"))
        reach = max(3.0, (self.t1 - self.t0) / 100)
        values = [
            words.fixed(read_at(x, shot.cursor_t, reach), 3 if kind != "t" else 1)
            for x in shot.lines
        ]
        text = " | ".join(values) or "–"
        return line((f"│ {words.duration(shot.cursor_t)}  {text} {UNITS[kind]}", "bold $ink"))

    # -- keys ----------------------------------------------------------------------------------

    def action_close(self) -> None:
        """Back to the list; the cursor first."""
        if self.cursor_t is not None:
            self.cursor_t = None
            self.draw()
            return
        self.dismiss(None)

    def action_zoom(self, factor: float) -> None:
        """Zoom around the cursor, or around the middle."""
        whole = self.whole_s()
        span = min(whole, max(min(10.0, whole), (self.t1 - self.t0) * factor))
        middle = self.cursor_t if self.cursor_t is not None else (self.t0 + self.t1) / 2
        self.t0 = min(max(0.0, middle - span / 2), whole - span)
        self.t1 = self.t0 + span
        self.draw()

    def action_cursor(self, step: int) -> None:
        """Move the read-out line by one cell."""
        frame = next((p.column_times() for p in self.query(Plot) if p.column_times()), None)
        cell = (self.t1 - self.t0) / (frame[0].width if frame else 80)
        if self.cursor_t is None:
            self.cursor_t = self.t0 + cell / 2 if step > 0 else self.t1 - cell / 2
        else:
            self.cursor_t = min(
                self.t1 - cell / 2, max(self.t0 + cell / 2, self.cursor_t + step * cell)
            )
        self.draw()

    def action_plot(self) -> None:
        """The next plot large; the last step shows all again."""
        order: list[str | None] = [*KINDS] if self.has_class("-small") else [None, *KINDS]
        at = order.index(self.only) if self.only in order else 0
        self.only = order[(at + 1) % len(order)]
        self.draw()

    def action_scroll(self, rows: int) -> None:
        """Scroll the text."""
        self.query_one("#window-text", ScrollPane).scroll_relative(y=rows, animate=False)


class SessionWindow(PlotWindow):
    """One recorded session."""

    def __init__(self, session: Recorded) -> None:
        super().__init__()
        self.session = session

    def whole_s(self) -> float:
        """The session's length."""
        return self.session.duration_s

    def picture(self, kind: str) -> Picture:
        """One plot."""
        return recorded.picture(self.session, kind, self.t0, self.t1, self.cursor_t)

    def heading(self) -> Content:
        """Unit and time."""
        mark = words.origin(self.session.line.get("origin"))
        badge: list[Part] = [(f" {mark} ", BADGE), " "] if mark else []
        return line(*badge, (recorded.name_of(self.session.line), "bold"))

    def text(self, width: int) -> list[Content]:
        """Facts, verdict, figures, recall, findings."""
        told, detail = self.session.line, self.session.detail
        rows = [panels.heading(_("Session"), width)]
        facts = [
            (_("id"), said(told.get("id"), 60)),
            (_("begun"), words.date_time(words.parse_iso(told.get("started")))),
            (_("duration"), words.duration(self.session.duration_s)),
            (_("meter"), said(told.get("meter"), 40)),
            (_("profile"), said(told.get("profile"), 40)),
            (_("operator"), said(detail.get("operator"), 60)),
            (_("samples"), f"{int(words.number(told.get('samples')) or 0):,}"),
            (_("gaps"), f"{int(words.number(told.get('gaps')) or 0)}"),
        ]
        rows += [
            line((fit(label, 11), "$quiet"), (cut(text, width - 11), "$ink"))
            for label, text in facts
            if text
        ]
        rows += [Content(""), panels.heading(_("Verdict"), width)]
        rows += panels.verdict_lines(detail.get("verdict_report"), width, short=False)
        rows += [Content(""), panels.heading(_("Figures"), width)]
        for one in recorded.figures(self.session):
            value = words.fixed(one.value, one.decimals, one.unit)
            rows.append(
                line((fit(one.name, max(8, width - 15)), "$quiet"), " ", (right(value, 14), "$ink"))
            )
        rows += [Content(""), panels.heading(_("Recall lists, as asked then"), width)]
        rows += panels.recall_lines(detail.get("recall"), width, short=False)
        rows += [Content(""), panels.heading(_("Findings"), width)]
        if not self.session.findings:
            rows += styled_lines(
                _("Nothing was found. This says nothing about what was not observed."),
                "$quiet",
                width,
            )
        for finding in reversed(self.session.findings):
            rows += panels.finding_lines(finding, width, full=True)
        return rows


class CompareWindow(PlotWindow):
    """Two sessions over each other, and their differences."""

    def __init__(self, pair: Sequence[Recorded]) -> None:
        super().__init__()
        self.pair = pair

    def whole_s(self) -> float:
        """The longer one's length."""
        return max(s.duration_s for s in self.pair)

    def picture(self, kind: str) -> Picture:
        """One plot."""
        return recorded.overlay(self.pair, kind, self.t0, self.t1, self.cursor_t)

    def heading(self) -> Content:
        """A against B."""
        parts: list[Part] = [(_("Compare"), "bold")]
        if any(s.simulated for s in self.pair):
            parts += [" ", (f" {_('SIMULATED')} ", BADGE)]
        return line(*parts)

    def text(self, width: int) -> list[Content]:
        """Who is who, then the difference table."""
        rows: list[Content] = []
        for name, colour, one in zip(("A", "B"), recorded.PAIR_COLOURS, self.pair, strict=True):
            mark = words.origin(one.line.get("origin"))
            text = recorded.name_of(one.line) + (f" [{mark}]" if mark else "")
            rows += styled_lines(f"━ {name}  {text}", f"${colour}", width)
            verdict = str(one.line.get("verdict"))
            shown = f"{words.VERDICT_SHAPES.get(verdict, '◇')} {words.verdict(verdict)}"
            rows += styled_lines(
                shown, words.VERDICT_STYLES.get(verdict, "$neutral"), width, indent="     "
            )
        rows.append(Content(""))
        return rows + difference_table(self.pair, width)


def difference_table(pair: Sequence[Recorded], width: int) -> list[Content]:
    """Each figure of A and B and what lies between."""
    column = min(9, max(7, (width - 16) // 3 - 1))
    room = max(8, width - 3 * (column + 1))
    head = fit(_("figure"), room) + "".join(" " + right(t, column) for t in ("A", "B", "B − A"))
    rows = [line((head, "bold $quiet")), line(("─" * width, "$faint"))]
    first = {f.name: f for f in recorded.figures(pair[0])}
    second = {f.name: f for f in recorded.figures(pair[1])}
    for name in dict.fromkeys([*first, *second]):
        a, b = first.get(name), second.get(name)
        rows.append(_difference(name, a, b, room, column))
    return rows


def _difference(
    name: str, a: recorded.Figure | None, b: recorded.Figure | None, room: int, column: int
) -> Content:
    known = a or b
    assert known is not None
    values = [None if f is None else f.value for f in (a, b)]
    between = None
    if values[0] is not None and values[1] is not None:
        between = values[1] - values[0]
    label = f"{name} {known.unit}".rstrip()
    cells = [words.fixed(v, known.decimals) for v in values]
    delta = "–" if between is None else f"{between:+.{known.decimals}f}"
    if between is not None and round(between, known.decimals) == 0:
        delta = "="
    return line(
        (fit(cut(label, room), room), "$quiet"),
        " ",
        (right(cells[0], column), "$ink"),
        " ",
        (right(cells[1], column), "$ink"),
        " ",
        (right(delta, column), "bold $ink" if delta != "=" else "$quiet"),
    )


def as_findings(answer: object) -> list[Mapping[str, Any]]:
    """Findings of an API answer."""
    found = answer.get("findings") if isinstance(answer, Mapping) else None
    return [f for f in found if isinstance(f, Mapping)] if isinstance(found, list) else []
