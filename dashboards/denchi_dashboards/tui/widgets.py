"""The small widgets every page is made of. They draw text that is data, never markup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.renderables.digits import DIGITS, DIGITS3X3_BOLD
from textual.widget import Widget

from denchi_dashboards.tui import words
from denchi_dashboards.tui.layout import Part, cut, fit, line, said, spread, stack, width_of, wrap
from denchi_dashboards.tui.present import Present
from denchi_dashboards.tui.words import _

if TYPE_CHECKING:
    from denchi_dashboards.tui.app import DenchiApp

BADGE: Final = "bold $sim-ink on $sim-ground"
Builder = Callable[[int], Sequence[Content]]
_ROWS: Final = list(DIGITS3X3_BOLD)


class Pane(Widget):
    """Lines of text made by a function of the width; redrawn only when they differ."""

    ALLOW_SELECT = False

    def __init__(
        self, build: Builder | None = None, *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._build = build
        self._content = Content()
        self._built_for = Size(-1, -1)
        self._count = 0

    @property
    def denchi(self) -> DenchiApp:
        """The app, as what it is."""
        return cast("DenchiApp", self.app)

    @property
    def present(self) -> Present:
        """What is known now."""
        return self.denchi.present

    def lines(self, width: int) -> Sequence[Content]:
        """The lines to show in ``width`` cells."""
        return self._build(width) if self._build else ()

    def title(self, text: str, mark: str = "") -> None:
        """The title in the border; ``mark`` is the SIMULATED badge."""
        set_title(self, marked(text, mark))

    def sync(self) -> None:
        """Take over what has changed since the last frame."""
        size = self.content_size
        if size.width <= 0 or not self.is_attached:
            # shown again, it is made anew: it may be another bench's
            self._built_for = Size(-1, -1)
            return
        lines = list(self.lines(size.width))
        content = stack(lines)
        if size == self._built_for and content.is_same(self._content):
            return
        grown = len(lines) != self._count
        self._content, self._built_for, self._count = content, size, len(lines)
        auto = self.styles.height is not None and self.styles.height.is_auto
        self.refresh(layout=grown and auto)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as there are lines."""
        return max(1, len(list(self.lines(width))))

    def render(self) -> Content:
        """The lines."""
        if self._built_for != self.content_size:
            lines = list(self.lines(max(1, self.content_size.width)))
            self._content, self._count = stack(lines), len(lines)
            self._built_for = self.content_size
        return self._content


class ScrollPane(VerticalScroll):
    """A pane that scrolls with the keyboard when focused."""

    def __init__(
        self, build: Builder, *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.pane = Pane(build, classes="scrolled")

    def compose(self) -> Any:
        """The pane inside."""
        yield self.pane

    def sync(self) -> None:
        """Take over what has changed."""
        self.pane.sync()

    def title(self, text: str, mark: str = "") -> None:
        """The title in the border."""
        set_title(self, marked(text, mark))


def marked(text: str, mark: str) -> Content:
    """A title with the SIMULATED (or RECORDING) badge; the badge first, for what is long is cut."""
    return line((f" {mark} ", BADGE), " ", text) if mark else line(text)


def set_title(widget: Widget, title: Content, *, below: bool = False) -> None:
    """Set a border's title only when it differs: each setting redraws the border."""
    store = "_denchi_below" if below else "_denchi_title"
    held = getattr(widget, store, None)
    if held is not None and held.is_same(title):
        return
    setattr(widget, store, title)
    setattr(widget, "border_subtitle" if below else "border_title", title)


def big(text: str) -> tuple[str, str, str]:
    """``text`` in digits three rows high."""
    rows = ["", "", ""]
    for ch in text:
        if ch in ".,":
            for i, part in enumerate((" ", " ", "." if ch == "." else ",")):
                rows[i] += part
            continue
        if ch == "–":
            for i, part in enumerate(("   ", "╺━╸", "   ")):
                rows[i] += part
            continue
        index = DIGITS.find(ch)
        if index < 0:
            for i in range(3):
                rows[i] += ch if i == 2 else " "
            continue
        for i in range(3):
            row = _ROWS[index * 3 + i] if index * 3 + i < len(_ROWS) else ""
            rows[i] += fit(row, 3)
    return rows[0], rows[1], rows[2]


class Reading(Pane):
    """One quantity in large digits with its unit, its name and how old it is."""

    def __init__(self, kind: str, prefix: str = "reading") -> None:
        super().__init__(id=f"{prefix}-{kind}")
        self.kind = kind
        self.shown: tuple[str, str, str, str, str] = ("", "–", "", "", "quiet")

    def put(self, name: str, figure: str, unit: str, note: str, colour: str) -> None:
        """What to show; nothing is redrawn when it is the same."""
        shown = (name, figure, unit, note, colour)
        if shown != self.shown:
            self.shown = shown
            self.sync()

    def lines(self, width: int) -> Sequence[Content]:
        """Name and note, then three rows of digits with the unit."""
        name, figure, unit, note, colour = self.shown
        rows = big(figure)
        if width_of(rows[0]) >= width:  # neither half digits nor two figures run together
            rows, unit = (cut(f"{figure} {unit}", width), "", ""), ""
        elif (
            width_of(rows[2]) + 1 + width_of(unit) > width
        ):  # a unit alone below reads as another's
            name, unit = f"{name} {unit}", ""
        head = line((fit(cut(name, width), width), "$quiet"))
        body = [line((rows[0], f"bold ${colour}"))]
        body.append(line((rows[1], f"bold ${colour}")))
        body.append(line((rows[2], f"bold ${colour}"), " ", (unit, f"${colour}")))
        tail = line((cut(note, width), "$caution" if colour == "quiet" else "$quiet"))
        height = self.content_size.height or 5
        if height >= 5:
            return [head, *body, tail]
        if note and colour == "quiet":
            head = line(
                (cut(f"{name} ", width), "$quiet"), (cut(note, max(4, width - 8)), "$caution")
            )
        return [head, *body][: max(1, height)]


class TopBar(Pane):
    """Name, pages, the SIMULATED mark, the daemon: one row. The pages' names come first."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._places: list[tuple[int, int, str]] = []

    def lines(self, width: int) -> Sequence[Content]:
        """The row."""
        mark: list[Part] = [(f" {_('SIMULATED')} ", BADGE)] if self.present.simulated else []
        clock = words.clock_time(self.present.clock.wall_ns())
        station = said(self.present.state.get("station"), 24)
        brand: list[Part] = [(" denchi 電池 ", "bold $background on $primary"), " "]
        tabs = self._tabs(wide=width >= 100)
        # What gives way when the row is narrow: the station, the clock, the name, the other tabs' names.
        for head, tail in (
            (brand, [*mark, (f"  {station}  {clock} ", "$quiet")]),
            (brand, [*mark, (f"  {clock} ", "$quiet")]),
            (brand, mark),
            ([], mark),
        ):
            if self._fits(head, tabs, tail, width):
                return [self._row(head, tabs, tail, width)]
        return [self._row([], self._tabs(short=True), mark, width)]

    def _tabs(self, *, wide: bool = False, short: bool = False) -> list[tuple[str, str, str]]:
        tabs = []
        for n, name, title in self.denchi.pages_listed():
            active = name == self.denchi.page
            text = f" {n}" if short and not active else f" {n} {title}"
            text += " " if active or wide else ""
            tabs.append((text, "bold $ink on $panel underline" if active else "$quiet", name))
        return tabs

    @staticmethod
    def _fits(
        head: Sequence[Part], tabs: Sequence[tuple[str, str, str]], tail: Sequence[Part], width: int
    ) -> bool:
        used = sum(width_of(text) for text, _style, _name in tabs)
        return line(*head).cell_length + used + line(*tail).cell_length <= width

    def _row(
        self,
        head: Sequence[Part],
        tabs: Sequence[tuple[str, str, str]],
        tail: Sequence[Part],
        width: int,
    ) -> Content:
        row, end = line(*head), line(*tail)
        self._places = []
        for text, style, name in tabs:
            start = row.cell_length
            row = line(row, (text, style))
            self._places.append((start, row.cell_length, name))
        return line(row, " " * max(0, width - row.cell_length - end.cell_length), end)

    def on_click(self, event: events.Click) -> None:
        """The mouse may pick a page (it never has to)."""
        for start, end, name in self._places:
            if start <= event.x < end:
                self.denchi.action_page(name)


class StatusLine(Pane):
    """Link, journal and outputs in one row on every page; the daemon's absence takes it over."""

    def lines(self, width: int) -> Sequence[Content]:
        """The row."""
        present = self.present
        if not present.fresh:
            return [self._away(width)]
        row = self._row(short=False)
        return [
            row
            if row.cell_length <= width
            else self._row(short=True).truncate(width, ellipsis=True)
        ]

    def _row(self, *, short: bool) -> Content:
        parts: list[Part] = [" "]
        groups = [g for g in (self._meter(), self._journal(short), *self._outputs()) if g]
        for i, group in enumerate(groups):
            parts += [("  ·  ", "$faint")] if i else []
            parts += group
        return line(*parts)

    def _meter(self) -> list[Part]:
        bench = self.denchi.bench
        if bench is None:
            return []
        link = bench.part("link")
        rate = words.number(link.get("rate_hz"))
        parts: list[Part] = [(_("meter"), "$quiet"), " "]
        parts.append((words.link(link.get("state")), _link_style(link.get("state"))))
        if rate is not None:
            parts.append((f" {rate:.3g}/s", "$quiet"))
        if link.get("unchecked"):
            parts.append((" " + _("unchecked"), "$caution"))
        return parts

    def _away(self, width: int) -> Content:
        present = self.present
        if not present.ever:
            text = " ◇ " + _("looking for the daemon")
        else:
            text = " ◇ " + _("DAEMON AWAY, last seen {t}; everything shown is stale").format(
                t=words.clock_time(present.last_seen_ns)
            )
        trouble, cure = present.trouble
        more = f"  {said(trouble, 200)}" + (f" ({said(cure, 200)})" if cure else "")
        return line(
            (
                fit(cut(text + (more if trouble else ""), width), width),
                "bold $caution-ink on $caution-ground",
            )
        )

    def _journal(self, short: bool) -> list[Part]:
        journal = self.present.state.get("journal")
        if not isinstance(journal, dict):
            return []
        parts: list[Part] = [(_("journal"), "$quiet"), " "]
        if journal.get("degraded"):
            return [*parts, ("▲ " + words.degraded(journal.get("degraded")), "bold $caution")]
        age = words.number(journal.get("last_commit_age_s"))
        told = words.age(age) if short else _("committed {age} ago").format(age=words.age(age))
        parts.append((told, "$ink"))
        lost = words.number(journal.get("lost_samples"))
        if lost:
            parts.append((" ▲ " + _("{n} lost").format(n=int(lost)), "$caution"))
        return parts

    def _outputs(self) -> list[list[Part]]:
        groups: list[list[Part]] = []
        for one in (self.present.state.get("outputs") or [])[:4]:
            if not isinstance(one, dict):
                continue
            backlog = words.number(one.get("backlog_samples")) or 0
            style = "$caution" if one.get("state") in ("waiting", "stopped") else "$ink"
            text = words.output_state(one.get("state"))
            if backlog >= 1:
                text += " " + _("{n} behind").format(n=f"{int(backlog):,}")
            groups.append([(said(one.get("name"), 20), "$quiet"), " ", (text, style)])
        return groups


def _link_style(state: object) -> str:
    return (
        "$ink"
        if state == "streaming"
        else "bold $caution"
        if state in ("gone", "refused", "stale")
        else "$note"
    )


class KeyBar(Pane):
    """The keys that work here and now: always visible, the page's own first."""

    def lines(self, width: int) -> Sequence[Content]:
        """The row."""
        here, always = self.denchi.keys_shown(short=width < 100)
        tail = self._keys(always)
        room = width - tail.cell_length - 1
        shown: list[Any] = []
        used = 0
        for one in here:
            part = self._keys([one])
            if used + part.cell_length > room:
                break
            shown.append(part)
            used += part.cell_length
        return [line(*shown, " " * max(0, width - used - tail.cell_length), tail)]

    @staticmethod
    def _keys(keys: Sequence[tuple[str, str]]) -> Content:
        parts: list[Any] = []
        for key, label in keys:
            parts += [(f" {key} ", "bold $primary"), (f"{label} ", "$quiet")]
        return line(*parts)


class Banner(Pane):
    """An alarm that cannot be missed: it stays until somebody acknowledges it."""

    def sync(self) -> None:
        """Show or hide, as high as the text needs, then redraw."""
        alarms = self.present.alarms
        self.set_class(bool(alarms), "-on")
        self.set_class(bool(alarms) and alarms[0].get("severity") == "danger", "-danger")
        if alarms:
            rows = len(self.lines(self.app.size.width))
            if self.styles.height is None or self.styles.height.value != rows:
                self.styles.height = rows
        super().sync()

    def lines(self, width: int) -> Sequence[Content]:
        """The most severe unacknowledged episode."""
        alarms = self.present.alarms
        if not alarms:
            return []
        one = alarms[0]
        rows = [self._head(one, len(alarms) - 1, width)]
        rows += [line(" ", (row, "bold")) for row in wrap(words.message(one), width - 2, 2)]
        advice = words.message(one, "advice")
        facts = [
            _("onset {t}").format(t=words.clock_time(one.get("onset_ns"))),
            words.figures(one.get("measured")),
            words.place_long(one.get("place")) if one.get("place") else "",
        ]
        if self.app.size.height >= 30 and self.denchi.page == "live":
            rows.append(line(" ", cut(" · ".join(f for f in facts if f), width - 2)))
        told = wrap("→ " + (advice or facts[0]), width - 2, 2)
        return rows + [line(" " if i == 0 else "   ", (row, "bold")) for i, row in enumerate(told)]

    def _head(self, one: dict[str, Any], more: int, width: int) -> Content:
        word = f" {words.shape(one.get('severity'))} {words.severity(one.get('severity'))} "
        bench = said(one.get("bench"), 20)
        ended = self.denchi.ended(one)
        parts: list[Part] = [(word, "reverse bold"), " ", (bench, "bold")]
        view = self.present.benches.get(str(one.get("bench")))
        if view is not None and view.simulated:
            parts.append(" " + _("SIMULATED"))
        if ended:
            parts.append((" · " + ended, "bold"))
        if view is None or str(one.get("session")) != view.session_id:
            # It stands since another session: the unit may be another one by now.
            moment = words.date_time(one.get("t_ns"))
            parts.append((" · " + _("earlier session, {t}").format(t=moment), "bold"))
        if more:
            parts.append(("  " + _("+{n} more").format(n=more), "bold"))
        return spread(parts, [(" a " + _("acknowledge") + " ", "reverse bold")], width)


class Page(Widget, can_focus=True, can_focus_children=True):
    """One page: ``sync`` is called at each frame while it is visible."""

    BINDINGS: ClassVar[list[BindingType]] = []

    @property
    def denchi(self) -> DenchiApp:
        """The app, as what it is."""
        return cast("DenchiApp", self.app)

    @property
    def present(self) -> Present:
        """What is known now."""
        return self.denchi.present

    def sync(self) -> None:
        """Take over what has changed since the last frame."""

    def opened(self) -> None:
        """The page has become visible."""

    def relabel(self) -> None:
        """The language has changed: say again what is not said at each frame."""

    def focus_first(self) -> None:
        """Put the focus where the page's keys work."""
        self.focus()


def key(keys: str, action: str, description: str, shown: str = "") -> Binding:
    """A binding; the description is a msgid of our catalogue."""
    return Binding(keys, action, description, key_display=shown or None)
