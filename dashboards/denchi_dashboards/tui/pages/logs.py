"""The Logs page: the daemon's last lines, bounded, with a filter by level."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from denchi_dashboards.tui import words
from denchi_dashboards.tui.layout import fit, line, said, wrap
from denchi_dashboards.tui.widgets import Page, ScrollPane, key
from denchi_dashboards.tui.words import _

MAX_LINES: Final = 1000
SHOWN: Final = 400
LEVELS: Final = ("debug", "info", "warning", "error")
_STYLES: Final = {"warning": "bold $caution", "error": "bold $danger", "critical": "bold $danger"}
_SHAPES: Final = {"warning": "▲", "error": "■", "critical": "■"}


class Logs(Page):
    """What the daemon says of itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("f", "level", "level"),
        key("space", "follow", "follow on/off", "␣"),
        key("end", "newest", "newest"),
    ]

    def __init__(self) -> None:
        super().__init__(id="logs")
        self.held: deque[dict[str, Any]] = deque(maxlen=MAX_LINES)
        self.next = 0
        self.level = "info"
        self.following = True
        self._due_s = 0.0
        self._seen = -1

    def compose(self) -> ComposeResult:
        """One scrolling pane."""
        yield ScrollPane(self._lines, id="log-lines", classes="section")

    def focus_first(self) -> None:
        """The lines, so that arrows scroll."""
        self.query_one(ScrollPane).focus()

    def opened(self) -> None:
        """Ask at once."""
        self._due_s = 0.0

    def sync(self) -> None:
        """Ask once a second while the page is open."""
        pane = self.query_one(ScrollPane)
        title = f"{_('Logs')} · {_('from {level} up').format(level=_level(self.level))}"
        pane.title(title + ("" if self.following else f" · {_('not following')}"))
        now_s = self.present.clock.monotonic_ns() / 1e9
        if self.denchi.client is not None and now_s >= self._due_s:
            self._due_s = now_s + 1.0
            self.fetch()
        pane.sync()

    @work(exclusive=True, group="logs", exit_on_error=False)
    async def fetch(self) -> None:
        """Lines after the last one known."""
        answer = await self.denchi.ask("get", "/v1/logs", after=self.next)
        if not isinstance(answer, Mapping):
            return
        fresh = [x for x in answer.get("lines") or [] if isinstance(x, dict)]
        self.next = int(words.number(answer.get("next")) or self.next)
        if fresh:
            self.held.extend(fresh)
            self.query_one(ScrollPane).sync()
            if self.following:
                self.action_newest()

    def _lines(self, width: int) -> list[Content]:
        least = LEVELS.index(self.level)
        rows: list[Content] = []
        for one in list(self.held)[-SHOWN:]:
            level = str(one.get("level") or "").lower()
            if level in LEVELS and LEVELS.index(level) < least:
                continue
            rows += _row(one, level, width)
        return rows or [line((_("no lines yet"), "$quiet"))]

    def action_level(self) -> None:
        """The next level."""
        self.level = LEVELS[(LEVELS.index(self.level) + 1) % len(LEVELS)]
        self.sync()

    def action_follow(self) -> None:
        """Hold the view, or follow the newest line."""
        self.following = not self.following
        self.sync()

    def action_newest(self) -> None:
        """To the last line."""
        self.call_after_refresh(self.query_one(ScrollPane).scroll_end, animate=False)


def _level(word: str) -> str:
    return {
        "debug": _("debug"),
        "info": _("info"),
        "warning": _("warning"),
        "error": _("error"),
        "critical": _("error"),
    }.get(word, word)


def _row(one: Mapping[str, Any], level: str, width: int) -> list[Content]:
    stamp = words.parse_iso(one.get("t"))
    shown = words.clock_time(stamp) if stamp is not None else said(one.get("t"), 8)
    head = f"{shown} {_SHAPES.get(level, ' ')} "
    room = fit(said(one.get("room"), 10), 10)
    texts = wrap(said(one.get("message"), 1000), max(10, width - len(head) - 11))
    rows = []
    for i, text in enumerate(texts):
        if i == 0:
            rows.append(
                line(
                    (shown + " ", "$quiet"),
                    (f"{_SHAPES.get(level, ' ')} ", _STYLES.get(level, "$quiet")),
                    (room, "$quiet"),
                    " ",
                    (text, _STYLES.get(level, "$ink")),
                )
            )
        else:
            rows.append(line(" " * (len(head) + 11), (text, _STYLES.get(level, "$ink"))))
    return rows
