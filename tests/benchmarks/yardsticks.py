"""What somebody writes who needs one meter's values: a loop over the bytes, `struct`, a dict a sample.

Straightforward and not careless: constants and formats are outside the loop, the checksum is verified
(CRCs with a table, sums with `sum`), bytes that are no frame are passed over one by one. Written from
the protocol pages; the values agree with denchi's (`bench_decode` compares them before it times anything).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from denchi_protocol.checksum import CRC8_FNIRSI, CRC16_MODBUS, CRC16_XMODEM

Sample = dict[str, float]
Decoder = Callable[[bytes], list[Sample]]

_FNIRSI = struct.Struct("<iiHHBH")


def fnirsi(data: bytes) -> list[Sample]:
    """64-byte frames ``AA 04 4 x 15 .. crc``, four samples each."""
    out, at, crc = [], 0, CRC8_FNIRSI.by_table
    while at + 64 <= len(data):
        if data[at] != 0xAA or crc(data[at + 1 : at + 63]) != data[at + 63]:
            at += 1
            continue
        if data[at + 1] == 0x04:
            for k in range(4):
                v, a, dp, dm, _, temp = _FNIRSI.unpack_from(data, at + 2 + 15 * k)
                out.append({"vbus_v": v / 1e5, "ibus_a": a / 1e5, "dp_v": dp / 1e3, "dm_v": dm / 1e3, "temp_c": temp / 10})  # fmt: skip
        at += 64
    return out


_QUEUE = struct.Struct("<HHiiHHHH")


def adc_queue(data: bytes) -> list[Sample]:
    """POWER-Z replies with one AdcQueue packet; there is no checksum, so the header has to be one."""
    out, at = [], 0
    while at + 8 <= len(data):
        (word,) = struct.unpack_from("<I", data, at + 4)
        count = word >> 16 & 0x3F
        if data[at] != 0x41 or word & 0x7FFF != 2 or word >> 22 != 20 or not count:
            at += 1
            continue
        for k in range(count):
            seq, _, v, a, cc1, cc2, dp, dm = _QUEUE.unpack_from(data, at + 8 + 20 * k)
            out.append({"t_ms": seq, "vbus_v": v / 1e6, "ibus_a": a / 1e6, "cc1_v": cc1 / 1e3, "cc2_v": cc2 / 1e3, "dp_v": dp / 1e3, "dm_v": dm / 1e3})  # fmt: skip
        at += 8 + 20 * count
    return out


_ADC = struct.Struct("<iiiiiihHHHH")


def adc(data: bytes) -> list[Sample]:
    """POWER-Z replies of one ADC packet and one PD packet."""
    out, at = [], 0
    while at + 8 <= len(data):
        (word,) = struct.unpack_from("<I", data, at + 4)
        size = word >> 22
        if data[at] != 0x41 or word & 0x7FFF != 1 or size not in (40, 44):
            at += 1
            continue
        v, a, _, _, _, _, temp, cc1, cc2, dp, dm = _ADC.unpack_from(data, at + 8)
        out.append({"vbus_v": v / 1e6, "ibus_a": a / 1e6, "temp_c": temp / 128, "cc1_v": cc1 / 1e4, "cc2_v": cc2 / 1e4, "dp_v": dp / 1e4, "dm_v": dm / 1e4})  # fmt: skip
        at += 8 + size
        if word & 0x8000:
            (word,) = struct.unpack_from("<I", data, at)
            at += 4 + (word >> 22)
    return out


_WITRN = struct.Struct("<6f")


def witrn(data: bytes) -> list[Sample]:
    """64-byte reports with two sums."""
    out, at = [], 0
    while at + 64 <= len(data):
        report = data[at : at + 64]
        if (
            report[:2] != b"\xff\x55"
            or sum(report[8:62]) & 0xFF != report[62]
            or (sum(report[:8]) + report[62]) & 0xFF != report[63]
        ):
            at += 1
            continue
        dp, dm, board, probe, v, a = _WITRN.unpack_from(report, 30)
        out.append({"vbus_v": v, "ibus_a": a, "dp_v": dp, "dm_v": dm, "board_c": board, "probe_c": probe, "cc1_v": report[55] / 10, "cc2_v": report[56] / 10})  # fmt: skip
        at += 64
    return out


BOARD_SCALES = (1e-6, 1e-6, 1e-4, 1e-4, 1e-3)


def denchi_board(data: bytes) -> list[Sample]:
    """Data lines ``$id-sequence,time,values*crc`` of the emulator's five columns."""
    out, crc = [], CRC16_XMODEM.by_table
    names = ("vbus_v", "ibus_a", "dp_v", "dm_v", "temp_c")
    for line in data.split(b"\n"):
        if line[:1] != b"$" or int(line[-5:-1], 16) != crc(line[:-6]):
            continue
        fields = line[:-6].split(b",")
        row: Sample = {"sequence": int(fields[1]), "t_s": int(fields[2]) / 1e6}
        for name, word, scale in zip(names, fields[3:], BOARD_SCALES, strict=True):
            row[name] = float("nan") if word[0] == 63 else int(word) * scale
        out.append(row)
    return out


_AVHZY = struct.Struct("<ffQ")


def avhzy(data: bytes) -> list[Sample]:
    """``A5 length payload xor 5A``; samples have class 04."""
    out, at = [], 0
    while at + 7 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 1)
        end = at + length + 7
        if data[at] != 0xA5 or not 4 <= length <= 256 or end > len(data) or data[end - 1] != 0x5A:
            at += 1
            continue
        payload = data[at + 5 : end - 2]
        xor = 0
        for byte in payload:
            xor ^= byte
        if xor != data[end - 2]:
            at += 1
            continue
        if payload[0] == 0x04:
            v, a = struct.unpack_from("<ff", payload, 4)
            (time_us,) = struct.unpack_from("<Q", payload, length - 8)
            out.append({"vbus_v": v, "ibus_a": a, "t_s": time_us / 1e6})
        at = end
    return out


TC_KEY = bytes.fromhex("5821FA5601B2F02687FF1204622A4FB086F40260816F9A0BA7F106619AB87288")


def tc66(data: bytes) -> list[Sample]:
    """192 bytes, AES-256 ECB, three blocks with CRC-16/MODBUS."""
    out, at, crc = [], 0, CRC16_MODBUS.by_table
    aes = Cipher(algorithms.AES(TC_KEY), modes.ECB()).decryptor()
    while at + 192 <= len(data):
        plain = aes.update(data[at : at + 192])
        if any(
            plain[k : k + 3] != b"pac" or crc(plain[k : k + 60]) != struct.unpack_from("<I", plain, k + 60)[0]
            for k in (0, 64, 128)
        ):  # fmt: skip
            at += 1
            continue
        v, a = struct.unpack_from("<II", plain, 48)
        below, temp, dp, dm = struct.unpack_from("<4I", plain, 88)
        out.append({"vbus_v": v / 1e4, "ibus_a": a / 1e5, "dp_v": dp / 100, "dm_v": dm / 100, "temp_c": -temp if below == 1 else temp})  # fmt: skip
        at += 192
    return out


def um24(data: bytes) -> list[Sample]:
    """130 bytes without a checksum: id, and that Celsius and Fahrenheit agree."""
    out, at = [], 0
    while at + 130 <= len(data):
        model, v, a, _, celsius, fahrenheit = struct.unpack_from(">HHHIHH", data, at)
        if model != 0x0963 or abs(celsius * 9 / 5 + 32 - fahrenheit) > 2:
            at += 1
            continue
        dp, dm = struct.unpack_from(">HH", data, at + 96)
        out.append({"vbus_v": v / 100, "ibus_a": a / 1000, "dp_v": dp / 100, "dm_v": dm / 100, "temp_c": celsius})  # fmt: skip
        at += 130
    return out


def yzx(data: bytes) -> list[Sample]:
    """28 bytes with a sum."""
    out, at = [], 0
    while at + 28 <= len(data):
        if data[at] != 0xAB or sum(data[at : at + 27]) & 0xFF != data[at + 27]:
            at += 1
            continue
        v, a = struct.unpack_from("<iI", data, at + 3)
        dp, dm = struct.unpack_from("<HH", data, at + 23)
        out.append({"vbus_v": v / 1e4, "ibus_a": a / 1e4, "dp_v": dp / 1e3, "dm_v": dm / 1e3})
        at += 28
    return out


def ebd(data: bytes) -> list[Sample]:
    """19 bytes, base-240 digits, XOR."""
    out, at = [], 0
    while at + 19 <= len(data):
        xor = 0
        for byte in data[at + 1 : at + 18]:
            xor ^= byte
        if data[at] != 0xFA or data[at + 18] != 0xF8 or xor:
            at += 1
            continue
        a1, a0, v1, v0, p1, p0, m1, m0 = struct.unpack_from("8B", data, at + 2)
        out.append({"ibus_a": (a1 * 240 + a0) / 1e4, "vbus_v": (v1 * 240 + v0) / 1e3, "dp_v": (p1 * 240 + p0) / 1e3, "dm_v": (m1 * 240 + m0) / 1e3})  # fmt: skip
        at += 19
    return out


def atorch(data: bytes) -> list[Sample]:
    """36-byte reports of an USB meter; sum of the bytes XOR 44."""
    out, at = [], 0
    while at + 36 <= len(data):
        if data[at : at + 4] != b"\xff\x55\x01\x03" or sum(data[at + 2 : at + 35]) & 0xFF ^ 0x44 != data[at + 35]:  # fmt: skip
            at += 1
            continue
        vh, vl, ah, al = struct.unpack_from(">BHBH", data, at + 4)
        dm, dp, temp = struct.unpack_from(">HHH", data, at + 17)
        out.append({"vbus_v": (vh << 16 | vl) / 100, "ibus_a": (ah << 16 | al) / 100, "dp_v": dp / 100, "dm_v": dm / 100, "temp_c": temp})  # fmt: skip
        at += 36
    return out


def jbd(data: bytes) -> list[Sample]:
    """``DD register status length data sum 77``; registers 03 and 04."""
    out, at = [], 0
    while at + 7 <= len(data):
        length = data[at + 3]
        end = at + 7 + length
        if data[at] != 0xDD or end > len(data) or data[end - 1] != 0x77:
            at += 1
            continue
        if (0x10000 - sum(data[at + 2 : end - 3])) & 0xFFFF != data[end - 3] << 8 | data[end - 2]:
            at += 1
            continue
        if data[at + 1] == 0x03:
            v, a = struct.unpack_from(">Hh", data, at + 4)
            row: Sample = {"pack_v": v / 100, "pack_a": a / 100}
            for k in range(data[at + 26]):
                row[f"temp_{k + 1}_c"] = (struct.unpack_from(">H", data, at + 27 + 2 * k)[0] - 2731) / 10  # fmt: skip
            out.append(row)
        elif data[at + 1] == 0x04:
            cells = struct.unpack_from(f">{length // 2}H", data, at + 4)
            out.append({f"cell_{k}_v": mv / 1000 for k, mv in enumerate(cells, 1)})
        at = end
    return out


def fl001(data: bytes) -> list[Sample]:
    """64-byte reports of seven big-endian floats with CRC-16/MODBUS."""
    out, at, crc = [], 0, CRC16_MODBUS.by_table
    while at + 64 <= len(data):
        if data[at : at + 3] != b"\x00\x03\x3b" or crc(data[at : at + 62]) != struct.unpack_from("<H", data, at + 62)[0]:  # fmt: skip
            at += 1
            continue
        v, a, _, dp, dm, temp, _ = struct.unpack_from(">7f", data, at + 3)
        out.append({"vbus_v": v, "ibus_a": a, "dp_v": dp, "dm_v": dm, "temp_c": temp})
        at += 64
    return out


def km001(data: bytes) -> list[Sample]:
    """64-byte reports without a checksum: the head, and zeros behind the values."""
    out, at, zeros = [], 0, bytes(26)
    while at + 64 <= len(data):
        if data[at : at + 6] != b"\xaa\x25\x62\x05\x0b\x01" or data[at + 37 : at + 63] != zeros:
            at += 1
            continue
        v, a = struct.unpack_from("<ii", data, at + 6)
        dp, dm, _, _, temp = struct.unpack_from("<iiiih", data, at + 18)
        out.append({"vbus_v": v / 1e6, "ibus_a": a / 1e6, "dp_v": dp / 1e3, "dm_v": dm / 1e3, "temp_c": temp / 10})  # fmt: skip
        at += 64
    return out


def fnirsi_ble(data: bytes) -> list[Sample]:
    """Segments ``AA type length payload crc``; a sample ends with segment 05."""
    out, at, crc = [], 0, CRC16_XMODEM.by_table
    row: Sample = {}
    while at + 4 <= len(data):
        end = at + 4 + data[at + 2]
        if data[at] != 0xAA or end > len(data) or crc(data[at : end - 1]) & 0xFF != data[end - 1]:
            at += 1
            continue
        kind = data[at + 1]
        if kind == 0x04:
            v, a = struct.unpack_from("<II", data, at + 3)
            row["vbus_v"], row["ibus_a"] = v / 1e4, a / 1e4
        elif kind == 0x06:
            dp, dm = struct.unpack_from("<HH", data, at + 3)
            row["dp_v"], row["dm_v"] = dp / 1e3, dm / 1e3
        elif kind == 0x05:
            sign, temp = struct.unpack_from("<BH", data, at + 3 + 4)
            row["temp_c"] = temp / 10 if sign else -temp / 10
            out.append(row)
            row = {}
        at = end
    return out


def daly(data: bytes) -> list[Sample]:
    """13-byte frames with a sum; command 90 carries the pack, 95 three cells a frame, 96 probes."""
    out, at = [], 0
    cells: Sample = {}
    while at + 13 <= len(data):
        if data[at : at + 2] != b"\xa5\x01" or sum(data[at : at + 12]) & 0xFF != data[at + 12]:
            at += 1
            continue
        command = data[at + 2]
        if command == 0x90:
            v, _, a = struct.unpack_from(">HHH", data, at + 4)
            out.append({"pack_v": v / 10, "pack_a": (a - 30_000) / 10})
        elif command == 0x95:
            first = 3 * data[at + 4] - 2
            for k, mv in enumerate(struct.unpack_from(">HHH", data, at + 5)):
                cells[f"cell_{first + k}_v"] = mv / 1000
            if data[at + 4] == 2:  # the emulator's four cells take two frames
                out.append(cells)
                cells = {}
        elif command == 0x96 and any(data[at + 5 : at + 12]):
            out.append({f"temp_{k + 1}_c": raw - 40 for k, raw in enumerate(data[at + 5 : at + 12]) if raw})  # fmt: skip
        at += 13
    return out


def line(data: bytes) -> list[Sample]:
    """Text lines under a header."""
    out: list[Sample] = []
    names: list[str] = []
    for text in data.decode("ascii").splitlines():
        cells = text.split(",")
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            names = [name.strip() for name in cells]
            continue
        if len(values) == len(names):
            out.append(dict(zip(names, values, strict=True)))
    return out
