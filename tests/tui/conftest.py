"""The TUI's tests: a deterministic API behind it, a clock that stands still, no blinking."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from textual.widgets import Input

from denchi import i18n


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """UTC, English unless a test says otherwise, a cursor that does not blink."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.delenv("DENCHI_LANG", raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("DENCHI_DESKTOP_NOTICE", raising=False)
    original = Input.__init__

    def calm(self: Input, *args: object, **kwargs: object) -> None:
        original(self, *args, **kwargs)  # type: ignore[arg-type]
        self.cursor_blink = False

    monkeypatch.setattr(Input, "__init__", calm)
    i18n.set_language("en")
    yield
    i18n.set_language(None)
    os.environ.pop("TZ", None)
