"""Errors of the protocol floor: the class says whose fault it is.

ProtocolError
 +-- LocalProtocolError    the caller asked for something the protocol cannot do
 +-- RemoteProtocolError   the device (or a capture of it) sent something that cannot be
 +-- CaptureError          a capture file is not one, or is damaged (carries the line number)

Codecs never raise on what a device sends: bad bytes become ``codec.Rejected`` events.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of every error that ``denchi_protocol`` raises."""


class LocalProtocolError(ProtocolError, ValueError):
    """The caller used the protocol wrongly: a bug in our own code or a wrong argument."""


class RemoteProtocolError(ProtocolError):
    """The other side sent bytes that its protocol does not allow."""


class CaptureError(ProtocolError):
    """A capture file cannot be read; ``line`` is 1-based, 0 when it is the file as a whole."""

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line
