"""What is published: topics and payloads. docs/outputs.md shows them as a table.

``PREFIX/STATION/status``                 online | offline (retained, the broker's last will)
``PREFIX/STATION/BENCH/ROLE/state``       newest second as JSON (retained); old data never goes here
``PREFIX/STATION/BENCH/ROLE/second``      every second as JSON with its stamp, backlog too (``seconds = true``)
``PREFIX/STATION/BENCH/finding``          each finding, ``/gap``, ``/session``, ``/event``: records as JSON
``PREFIX/STATION/BENCH/alert``            severity of the newest finding (retained)
``DISCOVERY/sensor/ID/config``            Home Assistant's discovery (retained)

No entity has a device class that Home Assistant words as "Safe" or "OK": nothing here says that.
A value that is not renewed expires (``expire_after``): Home Assistant then shows it as unavailable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from denchi.model import Session
from denchi.outputs.influx.lines import field_name
from denchi.outputs.labels import NONE, Labels, label_at
from denchi.store import rollup
from denchi.store.cursor import Cursor
from denchi.store.feed import Batch, Record, Source, StoredEvent
from denchi.store.rows import StoredFinding, StoredGap, StoredSession
from denchi.text import clean
from denchi_protocol.samples import SampleBlock

NS: Final = 1_000_000_000
RETAIN: Final = "r"
PLAIN: Final = "-"

_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "_v": ("voltage", "V"),
    "_a": ("current", "A"),
    "_w": ("power", "W"),
    "_c": ("temperature", "°C"),
}


def part(text: str) -> str:
    """A level of a topic: no wildcard, no slash, never empty, never `$` in front."""
    return re.sub(r"[+#/\x00]", "_", clean(text, 60)).strip().lstrip("$") or NONE


def identifier(*texts: str) -> str:
    """An object id of Home Assistant's: letters, digits, `_` and `-`."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", "_".join(texts)).strip("_")[:120]


def message(topic: str, payload: Any, *, retain: bool = False) -> bytes:
    """One message as a line: flag, topic, payload, apart by tabs."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"{RETAIN if retain else PLAIN}\t{topic}\t{text}".encode()


def split(line: bytes) -> tuple[bool, str, bytes]:
    """(retain, topic, payload) of a line."""
    flag, topic, payload = line.split(b"\t", 2)
    return flag == RETAIN.encode(), topic.decode(), payload


@dataclass(slots=True)
class Messages:
    """Puts batches into messages."""

    labels: Labels
    prefix: str
    discovery: str
    """Home Assistant's prefix; empty: no discovery."""
    seconds: bool
    expire_s: int
    configs: dict[str, bytes] = field(default_factory=dict)
    """Discovery so far, by topic: said again to a broker that forgot."""
    _newest: dict[str, int] = field(default_factory=dict)
    _alert: dict[str, int] = field(default_factory=dict)

    @property
    def station_topic(self) -> str:
        """Where everything of this station stands."""
        return f"{self.prefix}/{part(self.labels.station)}"

    @property
    def status_topic(self) -> str:
        """Where this station is told to be online or offline."""
        return f"{self.station_topic}/status"

    def encode(self, batch: Batch, cursor: Cursor, now_ns: int) -> list[bytes]:
        """All messages of a batch."""
        lines: list[bytes] = []
        for source, block in batch.pieces:
            ahead = batch.before.get((source.instrument.id, int(block.t_ns[0])))
            lines += self._samples(source, block, cursor, ahead, now_ns)
        for record in batch.records:
            lines += self._record(record, batch.sessions or {})
        return lines

    def _samples(
        self,
        source: Source,
        block: SampleBlock,
        cursor: Cursor,
        ahead: rollup.Before | None,
        now_ns: int,
    ) -> list[bytes]:
        rolled = rollup.of_block(block, NS, ahead)
        columns = {
            (name if name == rollup.POWER else field_name(name)): band.mean
            for name, band in rolled.bands.items()
        }
        base = f"{self.station_topic}/{part(source.session.bench)}/{part(source.instrument.role)}"
        unit = label_at(cursor, source.instrument.id, int(block.t_ns[-1]))
        rows = range(len(rolled.t_ns)) if self.seconds else ()
        lines = [
            message(f"{base}/second", _row(columns, rolled.t_ns, i, unit, source)) for i in rows
        ]
        last = int(block.t_ns[-1])
        if len(rolled.t_ns) and last > self._newest.get(base, 0):
            self._newest[base] = last
            if now_ns - last <= self.expire_s * NS:
                lines += self._discover(source, base, list(columns))
                row = _row(columns, rolled.t_ns, len(rolled.t_ns) - 1, unit, source)
                lines.append(message(f"{base}/state", row, retain=True))
        return lines

    # -- records -----------------------------------------------------------------------------

    def _record(self, record: Record, sessions: Mapping[str, Session]) -> list[bytes]:
        if isinstance(record, StoredSession):
            return self._session(record.session)
        session = sessions.get(record.session_id or "")
        base = f"{self.station_topic}/{part(session.bench) if session else NONE}"
        if isinstance(record, StoredFinding):
            return self._finding(record, base)
        if isinstance(record, StoredGap):
            gap = record.gap
            body: dict[str, Any] = {"start_ns": gap.start_ns, "end_ns": gap.end_ns}
            body |= {"cause": gap.cause, "lost": gap.lost, "session": record.session_id}
            return [message(f"{base}/gap", body)]
        assert isinstance(record, StoredEvent)
        body = {"t_ns": record.t_ns, "kind": record.kind, "session": record.session_id}
        return [message(f"{base}/event", body | {"data": _plain(record.data)})]

    def _session(self, session: Session) -> list[bytes]:
        body = {
            "id": session.id,
            "origin": session.origin,
            "started_ns": session.started_ns,
            "ended_ns": session.ended_ns,
            "meter": session.meter,
            "unit": self.labels.unit(session.unit),
            "profile": session.profile,
            "verdict": session.verdict.word if session.verdict else None,
        }
        return [message(f"{self.station_topic}/{part(session.bench)}/session", body)]

    def _finding(self, stored: StoredFinding, base: str) -> list[bytes]:
        finding = stored.finding
        body = {
            "id": stored.id,
            "session": stored.session_id,
            "t_ns": finding.t_ns,
            "onset_ns": finding.onset_ns,
            "code": finding.code,
            "family": finding.family,
            "severity": finding.severity.word,
            "place": finding.place,
            "message": {"en": finding.message.render("en"), "ja": finding.message.render("ja")},
            "measured": {k: [m.value, m.unit] for k, m in finding.measured.items()},
            "limit": finding.limit,
            "ends": finding.ends,
        }
        lines = [message(f"{base}/finding", body)]
        if finding.t_ns >= self._alert.get(base, 0):
            self._alert[base] = finding.t_ns
            told = body["message"]["en"]  # type: ignore[index]
            alert = {"severity": finding.severity.word, "code": finding.code, "message": told}
            lines.append(
                message(
                    f"{base}/alert",
                    alert | {"ends": finding.ends, "t_ns": finding.t_ns},
                    retain=True,
                )
            )
        return lines

    # -- discovery ---------------------------------------------------------------------------

    def _discover(self, source: Source, base: str, columns: list[str]) -> list[bytes]:
        if not self.discovery:
            return []
        fresh: list[bytes] = []
        bench = part(source.session.bench)
        device_id = identifier("denchi", part(self.labels.station), bench)
        device = {
            "identifiers": [device_id],
            "name": f"denchi {part(self.labels.station)} {bench}",
            "model": clean(source.instrument.model, 60) or clean(source.session.meter, 60),
            "manufacturer": "denchi",
        }
        common: dict[str, Any] = {"availability_topic": self.status_topic, "device": device}
        role = part(source.instrument.role)
        for name in columns:
            kind = _KINDS.get(name[-2:])
            if kind is None:
                continue
            entity = identifier(device_id, role, name)
            fresh += self._config(
                entity,
                common
                | {
                    "name": f"{role} {name}",
                    "unique_id": entity,
                    "state_topic": f"{base}/state",
                    "value_template": "{{ value_json." + name + " }}",
                    "device_class": kind[0],
                    "unit_of_measurement": kind[1],
                    "state_class": "measurement",
                    "expire_after": self.expire_s,
                },
            )
        alert = base.rpartition("/")[0] + "/alert"
        entity = identifier(device_id, "finding")
        return fresh + self._config(
            entity,
            common
            | {
                "name": "newest finding",
                "unique_id": entity,
                "state_topic": alert,
                "value_template": "{{ value_json.severity }}",
                "json_attributes_topic": alert,
            },
        )

    def _config(self, entity: str, body: Mapping[str, Any]) -> list[bytes]:
        topic = f"{self.discovery}/sensor/{entity}/config"
        line = message(topic, body, retain=True)
        if self.configs.get(topic) == line:
            return []
        self.configs[topic] = line
        return [line]


def _row(
    columns: Mapping[str, Any], t_ns: Any, i: int, unit: str, source: Source
) -> dict[str, Any]:
    row: dict[str, Any] = {"t_ns": int(t_ns[i]), "unit": unit, "session": source.session.id}
    if source.session.origin != "meter":
        row["origin"] = source.session.origin
    for name, values in columns.items():
        value = float(values[i])
        row[name] = round(value, 6) if np.isfinite(value) else None
    return row


def _plain(data: Mapping[str, object]) -> dict[str, object]:
    return {clean(k, 60): v for k, v in data.items() if isinstance(v, str | int | float | bool)}
