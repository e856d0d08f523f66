"""The Recall page: type or scan a label, see at once what the lists say; nothing is ever cleared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Label

from denchi_dashboards.tui import panels
from denchi_dashboards.tui.layout import line, styled_lines, width_of
from denchi_dashboards.tui.widgets import Page, Pane, ScrollPane, key
from denchi_dashboards.tui.words import _, mark

WAIT_S = 0.25
FIELDS = (
    ("text", mark("label")),
    ("brand", mark("brand")),
    ("model", mark("model")),
    ("serial", mark("serial number")),
)
SYMPTOMS = (
    ("f2", "swelling", mark("swollen")),
    ("f3", "heat", mark("hot")),
    ("f4", "smell", mark("smells")),
    ("f5", "leaking", mark("leaks")),
    ("f6", "noise", mark("hisses")),
    ("f7", "damage", mark("damaged")),
)
"""(key, word of the API, msgid): function keys, for the letters belong to the field that is typed into."""


class SymptomBar(Pane):
    """The question that comes before any list: what do you see, smell, feel? A key or a click each."""

    def __init__(self) -> None:
        super().__init__(id="recall-symptoms")
        self.reported: dict[str, None] = {}
        self._places: list[tuple[int, int, int, str]] = []

    def lines(self, width: int) -> Sequence[Content]:
        """The question, then the symptoms, those reported in the colours and with the shape of a danger."""
        rows = styled_lines(
            _("Is it swollen, hot, leaking, damaged, does it smell or hiss? Then say so:"),
            "$ink",
            width,
        )
        self._places = []
        row = line("")
        for name, word, label in SYMPTOMS:
            on = word in self.reported
            text = f" {name.upper()} " + (f"■ {_(label)} " if on else f"{_(label)} ")
            if row.cell_length and row.cell_length + width_of(text) + 1 > width:
                rows, row = [*rows, row], line("")
            start = row.cell_length
            style = "bold $danger-ink on $danger-ground" if on else "$ink on $panel"
            row = line(row, (text, style), " ")
            self._places.append((len(rows), start, row.cell_length, word))
        rows.append(row)
        if self.reported:
            rows += styled_lines(_("ctrl+u empties all of it for the next unit"), "$quiet", width)
        return rows

    def on_click(self, event: events.Click) -> None:
        """The mouse may report too."""
        for y, start, end, word in self._places:
            if event.y == y and start <= event.x < end:
                cast("Recall", self.parent).action_symptom(word)


class Recall(Page):
    """Search as you type."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("slash", "type", "type a label", "/"),
        key("escape", "leave", "leave the field", "esc"),
        # Before the field that has the focus: it would empty only itself.
        Binding("ctrl+u", "clear", "clear", key_display="^u", priority=True),
        key("down", "scroll(2)", "scroll", "↑↓"),
        key("up", "scroll(-2)", "", ""),
        *(key(f, f"symptom('{word}')", "", f.upper()) for f, word, _label in SYMPTOMS),
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
        yield SymptomBar()
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
        self.query_one(SymptomBar).sync()
        pane = self.query_one("#recall-answer", ScrollPane)
        pane.title(_("Recall lists"))
        pane.sync()

    def _query(self) -> dict[str, str]:
        query = {
            name: value
            for name, _label in FIELDS
            if (value := self.query_one(f"#recall-{name}", Input).value.strip())
        }
        if reported := self.query_one(SymptomBar).reported:
            query["symptom"] = ",".join(reported)
        return query

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
            self.sync()
            return
        answer = await self.denchi.ask("get", "/v1/recall", **query)
        if isinstance(answer, Mapping):
            labels = [value for name, value in query.items() if name != "symptom"]
            self.answer, self.asked = answer, " ".join(labels)
            self.query_one("#recall-answer", ScrollPane).scroll_home(animate=False)
            self.sync()

    def _answer(self, width: int) -> list[Content]:
        width = min(width, 110)
        told = self.answer is not None and self.answer.get("symptom")
        if self.query_one(SymptomBar).reported and not told:
            # The daemon may be away: who sees a symptom is told all the same.
            return [*panels.symptom_head(width), Content(""), *self._listed(width)]
        return self._listed(width)

    def _listed(self, width: int) -> list[Content]:
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
        head = [line((f"“{self.asked}”", "$quiet"))] if self.asked else []
        return [*head, *rows, Content(""), *self._limits(width)]

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
        """Empty all fields and the symptoms: another unit."""
        for name, _label in FIELDS:
            self.query_one(f"#recall-{name}", Input).value = ""
        self.query_one(SymptomBar).reported = {}
        self.answer, self.asked = None, ""
        self.sync()
        self.focus_first()

    def action_symptom(self, word: str) -> None:
        """Report a symptom, or take it back; the lists are asked again with it."""
        bar = self.query_one(SymptomBar)
        held = dict(bar.reported)
        if word in held:
            del held[word]
        else:
            held[word] = None
        bar.reported = held
        self.look(0.0)
        self.sync()

    def action_scroll(self, rows: int) -> None:
        """Scroll the answer."""
        self.query_one("#recall-answer", ScrollPane).scroll_relative(y=rows, animate=False)
