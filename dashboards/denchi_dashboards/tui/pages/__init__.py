"""The pages, one module each, in the order of their number keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from denchi_dashboards.tui.pages.help import Help
from denchi_dashboards.tui.pages.live import Live
from denchi_dashboards.tui.pages.logs import Logs
from denchi_dashboards.tui.pages.meters import Meters
from denchi_dashboards.tui.pages.pd import Pd
from denchi_dashboards.tui.pages.recall import Recall
from denchi_dashboards.tui.pages.screening import Screening
from denchi_dashboards.tui.pages.sessions import Sessions
from denchi_dashboards.tui.widgets import Page
from denchi_dashboards.tui.words import mark

PAGES: Final[tuple[tuple[str, str, Callable[[], Page]], ...]] = (
    ("live", mark("Live"), Live),
    ("sessions", mark("Sessions"), Sessions),
    ("pd", mark("PD"), Pd),
    ("recall", mark("Recall"), Recall),
    ("meters", mark("Meters"), Meters),
    ("screening", mark("Screening"), Screening),
    ("logs", mark("Logs"), Logs),
    ("help", mark("Help"), Help),
)
"""(id, msgid of the title, what makes it)."""
