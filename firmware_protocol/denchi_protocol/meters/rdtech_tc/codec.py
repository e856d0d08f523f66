"""TC66 host side: asks with one short word, gets 192 AES-ECB bytes in three checked blocks.

Layout, key and their sources: README.md beside this file. The only words ever sent ask for a
reading; screen, group and boot-loader words are never built here.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

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
from denchi_protocol.fields import as_frames, check_run, counts, unsigned
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import Poller
from denchi_protocol.samples import Int64s, SampleBlock

ASK_USB: Final = b"getva"
ASK_BLE: Final = b"bgetva\r\n"

KEY: Final = bytes.fromhex("5821FA5601B2F02687FF1204622A4FB086F40260816F9A0BA7F106619AB87288")
"""The same in every unit; published in six projects (README.md)."""

LENGTH: Final = 192
PAC: Final = 64
MARKS: Final = (b"pac1", b"pac2", b"pac3")
AES_BLOCK: Final = 16


def decryptor() -> CipherContext:
    """A decryptor for any whole number of 16-byte blocks: ECB carries nothing from one to the next."""
    return Cipher(algorithms.AES(KEY), modes.ECB()).decryptor()  # noqa: S305 - the meter's own


class TcCodec:
    """One connection to a TC66 or TC66C; ``ble`` chooses the radio's wording of the request."""

    def __init__(self, *, ble: bool = False) -> None:
        self._ask = ASK_BLE if ble else ASK_USB
        self._aes = decryptor()
        self._framer = Framer(self._rule, bytes(range(256)), longest=LENGTH)
        # 80-100 ms between distinct samples, silent for 200 ms: ask again (F); the radio is slower.
        self._poller = Poller(
            lambda: (self._ask,),
            period_ms=500 if ble else 100,
            resend_ms=600 if ble else 200,
            tries=1,
        )
        self._expired = 0
        self._known: tuple[str, str, str] | None = None

    def next(self, now_ns: int) -> Action:
        """Ask for a reading, or wait for it."""
        return self._poller.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop: the meter only ever answers."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole reply becomes its events."""
        pieces: list[bytes | Junk] = []
        if self._poller.expired != self._expired:
            # A reply that stopped half-way must not shift the next one.
            self._expired = self._poller.expired
            pieces += self._framer.flush()
        pieces += self._framer.feed(data)
        events: list[Event] = []
        for piece in pieces:
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            self._poller.answered(t_ns)
            events += self._reply(piece, t_ns)
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked replies as they came over the wire, (n, 192), still encrypted."""
        check_run(frames, t_ns)
        plain = np.frombuffer(self._aes.update(frames.tobytes()), np.uint8).reshape(-1, LENGTH)
        magnitude = unsigned(plain, PAC + 28, 4, little=True)
        below_zero = unsigned(plain, PAC + 24, 4, little=True) == 1
        return SampleBlock(
            t_ns,
            {
                "vbus_uv": counts(unsigned(plain, 48, 4, little=True) * 100),
                "ibus_ua": counts(unsigned(plain, 52, 4, little=True) * 10),
                "dp_uv": counts(unsigned(plain, PAC + 32, 4, little=True) * 10_000),
                "dm_uv": counts(unsigned(plain, PAC + 36, 4, little=True) * 10_000),
                "temp_mc.meter": counts(np.where(below_zero, -magnitude, magnitude) * 1000),
            },
        )

    def _rule(self, view: bytes) -> Verdict:
        if len(view) < AES_BLOCK:
            return MORE
        if not self._aes.update(view[:AES_BLOCK]).startswith(MARKS[0]):
            return 1, "does not decrypt to a reply"
        if len(view) < LENGTH:
            return MORE
        plain = self._aes.update(view[:LENGTH])
        for i, mark in enumerate(MARKS):
            block = plain[i * PAC : (i + 1) * PAC]
            if block[:4] != mark:
                return LENGTH, f"block {i + 1} is not {mark.decode()}"
            if CRC16_MODBUS.of(block[:60]) != int.from_bytes(block[60:], "little"):
                return LENGTH, f"wrong checksum in {mark.decode()}"
        return LENGTH, ""

    def _reply(self, frame: bytes, t_ns: int) -> list[Event]:
        plain = self._aes.update(frame)
        events: list[Event] = []
        model, firmware = (
            plain[at : at + 4].decode("ascii", "replace").strip("\0 ") for at in (4, 8)
        )
        serial = str(int.from_bytes(plain[12:16], "little"))
        if self._known != (model, firmware, serial):
            self._known = (model, firmware, serial)
            starts = int.from_bytes(plain[44:48], "little")
            events.append(
                DeviceInfo(
                    t_ns,
                    maker="RuiDeng",
                    model=model,
                    serial=serial,
                    firmware=firmware,
                    fields={"power_ups": starts},
                )
            )
        events.append(self.decode_run(as_frames(frame), np.array([t_ns], np.int64)))
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
        events.append(Telemetry(t_ns, values))
        return events


def ble_codec() -> TcCodec:
    """The codec for the radio of a TC66C."""
    return TcCodec(ble=True)
