"""Figures of the promises (DESIGN.md §7): tests record them, `make promises` prints them as a table.

A promise without a line here has no figure: its test did not run, was skipped or failed before it
measured. `python tests/faults/figures.py` prints the newest figure of each (`--readme`: and puts the table
into the README); exit 1 when one failed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / ".cache" / "promises.jsonl"


def record(name: str, promise: str, figure: str, ok: bool) -> None:
    """Append one figure and print it; ``ok``: whether it keeps the promise."""
    line = {
        "t": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "name": name,
        "promise": promise,
        "figure": figure,
        "ok": bool(ok),
        "command": os.environ.get("DENCHI_PROMISES_COMMAND", "pytest"),
    }
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"\n[promise] {name}: {figure} (promised: {promise}) {'kept' if ok else 'BROKEN'}")


def table(command: str = "") -> tuple[str, bool]:
    """The newest figure of each promise (taken by ``command``) as a Markdown table, and whether all are kept."""
    newest: dict[str, dict[str, object]] = {}
    if FILE.exists():
        for text in FILE.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if not str(line["command"]).startswith(command):
                continue
            newest.pop(line["name"], None)
            newest[line["name"]] = line
    rows = [
        "| what | promised | measured | kept | date (UTC) | command |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {x['name']} | {x['promise']} | {x['figure']} | {'yes' if x['ok'] else '**no**'}"
        f" | {x['t']} | `{x['command']}` |"
        for x in newest.values()
    ]
    return "\n".join(rows), bool(newest) and all(bool(x["ok"]) for x in newest.values())


def into_readme(text: str) -> None:
    """Put the table between the README's marks."""
    readme = Path(__file__).resolve().parents[2] / "README.md"
    begin, end = "<!-- promises -->", "<!-- /promises -->"
    before, _, rest = readme.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    readme.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    text, kept = table()
    print(text)
    if "--readme" in sys.argv:
        into_readme(table("make")[0])
    sys.exit(0 if kept else 1)
