"""What every panel is made of: headings, and labels beside texts of several lines."""

from __future__ import annotations

from textual.content import Content

from denchi_dashboards.tui.layout import fit, line, width_of, wrap

Lines = list[Content]


def heading(text: str, width: int) -> Content:
    """A section's heading with a thin rule."""
    rule = max(0, width - width_of(text) - 1)
    return line((text, "bold $primary"), " ", ("─" * rule, "$faint"))


def labelled(
    label: str, text: str, width: int, label_width: int = 13, style: str = "$ink"
) -> Lines:
    """A label and a text that may take several lines."""
    room = max(8, width - label_width - 1)
    return [
        line((fit(label if i == 0 else "", label_width), "$quiet"), " ", (row, style))
        for i, row in enumerate(wrap(text, room))
    ]
