"""HTML to PDF by a browser that is already on this machine, offline and with a profile of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from denchi.errors import OutputError

BROWSERS: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
)
_FLAGS: Final = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-pdf-header-footer",
)


def browser() -> str | None:
    """Path of a browser that can print, None when there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def on_paper(page: str, paper: str) -> str:
    """The page with its paper named: a browser without a screen takes Letter, wherever it stands."""
    return page.replace("</head>", f"<style>@page {{ size: {paper}; }}</style></head>", 1)


def to_pdf(page: str, target: Path) -> None:
    """Print an HTML page to ``target``. Raises ``OutputError`` with the cure."""
    program = browser()
    if program is None:
        raise OutputError(
            "no browser found to make the PDF",
            cure="write HTML (-o unit.html) and print it from any browser",
        )
    with tempfile.TemporaryDirectory(prefix="denchi-report-") as folder:
        source = Path(folder) / "report.html"
        source.write_text(page, encoding="utf-8")
        made = Path(folder) / "report.pdf"
        command = [program, *_FLAGS, f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}"]
        # A browser's own sandbox does not start as root (services, containers); the page has no script
        # and its policy forbids every request.
        import os

        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")
        result = subprocess.run(
            [*command, source.as_uri()], capture_output=True, timeout=90, check=False, text=True
        )
        if not made.exists():
            last = (result.stderr or "").strip().splitlines()[-1:] or ["no output"]
            raise OutputError(
                f"the browser made no PDF ({last[0][:120]})", cure="write HTML and print it"
            )
        try:
            target.write_bytes(made.read_bytes())
        except OSError as error:
            raise OutputError(f"{target}: {error.strerror}", cure="choose another file") from None
