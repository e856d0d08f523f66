"""SMBus Read Word transactions of a Smart Battery: from words to samples and figures."""

from __future__ import annotations

from typing import Final

from denchi_protocol.checksum import CRC8_SMBUS
from denchi_protocol.codec import Event, Frames, Telemetry
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import check_run, counts, signed, unsigned
from denchi_protocol.framing import MORE, Verdict
from denchi_protocol.samples import Int32s, Int64s, SampleBlock

WRITE, READ = 0x16, 0x17
"""Address 0B with the direction bit."""
LENGTH: Final = 6
MODE, TEMPERATURE, VOLTAGE, CURRENT = 0x03, 0x08, 0x09, 0x0A
SOC, STATUS, CYCLES, SPECIFICATION = 0x0D, 0x16, 0x17, 0x1A
CAPACITIES: Final = {0x0F: "remaining", 0x10: "full", 0x18: "design"}
CELL_1: Final = 0x3F
CELLS: Final = range(0x3C, 0x40)
SAMPLED: Final = (TEMPERATURE, VOLTAGE, CURRENT, *CELLS)
MOST_MV: Final = 20_000
ALARMS: Final = {0x8000: "over_charged", 0x1000: "over_temperature"}


def rule(view: bytes) -> Verdict:
    """Where a transaction ends, and whether its PEC is right."""
    if len(view) > 2 and view[2] != READ:
        return 1, "no read of a word"
    if len(view) < LENGTH:
        return MORE
    if CRC8_SMBUS.of(view[:5]) != view[5]:
        return LENGTH, "wrong PEC"
    return LENGTH, ""


class Words:
    """What has been learned of one pack from its words."""

    def __init__(self) -> None:
        self._v_scale = self._ip_scale = 0
        self._in_wh: bool | None = None
        self._raised: dict[int, tuple[str, ...]] = {}
        """Flags by the word that tells them: one word must not seem to take back what the other says."""

    def _flags(self, command: int, names: tuple[str, ...]) -> tuple[str, ...]:
        self._raised[command] = names
        return tuple(name for raised in self._raised.values() for name in raised)

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked transactions (n, 6) of one command.

        ``pack_ua``: positive = charging. Raises ``LocalProtocolError`` for a mixed run or a command
        without samples.
        """
        check_run(frames, t_ns)
        command = int(frames[0, 1])
        if (frames[:, 1] != command).any() or command not in SAMPLED:
            raise LocalProtocolError("a run holds words of one command that carries samples")
        raw = unsigned(frames, 3, 2, little=True)
        columns: dict[str, Int32s] = {}
        if command == TEMPERATURE:
            columns["temp_mc.cell.1"] = counts((raw - 2731) * 100, raw != 0)
        elif command == VOLTAGE:
            scaled = raw * 1000 * 10**self._v_scale
            columns["pack_uv"] = counts(scaled, raw <= MOST_MV)
        elif command == CURRENT:
            amps = signed(frames, 3, 2, little=True)
            columns["pack_ua"] = counts(amps * 1000 * 10**self._ip_scale)
        else:
            columns[f"cell_uv.{CELL_1 - command + 1}"] = counts(raw * 1000, raw != 0)
        return SampleBlock(t_ns, columns)

    def told(self, frame: bytes, t_ns: int) -> list[Event]:
        """What a word says that is no sample."""
        command, word = frame[1], int.from_bytes(frame[3:5], "little")
        if command == SPECIFICATION:
            self._v_scale, self._ip_scale = word >> 8 & 0xF, word >> 12 & 0xF
            return []
        if command == MODE:
            self._in_wh = bool(word & 0x8000)
            worn = ("calibration_required",) if word & 0x80 else ()
            return [Telemetry(t_ns, {}, self._flags(command, worn), frame)]
        if command == STATUS:
            flags = tuple(name for bit, name in ALARMS.items() if word & bit)
            values = {"status_bits": float(word)}
            return [Telemetry(t_ns, values, self._flags(command, flags), frame)]
        if command in CAPACITIES and self._in_wh is not None:
            return [Telemetry(t_ns, self._capacity(CAPACITIES[command], word), None, frame)]
        names = {SOC: "soc_pct", CYCLES: "cycles"}
        if command in names:
            return [Telemetry(t_ns, {names[command]: float(word)}, None, frame)]
        return []

    def _capacity(self, name: str, word: int) -> dict[str, float]:
        scaled = float(word * 10**self._ip_scale)
        if self._in_wh:
            return {f"{name}_wh": scaled * 10**self._v_scale / 100}
        return {f"{name}_ah": scaled / 1000}
