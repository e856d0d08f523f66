"""Device side of the denchi board, from the protocol page (README.md)."""

from __future__ import annotations

from binascii import crc_hqx
from collections import deque
from typing import Final, TypeAlias

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = (
    "lost",
    "restart",
    "bad_checksum",
    "traceback",
    "no_probe",
    "new_columns",
    "deaf",
    "wrap",
    "unknown_column",
    "twice",
)
"""lost: five lines of every hundred are measured and not sent. restart: boots again after 2 s. bad_checksum:
one line of forty is damaged. traceback: a Python traceback between lines, and a remark. no_probe: no
temperature is ever measured. new_columns: a probe is plugged in after 2 s. deaf: does not hear ``?``. wrap:
sequence and time are about to turn over. unknown_column: one column of a later version. twice: some
lines come twice."""

_NS_A_US: Final = 1_000
_HZ: Final = 50
_PERIOD_NS: Final = 1_000_000_000 // _HZ
_HEADER_NS: Final = 2_000_000_000
_TEMPERATURE_EVERY: Final = 40
"""A conversion of the probes takes 750 ms; they answer every 800."""

Column: TypeAlias = tuple[str, str, int, int]
_ELECTRIC: Final[tuple[Column, ...]] = (("vbus", "V", -6, 9), ("ibus", "A", -6, 9))
_PROBES: Final[tuple[Column, ...]] = (("case", "C", -4, 7), ("ambient", "C", -4, 7))
_METER: Final[tuple[Column, ...]] = (("meter", "C", -3, 6),)
_LATER: Final[tuple[Column, ...]] = (("lux", "lx", 0, 5),)


class BoardEmulator:
    """An RP2040 with an INA226 and two DS18B20."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._out: deque[bytes] = deque()
        self._begun_ns = now_ns
        self._restarted = False
        self._columns = _ELECTRIC + _PROBES + _METER
        if oddity == "unknown_column":
            self._columns = _ELECTRIC + _LATER + _PROBES
        if oddity == "new_columns":
            self._columns = _ELECTRIC
        self._boot(now_ns)
        if oddity == "wrap":
            self._sequence = 99_950
            self._boot_ns = now_ns - (10**12 - 1_500_000) * _NS_A_US

    def _boot(self, now_ns: int) -> None:
        self._boot_ns = now_ns
        self._sequence = 0
        self._count = 0
        self._next_ns = now_ns + _PERIOD_NS
        self._header_ns = now_ns

    def receive(self, data: bytes, now_ns: int) -> None:
        """A ``?`` and a line feed: the header is sent at once."""
        if b"?\n" in data and self._oddity != "deaf":
            self._header_ns = now_ns

    def next(self, now_ns: int) -> Action:
        """Put the next line on the wire when its time has come."""
        if self._out:
            return Send(self._out.popleft())
        elapsed_ns = now_ns - self._begun_ns
        if self._oddity == "restart" and not self._restarted and elapsed_ns >= 2_000_000_000:
            self._restarted = True
            self._boot(now_ns)
            return Send(b"MPY: soft reboot\r\n")
        if self._oddity == "new_columns" and elapsed_ns >= 2_000_000_000:
            if self._columns == _ELECTRIC:
                self._columns = _ELECTRIC + _PROBES
                self._header_ns = now_ns
        if now_ns >= self._header_ns:
            self._header_ns = now_ns + _HEADER_NS
            return Send(self._header())
        if now_ns >= self._next_ns:
            at_ns, self._next_ns = self._next_ns, self._next_ns + _PERIOD_NS
            self._measure(at_ns)
            return self.next(now_ns)
        return Wait(min(self._next_ns, self._header_ns))

    def _header(self) -> bytes:
        listed = self._listed()
        body = (
            f"#D1 {crc_hqx(listed.encode(), 0):04X} hz={_HZ} fw=emulator-1 hw=emulated"
            f" sn=EMULATED0001 cols={listed}"
        )
        return _line(body)

    def _listed(self) -> str:
        return ",".join(":".join(str(part) for part in column) for column in self._columns)

    def _measure(self, at_ns: int) -> None:
        sequence, self._sequence = self._sequence, (self._sequence + 1) % 100_000
        count, self._count = self._count, self._count + 1
        if self._oddity == "lost" and count % 100 >= 95:
            return
        scene = self._source.at(at_ns)
        time_us = (at_ns - self._boot_ns) // _NS_A_US % 10**12
        words = [
            f"${crc_hqx(self._listed().encode(), 0):04X}",
            f"{sequence:05d}",
            f"{time_us:012d}",
        ]
        words += [self._value(scene, count, *column) for column in self._columns]
        line = _line(",".join(words))
        if self._oddity == "bad_checksum" and count % 40 == 20:
            line = line[:27] + (b"7" if line[27:28] != b"7" else b"1") + line[28:]
        self._out.append(line)
        if self._oddity == "twice" and count % 30 == 7:
            self._out.append(line)
        if self._oddity == "traceback" and count % 50 == 9:
            self._out.append(b"Traceback (most recent call last):\r\n  #1 $3 OSError: 5\r\n")
            self._out.append(b"; a remark for people\r\n")

    def _value(
        self, scene: Scene, count: int, place: str, unit: str, exponent: int, digits: int
    ) -> str:
        values = {
            "vbus": scene.vbus_v,
            "ibus": scene.ibus_a,
            "case": scene.case_temp_c,
            "ambient": scene.ambient_temp_c,
            "meter": scene.meter_temp_c,
            "lux": 250.0,
        }
        value = values[place]
        if unit == "C" and (count % _TEMPERATURE_EVERY or self._oddity == "no_probe"):
            value = None
        number = None if value is None else round(value * 10**-exponent)
        if number is None or abs(number) >= 10**digits:
            return "?" + "0" * digits
        return f"{'-' if number < 0 else '+'}{abs(number):0{digits}d}"


def _line(body: str) -> bytes:
    data = body.encode("ascii")
    return data + b"*%04X\r\n" % crc_hqx(data, 0)
