"""Meters by entry point: the built-ins come through the same door as third parties."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import entry_points

from denchi.errors import UsageError
from denchi_protocol.codec import MeterSpec

GROUP = "denchi.meters"
log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def specs() -> Mapping[str, MeterSpec]:
    """Every meter by key. A plug-in that cannot be loaded is a warning; two of one key are too."""
    found: dict[str, MeterSpec] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        try:
            family: tuple[MeterSpec, ...] = tuple(point.load())
        except Exception:
            # Whatever a third party's module does on import must not take the other meters along.
            log.warning("meter plug-in %s cannot be loaded", point.name, exc_info=True)
            continue
        for spec in family:
            if spec.key in found:
                log.warning(
                    "meter %s is declared twice; %s keeps it", spec.key, found[spec.key].family
                )
                continue
            found[spec.key] = spec
    return found


def get_of(family: str, key: str) -> MeterSpec:
    """One meter of a family that is known, without loading the others (an emulated device's process)."""
    for point in entry_points(group=GROUP, name=family):
        for spec in point.load():
            if spec.key == key and spec.family == family:
                found: MeterSpec = spec
                return found
    return get(key)


def get(key: str) -> MeterSpec:
    """One meter by key. Raises ``UsageError`` with the nearest names."""
    known = specs()
    if key in known:
        return known[key]
    near = difflib.get_close_matches(key, list(known), 3, 0.4)
    cure = (
        f"did you mean {' or '.join(repr(n) for n in near)}?"
        if near
        else f"known: {', '.join(known)}"
    )
    raise UsageError(f"no meter {key!r}", cure=cure)
