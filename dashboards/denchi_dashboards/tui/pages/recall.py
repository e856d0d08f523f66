"""The Recall page: type or scan a label, see at once what the lists say; nothing is ever cleared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Label

from denchi_dashboards.tui import panels
from denchi_dashboards.tui.layout import line, styled_lines
from denchi_dashboards.tui.widgets import Page, ScrollPane, key
from denchi_dashboards.tui.words import _, mark

WAIT_S = 0.25
FIELDS = (
    ("text", mark("label")),
    ("brand", mark("brand")),
    ("model", mark("model")),
    ("serial", mark("serial number")),
)


class Recall(Page):
    """Search as you type."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("slash", "type", "type a label", "/"),
        key("escape", "leave", "leave the field", "esc"),
        key("ctrl+u", "clear", "clear", "^u"),
        key("down", "scroll(2)", "scroll", "↑↓"),
        key("up", "scroll(-2)", "", ""),
    ]

    def __init__(self) -> None:
        super().__init__(id="recall")
        self.answer: Mapping[str, Any] | None = None
        self.asked = ""

    def compose(self) -> ComposeResult:
        """Fields above, answer below."""
        with Horizontal(id="recall-fields"):
            for name, _label in FIELDS:
                with Horizontal(classes=f"recall-field recall-{name}"):
                    yield Label(Content(""), id=f"recall-label-{name}", classes="field-name")
                    yield Input(id=f"recall-{name}", compact=True)
        yield ScrollPane(self._answer, id="recall-answer", classes="section")

    def on_mount(self) -> None:
        """Labels."""
        self.relabel()

    def relabel(self) -> None:
        """Labels in the language in force."""
        for name, label in FIELDS:
            self.query_one(f"#recall-label-{name}", Label).update(Content(_(label)))
        self.query_one("#recall-text", Input).placeholder = _("scan or type, for example: A1263")

    def focus_first(self) -> None:
        """Ready for the scanner."""
        self.query_one("#recall-text", Input).focus()

    def sync(self) -> None:
        """The answer's language and width."""
        pane = self.query_one("#recall-answer", ScrollPane)
        pane.title(_("Recall lists"))
        pane.sync()

    def _query(self) -> dict[str, str]:
        return {
            name: value
            for name, _label in FIELDS
            if (value := self.query_one(f"#recall-{name}", Input).value.strip())
        }

    @on(Input.Changed)
    def changed(self, event: Input.Changed) -> None:
        """Ask a moment after the last key."""
        event.stop()
        self.look(WAIT_S)

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """A scanner ends with Enter: ask at once and take the next label."""
        event.stop()
        self.look(0.0)
        event.input.action_home()
        event.input.selection = event.input.selection.__class__(0, len(event.input.value))

    @work(exclusive=True, group="recall", exit_on_error=False)
    async def look(self, wait_s: float) -> None:
        """Ask the lists."""
        import asyncio

        await asyncio.sleep(wait_s)
        query = self._query()
        if not query:
            self.answer, self.asked = None, ""
            return
        answer = await self.denchi.ask("get", "/v1/recall", **query)
        if isinstance(answer, Mapping):
            self.answer, self.asked = answer, " ".join(query.values())
            self.query_one("#recall-answer", ScrollPane).scroll_home(animate=False)
            self.sync()

    def _answer(self, width: int) -> list[Content]:
        width = min(width, 110)
        if self.answer is None:
            dated = self.present.state.get("recall_lists")
            told = dated.get("dated") if isinstance(dated, Mapping) else None
            rows = styled_lines(
                _(
                    "Type or scan what is printed on the unit: brand, model, serial. Each key asks the lists."
                ),
                "$ink",
                width,
            )
            rows += styled_lines(panels.lists_dated(told), "$quiet", width)
            return [*rows, Content(""), *self._limits(width)]
        rows = panels.recall_lines(self.answer, width, short=False)
        return [line((f"“{self.asked}”", "$quiet")), *rows, Content(""), *self._limits(width)]

    @staticmethod
    def _limits(width: int) -> list[Content]:
        return styled_lines(
            _(
                "A unit on no list is only not on the lists checked. Lists are late and incomplete; they clear nothing."
            ),
            "$quiet",
            width,
        )

    def action_type(self) -> None:
        """Into the field."""
        self.query_one("#recall-text", Input).focus()

    def action_leave(self) -> None:
        """Out of the field, so that single keys work again."""
        self.query_one("#recall-answer", ScrollPane).focus()

    def action_clear(self) -> None:
        """Empty all fields."""
        for name, _label in FIELDS:
            self.query_one(f"#recall-{name}", Input).value = ""
        self.focus_first()

    def action_scroll(self, rows: int) -> None:
        """Scroll the answer."""
        self.query_one("#recall-answer", ScrollPane).scroll_relative(y=rows, animate=False)
