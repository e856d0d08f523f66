"""DS18B20 probes: on pin 14 a case that warms up (first reading 85), on 15 the air; others have none or two."""

from machine import elapsed_us

ROM = b"\x28\x01\x02\x03\x04\x05\x06\x07"


class DS18X20:
    def __init__(self, bus):
        self._number = bus.number
        self._begun_us = None
        self._reads = 0

    def scan(self):
        return {14: [ROM], 15: [ROM], 16: [], 17: [ROM, ROM[:7] + b"\x08"]}[self._number]

    def convert_temp(self):
        self._begun_us = elapsed_us()

    def read_temp(self, rom):
        assert rom == ROM
        assert elapsed_us() - self._begun_us >= 750000, "read before the conversion ended"
        self._reads += 1
        if self._number == 15:
            if self._reads == 2:
                raise Exception("CRC error")
            return -2.5625
        return 85.0 if self._reads == 1 else 31.0625
