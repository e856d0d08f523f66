"""What a feed is: something that turns an authority's answer into notices, or refuses it with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol, runtime_checkable

from denchi.errors import InputError
from denchi.recalls.sources.fetch import Fetcher


class FeedRefused(InputError):
    """The feed answered with something that must not enter a list."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the list of this feed holds already."""

    dated: str = ""
    """ISO date of the last good fetch; empty = never."""
    notices: Sequence[Mapping[str, Any]] = ()
    state: Mapping[str, Any] = field(default_factory=dict)
    """What the source asked to be kept between fetches."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought. ``notices`` are added to the list; none is ever taken away."""

    notices: Sequence[Mapping[str, Any]]
    seen: int
    """Records that were looked at, ours or not."""
    state: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    dated: str = ""
    """The list's own date where it has one (a reviewed overlay); empty = the day of the fetch."""


@runtime_checkable
class RecallSource(Protocol):
    """A feed. Third parties register theirs in ``denchi.recall_sources``."""

    @property
    def name(self) -> str:
        """Also the name of its list: ``cpsc``."""
        ...

    @property
    def title(self) -> str:
        """What it is, for people."""
        ...

    @property
    def licence(self) -> str:
        """Under which licence the authority gives its data."""
        ...

    @property
    def url(self) -> str:
        """Where it is asked."""
        ...

    def fetch(self, fetcher: Fetcher, known: Known, today: date) -> Fetched:
        """Ask the feed; raises ``FeedRefused`` (or another ``DenchiError``) and then changes nothing."""
        ...
