"""Errors of the product: the class says whose fault it is, the message what to do next.

DenchiError
 +-- UsageError      the command or its arguments (exit 2)
 +-- ConfigError     the configuration file: file, line, key, suggestion (exit 1)
 +-- InputError      a recording, capture, label or feed that cannot be read (exit 1)
 +-- DeviceError     a meter: absent, busy, not permitted, unplugged (exit 1)
 |    +-- DeviceGone     it was there and has left: reconnect
 |    +-- DeviceRefused  it is there and may not be opened: the cure is in ``cure``
 +-- StoreError      the journal or its disk (exit 1)
 |    +-- StoreBusy      another daemon writes this data directory
 +-- OutputError     a destination refused or is away (never stops measuring)
 +-- ApiError        the daemon cannot be reached or refused (exit 1)

``str(error)`` is one line a person can act on. Untrusted text in it is cleaned by whoever prints.
"""

from __future__ import annotations


class DenchiError(Exception):
    """Base of denchi's errors; ``cure`` says what to do, ``exit_code`` what the command returns."""

    exit_code = 1

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message}: {self.cure}" if self.cure else self.message


class UsageError(DenchiError):
    """The command line cannot be understood."""

    exit_code = 2


class ConfigError(DenchiError):
    """The configuration says something it cannot."""


class InputError(DenchiError):
    """A file, label or feed from outside cannot be read."""


class DeviceError(DenchiError):
    """A meter cannot be used."""


class DeviceGone(DeviceError):
    """The meter was there and has left."""


class DeviceRefused(DeviceError):
    """The meter is there and may not be opened (permission, driver, other program)."""


class StoreError(DenchiError):
    """The journal or its disk."""


class StoreBusy(StoreError):
    """Another process writes this data directory."""


class OutputError(DenchiError):
    """A destination is away or refused."""


class ApiError(DenchiError):
    """The daemon's API cannot be reached or refused."""
