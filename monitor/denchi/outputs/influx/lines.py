"""The schema in a time-series database, as line protocol. docs/outputs.md shows it as a table.

A point is its measurement, tags and stamp: writing it again changes nothing. Stamps are those of the
capture; tags are few and never change on a retry. Numbers are always written as floats, whole numbers
with ``i``: a field's type must never change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from denchi.outputs.labels import NONE, Labels, label_at
from denchi.store import rollup
from denchi.store.cursor import Cursor
from denchi.store.feed import Batch, Record, Source, StoredEvent
from denchi.store.rows import StoredFinding, StoredGap, StoredSession
from denchi.text import clean
from denchi_protocol.samples import SampleBlock

SAMPLE: Final = "denchi_sample"
FINDING: Final = "denchi_finding"
SESSION: Final = "denchi_session"
GAP: Final = "denchi_gap"
RECALL: Final = "denchi_recall"
EVENT: Final = "denchi_event"
DAEMON: Final = "denchi_daemon"

_FIELDS: Final[Mapping[str, str]] = {
    "vbus_uv": "vbus_v",
    "ibus_ua": "ibus_a",
    "dp_uv": "dp_v",
    "dm_uv": "dm_v",
    "cc1_uv": "cc1_v",
    "cc2_uv": "cc2_v",
    "pack_uv": "pack_v",
    "pack_ua": "pack_a",
}


def field_name(channel: str) -> str:
    """Field of a channel: ``vbus_v``, ``temp_case_c``, ``cell_3_v``."""
    if channel in _FIELDS:
        return _FIELDS[channel]
    stem, _, rest = channel.partition(".")
    place = rest.replace(".", "_")
    return f"cell_{place}_v" if stem == "cell_uv" else f"temp_{place}_c"


def escape_tag(value: str) -> str:
    """A tag's value; what it cannot hold (an end in a backslash, nothing) is changed."""
    text = clean(value, 120).rstrip("\\") or NONE
    return text.replace("\\", "/").replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


def escape_text(value: str) -> str:
    """A string field's value between its quotes."""
    return clean(value, 500).replace("\\", "\\\\").replace('"', '\\"')


def head(measurement: str, tags: Mapping[str, str]) -> str:
    """Measurement and tags, sorted as servers like them."""
    return ",".join([measurement, *(f"{k}={escape_tag(tags[k])}" for k in sorted(tags))])


def value(field: Any) -> str | None:
    """A field's value, or None when there is none (missing, not finite)."""
    if isinstance(field, bool):
        return "true" if field else "false"
    if isinstance(field, int):
        return f"{field}i"
    if isinstance(field, float):
        return repr(field) if np.isfinite(field) else None
    if isinstance(field, str):
        return f'"{escape_text(field)}"'
    return None


def point(
    measurement: str, tags: Mapping[str, str], fields: Mapping[str, Any], t_ns: int
) -> bytes | None:
    """One line, or None when no field has a value."""
    parts = [f"{_key(k)}={text}" for k, v in fields.items() if (text := value(v)) is not None]
    if not parts:
        return None
    return f"{head(measurement, tags)} {','.join(parts)} {t_ns}".encode()


def _key(name: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    return kept[:60] or "_"


class LineWriter:
    """Puts batches into lines: raw samples, or roll-ups of ``rollup_s`` seconds."""

    def __init__(self, labels: Labels, rollup_s: int = 0) -> None:
        self._labels = labels
        self._rollup_s = rollup_s

    def encode(self, batch: Batch, cursor: Cursor) -> list[bytes]:
        """All lines of a batch."""
        lines: list[bytes] = []
        for source, block in batch.pieces:
            ahead = batch.before.get((source.instrument.id, int(block.t_ns[0])))
            lines += self._samples(source, block, cursor, ahead)
        for record in batch.records:
            lines += self._record(record, batch)
        return lines

    def _tags(self, source: Source, unit: str) -> dict[str, str]:
        tags = self._labels.common(source.session)
        tags |= {"unit": unit, "role": clean(source.instrument.role, 40) or NONE}
        if source.session.origin != "meter":
            tags["origin"] = source.session.origin
        return tags

    def _samples(
        self, source: Source, block: SampleBlock, cursor: Cursor, ahead: rollup.Before | None
    ) -> Iterator[bytes]:
        number = source.instrument.id
        known = cursor.labels.get(number, ())
        edges = [t for t, _ in known[1:] if block.t_ns[0] < t <= block.t_ns[-1]]
        for part in _split(block, edges):
            first = int(part.t_ns[0])
            start = head(SAMPLE, self._tags(source, label_at(cursor, number, first)))
            if self._rollup_s:
                yield from self._rolled(start, part, ahead)
                ahead = rollup.last_of(part)
            else:
                yield from raw_lines(start, part)

    def _rolled(
        self, start: str, block: SampleBlock, ahead: rollup.Before | None
    ) -> Iterator[bytes]:
        rolled = rollup.of_block(block, self._rollup_s * rollup.NS, ahead)
        columns: dict[str, Any] = {}
        for name, band in rolled.bands.items():
            field = name if name == rollup.POWER else field_name(name)
            columns[field] = band.mean
            columns[f"{field}_min"], columns[f"{field}_max"] = band.low, band.high
        for kind, values in rolled.energy.items():
            columns[f"energy_{kind}" if kind != "covered_s" else kind] = values
        yield from column_lines(start, columns, rolled.t_ns)

    # -- records -----------------------------------------------------------------------------

    def _record(self, record: Record, batch: Batch) -> list[bytes]:
        sessions = batch.sessions or {}
        if isinstance(record, StoredSession):
            line = self._session(record)
        else:
            session = sessions.get(record.session_id or "")
            tags = {"station": clean(self._labels.station, 60) or NONE}
            if session is not None:
                tags = self._labels.common(session) | {"unit": self._labels.unit(session.unit)}
                if session.origin != "meter":
                    tags["origin"] = session.origin
            if isinstance(record, StoredFinding):
                line = self._finding(record, tags)
            elif isinstance(record, StoredGap):
                line = self._gap(record, tags)
            else:
                line = self._event(record, tags)
        return [] if line is None else [line]

    def _session(self, stored: StoredSession) -> bytes | None:
        session = stored.session
        if session.ended_ns is None:
            return None  # written once, when it is final: its tags then never change
        tags = self._labels.common(session) | {"unit": self._labels.unit(session.unit)}
        tags["profile"] = session.profile or NONE
        if session.origin != "meter":
            tags["origin"] = session.origin
        fields = {
            "session": session.id,
            "duration_s": (session.ended_ns - session.started_ns) / 1e9,
            "verdict": session.verdict.word if session.verdict else "",
            "verdict_level": int(session.verdict) if session.verdict else 0,
        }
        return point(SESSION, tags, fields, session.started_ns)

    def _finding(self, stored: StoredFinding, tags: dict[str, str]) -> bytes | None:
        finding = stored.finding
        tags |= {"severity": finding.severity.word, "family": finding.family, "code": finding.code}
        fields: dict[str, Any] = {
            "id": stored.id,
            "session": stored.session_id,
            "level": int(finding.severity),
            "message": finding.message.render("en"),
            "place": finding.place,
            "limit": finding.limit,
            "onset_s_before": (finding.t_ns - finding.onset_ns) / 1e9,
        }
        fields |= {f"measured_{k}": float(m.value) for k, m in finding.measured.items()}
        return point(FINDING, tags, fields, finding.t_ns)

    def _gap(self, stored: StoredGap, tags: dict[str, str]) -> bytes | None:
        gap = stored.gap
        if gap.end_ns is None:
            return None  # written when it has closed
        tags["cause"] = gap.cause
        fields = {
            "duration_s": (gap.end_ns - gap.start_ns) / 1e9,
            "lost": int(gap.lost),
            "session": stored.session_id,
        }
        return point(GAP, tags, fields, gap.start_ns)

    def _event(self, stored: StoredEvent, tags: dict[str, str]) -> bytes | None:
        measurement = RECALL if stored.kind == "recall" else EVENT
        if measurement == EVENT:
            tags["kind"] = stored.kind
        fields = {k: _as_float(v) for k, v in _flat(stored.data)}
        return point(measurement, tags, fields, stored.t_ns)


def daemon_line(station: str, health: Mapping[str, Any], t_ns: int) -> bytes | None:
    """The daemon's own health as a point."""
    fields = {k: _as_float(v) for k, v in health.items()}
    return point(DAEMON, {"station": clean(station, 60) or NONE}, fields, t_ns)


def _as_float(found: Any) -> Any:
    return float(found) if isinstance(found, int) and not isinstance(found, bool) else found


def _flat(data: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for key, found in data.items():
        name = f"{prefix}{key}"
        if isinstance(found, Mapping) and depth < 3:
            yield from _flat(found, name + "_", depth + 1)
        elif isinstance(found, str | int | float):
            yield name, found


def _split(block: SampleBlock, edges: Iterable[int]) -> Iterator[SampleBlock]:
    rest = block
    for edge in sorted(edges):
        yield rest[rest.t_ns < edge]
        rest = rest[rest.t_ns >= edge]
    if len(rest):
        yield rest


def raw_lines(start: str, block: SampleBlock) -> Iterator[bytes]:
    """One line a sample; cells that were not measured have no field."""
    columns: dict[str, Any] = {field_name(n): block.si(n) for n in block.columns}
    found = rollup.power_of(block)
    if found is not None:
        columns[rollup.POWER] = np.round(found[0], 6)
    yield from column_lines(start, columns, block.t_ns, block.quality)


def column_lines(
    start: str, columns: Mapping[str, Any], t_ns: Any, quality: Any = None
) -> Iterator[bytes]:
    """Lines of columns; rows are grouped by which of their cells are missing, a format string a group."""
    if not columns:
        return
    names = list(columns)
    known = np.stack([~np.isnan(columns[n]) for n in names]) if names else np.zeros((0, 0), bool)
    flags = np.zeros(len(t_ns), np.uint16) if quality is None else quality
    pattern = np.packbits(np.vstack([known, flags != 0]), axis=0).T
    kinds, which = np.unique(pattern, axis=0, return_inverse=True)
    which = which.reshape(-1)
    escaped = start.replace("%", "%%")
    for k in range(len(kinds)):
        rows = np.flatnonzero(which == k)
        present = [n for i, n in enumerate(names) if known[i, rows[0]]]
        if not present:
            continue
        fields = [f"{n}=%r" for n in present]
        values = [columns[n][rows].tolist() for n in present]
        if flags[rows[0]]:
            fields.append("quality=%di")
            values.append(flags[rows].tolist())
        line = f"{escaped} {','.join(fields)} %d"
        values.append(t_ns[rows].tolist())
        yield from (row.encode() for row in map(line.__mod__, zip(*values, strict=True)))
