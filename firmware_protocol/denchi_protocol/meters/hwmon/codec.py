"""Linux hwmon, iio and w1: the driver ``powerz`` as a meter, thermometers as probes.

Attributes and sources: README.md beside this file. Attributes are read, never written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from denchi_protocol.batteries.power_supply.attributes import Answer, Attributes, parse, whole
from denchi_protocol.codec import Action, Closing, Done, Event, Frames, Rejected
from denchi_protocol.fields import as_frames, check_run, counts
from denchi_protocol.samples import TIME_STEP_NS, Int64s, Quality, SampleBlock

Reader = Callable[[Answer], int | None]
"""Counts of a column out of an answer; None: no value now."""

POWERZ_PERIOD_MS: Final = 100
PROBE_PERIOD_MS: Final = 2000
SLOW_EVERY: Final = 10
"""Each read is a USB exchange of its own: lines and temperature are read in every tenth round."""
POWERZ_LIVE: Final = ("in0_input", "curr1_input")
POWERZ_SLOW: Final = ("in1_input", "in2_input", "in3_input", "in4_input", "temp1_input")
IIO: Final = ("in_temp_input", "in_temp_raw", "in_temp_offset", "in_temp_scale")
PLACE: Final = "temp_mc.ambient"
"""A probe nobody has given a place speaks of no unit; the bench's role says where it is."""

_NUMBER: Final = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?\Z", re.ASCII)
_WRAP_MC: Final = 512_000
_NEGATIVE_MC: Final = 256_000
_NONE_MC: Final = -256_000


def _milli(name: str) -> Reader:
    """Attribute in thousandths of the SI unit, as micro-counts."""

    def read(answer: Answer) -> int | None:
        value = whole(answer, name)
        return None if value is None else value * 1000

    return read


def powerz_temperature(answer: Answer) -> int | None:
    """The driver takes the meter's signed number for an unsigned one: undo it; -256 degC is "no reading"."""
    value = whole(answer, "temp1_input")
    if value is None:
        return None
    value = value - _WRAP_MC if value >= _NEGATIVE_MC else value
    return None if value == _NONE_MC else value


POWERZ: Final[Mapping[str, Reader]] = {
    "vbus_uv": _milli("in0_input"),
    "ibus_ua": _milli("curr1_input"),
    "cc1_uv": _milli("in1_input"),
    "cc2_uv": _milli("in2_input"),
    "dp_uv": _milli("in3_input"),
    "dm_uv": _milli("in4_input"),
    "temp_mc.meter": powerz_temperature,
}


class _Folder:
    """One folder of attributes, asked in rounds."""

    def __init__(
        self, readers: Mapping[str, Reader], *, last: str, period_ms: float, quality: Quality
    ) -> None:
        self._readers = readers
        self._quality = quality
        self._attributes = Attributes(self._plan, last=last, period_ms=period_ms)
        self._last_ns: int | None = None

    def _plan(self) -> tuple[str, ...]:
        raise NotImplementedError

    def next(self, now_ns: int) -> Action:
        """Ask in rounds."""
        return self._attributes.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole answer with a value in it becomes a sample."""
        events: list[Event] = []
        for raw in self._attributes.feed(data, t_ns):
            if isinstance(raw, Rejected):
                events.append(raw)
                continue
            stamp = t_ns if self._last_ns is None else max(t_ns, self._last_ns + TIME_STEP_NS)
            block = self.decode_run(as_frames(raw), np.array([stamp], np.int64))
            if block.columns:
                self._last_ns = stamp
                events.append(block)
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode answers (n, length), each padded with zero bytes to one length."""
        check_run(frames, t_ns)
        answers = [parse(row.tobytes().rstrip(b"\0")) for row in frames]
        columns = {}
        for name, read in self._readers.items():
            values = [read(answer) for answer in answers]
            measured = np.array([value is not None for value in values])
            if measured.any():
                columns[name] = counts(np.array([v or 0 for v in values], np.int64), measured)
        return SampleBlock(t_ns, columns, np.full(len(t_ns), self._quality, np.uint16))


class PowerzHwmonCodec(_Folder):
    """The folder of the driver ``powerz`` (POWER-Z KM002C, KM003C)."""

    def __init__(self) -> None:
        super().__init__(
            POWERZ, last=POWERZ_LIVE[-1], period_ms=POWERZ_PERIOD_MS, quality=Quality.NONE
        )
        self._round = -1

    def _plan(self) -> tuple[str, ...]:
        self._round += 1
        return POWERZ_LIVE if self._round % SLOW_EVERY else (*POWERZ_SLOW, *POWERZ_LIVE)


class ProbeCodec(_Folder):
    """One thermometer whose attribute ``name`` is in thousandths of a degree Celsius."""

    def __init__(self, name: str) -> None:
        self._name = name
        readers: dict[str, Reader] = {PLACE: lambda answer: whole(answer, name)}
        super().__init__(readers, last=name, period_ms=PROBE_PERIOD_MS, quality=Quality.NONE)

    def _plan(self) -> tuple[str, ...]:
        return (self._name,)


def iio_temperature(answer: Answer) -> int | None:
    """Processed value, or (raw + offset) x scale, in thousandths of a degree Celsius."""
    processed = _number(answer, "in_temp_input")
    if processed is not None:
        return round(processed)
    raw, scale = _number(answer, "in_temp_raw"), _number(answer, "in_temp_scale")
    if raw is None or scale is None:
        return None
    value = (raw + (_number(answer, "in_temp_offset") or 0.0)) * scale
    return round(value) if abs(value) < 1e9 else None


def _number(answer: Answer, name: str) -> float | None:
    text = answer.get(name, "")
    return float(text) if _NUMBER.match(text) else None


class IioCodec(_Folder):
    """One thermometer of the industrial I/O subsystem."""

    def __init__(self) -> None:
        super().__init__(
            {PLACE: iio_temperature}, last=IIO[-1], period_ms=PROBE_PERIOD_MS, quality=Quality.NONE
        )

    def _plan(self) -> tuple[str, ...]:
        return IIO
