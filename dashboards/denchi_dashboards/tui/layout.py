"""Text in terminal cells: widths as a terminal counts them (a kanji is two), wrapping for both languages.

Textual wraps between words, and a Japanese sentence is one word: it leaves half lines empty. Here a
line may break between any two wide characters, but never before a closing mark or after an opening
one (the common core of the Japanese line-breaking rules, JIS X 4051).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from denchi.text import clean

Part: TypeAlias = "str | Content | tuple[str, str]"

_NO_START: Final = frozenset(
    "、。,.・:;?!)]}」』】〉》〕ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.:;!?)]}%°℃…"
)
_NO_END: Final = frozenset("([{「『【〈《〔([{¥$")


def width_of(text: str) -> int:
    """Cells that ``text`` takes."""
    return cell_len(text)


def fit(text: str, width: int) -> str:
    """``text`` cut (with an ellipsis) or padded to exactly ``width`` cells."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text + " " * (width - cell_len(text))
    return set_cell_size(cut(text, width), width)


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells, with an ellipsis where something is left out."""
    if cell_len(text) <= width:
        return text
    kept, used = [], 0
    for ch in text:
        used += cell_len(ch)
        if used > width - 1:
            break
        kept.append(ch)
    return "".join(kept) + "…" if width > 0 else ""


def right(text: str, width: int) -> str:
    """``text`` right-aligned in ``width`` cells."""
    text = cut(text, width)
    return " " * (width - cell_len(text)) + text


def _wide(ch: str) -> bool:
    return unicodedata.east_asian_width(ch) in "WF"


def _pieces(text: str) -> list[str]:
    """Pieces that must stay whole; a break is allowed between any two."""
    pieces: list[str] = []
    for ch in text:
        last = pieces[-1][-1] if pieces else ""
        glued = bool(last) and (
            ch in _NO_START
            or last in _NO_END
            or (not _wide(ch) and not _wide(last) and last != " ")
        )
        if glued and not (last == " " and ch != " "):
            pieces[-1] += ch
        else:
            pieces.append(ch)
    return pieces


def wrap(text: str, width: int, limit: int | None = None) -> list[str]:
    """Lines of at most ``width`` cells; with ``limit`` the last kept line ends in an ellipsis."""
    width = max(4, width)
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for piece in _pieces(paragraph):
            if cell_len(line) + cell_len(piece.rstrip()) <= width:
                line += piece
                continue
            if line.strip():
                lines.append(line.rstrip())
            line = piece.lstrip()
            while cell_len(line) > width:
                head = _head(line, width)
                lines.append(head)
                line = line[len(head) :]
        lines.append(line.rstrip())
    if limit is not None and len(lines) > limit:
        lines = lines[:limit]
        lines[-1] = (
            cut(lines[-1] + " …", width) if cell_len(lines[-1]) > width - 2 else lines[-1] + " …"
        )
    return lines


def _head(text: str, width: int) -> str:
    used = 0
    for i, ch in enumerate(text):
        used += cell_len(ch)
        if used > width:
            return text[: max(1, i)]
    return text


def line(*parts: Part) -> Content:
    """One line of content; plain strings are text and never markup."""
    return Content.assemble(*parts)


def styled_lines(
    text: str, style: str, width: int, *, indent: str = "", limit: int | None = None
) -> list[Content]:
    """Wrapped text in one style, each line after ``indent``."""
    return [line(indent, (row, style)) for row in wrap(text, width - cell_len(indent), limit)]


def pair(label: str, value: Part, width: int, label_width: int = 12) -> Content:
    """``label   value`` on one line, the label quiet."""
    shown = fit(label, label_width)
    rest = max(1, width - cell_len(shown) - 1)
    if isinstance(value, tuple):
        value = (cut(value[0], rest), value[1])
    elif isinstance(value, str):
        value = cut(value, rest)
    return line((shown, "$quiet"), " ", value)


def spread(left: Sequence[Part], right_parts: Sequence[Part], width: int) -> Content:
    """Left and right ends of one line, blanks between; the left is cut when both do not fit."""
    a, b = line(*left), line(*right_parts)
    room = width - b.cell_length
    if a.cell_length > room - 1:
        a = a.truncate(max(0, room - 1), ellipsis=True)
    return line(a, " " * max(0, width - a.cell_length - b.cell_length), b)


def bar(share: float, width: int) -> str:
    """A progress bar of ``width`` cells with eighths."""
    share = min(1.0, max(0.0, share))
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + ("" if rest == 0 else "▏▎▍▌▋▊▉"[rest - 1])
    return text + " " * (width - len(text))


def said(value: object, limit: int = 300) -> str:
    """Text from outside, harmless for a terminal."""
    return "" if value is None else clean(value, limit)


def stack(lines: Iterable[Content]) -> Content:
    """Lines under each other."""
    return Content("\n").join(list(lines))
