"""Windows over a page: all findings, a question, the unit's label, a choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from denchi_dashboards.tui.layout import line, said, styled_lines
from denchi_dashboards.tui.widgets import Builder, ScrollPane, key
from denchi_dashboards.tui.words import _, mark

UNIT_FIELDS = (
    ("brand", mark("brand")),
    ("model", mark("model")),
    ("serial", mark("serial number")),
    ("rated_mah", mark("rated mAh")),
    ("rated_wh", mark("rated Wh")),
    ("max_w", mark("highest W")),
    ("colour", mark("colour")),
    ("bought", mark("bought (YYYY-MM)")),
    ("country", mark("country")),
)
"""(API field, msgid of its label)."""
_NUMBERS = ("rated_mah", "rated_wh", "max_w")


class Reader(ModalScreen[None]):
    """Text to read and scroll."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape,q,f,enter", "dismiss", "close", "esc"),
        key("down,j", "scroll(1)", "scroll", "↑↓"),
        key("up,k", "scroll(-1)", "", ""),
        key("pagedown", "scroll(10)", "", ""),
        key("pageup", "scroll(-10)", "", ""),
    ]

    def __init__(self, title: str, build: Builder) -> None:
        super().__init__()
        self._title_text, self._build = title, build

    def compose(self) -> ComposeResult:
        """One scrolling pane."""
        pane = ScrollPane(self._build, classes="window section")
        pane.title(self._title_text)
        _subtitle(pane, _("esc closes · ↑↓ scrolls"))
        yield pane

    def action_scroll(self, rows: int) -> None:
        """Scroll by rows."""
        self.query_one(ScrollPane).scroll_relative(y=rows, animate=False)


class Confirm(ModalScreen[bool]):
    """A question whose yes cannot be undone; no is the first choice."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("y", "answer(True)", "yes"),
        key("n,escape", "answer(False)", "no", "n"),
        key("left,right", "other", "choose", "←→"),
    ]

    def __init__(self, title: str, text: str, yes: str, no: str) -> None:
        super().__init__()
        self._texts = title, text, yes, no

    def compose(self) -> ComposeResult:
        """The question and two buttons."""
        title, text, yes, no = self._texts
        with Vertical(classes="window dialog section") as window:
            window.border_title = Content(title)
            yield Label(Content(text), classes="dialog-text")
            with Horizontal(classes="dialog-buttons"):
                yield Button(Content(f"n {no}"), id="no")
                yield Button(Content(f"y {yes}"), id="yes", variant="error")

    def on_mount(self) -> None:
        """No is the default."""
        self.query_one("#no", Button).focus()

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        """A button."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """A key."""
        self.dismiss(yes)

    def action_other(self) -> None:
        """Between the buttons."""
        self.focus_next()


class Choose(ModalScreen[str | None]):
    """One of a few, by number."""

    BINDINGS: ClassVar[list[BindingType]] = [key("escape", "pick(-1)", "back", "esc")]

    def __init__(self, title: str, text: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title_text, self._text, self._choices = title, text, list(choices)

    def compose(self) -> ComposeResult:
        """Buttons under each other."""
        with Vertical(classes="window dialog section") as window:
            window.border_title = Content(self._title_text)
            yield Label(Content(self._text), classes="dialog-text")
            for i, (_value, label) in enumerate(self._choices):
                yield Button(Content(f"{i + 1} {label}"), id=f"choice-{i}", classes="choice")

    def on_key(self, event: Any) -> None:
        """Digits choose, arrows walk."""
        if event.key.isdigit() and 0 < int(event.key) <= len(self._choices):
            event.stop()
            self.action_pick(int(event.key) - 1)
        elif event.key in ("down", "up"):
            event.stop()
            _walk = self.focus_next() if event.key == "down" else self.focus_previous()

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        """A button."""
        self.action_pick(int(str(event.button.id).rpartition("-")[2]))

    def action_pick(self, index: int) -> None:
        """Choose by index; -1 = none."""
        self.dismiss(self._choices[index][0] if index >= 0 else None)


class UnitForm(ModalScreen[dict[str, Any] | None]):
    """The unit's label: one line as scanned, or field by field."""

    BINDINGS: ClassVar[list[BindingType]] = [key("escape", "leave", "back", "esc")]

    def __init__(self, unit: dict[str, Any], title: str) -> None:
        super().__init__()
        self._unit, self._title_text = unit, title

    def compose(self) -> ComposeResult:
        """A field for the whole label, then single fields."""
        with Vertical(classes="window form section") as window:
            window.border_title = Content(self._title_text)
            _subtitle(window, _("enter takes it · tab next field · esc leaves"))
            with Horizontal(classes="field"):
                yield Label(Content(_("label")), classes="field-name")
                yield Input(
                    said(self._unit.get("label_text"), 300),
                    placeholder=_("scan or type the label, for example: Anker A1263"),
                    id="f-label_text",
                    compact=True,
                )
            for name, label in UNIT_FIELDS:
                with Horizontal(classes="field"):
                    yield Label(Content(_(label)), classes="field-name")
                    value = self._unit.get(name)
                    text = f"{value:g}" if isinstance(value, (int, float)) else said(value, 100)
                    yield Input(text, id=f"f-{name}", compact=True)
            yield Label(Content(""), id="form-trouble")

    def on_mount(self) -> None:
        """The scanner types into the first field."""
        self.query_one("#f-label_text", Input).focus()

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Enter anywhere takes the whole form."""
        event.stop()
        unit: dict[str, Any] = {"label_text": self.query_one("#f-label_text", Input).value.strip()}
        for name, label in UNIT_FIELDS:
            text = self.query_one(f"#f-{name}", Input).value.strip()
            if name in _NUMBERS:
                if not text:
                    unit[name] = None
                    continue
                try:
                    unit[name] = float(text.replace(",", ""))
                except ValueError:
                    self.query_one("#form-trouble", Label).update(
                        line((_("{field}: a number is needed").format(field=_(label)), "$caution"))
                    )
                    self.query_one(f"#f-{name}", Input).focus()
                    return
            else:
                unit[name] = text
        self.dismiss(unit)

    def action_leave(self) -> None:
        """Nothing changes."""
        self.dismiss(None)


def _subtitle(widget: Any, text: str) -> None:
    widget.border_subtitle = line((text, "$quiet"))


def lines_of(text: str) -> Callable[[int], list[Content]]:
    """A builder of plain text."""
    return lambda width: styled_lines(text, "$ink", width)
