"""TC66 host side: asks with one short word, gets 192 AES-ECB bytes in three checked blocks.

Layout, key and their sources: README.md beside this file. The only words ever sent ask for a
reading; screen, group and boot-loader words are never built here.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from denchi_protocol.checksum import CRC16_MODBUS
from denchi_protocol.codec import (
    Action,
    Closing,
    DeviceInfo,
    Done,
    Event,
    Frames,
    Rejected,
    Telemetry,
)
from denchi_protocol.fields import check_run
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import Poller
from denchi_protocol.runs import ArrivalClock, News, in_order
from denchi_protocol.samples import Int64s, SampleBlock
from denchi_protocol.table import Part, Table, Value, value

ASK_USB: Final = b"getva"
ASK_BLE: Final = b"bgetva\r\n"

KEY: Final = bytes.fromhex("5821FA5601B2F02687FF1204622A4FB086F40260816F9A0BA7F106619AB87288")
"""The same in every unit; published in six projects (README.md)."""

LENGTH: Final = 192
PAC: Final = 64
MARKS: Final = (b"pac1", b"pac2", b"pac3")
AES_BLOCK: Final = 16
IDENTITY: Final = slice(4, 16)
"""Model, firmware and serial."""
TABLE: Final = Table(
    LENGTH,
    value("vbus_uv", 48, "<I", 100),
    value("ibus_ua", 52, "<I", 10),
    value("dp_uv", PAC + 32, "<I", 10_000),
    value("dm_uv", PAC + 36, "<I", 10_000),
    Value("temp_mc.meter", (Part(PAC + 28, "<I"),), 1000, minus=(Part(PAC + 24, "<I"), 1)),
)
_PACS: Final = np.frombuffer(b"".join(MARKS), np.uint8).reshape(3, 4)
_SUM: Final = np.dtype("<u4")


def decryptor() -> CipherContext:
    """A decryptor for any whole number of 16-byte blocks: ECB carries nothing from one to the next."""
    return Cipher(algorithms.AES(KEY), modes.ECB()).decryptor()  # noqa: S305 - the meter's own


class TcCodec:
    """One connection to a TC66 or TC66C; ``ble`` chooses the radio's wording of the request."""

    def __init__(self, *, ble: bool = False) -> None:
        self._ask = ASK_BLE if ble else ASK_USB
        self._aes = decryptor()
        self._framer = Framer(self._rule, bytes(range(256)), longest=LENGTH, rows=self._rows)
        # 80-100 ms between distinct samples, silent for 200 ms: ask again (F); the radio is slower.
        self._poller = Poller(
            lambda: (self._ask,),
            period_ms=500 if ble else 100,
            resend_ms=600 if ble else 200,
            tries=1,
        )
        self._expired = 0
        self._known = b""
        self._clock = ArrivalClock()
        self._news = News()
        self._seen = (b"", b"")
        """The last reply and what it says: it is looked at by the rule and by those who read it."""

    def next(self, now_ns: int) -> Action:
        """Ask for a reading, or wait for it."""
        return self._poller.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop: the meter only ever answers."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole reply becomes its events."""
        pieces: list[Frames | Junk] = []
        if self._poller.expired != self._expired:
            # A reply that stopped half-way must not shift the next one.
            self._expired = self._poller.expired
            pieces += [p for p in self._framer.flush() if isinstance(p, Junk)]
        pieces += self._framer.feed_runs(data)
        events: list[Event] = []
        for piece in pieces:
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            self._poller.answered(t_ns)
            events += self._replies(piece, t_ns)
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked replies as they came over the wire, (n, 192), still encrypted."""
        check_run(frames, t_ns)
        return TABLE.block(self._plain(frames), t_ns)

    def _plain(self, frames: Frames) -> Frames:
        if len(frames) == 1:
            plain = self._read(frames.tobytes())
        else:
            plain = self._aes.update(frames.tobytes())
        return np.frombuffer(plain, np.uint8).reshape(-1, LENGTH)

    def _read(self, reply: bytes) -> bytes:
        if self._seen[0] != reply:
            self._seen = (reply, self._aes.update(reply))
        return self._seen[1]

    def _rule(self, view: bytes) -> Verdict:
        if len(view) < LENGTH:
            if len(view) < AES_BLOCK:
                return MORE
            if not self._aes.update(view[:AES_BLOCK]).startswith(MARKS[0]):
                return 1, "does not decrypt to a reply"
            return MORE
        plain = self._read(view[:LENGTH])
        if not plain.startswith(MARKS[0]):
            return 1, "does not decrypt to a reply"
        for i, mark in enumerate(MARKS):
            block = plain[i * PAC : (i + 1) * PAC]
            if block[:4] != mark:
                return LENGTH, f"block {i + 1} is not {mark.decode()}"
            if CRC16_MODBUS.of(block[:60]) != int.from_bytes(block[60:], "little"):
                return LENGTH, f"wrong checksum in {mark.decode()}"
        return LENGTH, ""

    def _rows(self, rows: Frames) -> NDArray[np.bool_]:
        pacs = self._plain(rows).reshape(-1, PAC)
        whole = CRC16_MODBUS.of_rows(pacs[:, :60]) == pacs[:, 60:].view(_SUM)[:, 0]
        marks = (pacs.reshape(-1, 3, PAC)[:, :, :4] == _PACS).reshape(-1, 12)
        good: NDArray[np.bool_] = whole.reshape(-1, 3).all(axis=1) & marks.all(axis=1)
        return good

    def _replies(self, frames: Frames, t_ns: int) -> list[Event]:
        plain = self._plain(frames)
        stamps = self._clock.stamps(len(frames), t_ns)
        changed: list[int] = []
        if len(plain) > 1:
            other = (plain[1:, IDENTITY] != plain[:-1, IDENTITY]).any(axis=1)
            changed = (np.flatnonzero(other) + 1).tolist()
        told: list[tuple[int, Event]] = []
        for i in (0, *changed):
            if (info := self._device(plain[i].tobytes(), t_ns)) is not None:
                told.append((i - 1, info))
        told += [(i, _counters(plain[i].tobytes(), t_ns)) for i in self._news.among(plain, t_ns)]
        told.sort(key=lambda mark: mark[0])
        return in_order(TABLE.block(plain, stamps), told)

    def _device(self, plain: bytes, t_ns: int) -> DeviceInfo | None:
        """Who it is, where it was not the same before."""
        if plain[IDENTITY] == self._known:
            return None
        self._known = plain[IDENTITY]
        model, firmware = (
            plain[at : at + 4].decode("ascii", "replace").strip("\0 ") for at in (4, 8)
        )
        return DeviceInfo(
            t_ns,
            maker="RuiDeng",
            model=model,
            serial=str(int.from_bytes(plain[12:16], "little")),
            firmware=firmware,
            fields={"power_ups": int.from_bytes(plain[44:48], "little")},
        )

    def finish(self, t_ns: int) -> list[Event]:
        """The counters of the last reply, at the end of a recording."""
        return [_counters(plain, t_ns) for plain in self._news.left()]


def _counters(plain: bytes, t_ns: int) -> Telemetry:
    power, ohm, ah0, wh0, ah1, wh1 = (
        *struct.unpack_from("<I", plain, 56),
        *struct.unpack_from("<5I", plain, PAC + 4),
    )
    values = {
        "power_w": power / 1e4,
        "resistance_ohm": ohm / 10,
        # The group shown on the meter cannot be read; group 0 is what other programs show (KR).
        "capacity_ah": ah0 / 1000,
        "energy_wh": wh0 / 1000,
        "group1_ah": ah1 / 1000,
        "group1_wh": wh1 / 1000,
    }
    return Telemetry(t_ns, values)


def ble_codec() -> TcCodec:
    """The codec for the radio of a TC66C."""
    return TcCodec(ble=True)
