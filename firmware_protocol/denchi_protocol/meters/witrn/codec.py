"""WITRN host side: listens to 64-byte reports, 100 a second. Nothing is ever sent.

Facts and their sources: README.md beside this file.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.checksum import sum8
from denchi_protocol.codec import (
    Action,
    Closing,
    Done,
    Event,
    Frames,
    PdMessage,
    Rejected,
    Telemetry,
    Wait,
)
from denchi_protocol.devclock import DeviceClock
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import check_run, split_where, unsigned
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.runs import in_order
from denchi_protocol.samples import (
    MISSING,
    TIME_STEP_NS,
    Int32s,
    Int64s,
    SampleBlock,
)
from denchi_protocol.table import FEW, Real, Table, value

MS: Final = 1_000_000
REPORT: Final = 64
MEASUREMENT, PD = 0xFF, 0xFE
SECOND: Final = 0x55
COMMAND: Final = 0x1A
PAYLOAD: Final = 52
SOPS: Final = {0xE0: "SOP", 0xC0: "SOP'", 0xA0: "SOP''", 0x80: "SOP'_Debug", 0x60: "SOP''_Debug"}

PROBES: Final = ("case", "ambient")
NOT_MEASURED_C: Final = 25.0
"""What models without a sensor on their board report as its temperature, always."""
NO_PROBE_C: Final = -40.0
"""An unplugged probe reads -50 to -80 degC."""
WRAP_MS: Final = 256_000
LATE_MS: Final = 500
"""Device time counts while it goes along with the arrivals this closely."""
COUNTERS_NS: Final = 1_000 * MS
_PER_SI: Final = np.array([1e6, 1e6, 1e3, 1e3, 1e6, 1e6])[:, None]
"""Counts per unit of the six floats: D+, D-, two temperatures, volts, amperes."""
_REALS: Final = np.dtype(
    {
        "names": ["counters", "values"],
        "formats": [("<f4", 2), ("<f4", 6)],
        "offsets": [14, 30],
        "itemsize": REPORT,
    }
)
_ORDER: Final = {
    4: "vbus_uv", 5: "ibus_ua", 0: "dp_uv", 1: "dm_uv", 2: "temp_mc.meter", 6: "cc1_uv", 7: "cc2_uv",
}  # fmt: skip
_LIMIT: Final = np.minimum(2.0**31, 1e6 * _PER_SI)
"""What an int32 holds, and what is no number of this meter."""


_PROBE: Final = "temp_mc.case"
"""Under this name the table reads the probe, wherever it was put."""
TABLE: Final = Table(
    REPORT,
    Real("vbus_uv", 46, "<f"),
    Real("ibus_ua", 50, "<f"),
    Real("dp_uv", 30, "<f"),
    Real("dm_uv", 34, "<f"),
    Real("temp_mc.meter", 38, "<f", none=(NOT_MEASURED_C,)),
    value("cc1_uv", 55, "B", 100_000),
    value("cc2_uv", 56, "B", 100_000),
    Real(_PROBE, 42, "<f", least=NO_PROBE_C),
)
"""The same as ``_decode`` reads, for reports that come alone."""


def _milliseconds() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(65536,): milliseconds within a second by their low byte x 256 + their last two digits; -1 none."""
    table = np.full(1 << 16, -1, np.int64)
    ms = np.arange(1000)
    table[(ms & 0xFF) << 8 | ms % 100] = ms
    return table


_MILLISECONDS: Final = _milliseconds()
_MILLISECONDS_OF: Final[list[int]] = _MILLISECONDS.tolist()


def _rule(view: bytes) -> Verdict:
    if view[0] == PD:
        return _rule_pd(view)
    if len(view) >= 2 and view[1] != SECOND:
        return 1, "no report begins here"
    if len(view) < REPORT:
        return MORE
    if sum8(view[8:62]) != view[62] or (sum8(view[:8]) + view[62]) & 0xFF != view[63]:
        return REPORT, "wrong checksum"
    if view[8] != COMMAND or view[9] != PAYLOAD:
        return REPORT, f"unknown report {view[8]:02x}"
    return REPORT, ""


_SUMS: Final = np.zeros((REPORT, 2), np.float32)
_SUMS[8:62, 0] = _SUMS[:8, 1] = _SUMS[62, 1] = 1
_SUMS[62, 0] = _SUMS[63, 1] = -1
"""What must be 0 modulo 256: the sum of 8..61 without byte 62; the sum of 0..7 and byte 62 without 63."""
_HEAD: Final = int.from_bytes(bytes((MEASUREMENT, SECOND)), "little")
_KIND: Final = int.from_bytes(bytes((COMMAND, PAYLOAD)), "little")
_PRODUCT: Final = 2048
"""Rows of one matrix product: BLAS shares larger ones out to threads, whose spinning costs more than they bring."""
_SLICE: Final = 8192
"""Reports read at once: what stays in the processor's cache."""


def _check_rows(rows: Frames) -> NDArray[np.bool_]:
    """Measurement reports only: a PD report between them is judged alone."""
    left = np.empty((len(rows), 2), np.int16)
    for at in range(0, len(rows), _PRODUCT):
        # Both sums at once, exact in float32 and within int16.
        left[at : at + _PRODUCT] = np.matmul(rows[at : at + _PRODUCT].astype(np.float32), _SUMS)
    left &= 0xFF
    words = rows.view("<u2")
    good: NDArray[np.bool_] = left.view(np.uint32)[:, 0] == 0
    good &= words[:, 0] == _HEAD
    good &= words[:, 4] == _KIND
    return good


def _rule_pd(view: bytes) -> Verdict:
    """PD reports have no checksum: length, kind and object count have to agree."""
    if len(view) >= 2 and not (3 <= view[1] <= REPORT - 2 and view[1] % 2):
        return 1, "no report begins here"
    if len(view) >= 3 and view[2] not in SOPS:
        return 1, "no report begins here"
    if len(view) >= 5 and 2 + 4 * (view[4] >> 4 & 7) != view[1] - 1:
        return 1, "PD message of another length"
    return (REPORT, "") if len(view) >= REPORT else MORE


class WitrnCodec:
    """One connection to a WITRN meter. ``probe``: where the user has put the meter's own probe."""

    def __init__(self, probe: str = "case") -> None:
        if probe not in PROBES:
            raise LocalProtocolError(f"probe={probe!r}: it is one of {', '.join(PROBES)}")
        self._probe = f"temp_mc.{probe}"
        self._framer = Framer(_rule, bytes((MEASUREMENT, PD)), longest=REPORT, rows=_check_rows)
        self._clock = DeviceClock()
        self._last_ms: int | None = None
        self._unwrapped_ms = 0
        self._last_arrival_ns = 0
        self._last_t_ns: int | None = None
        self._told_ns: int | None = None

    def next(self, now_ns: int) -> Action:
        """Only listen."""
        return Wait(now_ns + 1000 * MS)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop: the meter ends when nobody reads."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole report becomes a sample or a PD message."""
        events: list[Event] = []
        for piece in self._framer.feed_runs(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            for run in split_where(piece, piece[:, 0] == MEASUREMENT):
                if run[0, 0] == MEASUREMENT:
                    self._measured(run, t_ns, events)
                    continue
                for report in run:
                    wire = report[3 : report[1] + 2].tobytes()
                    events.append(PdMessage(t_ns, SOPS[int(report[2])], wire))
        return events

    def _measured(self, frames: Frames, t_ns: int, events: list[Event]) -> None:
        told: list[tuple[int, Event]] = []
        if self._told_ns is None or t_ns - self._told_ns >= COUNTERS_NS:
            self._told_ns = t_ns
            told.append((0, Telemetry(t_ns, _counters(frames[:1]))))
        events += in_order(self.decode_run(frames, self._stamps(frames, t_ns)), told)

    def _stamps(self, frames: Frames, t_ns: int) -> Int64s:
        """Device time where it holds together and goes along with the arrivals; else arrival."""
        if len(frames) == 1:
            return np.array([self._stamp(frames, t_ns)], np.int64)
        ms = device_ms(frames)
        before = self._last_ms
        last_arrival, self._last_arrival_ns = self._last_arrival_ns, t_ns
        self._last_ms = None if ms.min() < 0 else int(ms[-1])
        even = False
        if before is not None and self._last_ms is not None:
            steps = np.empty_like(ms)
            steps[0] = ms[0] - before
            np.subtract(ms[1:], ms[:-1], out=steps[1:])
            if steps.min() < 0:
                steps[steps < 0] += WRAP_MS
            total = int(steps.sum())
            passed = (t_ns - last_arrival) // MS
            even = bool(steps.min() > 0) and abs(total - passed) <= LATE_MS
            if even:
                device = np.cumsum(steps, out=steps)
                device += self._unwrapped_ms
                device *= MS
                self._unwrapped_ms += total
                stamps = self._clock.stamps(device, t_ns)
        if not even:
            self._clock = DeviceClock()
            n = len(frames)
            floor = t_ns if self._last_t_ns is None else self._last_t_ns + TIME_STEP_NS
            step = min(max((t_ns - floor) // n, TIME_STEP_NS), 10 * MS)
            stamps = t_ns - step * np.arange(n - 1, -1, -1, dtype=np.int64)
        # Behind the first none is nearer than this to the one before it: device milliseconds, or steps.
        if self._last_t_ns is not None and stamps[0] < self._last_t_ns + TIME_STEP_NS:
            ramp = np.arange(1, len(stamps) + 1, dtype=np.int64) * TIME_STEP_NS
            stamps = np.maximum(stamps, self._last_t_ns + ramp)
        self._last_t_ns = int(stamps[-1])
        return stamps

    def _stamp(self, frames: Frames, t_ns: int) -> int:
        """The same for one report, without arrays: this is what happens a hundred times a second."""
        within = _MILLISECONDS_OF[int(frames[0, 3]) << 8 | int(frames[0, 6])]
        before, last_arrival = self._last_ms, self._last_arrival_ns
        self._last_arrival_ns = t_ns
        self._last_ms = None if within < 0 else int(frames[0, 2]) * 1000 + within
        stamp = t_ns
        even = False
        if before is not None and self._last_ms is not None:
            step = (self._last_ms - before) % WRAP_MS
            even = step > 0 and abs(step - (t_ns - last_arrival) // MS) <= LATE_MS
            if even:
                self._unwrapped_ms += step
                stamp = self._clock.each([self._unwrapped_ms * MS], t_ns)[0]
        if not even:
            self._clock = DeviceClock()
        if self._last_t_ns is not None:
            stamp = max(stamp, self._last_t_ns + TIME_STEP_NS)
        self._last_t_ns = stamp
        return stamp

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked measurement reports (n, 64).

        Current is signed by direction and model. The board's temperature is MISSING where it reads
        exactly 25.0 degC (models without a sensor), the probe's where none is plugged in.
        """
        check_run(frames, t_ns)
        if len(frames) <= FEW:
            columns, quality = TABLE.few(frames)
            data = frames.tobytes()
            for i in range(len(frames)):
                # Reserved on older models: both zero is taken for that, never for two measured zeros.
                if not data[i * REPORT + 55] and not data[i * REPORT + 56]:
                    columns["cc1_uv"][i] = columns["cc2_uv"][i] = MISSING
            columns[self._probe] = columns.pop(_PROBE)
            return SampleBlock.trusted(t_ns, columns, quality)
        out = np.empty((len(_ORDER) + 1, len(frames)), np.int32)
        # In slices that stay in the processor's cache: large intermediate arrays cost their pages.
        with np.errstate(invalid="ignore"):
            for at in range(0, len(frames), _SLICE):
                _decode(frames[at : at + _SLICE], out[:, at : at + _SLICE])
        columns = {name: out[i] for i, name in _ORDER.items()}
        columns[self._probe] = out[3]
        return SampleBlock.trusted(t_ns, columns, np.zeros(len(frames), np.uint16))


def _decode(frames: Frames, out: Int32s) -> None:
    """Fill ``out`` (8, n): D+, D-, board, probe, volts, amperes, CC1, CC2."""
    scaled = np.empty((6, len(frames)))
    scaled[:] = frames.view(_REALS)["values"][:, 0].T
    # All six quantities in one step; not a number fails every comparison.
    none, seated = scaled[2] == NOT_MEASURED_C, scaled[3] >= NO_PROBE_C
    scaled *= _PER_SI
    np.rint(scaled, out=scaled)
    low, high = np.minimum.reduce(scaled, axis=1), np.maximum.reduce(scaled, axis=1)
    usual = (high < _LIMIT[:, 0]) & (low > -_LIMIT[:, 0])
    if not (usual.all() and seated.all()) or none.any():
        fits = np.abs(scaled) < _LIMIT
        fits[2] &= ~none
        fits[3] &= seated
        scaled[~fits] = MISSING
    out[:6] = scaled
    cc = out[6:]
    cc[:] = frames[:, 55:57].T
    # Reserved on older models: both zero is taken for that, never for two measured zeros.
    unknown = (cc[0] | cc[1]) == 0
    cc *= 100_000
    if unknown.any():
        cc[:, unknown] = MISSING


def device_ms(frames: Frames) -> Int64s:
    """Device milliseconds modulo 256 s, (n,); -1 where the bytes of the time contradict each other."""
    where = frames[:, 3].astype(np.intp)
    where <<= 8
    where |= frames[:, 6]
    within = _MILLISECONDS.take(where)
    ms = frames[:, 2] * np.int64(1000)
    ms += within
    if within.min() < 0:
        ms[within < 0] = -1
    return ms


def _counters(frame: Frames) -> dict[str, float]:
    counted = frame.view(_REALS)["counters"][0, 0]
    values = {
        "capacity_ah": float(counted[0]),
        "energy_wh": float(counted[1]),
        "record_s": float(unsigned(frame, 22, 4, little=True)[0]),
        "uptime_s": float(unsigned(frame, 26, 4, little=True)[0]),
        "group": float(frame[0, 54]),
    }
    return {
        name: value for name, value in values.items() if abs(value) < 1e6 or name.endswith("_s")
    }
