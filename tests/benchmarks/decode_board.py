"""Data lines of the denchi board: checksum and values of a run at once, against a line at a time in Python.

Two yardsticks verify the same CRC: one with a table in Python (what a decoder written for one line
does), one with the standard library's C function. `python tests/benchmarks/decode_board.py` runs it alone.
"""

from __future__ import annotations

import sys
from binascii import crc_hqx
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.table import Row, show, versus
from denchi_protocol.checksum import CRC16_XMODEM
from denchi_protocol.codec import Scene, StillScene, Wait
from denchi_protocol.meters.denchi_board.codec import BoardCodec, check_rows
from denchi_protocol.meters.denchi_board.emulator import BoardEmulator

SCALES = (1e-6, 1e-6, 1e-4, 1e-4, 1e-3)


def _stream(n: int) -> tuple[bytes, list[bytes]]:
    """A header and ``n`` data lines of the emulator."""
    scene = Scene(
        vbus_v=5.12, ibus_a=-1.5, case_temp_c=25.0, ambient_temp_c=20.0, meter_temp_c=30.0
    )
    emulator, now, header, lines = BoardEmulator(StillScene(scene)), 0, b"", []
    while len(lines) < n:
        action = emulator.next(now)
        if isinstance(action, Wait):
            now = action.until_ns
        elif action.data[:1] == b"#":
            header = action.data
        else:
            lines.append(action.data)
    return header, lines


def _yardstick(lines: list[bytes], crc: Callable[[bytes], int]) -> list[list[float | None]]:
    rows: list[list[float | None]] = []
    for line in lines:
        body = line[:-7]
        if int(line[-6:-2], 16) != crc(body):
            continue
        fields = body.split(b",")
        row: list[float | None] = [int(fields[1]), int(fields[2])]
        for word, scale in zip(fields[3:], SCALES, strict=True):
            row.append(None if word[0] == 63 else int(word) * scale)
        rows.append(row)
    return rows


def run(*, quick: bool) -> list[Row]:
    """Batch decode (checksum and ``decode_run``), and the whole of ``feed``."""
    n = 5_000 if quick else 20_000
    header, lines = _stream(n)
    frames = np.frombuffer(b"".join(lines), np.uint8).reshape(n, -1)
    t_ns, data = np.arange(n, dtype=np.int64), header + b"".join(lines)
    codec = BoardCodec()
    codec.feed(header, 0)

    def batch() -> None:
        assert check_rows(frames).all()
        assert len(codec.decode_run(frames, t_ns)) == n

    def feed() -> None:
        assert sum(len(e) for e in BoardCodec().feed(data, 10**18) if hasattr(e, "columns")) == n

    rows = []
    for what, ours, target in (("batch decode", batch, 20.0), ("live feed", feed, None)):
        for name, crc in (("Python", CRC16_XMODEM.by_table), ("C", lambda body: crc_hqx(body, 0))):
            mine, _, ratio = versus(ours, lambda crc=crc: _yardstick(lines, crc))
            goal = target if name == "Python" else None
            rows.append(
                Row(
                    f"denchi board, {what} against a line at a time, CRC in {name}",
                    f"{ratio:.1f} ×",
                    f"≥ {goal:.0f} ×" if goal else "-",
                    None if goal is None else ratio >= goal,
                    f"{n / mine / 1e6:.2f} million lines/s of CPU",
                )
            )
    return rows


if __name__ == "__main__":
    show(run(quick="--quick" in sys.argv))
