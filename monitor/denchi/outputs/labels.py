"""Labels that outputs put on data: station, bench, meter, unit; few, stable, and no serial in clear.

A unit's serial identifies a customer's property, so it leaves the machine as an HMAC with a key of this
installation unless the configuration allows it in clear.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from denchi.errors import StoreError
from denchi.model import Session, Unit
from denchi.store.cursor import Cursor
from denchi.store.feed import Batch
from denchi.store.rows import unit_key
from denchi.text import clean

KEY_FILE: Final = "installation.key"
NONE: Final = "-"
"""Stands for what is not known: a tag must not come and go."""


def installation_key(data_dir: Path) -> bytes:
    """The secret key of this installation, made at its first use (mode 0600)."""
    path = data_dir / KEY_FILE
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) < 16:
            raise StoreError(
                f"{path} is damaged", cure="remove it; units get new pseudonyms"
            ) from None
        return key
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", cure="free space or mend its mode") from None
    with os.fdopen(fd, "wb") as file:
        key = secrets.token_bytes(32)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


def pseudonym(unit: Unit, key: bytes) -> str:
    """Ten hex digits that stand for a unit with this serial on this installation."""
    return hmac.new(key, unit_key(unit).encode(), hashlib.sha256).hexdigest()[:10]


@dataclass(slots=True)
class Labels:
    """Makes the labels of one output."""

    station: str
    data_dir: Path
    clear_serial: bool = False
    _key: bytes = field(default=b"", repr=False)

    def unit(self, unit: Unit) -> str:
        """``Brand Model #pseudonym`` (or the serial, where allowed); ``-`` when nothing is known."""
        name = clean(" ".join(p for p in (unit.brand, unit.model) if p), 80)
        if unit.serial.strip():
            if self.clear_serial:
                name = f"{name} {clean(unit.serial, 60)}"
            else:
                self._key = self._key or installation_key(self.data_dir)
                name = f"{name} #{pseudonym(unit, self._key)}"
        return name.strip() or NONE

    def prepare(self, batch: Batch, cursor: Cursor) -> Cursor:
        """Fix the unit label of the batch's samples; ``cursor`` is the one before the batch.

        A unit may be told after its session began: from then on new samples carry the new label;
        those that were sent, or may be sent again, keep the label they had.
        """
        labels = dict(cursor.labels)
        for source, block in batch.pieces:
            number = source.instrument.id
            label = self.unit(source.session.unit)
            known = labels.get(number, ())
            if not known:
                labels[number] = ((-(2**62), label),)
            elif known[-1][1] != label:
                since = [int(block.t_ns[0]), known[-1][0] + 1]
                since += [end for _, end in cursor.spans.get(number, ())]
                labels[number] = (*known, (max(since), label))
        kept = {i: t for i, t in labels.items() if not cursor.finished(i)}
        kept |= {s.instrument.id: labels[s.instrument.id] for s, _ in batch.pieces}
        return cursor.with_labels(kept)

    def common(self, session: Session) -> dict[str, str]:
        """Station, bench and meter of a session."""
        return {
            "station": clean(self.station, 60) or NONE,
            "bench": clean(session.bench, 60) or NONE,
            "meter": clean(session.meter, 40) or NONE,
        }


def label_at(cursor: Cursor, instrument: int, t_ns: int) -> str:
    """The unit label of an instrument's sample at a time."""
    found = NONE
    for since, label in cursor.labels.get(instrument, ()):
        if t_ns >= since:
            found = label
    return found
