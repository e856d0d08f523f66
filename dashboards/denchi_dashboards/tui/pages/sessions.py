"""The Sessions page: browse, open, compare two, export, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Input

from denchi.text import file_stem
from denchi_dashboards.tui import words
from denchi_dashboards.tui.layout import cut, line, said
from denchi_dashboards.tui.modals import Choose, Confirm
from denchi_dashboards.tui.recorded import Recorded, name_of
from denchi_dashboards.tui.traces import Series
from denchi_dashboards.tui.widgets import Page, key, set_title
from denchi_dashboards.tui.windows import CompareWindow, SessionWindow, as_findings
from denchi_dashboards.tui.words import _

PAGE_ROWS = 100
POINTS = 600
NARROW = 110
"""Below this width verdicts are said in the short form."""


class Sessions(Page):
    """Everything recorded, newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "open", "open", "⏎"),
        key("m", "mark", "mark for compare"),
        key("c", "compare", "compare"),
        key("e", "export", "export"),
        key("x,delete", "delete", "delete", "x"),
        key("slash", "search", "search", "/"),
        key("o", "more", "older"),
        key("r", "reload", "reload"),
        key("escape", "leave_search", "", ""),
    ]

    def __init__(self) -> None:
        super().__init__(id="sessions")
        self.rows: dict[str, dict[str, Any]] = {}
        self.marked: list[str] = []
        self.more = False
        self._loaded = False
        self._narrow = False

    def compose(self) -> ComposeResult:
        """Search field, table, a line below."""
        yield Input(placeholder="", id="session-search", compact=True)
        yield DataTable(
            id="session-table", cursor_type="row", zebra_stripes=False, classes="section"
        )

    def on_mount(self) -> None:
        """Labels."""
        self.relabel()

    def relabel(self) -> None:
        """Column titles in the language in force."""
        self.query_one(Input).placeholder = _("search unit, serial, bench, meter; enter")
        self.fill()

    def opened(self) -> None:
        """Ask for the list."""
        self.action_reload()

    def focus_first(self) -> None:
        """The table."""
        self.query_one(DataTable).focus()

    def sync(self) -> None:
        """The line below; the list comes once the daemon is there."""
        if not self._loaded and self.denchi.client is not None:
            self.action_reload()
        table = self.query_one(DataTable)
        narrow = self.size.width < NARROW
        if narrow != self._narrow:
            self._narrow = narrow
            self.fill()
        set_title(table, line(_("Sessions: {n}").format(n=len(self.rows))))
        set_title(table, line((cut(self._foot(), self.size.width - 6), "$quiet")), below=True)

    def _foot(self) -> str:
        """What can be done next, in the table's border."""
        parts = [_("older ones: o")] if self.more else []
        if self.marked:
            names = ", ".join(
                said(self.rows[m].get("unit"), 30) or m for m in self.marked if m in self.rows
            )
            parts.append(_("marked: {names}").format(names=names))
            if len(self.marked) == 2:
                parts.append(_("c compares them"))
        return " · ".join(parts)

    # -- the list ------------------------------------------------------------------------------

    @work(exclusive=True, group="sessions", exit_on_error=False)
    async def action_reload(self, before: str | None = None) -> None:
        """Ask the daemon for the list."""
        if self.denchi.client is None:
            return
        self._loaded = True
        search = self.query_one(Input).value.strip()
        answer = await self.denchi.ask(
            "get", "/v1/sessions", limit=PAGE_ROWS, before=before, search=search or None
        )
        if not isinstance(answer, dict):
            return
        lines = [s for s in answer.get("sessions") or [] if isinstance(s, dict)]
        held = self.rows if before else {}
        self.rows = {**held, **{str(s.get("id")): s for s in lines}}
        self.more = bool(answer.get("more"))
        self.marked = [m for m in self.marked if m in self.rows]
        self.fill()

    def fill(self) -> None:
        """Write the table anew."""
        if not self.is_mounted:
            return
        table = self.query_one(DataTable)
        at = table.cursor_row
        table.clear(columns=True)
        titles = (
            *("", "", _("begun"), _("unit"), _("verdict"), _("length"), _("gaps")),
            *(_("bench"), _("meter"), _("profile")),
        )
        for title in titles:
            right = title in (_("length"), _("gaps"))
            table.add_column(Text(title, justify="right" if right else "left"), key=None)
        for name, told in self.rows.items():
            table.add_row(*self._cells(name, told), key=name)
        if self.rows:
            table.move_cursor(row=min(at, len(self.rows) - 1))

    def _cells(self, name: str, told: dict[str, Any]) -> list[Text]:
        variables = self.app.theme_variables
        verdict = str(told.get("verdict"))
        shape = words.VERDICT_SHAPES.get(verdict, " ")
        colour = {"stop_using": "danger", "caution": "caution", "inconclusive": "note"}.get(
            verdict, "neutral"
        )
        started, ended = words.parse_iso(told.get("started")), words.parse_iso(told.get("ended"))
        length = (
            _("running") if ended is None else words.duration(((ended or 0) - (started or 0)) / 1e9)
        )
        origin = words.origin(told.get("origin"))
        mark = "AB"[self.marked.index(name)] if name in self.marked else " "
        badge = f"bold {variables['sim-ink']} on {variables['sim-ground']}"
        word = words.verdict_short(verdict) if self._narrow else words.verdict(verdict)
        verdict_text = f"{shape} {word}" if told.get("verdict") else "–"
        return [
            Text(mark, style=f"bold {variables['primary']}"),
            Text(f" {origin} ", style=badge) if origin else Text(""),
            Text(words.date_time(started)[5 if self._narrow else 0 :]),
            Text(cut(said(told.get("unit"), 60) or "–", 16 if self._narrow else 28)),
            Text(verdict_text, style=variables[colour]),
            Text(length, justify="right"),
            Text(str(int(words.number(told.get("gaps")) or 0)), justify="right"),
            Text(said(told.get("bench"), 20)),
            Text(said(told.get("meter"), 20)),
            Text(said(told.get("profile"), 20)),
        ]

    @on(Input.Submitted)
    def searched(self, event: Input.Submitted) -> None:
        """Search, then back to the table."""
        event.stop()
        self.action_reload()
        self.query_one(DataTable).focus()

    def action_search(self) -> None:
        """Into the search field."""
        self.query_one(Input).focus()

    def action_leave_search(self) -> None:
        """Out of the search field."""
        self.query_one(DataTable).focus()

    def action_more(self) -> None:
        """Older sessions."""
        if self.more and self.rows:
            self.action_reload(next(reversed(self.rows)))

    def current(self) -> str | None:
        """The session under the cursor."""
        row = self.query_one(DataTable).cursor_row
        names = list(self.rows)
        return names[row] if 0 <= row < len(names) else None

    # -- acts ----------------------------------------------------------------------------------

    @on(DataTable.RowSelected)
    def selected(self, event: DataTable.RowSelected) -> None:
        """Enter or a click on a row."""
        event.stop()
        self.action_open()

    @work(exclusive=True, group="open", exit_on_error=False)
    async def action_open(self) -> None:
        """Open the session under the cursor."""
        name = self.current()
        found = await self.load(name) if name else None
        if found is not None:
            self.app.push_screen(SessionWindow(found))

    def action_mark(self) -> None:
        """Mark up to two for the comparison."""
        name = self.current()
        if name is None:
            return
        if name in self.marked:
            self.marked.remove(name)
        else:
            self.marked = [*self.marked, name][-2:]
        self.fill()

    @work(exclusive=True, group="open", exit_on_error=False)
    async def action_compare(self) -> None:
        """Compare the two marked, or the marked one with the one under the cursor."""
        names = list(self.marked)
        current = self.current()
        if len(names) == 1 and current is not None and current not in names:
            names.append(current)
        if len(names) != 2:
            self.denchi.tell(_("Mark two sessions with m first."))
            return
        pair = [found for name in names if (found := await self.load(name)) is not None]
        if len(pair) == 2:
            self.app.push_screen(CompareWindow(pair))

    async def load(self, name: str) -> Recorded | None:
        """A session's detail, findings and roll-ups."""
        ask = self.denchi.ask
        detail = await ask("get", f"/v1/sessions/{name}")
        if not isinstance(detail, dict):
            return None
        findings = as_findings(await ask("get", f"/v1/sessions/{name}/findings"))
        roles = {str(i.get("role")) for i in detail.get("instruments") or [] if isinstance(i, dict)}
        series = {}
        for role in sorted(roles & {"meter", "battery", "case", "ambient"} | {"meter"}):
            # No channel named = all that were measured.
            answer = await ask(
                "get", f"/v1/sessions/{name}/series", role=role, channels="", points=POINTS
            )
            if isinstance(answer, dict):
                series[role] = Series.parse(answer)
        return Recorded(self.rows.get(name, detail), detail, findings, series)

    def action_export(self) -> None:
        """Choose a format, then let ``denchi export`` write it beside the daemon."""
        name = self.current()
        if name is None:
            return
        folder = Path.cwd()
        text = _("{session}\nis written into {folder}").format(
            session=name_of(self.rows[name]), folder=said(folder, 120)
        )
        choices = [("csv", "CSV"), ("parquet", "Parquet"), ("jsonl", "JSON lines")]

        def chosen(form: str | None) -> None:
            if form:
                self.export(name, form, folder)

        self.app.push_screen(Choose(_("Export"), text, choices), chosen)

    @work(group="export", exit_on_error=False)
    async def export(self, name: str, form: str, folder: Path) -> None:
        """Let ``denchi export`` write it."""
        target = folder / f"denchi-{file_stem(name)}.{form}"
        simulated = self.rows.get(name, {}).get("origin") == "simulated"
        await self.denchi.writing.run(
            ["export", name, "--format", form, "-o", str(target)],
            target,
            good=(0,),
            failed=_("The export failed."),
            simulated=simulated,
        )

    def action_delete(self) -> None:
        """Delete after a question."""
        name = self.current()
        if name is None:
            return
        told = self.rows[name]
        if not told.get("ended"):
            self.denchi.tell(
                _("This session still runs; it can be deleted when it has ended."), "warning"
            )
            return
        text = _(
            "{session}\nSamples, findings and verdict of this session are deleted for good."
        ).format(session=name_of(told))

        async def answered(yes: bool | None) -> None:
            if yes and await self.denchi.ask("delete", f"/v1/sessions/{name}") is not None:
                self.denchi.tell(_("The session is deleted."))
                self.action_reload()

        self.app.push_screen(Confirm(_("Delete"), text, _("delete"), _("keep")), answered)
