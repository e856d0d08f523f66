"""What is wired to the board: sensors and the serial line. Change the settings here, nothing else.

Register facts: INA226 data sheet SBOS547, INA228 data sheet SBOSAA2 (Texas Instruments); DS18B20 by
MicroPython's own onewire and ds18x20 modules. Volts and amperes are computed in integers: the floats
of these chips have 24 bits only.
"""

import math
import sys

import machine

# -- settings ------------------------------------------------------------------------------------

HZ = 50
LINK = "usb"  # "usb": the port that also shows Python's prompt; "uart": a serial line at 115200
UART_NUMBER = 0  # an ESP32 has its prompt on 0: take 1 or 2 there
SDA_PIN, SCL_PIN = 4, 5
CASE_PIN, AMBIENT_PIN = 14, 15  # one DS18B20 each: the wire says which is which
CASE_NTC_PIN = AMBIENT_NTC_PIN = None  # or an ADC pin: 10 k to 3.3 V, NTC B 3950 to ground
SHUNT_UOHM = 10000  # the resistor between IN+ and IN-, in micro-ohms
INA_ADDRESS = 0x40

# ------------------------------------------------------------------------------------------------

CONVERSION_US = 800000


def divided(number, by):
    """``number / by`` to the nearest integer, halves away from zero."""
    half = by // 2
    return (number + half) // by if number >= 0 else -((-number + half) // by)


def signed(number, bits):
    """Two's complement."""
    return number - (1 << bits) if number >> (bits - 1) else number


class Ina226:
    """36 V, 16 bit: volts in steps of 1.25 mV, the shunt in steps of 2.5 uV."""

    name = "ina226"

    def __init__(self, i2c):
        self._i2c = i2c
        # Continuous, four samples of 1.1 ms averaged: a new value every 8.8 ms.
        i2c.writeto_mem(INA_ADDRESS, 0x00, b"\x43\x27")

    def _word(self, register):
        return int.from_bytes(self._i2c.readfrom_mem(INA_ADDRESS, register, 2), "big")

    def measure(self):
        """(uV, uA); None for what lies at the end of its range."""
        shunt, bus = signed(self._word(0x01), 16), self._word(0x02)
        volts = None if bus >= 0x7FFF else bus * 1250
        amps = None if abs(shunt) >= 0x7FFF else divided(shunt * 2500000, SHUNT_UOHM)
        return volts, amps


class Ina228:
    """85 V, 20 bit: volts in steps of 195.3125 uV, the shunt in steps of 312.5 nV."""

    name = "ina228"

    def __init__(self, i2c):
        self._i2c = i2c
        # Continuous, all three inputs, four samples of 1.05 ms averaged: a new value every 12.6 ms.
        i2c.writeto_mem(INA_ADDRESS, 0x01, b"\xfb\x69")

    def _twenty(self, register):
        return int.from_bytes(self._i2c.readfrom_mem(INA_ADDRESS, register, 3), "big") >> 4

    def measure(self):
        """(uV, uA); None for what lies at the end of its range."""
        shunt, bus = signed(self._twenty(0x04), 20), self._twenty(0x05)
        volts = None if bus >= 0x7FFFF else divided(bus * 3125, 16)
        amps = None if abs(shunt) >= 0x7FFFF else divided(shunt * 312500, SHUNT_UOHM)
        return volts, amps


def find_ina(i2c):
    """The chip at the address, by the numbers it carries; None when there is none we know."""
    try:
        if i2c.readfrom_mem(INA_ADDRESS, 0xFE, 2) == b"TI":
            if i2c.readfrom_mem(INA_ADDRESS, 0xFF, 2) == b"\x22\x60":
                return Ina226(i2c)
        if i2c.readfrom_mem(INA_ADDRESS, 0x3E, 2) == b"TI":
            if i2c.readfrom_mem(INA_ADDRESS, 0x3F, 2)[0] == 0x22:
                return Ina228(i2c)
    except OSError:
        pass
    return None


class Ds18b20:
    """One probe on one pin; a value once a conversion, None in between."""

    def __init__(self, pin, start_us):
        import ds18x20
        import onewire

        self._bus = ds18x20.DS18X20(onewire.OneWire(machine.Pin(pin)))
        self._rom = None
        self._due_us = start_us
        self._converting = False
        self._last = None

    def measure(self, now_us):
        """1/10000 degC when a conversion has just ended, else None."""
        if now_us < self._due_us:
            return None
        self._due_us = now_us + CONVERSION_US
        value = None
        try:
            if self._rom is None:
                found = self._bus.scan()
                # Two probes on one wire: nobody can say which is which.
                self._rom = found[0] if len(found) == 1 else None
            elif self._converting:
                value = round(self._bus.read_temp(self._rom) * 16) * 625
            if self._rom is not None:
                self._bus.convert_temp()
                self._converting = True
        except Exception:  # absent, unplugged, wrong CRC: onewire raises more than one kind
            self._rom, self._converting = None, False
            return None
        return self._believed(value)

    def _believed(self, value):
        """85 degC is what the chip holds before its first conversion: believed only when already hot."""
        if value == 850000 and (self._last is None or abs(self._last - 850000) > 50000):
            return None
        if value is not None:
            self._last = value
        return value


class Ntc:
    """10 k NTC below a 10 k resistor; ten values a second at most."""

    def __init__(self, pin, start_us):
        self._adc = machine.ADC(machine.Pin(pin))
        self._due_us = start_us

    def measure(self, now_us):
        """1/10000 degC, or None: not due, wire broken or shorted."""
        if now_us < self._due_us:
            return None
        self._due_us = now_us + 100000
        raw = sum(self._adc.read_u16() for _ in range(8)) / 8 / 65535
        if not 0.02 < raw < 0.98:
            return None
        kelvin = 1 / (1 / 298.15 + math.log(raw / (1 - raw)) / 3950)
        return round((kelvin - 273.15) * 100) * 100


class UsbLink:
    """The USB port of the board (standard output and input)."""

    def __init__(self):
        import select

        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)

    def write(self, data):
        """Send a line."""
        sys.stdout.buffer.write(data)

    def read(self):
        """What came, or nothing."""
        got = b""
        while self._poll.poll(0):
            got += sys.stdin.buffer.read(1)
        return got


class UartLink:
    """A UART at 115200 baud: up to 150 lines a second of four columns."""

    def __init__(self):
        self._uart = machine.UART(UART_NUMBER, 115200)

    def write(self, data):
        """Send a line."""
        self._uart.write(data)

    def read(self):
        """What came, or nothing."""
        return self._uart.read() or b""


class Board:
    """What main.py needs: columns, a measurement, a line out, whether the header was asked for."""

    hz = HZ

    def __init__(self):
        self._link = UartLink() if LINK == "uart" else UsbLink()
        self._ina = find_ina(machine.I2C(0, sda=machine.Pin(SDA_PIN), scl=machine.Pin(SCL_PIN)))
        # Half a period apart: reading a DS18B20 takes 7 ms.
        self._case = self._probe(CASE_PIN, CASE_NTC_PIN, 0)
        self._ambient = self._probe(AMBIENT_PIN, AMBIENT_NTC_PIN, CONVERSION_US // 2)
        self.hardware = sys.platform + "+" + (self._ina.name if self._ina else "no-ina")
        self.serial = "".join("%02X" % byte for byte in machine.unique_id())
        self.columns = [
            ("vbus", "V", -6, 9),
            ("ibus", "A", -6, 9),
            ("case", "C", -4, 7),
            ("ambient", "C", -4, 7),
        ]

    def _probe(self, pin, ntc_pin, start_us):
        if ntc_pin is not None:
            return Ntc(ntc_pin, start_us)
        return None if pin is None else Ds18b20(pin, start_us)

    def measure(self, now_us):
        """Integers in the order of the columns; None = not measured at this instant."""
        volts = amps = None
        if self._ina:
            try:
                volts, amps = self._ina.measure()
            except OSError:  # no answer on I2C this time
                pass
        case = self._case.measure(now_us) if self._case else None
        ambient = self._ambient.measure(now_us) if self._ambient else None
        return volts, amps, case, ambient

    def write(self, data):
        """Send a line."""
        self._link.write(data)

    def asked(self):
        """Whether a ``?`` came."""
        return b"?" in self._link.read()
