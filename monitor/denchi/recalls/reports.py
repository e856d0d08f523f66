"""What ``recall update`` and ``recall status`` say: one report a source, one state a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from denchi.i18n import translator
from denchi.recalls.ages import STALE_DAYS

_ = translator("recalls")


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What became of one source in one update."""

    source: str
    fine: bool
    message: str
    added: int = 0
    total: int = 0
    dropped: int = 0
    at: str = ""
    remarks: tuple[str, ...] = ()

    def line(self) -> str:
        """One line for people, in the language in force; the reason of a failure stays as it came."""
        if not self.fine:
            return _("{source}: NOT renewed: {reason}").format(
                source=self.source, reason=self.message
            )
        told = _("{source}: renewed: {total} notices, {added} new").format(
            source=self.source, total=self.total, added=self.added
        )
        if self.dropped:
            told += "; " + _("{count} unusable records left out").format(count=self.dropped)
        return "; ".join([told, *self.remarks])

    @property
    def kept(self) -> str:
        """What ``recall status`` keeps of it, in English whatever the language was."""
        return f"{'renewed' if self.fine else 'NOT renewed'}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """One line of ``recall update --json``."""
        return {
            "source": self.source,
            "fine": self.fine,
            "message": self.message,
            "added": self.added,
            "total": self.total,
            "dropped": self.dropped,
            "at": self.at,
        }


@dataclass(frozen=True, slots=True)
class ListState:
    """One list as ``recall status`` shows it."""

    name: str
    dated: str
    age_days: int | None
    notices: int
    title: str = ""
    licence: str = ""
    last_attempt: str = ""
    last_message: str = ""
    problem: str = ""

    def line(self) -> str:
        """One line for people."""
        if self.problem:
            return _("{name}: cannot be read: {reason}").format(name=self.name, reason=self.problem)
        parts = [self._head()]
        if self.age_days is not None and self.age_days > STALE_DAYS:
            parts.append(_("older than 30 days, renew with: denchi recall update"))
        if self.title:
            parts.append(self.title)
        if self.last_attempt:
            told = _("last attempt {at}: {message}")
            parts.append(told.format(at=self.last_attempt, message=self.last_message))
        return "; ".join(parts)

    def _head(self) -> str:
        if not self.dated:
            return _("{name}: never fetched").format(name=self.name)
        age = _("{days} days old").format(days=self.age_days) if self.age_days else _("today")
        return _("{name}: {date} ({age}), {count} notices").format(
            name=self.name, date=self.dated, age=age, count=self.notices
        )

    def to_json(self) -> dict[str, Any]:
        """One line of ``recall status --json``."""
        return {
            "name": self.name,
            "dated": self.dated or None,
            "age_days": self.age_days,
            "notices": self.notices,
            "title": self.title,
            "licence": self.licence,
            "last_attempt": self.last_attempt or None,
            "last_message": self.last_message or None,
            "problem": self.problem or None,
        }
