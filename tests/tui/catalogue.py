"""Every message of the TUI, found in its source by syntax tree (babel does not look into f-strings)."""

from __future__ import annotations

import ast
from pathlib import Path

from denchi_dashboards.figures import FIGURES

TUI = Path(__file__).resolve().parents[2] / "dashboards" / "denchi_dashboards" / "tui"
PLACES = {"_": 0, "mark": 0, "key": 2, "Binding": 2}
"""Function name -> which argument is a msgid."""


def msgids() -> list[str]:
    """Msgids in the order of files and lines, each once."""
    found: dict[str, None] = {}
    for path in sorted(TUI.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                at = PLACES.get(node.func.id)
                if at is None or len(node.args) <= at:
                    continue
                argument = node.args[at]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found[argument.value] = None
    found.update(dict.fromkeys(v for v in FIGURES.values() if v != "VBUS"))
    found.pop("", None)
    return list(found)
