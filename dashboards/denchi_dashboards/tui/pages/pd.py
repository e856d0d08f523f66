"""The PD page: what source and sink said to each other, and the capabilities with the active contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import DataTable

from denchi_dashboards.tui import panels, words
from denchi_dashboards.tui.layout import cut, line, pair, said, styled_lines
from denchi_dashboards.tui.widgets import Page, ScrollPane, key, set_title
from denchi_dashboards.tui.words import _

MAX_ROWS = 500
QUIET_FIELDS = frozenset(("chunked", "request_chunk", "raw"))


class Pd(Page):
    """USB Power Delivery of the bench."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("b", "bench(1)", "next bench"),
        # Before the table, to which `end` means its last column.
        Binding("end", "newest", "newest", priority=True),
        key("k", "good_crc", "GoodCRC on/off"),
    ]

    def __init__(self) -> None:
        super().__init__(id="pd")
        self.session = ""
        self.next = 0
        self.acks = False
        self.messages: list[dict[str, Any]] = []
        self.shown: list[dict[str, Any]] = []
        self._wide = 0
        self._due_s = 0.0

    def compose(self) -> ComposeResult:
        """Messages left, contract right."""
        with Horizontal():
            with Vertical(id="pd-left"):
                yield DataTable(id="pd-table", cursor_type="row", classes="section")
                yield ScrollPane(self._detail, id="pd-detail", classes="section")
            yield ScrollPane(self._side, id="pd-side", classes="section")

    def on_mount(self) -> None:
        """Column titles."""
        self.relabel()

    def relabel(self) -> None:
        """Column titles in the language in force."""
        self.fill()

    def focus_first(self) -> None:
        """The table."""
        self.query_one(DataTable).focus()

    def opened(self) -> None:
        """Ask at once."""
        self._due_s = 0.0

    def sync(self) -> None:
        """Follow the bench; ask for newer messages once a second."""
        bench = self.denchi.bench
        side = self.query_one("#pd-side", ScrollPane)
        side.title(
            said(bench.name, 20) if bench else "",
            words.origin("simulated") if bench and bench.simulated else "",
        )
        side.sync()
        self._titles()
        if bench is None:
            return
        if bench.session_id != self.session:
            self.session, self.next, self.messages = bench.session_id, 0, []
            self._due_s = 0.0
            self.fill()
        now_s = self.present.clock.monotonic_ns() / 1e9
        if self.session and self.denchi.client is not None and now_s >= self._due_s:
            self._due_s = now_s + 1.0
            self.fetch()

    def _titles(self) -> None:
        table, detail = self.query_one(DataTable), self.query_one("#pd-detail", ScrollPane)
        if table.content_size.width != self._wide:  # how much of the content fits has changed
            self._wide = table.content_size.width
            self.fill()
        count = _("Messages: {n}").format(n=len(self.shown))
        set_title(table, line(f"USB Power Delivery · {count}"))
        one = self.current()
        detail.title(said(one.get("type"), 40) if one else _("message"))
        detail.sync()

    def current(self) -> Mapping[str, Any] | None:
        """The message under the cursor."""
        row = self.query_one(DataTable).cursor_row
        return self.shown[row] if 0 <= row < len(self.shown) else None

    @on(DataTable.RowHighlighted)
    def highlighted(self, event: DataTable.RowHighlighted) -> None:
        """The cursor moved: the message in full below."""
        event.stop()
        self._titles()

    def _detail(self, width: int) -> list[Content]:
        one = self.current()
        if one is None:
            return styled_lines(_("no message yet"), "$quiet", width)
        fields = one.get("fields")
        fields = fields if isinstance(fields, Mapping) else {}
        pdos = fields.get("pdos")
        if isinstance(pdos, list):
            return [panels.pdo_line(p, width) for p in pdos if isinstance(p, Mapping)]
        rows: list[Content] = []
        for name, value in fields.items():
            if name not in QUIET_FIELDS and value not in (None, [], {}):
                rows += panels.labelled(said(name, 30), _short(value), width, 24)
        if one.get("reason"):
            rows += styled_lines(said(one["reason"], 200), "$note", width)
        words_ = " ".join(said(o, 16) for o in one.get("objects") or [])
        if words_:
            rows += panels.labelled(_("data objects"), words_, width, 24)
        return rows or styled_lines(_("carries no data"), "$quiet", width)

    @work(exclusive=True, group="pd", exit_on_error=False)
    async def fetch(self) -> None:
        """Messages after the last one known."""
        session = self.session
        answer = await self.denchi.ask(
            "get", f"/v1/sessions/{session}/pd", after=self.next, limit=MAX_ROWS
        )
        if not isinstance(answer, Mapping) or session != self.session:
            return
        fresh = [m for m in answer.get("messages") or [] if isinstance(m, dict)]
        self.next = int(words.number(answer.get("next")) or self.next)
        if fresh:
            self.messages = [*self.messages, *fresh][-MAX_ROWS:]
            self.fill()

    def fill(self) -> None:
        """Write the table anew."""
        if not self.is_mounted:
            return
        table = self.query_one(DataTable)
        follow = table.cursor_row >= table.row_count - 1
        at = table.cursor_row
        table.clear(columns=True)
        self.shown = [m for m in self.messages if self.acks or m.get("type") != "GoodCRC"]
        longest = max((len(said(m.get("type"), 40)) for m in self.shown), default=10)
        room = self._wide - longest - 28
        titles = [_("time"), "SOP", _("message"), "id", _("content")]
        for title in titles if room >= 12 else titles[:4]:  # it stands in full below the table
            table.add_column(Text(title))
        for one in self.shown:
            cells = self._cells(one)
            cells[-1] = Text(cut(content_of(one), room))
            table.add_row(*(cells if room >= 12 else cells[:4]))
        if table.row_count:
            table.move_cursor(row=table.row_count - 1 if follow else min(at, table.row_count - 1))

    def _cells(self, one: Mapping[str, Any]) -> list[Text]:
        quiet = self.app.theme_variables["quiet"]
        stamp = words.number(one.get("t_ns"))
        shown = "–"
        if stamp is not None:
            shown = f"{words.clock_time(stamp)}.{int(stamp // 1_000_000) % 1000:03d}"
        kind = said(one.get("type"), 40)
        return [
            Text(shown, style=quiet),
            Text(said(one.get("sop"), 6)),
            Text(kind, style=quiet if kind == "GoodCRC" else "bold"),
            Text(said(one.get("id"), 4), style=quiet),
            Text(""),
        ]

    def _side(self, width: int) -> list[Content]:
        bench = self.denchi.bench
        if bench is None:
            return []
        rows = panels.contract(self.present, bench, width, pdos=False)
        pdos = [p for p in bench.part("contract").get("pdos") or [] if isinstance(p, Mapping)]
        rows += [Content(""), panels.heading(_("Capabilities of the source"), width)]
        if not pdos:
            rows += styled_lines(
                _("none seen; this meter or this contract shows none"), "$quiet", width
            )
        rows += [panels.pdo_line(p, width) for p in pdos]
        rows += self._told(bench.part("pd"), width)
        data = panels.data_lines(self.present, bench, width)
        if data:
            rows += [Content(""), panels.heading(_("Lines"), width), *data]
        count = words.number(bench.state.get("pd_messages"))
        rows += [Content("")]
        rows += styled_lines(
            _("Messages in this session: {n}").format(n=int(count or 0)), "$quiet", width
        )
        return rows

    def _told(self, pd: Mapping[str, Any], width: int) -> list[Content]:
        """What the unit says of itself; nothing at all when it said nothing."""
        unit = (pd.get("identity") or {}).get("unit") or {}
        names = [
            (name.replace("_", " "), said(unit[name], 40))
            for name in ("manufacturer", "vid", "pid", "xid", "product_type")
            if unit.get(name) is not None
        ]
        facts = _state_facts(pd)
        if not names and not facts:
            return []
        rows = [Content(""), panels.heading(_("The unit says of itself"), width)]
        rows += [pair(name, value, width, 18) for name, value in names]
        if names:
            hint = _("a hint only: such ids are often the chip maker's")
            rows += styled_lines(hint, "$quiet", width)
        return rows + [pair(name, value, width, 18) for name, value in facts]

    def action_bench(self, step: int) -> None:
        """The next bench."""
        self.denchi.next_bench(step)

    def action_newest(self) -> None:
        """To the newest message."""
        table = self.query_one(DataTable)
        if table.row_count:
            table.move_cursor(row=table.row_count - 1)

    def action_good_crc(self) -> None:
        """Acknowledgements shown or not."""
        self.acks = not self.acks
        self.fill()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the next bench only where there is one."""
        return len(self.present.benches) > 1 if action == "bench" else True


def _state_facts(pd: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Battery and temperature by the unit's own report."""
    facts: list[tuple[str, str]] = []
    for battery in pd.get("batteries") or []:
        full, design = (words.number(battery.get(k)) for k in ("last_full_wh", "design_wh"))
        if full is not None and design is not None:
            facts.append((_("last full / design"), f"{full:.1f} / {design:.1f} Wh"))
        if (now := words.number(battery.get("present_wh"))) is not None:
            facts.append((_("charge left"), f"{now:.1f} Wh"))
    status = pd.get("status") or {}
    if (celsius := words.number(status.get("temperature_c"))) is not None:
        facts.append((_("inside"), f"{celsius:.0f} °C"))
    return facts


def content_of(one: Mapping[str, Any]) -> str:
    """Fields of a message in one line."""
    fields = one.get("fields")
    parts = []
    if isinstance(fields, Mapping):
        pdos = fields.get("pdos")
        if isinstance(pdos, list):
            return "; ".join(
                f"{said(p.get('position'), 3)}: {said(p.get('text'), 60)}"
                for p in pdos
                if isinstance(p, Mapping)
            )
        parts = [
            f"{said(k, 30)}={_short(v)}"
            for k, v in fields.items()
            if v not in (None, False, [], {}) and k not in QUIET_FIELDS
        ]
    if one.get("reason"):
        parts.append(said(one["reason"], 80))
    if not parts:
        parts = [said(o, 16) for o in one.get("objects") or []]
    return "  ".join(parts)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, dict)):
        return said(value, 60)
    return said(value, 40)
