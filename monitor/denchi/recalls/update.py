"""Renewing the lists: fetch, check, merge, write atomically. What is good on disk is never made smaller.

Each source's list is one file ``recalls/<name>.json`` in the data directory; a fetch adds to it. A feed
that is away, broken or hostile leaves its file as it is, and the reason stands in ``recall status``.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from denchi.clock import SYSTEM
from denchi.errors import DenchiError, InputError
from denchi.recalls.ages import age_days
from denchi.recalls.inspection import checked
from denchi.recalls.lists import DATA, ListFile, parse_list
from denchi.recalls.notice import LIST_FORMAT, SCHEMA_VERSION
from denchi.recalls.reports import ListState, SourceReport
from denchi.recalls.sources.base import Fetched, Known, RecallSource
from denchi.recalls.sources.fetch import Fetcher
from denchi.recalls.sources.overlay import OverlaySource
from denchi.text import clean, file_stem

ENTRY_POINTS: Final = "denchi.recall_sources"
OVERLAY: Final = "overlay"
_ATTEMPTS: Final = "attempts.jsonl"
_MAX_NOTICES: Final = 20_000


# -- which sources -------------------------------------------------------------------------------


def registered() -> dict[str, RecallSource]:
    """The feeds of the entry-point group; one that cannot be loaded is left out and named on use."""
    from importlib.metadata import entry_points

    found: dict[str, RecallSource] = {}
    for point in entry_points(group=ENTRY_POINTS):
        try:
            source = point.load()
        except Exception:  # noqa: S112  a third party's module may raise anything; ours must go on
            continue
        if isinstance(source, RecallSource):
            found[source.name] = source
    return found


def chosen_sources(
    data_dir: Path,
    names: Sequence[str] = (),
    urls: Mapping[str, str] | None = None,
    overlay: str = "",
) -> list[RecallSource]:
    """The sources to renew; ``KeyError`` names one that is not known.

    A shared overlay that was fetched from an address before is renewed with the rest.
    """
    known = registered()
    if not overlay and (shared := _shared_overlay(data_dir)):
        known["overlay-shared"] = OverlaySource(shared)
    if overlay:
        known["overlay-shared"] = OverlaySource(overlay)
    for name in (*names, *(urls or {})):
        if name not in known:
            raise KeyError(f"no recall source {name!r}; there are: {', '.join(sorted(known))}")
    if overlay and not names:
        names = ["overlay-shared"]
    chosen = [known[n] for n in (names or known)]
    return [_moved(s, (urls or {}).get(s.name, "")) for s in chosen]


def _moved(source: RecallSource, url: str) -> RecallSource:
    if not url:
        return source
    moved: RecallSource = replace(source, url=url)  # type: ignore[type-var]
    return moved


def _shared_overlay(data_dir: Path) -> str:
    with suppress(OSError, InputError):
        info = _read(data_dir, "overlay-shared").info
        url = str(info.get("url") or "")
        return url if "://" in url else ""
    return ""


# -- update --------------------------------------------------------------------------------------


def update(
    data_dir: Path,
    sources: Iterable[RecallSource] | None = None,
    *,
    today: date | None = None,
    fetcher: Fetcher | None = None,
) -> list[SourceReport]:
    """Renew the lists of ``sources`` (default: all registered). Never raises for a feed's fault."""
    now = datetime.fromtimestamp(SYSTEM.wall_ns() / 1e9, UTC)
    day = today or now.date()
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    get = fetcher or Fetcher()
    reports = []
    for source in list(chosen_sources(data_dir) if sources is None else sources):
        try:
            report = _renew(data_dir, source, get, day, stamp)
        except (DenchiError, OSError) as error:
            report = SourceReport(source.name, False, clean(error, 400), at=stamp)
        except Exception as error:  # a third party's feed may raise anything; the others must go on
            told = f"the source failed ({type(error).__name__}: {clean(error, 200)})"
            report = SourceReport(source.name, False, told, at=stamp)
        reports.append(report)
    _note_attempts(data_dir, reports)
    return reports


def _renew(
    data_dir: Path, source: RecallSource, get: Fetcher, day: date, stamp: str
) -> SourceReport:
    try:
        old = _read(data_dir, source.name)
        known = Known(old.dated, old.notices, dict(old.info.get("state") or {}))
    except (OSError, InputError):
        old, known = None, Known()
    fetched = source.fetch(get, known, day)
    notices, dropped = _sound(fetched, source.name)
    merged = _merged(old.notices if old else (), notices)
    if len(merged) > _MAX_NOTICES:
        raise InputError(
            f"{source.name}: {len(merged)} notices are more than a recall list can have"
        )
    dated = max(fetched.dated or day.isoformat(), old.dated if old and fetched.dated else "")
    doc = {
        "format": LIST_FORMAT,
        "schema_version": SCHEMA_VERSION,
        "source": source.name,
        "dated": dated,
        "fetched": stamp,
        "url": source.url,
        "licence": source.licence,
        "state": dict(fetched.state) or dict(known.state),
        "notices": merged,
    }
    write_atomically(list_path(data_dir, source.name), _json(doc))
    added = len(merged) - (len(old.notices) if old else 0)
    told = f"{len(merged)} notices, {added} new, from {fetched.seen} records"
    if dropped:
        told += f"; {dropped} unusable records left out"
    remarks = tuple(clean(r, 200) for r in fetched.remarks)
    told = "; ".join([told, *remarks])
    return SourceReport(source.name, True, told, added, len(merged), dropped, stamp, remarks)


def _sound(fetched: Fetched, name: str) -> tuple[list[dict[str, Any]], int]:
    """The notices that pass the checks; a feed most of whose notices fail is refused whole."""
    sound, dropped = [], 0
    for number, raw in enumerate(fetched.notices, 1):
        try:
            sound.append(checked(raw, f"{name}, notice {number}"))
        except InputError:
            dropped += 1
    if dropped > len(fetched.notices) / 2:
        raise InputError(f"{name}: {dropped} of {len(fetched.notices)} notices are unusable")
    return sound, dropped


def _merged(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """New notices over old ones: none is lost, and no notice loses a model, variant or barcode."""
    rows = {str(n["id"]): dict(n) for n in old}
    for notice in new:
        before = rows.get(str(notice["id"]))
        after = dict(notice)
        for key in ("model_numbers", "model_variants", "gtins"):
            both = [*(after.get(key) or ()), *((before or {}).get(key) or ())]
            if both:
                after[key] = list(dict.fromkeys(both))
        rows[str(notice["id"])] = after
    return list(rows.values())


# -- overlay by hand -----------------------------------------------------------------------------


def add_overlay(data_dir: Path, entries: Sequence[Mapping[str, Any]], day: date) -> Path:
    """Add entries to the user's own overlay; one with the same id takes the older one's place."""
    path = list_path(data_dir, OVERLAY)
    old: Sequence[Mapping[str, Any]] = ()
    if path.exists():
        old = _read(
            data_dir, OVERLAY
        ).notices  # a broken overlay is the user's work: refuse, not replace
    rows = {str(n["id"]): dict(n) for n in old}
    for number, entry in enumerate(entries, 1):
        sound = checked(entry, f"entry {number}")
        rows[sound["id"]] = sound
    doc = {
        "format": LIST_FORMAT,
        "schema_version": SCHEMA_VERSION,
        "source": OVERLAY,
        "dated": day.isoformat(),
        "notices": list(rows.values()),
    }
    write_atomically(path, _json(doc))
    return path


# -- status --------------------------------------------------------------------------------------


def status(data_dir: Path, today: date | None = None) -> list[ListState]:
    """Every list at hand and every feed never fetched, with age and the last attempt."""
    day = today or datetime.fromtimestamp(SYSTEM.wall_ns() / 1e9, UTC).date()
    attempts = _attempts(data_dir)
    feeds = registered()
    bundled = parse_list((DATA / "notices.json").read_bytes(), "bundled", trusted=True)
    states = [_state(bundled, feeds, attempts, day)]
    folder = data_dir / "recalls"
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            states.append(_state(_read(data_dir, path.stem), feeds, attempts, day))
        except (OSError, InputError) as error:
            states.append(ListState(path.stem, "", None, 0, problem=clean(error, 300)))
    held = {s.name for s in states}
    for name, feed in feeds.items():
        if name not in held:
            at, told = attempts.get(name, ("", ""))
            states.append(ListState(name, "", None, 0, feed.title, feed.licence, at, told))
    return states


def _state(
    found: ListFile,
    feeds: Mapping[str, RecallSource],
    attempts: Mapping[str, tuple[str, str]],
    day: date,
) -> ListState:
    feed = feeds.get(found.name)
    at, told = attempts.get(found.name, ("", ""))
    return ListState(
        found.name,
        found.dated,
        age_days(found.dated, day),
        len(found.notices),
        feed.title if feed else "",
        feed.licence if feed else "",
        at,
        told,
    )


# -- files ---------------------------------------------------------------------------------------


def list_path(data_dir: Path, name: str) -> Path:
    """The file of a list; a name from outside cannot leave the folder."""
    return data_dir / "recalls" / f"{file_stem(name)}.json"


def _read(data_dir: Path, name: str) -> ListFile:
    path = list_path(data_dir, name)
    return parse_list(path.read_bytes(), path.name)


def _json(doc: object) -> bytes:
    return json.dumps(doc, ensure_ascii=False, indent=1).encode() + b"\n"


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or none of it: written beside, flushed to disk, then put in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(beside).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(beside).unlink()
        raise


def _note_attempts(data_dir: Path, reports: Sequence[SourceReport]) -> None:
    """The last attempt of each source, for ``status``; not being able to note it harms nothing."""
    last = _attempts(data_dir) | {r.source: (r.at, r.kept) for r in reports}
    lines = [json.dumps({"source": n, "at": at, "message": told}) for n, (at, told) in last.items()]
    with suppress(OSError):
        write_atomically(data_dir / "recalls" / _ATTEMPTS, ("\n".join(lines) + "\n").encode())


def _attempts(data_dir: Path) -> dict[str, tuple[str, str]]:
    out: dict[str, tuple[str, str]] = {}
    with suppress(OSError, ValueError):
        for line in (data_dir / "recalls" / _ATTEMPTS).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if isinstance(row, dict):
                out[str(row.get("source"))] = (
                    clean(row.get("at", ""), 40),
                    clean(row.get("message", ""), 400),
                )
    return out
