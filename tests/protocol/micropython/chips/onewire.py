"""A one-wire bus, as MicroPython's onewire module has it."""


class OneWireError(Exception):
    pass


class OneWire:
    def __init__(self, pin):
        self.number = pin.number
