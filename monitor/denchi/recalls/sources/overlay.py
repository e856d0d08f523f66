"""A reviewed list from a file or an https address: for authorities without a feed (CAA, METI, SAMR)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from denchi.errors import InputError
from denchi.recalls.lists import MAX_LIST_BYTES, parse_list
from denchi.recalls.sources.base import FeedRefused, Fetched, Known
from denchi.recalls.sources.fetch import Fetcher


@dataclass(frozen=True, slots=True)
class OverlaySource:
    """One overlay; every notice of it must pass the checks, or all of it is refused."""

    url: str
    name: str = "overlay-shared"
    title: str = "Shared overlay"
    licence: str = ""

    @property
    def remote(self) -> bool:
        """Whether the overlay comes from an address rather than a file."""
        return "://" in self.url

    def fetch(self, fetcher: Fetcher, known: Known, today: date) -> Fetched:
        """Read the overlay."""
        if self.remote:
            body = fetcher.get(self.url, max_bytes=MAX_LIST_BYTES)
        else:
            try:
                with Path(self.url).open("rb") as stream:
                    body = stream.read(MAX_LIST_BYTES + 1)
            except OSError as error:
                raise InputError(
                    f"{self.url}: {error.strerror or error}", cure="give a readable file"
                ) from None
        if len(body) > MAX_LIST_BYTES:
            raise FeedRefused(f"the overlay is larger than {MAX_LIST_BYTES} bytes")
        found = parse_list(body, "the overlay")
        # A list cannot be newer than the day it was read.
        return Fetched(found.notices, len(found.notices), dated=min(found.dated, today.isoformat()))
