"""The Help page: keys, shapes, and what denchi can and cannot tell."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from denchi_dashboards.tui import panels, words
from denchi_dashboards.tui.layout import Part, fit, line, styled_lines
from denchi_dashboards.tui.widgets import Page, ScrollPane
from denchi_dashboards.tui.words import _


class Help(Page):
    """One scrolling text."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self) -> None:
        super().__init__(id="help")

    def compose(self) -> ComposeResult:
        """The text."""
        yield ScrollPane(self._text, id="help-text", classes="section")

    def focus_first(self) -> None:
        """The text, so that arrows scroll."""
        self.query_one(ScrollPane).focus()

    def sync(self) -> None:
        """The language may have changed."""
        pane = self.query_one(ScrollPane)
        pane.title(_("Help"))
        pane.sync()

    def _text(self, width: int) -> list[Content]:
        width = min(width, 100)
        rows = [panels.heading(_("What denchi can and cannot tell"), width)]
        for text in (
            _(
                "denchi watches a power bank through a USB power meter and says, with reasons, what looks wrong. It never says that a unit is without fault: a fault may lie inside a cell and show nothing outside."
            ),
            _(
                "Most meters measure the temperature of their own board. Only a probe on the case, the battery's own telemetry or a USB-PD status message speaks of the unit."
            ),
            _(
                "What is missing, stale or doubtful is shown as such and never counts in a unit's favour."
            ),
            _("A unit on no list is only not on the lists checked."),
            _(
                "When something swells, smells, hisses or gets hot: do not touch it, unplug the mains side, keep away from what burns, ventilate."
            ),
        ):
            rows += styled_lines("· " + text, "$ink", width)
        rows += [Content(""), panels.heading(_("Shapes"), width)]
        for severity in ("danger", "caution", "info"):
            rows.append(
                self._shape(words.shape(severity), words.style(severity), words.severity(severity))
            )
        for verdict, shape in words.VERDICT_SHAPES.items():
            if verdict in ("inconclusive", "no_anomaly_seen"):
                rows.append(
                    self._shape(shape, words.VERDICT_STYLES[verdict], words.verdict(verdict))
                )
        rows.append(self._shape("░", "$quiet", _("nothing was measured here (a gap)")))
        rows.append(self._shape("╌", "$quiet", _("a limit: of the contract, or of a finding")))
        rows.append(self._shape("│", "bold $ink", _("the read-out cursor")))
        for title, keys in self._keys():
            rows += [Content(""), panels.heading(title, width)]
            rows += [line((fit(k, 14), "bold $primary"), (text, "$ink")) for k, text in keys]
        return rows

    @staticmethod
    def _shape(shape: str, style: str, text: str) -> Content:
        parts: list[Part] = [(fit(shape, 4), style), (text, style)]
        return line(*parts)

    @staticmethod
    def _keys() -> list[tuple[str, list[tuple[str, str]]]]:
        return [
            (
                _("Keys on every page"),
                [
                    ("1 … 8", _("the pages")),
                    ("a  A", _("acknowledge the alarm of the banner; all of them")),
                    ("?  F1", _("this page")),
                    ("ctrl+p", _("all commands by name")),
                    ("l  t", _("language; colours: dark, light, high contrast")),
                    ("tab", _("the next part of the page; arrows scroll it")),
                    ("esc", _("out of a field or a window")),
                    ("q  ctrl+q", _("leave; the daemon goes on")),
                ],
            ),
            (
                _("Live"),
                [
                    ("+  -", _("zoom in time, 1 min to 30 days")),
                    ("space", _("hold the picture; recording goes on")),
                    ("← →", _("the read-out cursor; home and end jump")),
                    ("v", _("the next plot large")),
                    ("f", _("all findings with figures, limits, sources, advice")),
                    ("u", _("name the unit: scan or type its label")),
                    ("y  n", _("answer a question that a finding asks")),
                    ("s", _("end the session, begin a new one")),
                    ("b  g  enter", _("next bench; tiles; open a tile")),
                ],
            ),
            (
                _("Sessions"),
                [
                    ("enter", _("open")),
                    ("m  c", _("mark two, compare them")),
                    ("e  x", _("export; delete (asks first)")),
                    ("/  o  r", _("search; older ones; reload")),
                ],
            ),
            (
                _("Recall"),
                [
                    (
                        "F2 … F7",
                        _("report what you see, smell or feel: that comes before any list"),
                    ),
                    ("ctrl+u", _("empty everything for the next unit")),
                ],
            ),
            (
                _("Screening"),
                [
                    ("enter", _("take the label; go on; next unit")),
                    ("p", _("the profile")),
                    ("y  n", _("answer the checklist")),
                    ("w", _("report a symptom during the test: it ends as STOP USING")),
                    ("x", _("end the screening as inconclusive")),
                    ("b", _("next bench")),
                ],
            ),
        ]
