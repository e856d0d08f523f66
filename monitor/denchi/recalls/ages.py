"""How old the lists are: shown with every answer, and said when one is older than thirty days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from denchi.i18n import Text
from denchi.recalls.lists import RecallLists
from denchi.recalls.wording import t
from denchi.text import clean

STALE_DAYS: Final = 30
"""A list older than this is said in every answer."""


def age_days(dated: str, today: date) -> int:
    """Days since a list's date; 0 for a date in the future (a clock that is wrong)."""
    return max(0, (today - date.fromisoformat(dated)).days)


def stale_lists(lists: RecallLists, today: date) -> tuple[str, ...]:
    """Lists older than 30 days, oldest first."""
    old = [(n, age_days(d, today)) for n, d in lists.dated.items()]
    return tuple(n for n, age in sorted(old, key=lambda x: -x[1]) if age > STALE_DAYS)


def stale_text(lists: RecallLists, stale: Sequence[str], today: date) -> list[Text]:
    """What every answer says about lists that have grown old."""
    if not stale:
        return []
    told = ", ".join(f"{name} {lists.dated[name]}" for name in stale)
    oldest = max(age_days(lists.dated[name], today) for name in stale)
    return [
        t(
            "Lists older than 30 days: {lists} (up to {days} days). Renew with: denchi recall update.",
            lists=clean(told, 300),
            days=oldest,
        )
    ]
