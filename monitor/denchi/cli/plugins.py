"""Entry points of one group, read straight from the installed distributions' text files.

``importlib.metadata`` does the same and costs four interpreter starts (it parses every distribution
through ``email``); this is on the path of ``denchi --help``, so it looks only into files that name the
group at all. What it cannot read (zipped distributions) it leaves to ``importlib.metadata``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def points(group: str) -> dict[str, str]:
    """Name -> ``module:attribute`` of every entry point of ``group``, first on the path wins."""
    import os

    header = f"[{group}]"
    found: dict[str, str] = {}
    for folder in dict.fromkeys(sys.path):
        try:
            entries = list(os.scandir(folder or "."))
        except OSError:
            continue  # not a folder: a zip or nothing; plugins in zips are found by importlib.metadata
        for entry in entries:
            if entry.name.endswith((".dist-info", ".egg-info")):
                try:
                    with open(f"{entry.path}/entry_points.txt", encoding="utf-8") as stream:  # noqa: PTH123
                        text = stream.read()
                except (OSError, UnicodeDecodeError):
                    continue
                if header in text:
                    for name, value in _section(text, header):
                        found.setdefault(name, value)
    return found


def _section(text: str, header: str) -> list[tuple[str, str]]:
    rows, inside = [], False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == header
        elif inside and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            rows.append((name.strip(), value.strip()))
    return rows


def load(value: str) -> Any:
    """The object behind ``module:attribute``."""
    module, _, attribute = value.partition(":")
    found: Any = import_module(module)
    for part in filter(None, attribute.split(".")):
        found = getattr(found, part)
    return found
