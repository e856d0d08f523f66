"""Pins, I2C with an INA226 or INA228 behind it, ADC and UART, as MicroPython's machine module has them."""

import time

import wire

SECOND_US = 1000000
STARTED = time.ticks_us()


def elapsed_us():
    return time.ticks_diff(time.ticks_us(), STARTED)


def unique_id():
    return b"\xe6\x61\x1c\xb7"


class Pin:
    def __init__(self, number):
        self.number = number


class I2C:
    """Data sheet values: INA226 1.25 mV and 2.5 uV a count, INA228 195.3125 uV and 312.5 nV."""

    chip = "ina226"

    def __init__(self, number, sda, scl):
        self.reads = 0

    def writeto_mem(self, address, register, data):
        configured = {"ina226": (0x00, b"\x43\x27"), "ina228": (0x01, b"\xfb\x69")}
        assert (register, data) == configured[self.chip]

    def readfrom_mem(self, address, register, count):
        if self.chip == "none" or address != 0x40:
            raise OSError(19)
        self.reads += 1
        if self.chip == "ina226":
            value = {0xFE: b"TI", 0xFF: b"\x22\x60", 0x01: b"\xf0\x60", 0x02: b"\x10\x00"}
            if self.reads % 50 == 7:  # the bus is disturbed now and then
                raise OSError(5)
            if self.reads % 50 == 30:  # a current beyond the range
                value[0x01] = b"\x7f\xff"
            return value.get(register, b"\x00\x00")
        value = {0x3E: b"TI", 0x3F: b"\x22\x81", 0x04: b"\x0c\x80\x00", 0x05: b"\x16\xe3\x60"}
        return value.get(register, b"\x00\x00")[:count]


class ADC:
    def __init__(self, pin):
        self.number = pin.number

    def read_u16(self):
        return {26: 32768, 27: 65535}[self.number]  # 25 degC; a broken wire


class UART:
    def __init__(self, number, baud):
        assert (number, baud) == (0, 115200)

    def write(self, data):
        wire.put(data.decode())
        return len(data)

    def read(self):
        return wire.take().encode() or None
