"""The pages, one module each, in the order of their number keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from denchi_dashboards.tui.pages.live import Live
from denchi_dashboards.tui.widgets import Page

PAGES: Final[tuple[tuple[str, str, Callable[[], Page]], ...]] = (("live", "Live", Live),)
"""(id, msgid of the title, what makes it)."""
