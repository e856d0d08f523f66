"""Both languages: every sentence of the TUI, the report and the screening has its Japanese, and none is left over."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from denchi.health.screening.checklist import CHECKLIST
from denchi.i18n import LOCALE_DIR
from denchi_dashboards.reports import data, html
from tui.catalogue import msgids

REPORTS = Path(html.__file__).parent


def japanese(domain: str) -> dict[str, str]:
    """Msgid -> Japanese of a catalogue."""
    with (LOCALE_DIR / "ja" / "LC_MESSAGES" / f"{domain}.po").open("rb") as stream:
        return {str(m.id): str(m.string) for m in read_po(stream) if m.id}


def test_every_message_of_the_tui_has_its_japanese_and_none_is_left_over():
    known, told = japanese("tui"), msgids()
    assert len(told) > 300
    assert [m for m in told if not known.get(m)] == []
    assert sorted(set(known) - set(told)) == []


def _strings(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }


def test_every_message_of_the_report_has_its_japanese():
    known = japanese("report")
    templates = "".join(p.read_text("utf-8") for p in (REPORTS / "templates").glob("*.j2"))
    told = {b or a for a, b in re.findall(r"""_\((?:"([^"]+)"|'([^']+)')\)""", templates)}
    assert len(told) > 35
    tables = (
        *(html.VERDICT_WORDS, html.SEVERITY_WORDS, html.RECALL_WORDS, html.OUTCOMES),
        html.NOT_OBSERVED,
    )
    told |= {word for table in tables for word in table.values()} | set(data.CANNOT_TELL)
    tree = ast.parse((REPORTS / "html.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "_":
            told |= {str(a.value) for a in node.args if isinstance(a, ast.Constant)}
    assert sorted(m for m in told if not known.get(m)) == []


def test_every_sentence_of_the_screening_has_its_japanese():
    known = japanese("screening")
    told = {text.msgid for q in CHECKLIST for text in (q.text, q.symptom)}
    from denchi.health.screening import machine

    for node in ast.walk(ast.parse(Path(machine.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_t":
            first = node.args[0]
            if isinstance(first, ast.Constant):
                told.add(str(first.value))
    assert len(told) > 25
    assert sorted(m for m in told if not known.get(m)) == []


@pytest.mark.parametrize("domain", ["tui", "report", "screening"])
def test_japanese_is_japanese(domain):
    """What has letters of ours only may stay as it is (PD, FNIRSI); a sentence may not."""
    left = [m for m, ja in japanese(domain).items() if ja == m and len(m.split()) > 1]
    assert left == []
