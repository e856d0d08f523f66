"""``denchi decode --pd``: USB-PD wire messages to decode lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from denchi.cli.common import talk

if TYPE_CHECKING:
    from denchi_protocol.usb_pd import Message

SHOWN_ERRORS: Final = 20
_SOP_NUMBERS: Final = {0: "SOP", 1: "SOP'", 2: "SOP''", 3: "SOP'_Debug", 4: "SOP''_Debug"}
_QUIET: Final = ("chunked", "chunk", "request_chunk", "data_size", "raw", "pdos")


def decode_pd(lines: Iterable[str], as_json: bool) -> int:
    """Print one line a message; returns the exit code.

    A line is ``[SOP|SOP'|SOP''] hex`` (blanks between the digits are fine), with or without CRC,
    ``Hard_Reset``, or a line of a capture (JSON with ``hex`` and ``sop``). Empty lines and ``#``
    comments are passed over. Messages are read in their order: requests against the capabilities
    before them, chunks joined. What is malformed is printed as raw with its reason and told with its
    line number; the exit code is then 1.
    """
    from denchi_protocol.codec import PdMessage
    from denchi_protocol.usb_pd import Decoder
    from denchi_protocol.usb_pd.crc import split_crc

    decoder, bad = Decoder(), 0
    for number, text in enumerate(lines, 1):
        try:
            part = _parse(text)
        except ValueError as error:
            bad += 1
            _say(bad, number, str(error))
            continue
        if part is None:
            continue
        sop, data = part
        wire, crc_ok = split_crc(data)
        told = decoder.feed(PdMessage(number, sop, wire, crc_ok))
        if told.type == "Malformed":
            bad += 1
            _say(bad, number, told.reason or "malformed")
        click.echo(json.dumps(told.to_json(), ensure_ascii=False) if as_json else _shown(told))
    if bad > SHOWN_ERRORS:
        talk(f"denchi decode: {bad - SHOWN_ERRORS} more lines could not be read")
    return 1 if bad else 0


def _say(count: int, number: int, reason: str) -> None:
    if count <= SHOWN_ERRORS:
        talk(f"denchi decode: line {number}: {reason}")


def _parse(text: str) -> tuple[str, bytes] | None:
    """Start of packet and bytes of a line; None where it holds no message."""
    from denchi_protocol.usb_pd.header import RESETS, SOPS

    text = text.strip()
    if not text or text.startswith("#"):
        return None
    if text.startswith("{"):
        return _capture_line(text)
    words = text.split()
    named = {name.casefold(): name for name in (*SOPS, *RESETS)}
    sop = named.get(words[0].casefold().rstrip(":"))
    if sop is not None:
        words = words[1:]
    if sop in RESETS:
        return sop, b""
    if not words:
        raise ValueError("no bytes behind the start of packet")
    return sop or "SOP", _bytes(" ".join(words))


def _bytes(digits: str) -> bytes:
    from denchi.cli.decode import frame_bytes

    return frame_bytes(digits)


def _capture_line(text: str) -> tuple[str, bytes] | None:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(row, dict):
        raise ValueError("not a line of a capture")
    if "hex" not in row:
        if "denchi_capture" in row:
            return None
        raise ValueError("a line of a capture has hex")
    decoded = row.get("decoded")
    sop: Any = row.get("sop", decoded.get("sop", 0) if isinstance(decoded, Mapping) else 0)
    name = _SOP_NUMBERS.get(sop, "SOP") if isinstance(sop, int) else str(sop)
    return name, _bytes(str(row["hex"]))


# -- for people --------------------------------------------------------------------------------


def _shown(told: Message) -> str:
    from denchi.text import clean

    head = f"{told.sop:5} {told.type:28}"
    if told.rev is not None:
        roles = "/".join(r for r in (told.power_role, told.data_role) if r)
        head += f" PD {told.rev} id {told.id} {roles:10}"
    parts = _contents(told.fields)
    if told.crc_ok:
        parts.append("CRC right")
    if told.reason is not None:
        parts.append(f"{told.reason} [{told.raw.hex()}]")
    return f"{head}  {clean('; '.join(parts), 1000)}".rstrip()


def _contents(fields: Mapping[str, Any]) -> list[str]:
    parts = [f"{p['position']}: {p['text']}" for p in fields.get("pdos", ())]
    for key, value in fields.items():
        if key in _QUIET or (key == "data" and "data_size" in fields):
            continue
        if value is None or value is False or value in ([], {}):
            continue
        parts.append(key if value is True else f"{key} {_value(value)}")
    if not parts and fields.get("data_size"):
        kind = "asks for chunk" if fields.get("request_chunk") else "chunk"
        parts = [f"{kind} {fields['chunk']}, {fields['data_size']} bytes in all, {fields['data']}"]
    elif not parts and fields.get("request_chunk"):
        parts = [f"asks for chunk {fields['chunk']}"]
    return parts


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return " ".join(str(v) for v in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_value(v)}" for k, v in value.items())
    return str(value)
