"""Reference firmware of the denchi board (MicroPython, RP2040 and ESP32).

Speaks the protocol of ../denchi_protocol/meters/denchi_board/README.md, version 1: a header line that
describes the columns, then one line a measurement. What is wired to the board stands in board.py.
"""

import time
from array import array

FIRMWARE = "denchi-1.0"
HEADER_EVERY_US = 2000000
SEQUENCES = 100000
TIMES_US = 1000000000000


def _table():
    table = array("H", [0] * 256)
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        table[byte] = crc & 0xFFFF
    return table


_TABLE = _table()


def crc16(data):
    """CRC-16/XMODEM: a quarter of a millisecond for a line on an RP2040, hence the table."""
    table = _TABLE
    crc = 0
    for byte in data:
        crc = ((crc << 8) & 0xFFFF) ^ table[(crc >> 8) ^ byte]
    return crc


def sealed(body):
    """A line: body, '*', checksum, CR LF."""
    data = body.encode()
    return data + b"*%04X\r\n" % crc16(data)


def field(value, digits):
    """A value as the protocol writes it; None, or what the column cannot hold: not measured."""
    if value is None or not -(10**digits) < value < 10**digits:
        return "?" + "0" * digits
    return ("-" if value < 0 else "+") + "%0*d" % (digits, abs(value))


class Lines:
    """Makes the lines of one run of the firmware."""

    def __init__(self, columns, hz, hardware, serial):
        listed = ",".join("%s:%s:%d:%d" % column for column in columns)
        self._digits = [column[3] for column in columns]
        self._id = "%04X" % crc16(listed.encode())
        self.header = sealed(
            "#D1 %s hz=%d fw=%s hw=%s sn=%s cols=%s"
            % (self._id, hz, FIRMWARE, hardware, serial, listed)
        )
        self._sequence = 0

    def data(self, time_us, values):
        """The line of one measurement; every call counts the sequence up."""
        sequence = self._sequence
        self._sequence = (sequence + 1) % SEQUENCES
        parts = ["$%s,%05d,%012d" % (self._id, sequence, time_us % TIMES_US)]
        parts += [field(value, digits) for value, digits in zip(values, self._digits)]
        return sealed(",".join(parts))


class Clock:
    """Microseconds since the start; the counter of the chip alone turns over after minutes."""

    def __init__(self):
        self._last = time.ticks_us()
        self._us = 0

    def now_us(self):
        """Microseconds since this clock was made."""
        ticks = time.ticks_us()
        self._us += time.ticks_diff(ticks, self._last)
        self._last = ticks
        return self._us


def run(board, lines_at_most=None):
    """Measure and send, for ever (or ``lines_at_most`` lines)."""
    lines = Lines(board.columns, board.hz, board.hardware, board.serial)
    clock = Clock()
    period_us = 1000000 // board.hz
    due_us = header_us = clock.now_us()
    sent = 0
    while lines_at_most is None or sent < lines_at_most:
        now_us = clock.now_us()
        if now_us >= header_us or board.asked():
            board.write(lines.header)
            header_us = now_us + HEADER_EVERY_US
        now_us = clock.now_us()
        if now_us < due_us:
            time.sleep_us(min(due_us - now_us, 1000))
            continue
        due_us += period_us
        if due_us <= now_us:  # we were held up: no burst afterwards, the time in the lines tells it
            due_us = now_us + period_us
        values = board.measure(now_us)
        board.write(lines.data(now_us, values))  # not sent = a hole in the sequence
        sent += 1


if __name__ == "__main__":
    import board

    run(board.Board())
