"""`make pictures`: the pictures of README and docs, drawn by the app itself from the demo scenario.

What is drawn is simulated and says so. SVG goes into docs/pictures; with ``--png FOLDER`` a Chromium also
draws each as PNG, to be looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.cells import cell_len

from denchi.daemon.child import ChildDaemon
from denchi.daemon.client import ApiClient
from denchi_dashboards.reports.pdf import browser
from denchi_dashboards.tui.app import DenchiApp
from tui.support import press, text_of

HERE = Path(__file__).resolve().parents[2] / "docs" / "pictures"
SIZE = (140, 42)
DEMO = (
    "--bench", "demo=emulated:fnb58?scenario=demo",
    "--probe", "demo.case=emulated:denchi-board?scenario=demo",
)  # fmt: skip
PD = ("--bench", "pd=emulated:km003c?scenario=demo")
SHOP = tuple(
    word
    for name, key, scenario in (
        ("left", "fnb58", "demo"), ("middle", "km003c", "healthy"), ("right", "fnb58", "sag"),
        ("window", "tc66c", "resets"),
    )
    for word in ("--bench", f"{name}=emulated:{key}?scenario={scenario}")
)  # fmt: skip
Ready = Callable[[str], bool]
SHOTS: tuple[tuple[str, Sequence[str], str, Sequence[str], float, Ready], ...] = (
    ("live", DEMO, "en", (), 58.0, lambda s: "CAUTION" in s),
    ("live-ja", DEMO, "ja", (), 40.0, lambda s: "注意" in s),
    ("screening", DEMO, "en", ("6", *"A1263", "enter", "enter", *"nnnnnnn", "n", "enter"), 30.0,
     lambda s: "waiting" in s),
    ("recall-ja", DEMO, "ja", ("4", *"A1263"), 3.0, lambda s: "A1263" in s),
    ("pd", PD, "en", ("3",), 30.0, lambda s: "Source_Capabilities" in s),
    ("benches", SHOP, "en", (), 50.0, lambda s: "window" in s),
)  # fmt: skip
"""(name, the daemon's benches, language, keys, seconds to look on, what must stand there)."""


def without_requests(svg: str) -> str:
    """The picture with the reader's own fonts: an SVG of ours asks no host for one."""
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: Fira Code", "font-family: 'DejaVu Sans Mono'", svg)
    # The exporter sets lengths by characters; full-width ones take two cells.
    return re.sub(r'textLength="([0-9.]+)"([^>]*)>([^<]*)<', _by_cells, svg)


def _by_cells(found: re.Match[str]) -> str:
    length, between, text = found.groups()
    shown = html.unescape(text)
    if shown.isascii() or not shown:
        return found[0]
    return f'textLength="{float(length) * cell_len(shown) / len(shown):g}"{between}>{text}<'


async def draw(where: Path, lang: str, keys: Sequence[str], seconds: float, ready: Ready) -> str:
    """One picture as SVG. Raises ``AssertionError`` when what must stand there does not."""
    app = DenchiApp(lambda: ApiClient.connect(where), lang=lang)
    async with app.run_test(size=SIZE) as pilot:
        end = time.monotonic() + seconds
        while not app.present.benches and time.monotonic() < end + 20:
            await pilot.pause(0.2)
        await pilot.pause(2.0)
        for key in keys:
            await press(pilot, key)
            await pilot.pause(0.3)
        while time.monotonic() < end:
            await pilot.pause(0.5)
        app.frame(True)
        await pilot.pause(0.2)
        shown = text_of(app)
        assert ready(shown), shown
        assert "SIMULATED" in shown or "模擬" in shown, shown
        return without_requests(app.export_screenshot(title="denchi"))


def to_png(source: Path, folder: Path) -> None:
    """Draw it with a browser, to be looked at."""
    program = browser()
    if program is None:
        print("no browser here: no PNG", file=sys.stderr)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        command = [
            program, "--headless", "--disable-gpu", f"--user-data-dir={profile}",
            f"--screenshot={folder / source.with_suffix('.png').name}", "--window-size=1730,1080",
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")
        subprocess.run([*command, source.as_uri()], check=True, capture_output=True, timeout=60)


def main() -> None:
    """Draw all, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="pictures (default: all)")
    parser.add_argument("--png", type=Path, help="folder for PNG to look at")
    options = parser.parse_args()
    os.environ["COLORTERM"] = "truecolor"
    HERE.mkdir(exist_ok=True)
    for name, benches, lang, keys, seconds, ready in SHOTS:
        if options.names and name not in options.names:
            continue
        with tempfile.TemporaryDirectory(prefix="denchi-picture-") as folder:
            where = Path(folder)
            with ChildDaemon(where, None, benches):
                svg = asyncio.run(draw(where, lang, keys, seconds, ready))
        target = HERE / f"{name}.svg"
        target.write_text(svg, encoding="utf-8")
        print(f"wrote {target.relative_to(HERE.parents[1])} ({len(svg) // 1024} KiB)")
        if options.png:
            to_png(target, options.png)


if __name__ == "__main__":
    main()
