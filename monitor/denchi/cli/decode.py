"""``denchi decode``: raw frames, a capture or USB-PD wire messages to decode lines; no device."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from denchi.cli.common import json_option, talk

if TYPE_CHECKING:
    from denchi_protocol.codec import Codec, Event, MeterSpec, PdMessage
    from denchi_protocol.usb_pd import Decoder

SHOWN_ERRORS = 20
NOTHING = "no whole frame of this meter, or one that carries no value"


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option("--meter", metavar="KEY", help="Whose frames they are (`fnb58`).")
@click.option("--pd", is_flag=True, help="USB-PD wire messages: [SOP'|SOP''] hex a line.")
@json_option
def decode(file: Path, meter: str | None, pd: bool, as_json: bool) -> int:
    """Raw frames (hex, one frame a line, or a capture) to samples and messages; no device is opened.

    FILE is a file, or - for standard input. A line that is no hex, or no frame of this meter, is told
    with its number; all others are decoded, and the exit code is 1.
    """
    if pd and meter:
        raise click.UsageError("--pd and --meter exclude each other")
    if pd:
        from denchi.cli.decode_pd import decode_pd

        return decode_pd(_text(file), as_json)
    from denchi.drivers import registry

    spec = registry.get(meter) if meter else None
    lines = iter(_text(file))
    first = next(lines, "")
    if '"denchi_capture"' in first[:200]:
        return _capture(itertools.chain([first], lines), file, spec, as_json)
    if spec is None:
        raise click.UsageError("--meter KEY says whose frames these are (--pd for USB-PD)")
    return _hex(itertools.chain([first], lines), spec, as_json)


def _text(file: Path) -> Iterator[str]:
    """Lines of the file or of standard input; bytes that are no text become a wrong digit."""
    from denchi.errors import UsageError

    if str(file) == "-":
        for raw in sys.stdin.buffer:
            yield raw.decode("utf-8", "replace")
        return
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            yield from stream
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", cure="check the path") from None


# -- frames as hex -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Told:
    """Errors said so far: each line's own, then how many more."""

    count: int = 0

    def say(self, number: int, reason: str) -> None:
        self.count += 1
        if self.count <= SHOWN_ERRORS:
            talk(f"denchi decode: line {number}: {reason}")

    def close(self) -> int:
        if self.count > SHOWN_ERRORS:
            talk(f"denchi decode: {self.count - SHOWN_ERRORS} more lines were not decoded")
        return 1 if self.count else 0


def frame_bytes(text: str) -> bytes:
    """The bytes of one line of hex: digits with spaces, colons, commas or 0x between them.

    Raises ``ValueError`` with what is wrong.
    """
    bare = text.strip()
    for mark in ("0x", "0X", ":", ",", "-"):
        bare = bare.replace(mark, " ")
    digits = "".join(bare.split())
    wrong = next((c for c in digits if c not in "0123456789abcdefABCDEF"), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is no hex digit: one frame of hex digits a line")
    if len(digits) % 2:
        raise ValueError(f"{len(digits)} hex digits are no whole bytes: the last digit is missing")
    return bytes.fromhex(digits)


def _hex(lines: Iterable[str], spec: MeterSpec, as_json: bool) -> int:
    from denchi_protocol.usb_pd import Decoder

    told = _Told()
    reader = _Frames(spec)
    pd = Decoder()
    for number, text in enumerate(lines, 1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        try:
            data = frame_bytes(text)
        except ValueError as error:
            told.say(number, str(error))
            continue
        for where, reason in reader.take(number, data):
            told.say(where, reason)
        _print(reader.events, spec, None, pd, as_json)
    for where, reason in reader.end():
        told.say(where, reason)
    return told.close()


@dataclass(slots=True)
class _Frames:
    """Lines of hex, each judged by itself; what is no whole frame alone may go on in the next line.

    By itself means a codec of its own: a value is neither held back until another confirms it nor
    doubted because of its neighbours, which may come from another instrument.
    """

    spec: MeterSpec
    events: list[Event] = field(default_factory=list)
    _live: Codec | None = None
    _waiting: list[tuple[int, str]] = field(default_factory=list)
    _n: int = 0

    def take(self, number: int, data: bytes) -> list[tuple[int, str]]:
        """Decode one line into ``events``; returns (line number, reason) of what is no frame."""
        from denchi_protocol import playback

        self._n += 1
        t_ns = self._n * 1_000_000_000
        self._live = self._live or self.spec.codec()
        alone = self.spec.codec()
        own = alone.feed(data, t_ns)
        own += playback.finish(alone, t_ns)
        if _content(own):
            self.events = own
            # Still shown to the running codec, whose reply may be one of a row (BLE, PX100).
            self._live.feed(data, t_ns)
            return self._left_open() + [(number, r) for r in _reasons(own)]
        if self._is_request(data, t_ns):
            self.events = []
            return []
        running = self._live.feed(data, t_ns)
        self.events = running if _content(running) else []
        if self.events:
            self._waiting = []
            return []
        if reasons := _reasons(running):
            return [*self._left_open(), (number, (_reasons(own) or reasons)[0])]
        self._waiting.append((number, (_reasons(own) or [NOTHING])[0]))
        return []

    def end(self) -> list[tuple[int, str]]:
        """Lines that began a frame which never came to its end."""
        return self._left_open()

    def _is_request(self, data: bytes, t_ns: int) -> bool:
        from denchi_protocol import playback

        if not any(data.startswith(prefix) for prefix in self.spec.allowed_sends):
            return False
        assert self._live is not None
        playback.asked(self._live, data, t_ns)
        return True

    def _left_open(self) -> list[tuple[int, str]]:
        left, self._waiting = self._waiting, []
        return left


def _content(events: list[Event]) -> bool:
    from denchi_protocol.codec import Rejected

    return any(not isinstance(event, Rejected) for event in events)


def _reasons(events: list[Event]) -> list[str]:
    from denchi_protocol.codec import Rejected

    return [e.reason for e in events if isinstance(e, Rejected)][:1]


# -- a capture ---------------------------------------------------------------------------------


def _capture(lines: Iterable[str], file: Path, spec: MeterSpec | None, as_json: bool) -> int:
    from denchi.drivers import registry
    from denchi.errors import InputError
    from denchi_protocol import capture, playback
    from denchi_protocol.codec import Rejected
    from denchi_protocol.errors import CaptureError
    from denchi_protocol.usb_pd import Decoder

    source = iter(lines)
    rejected = 0
    pd = Decoder()
    start_ns: int | None = None
    try:
        header = capture.read_header(next(source))
        spec = spec or registry.get(header.meter)
        chunks = capture.read_chunks(source)
        first = next(chunks, None)
        if first is None:
            return 0
        start_ns = first.t_ns
        for events in playback.events(spec.codec(), itertools.chain([first], chunks)):
            _print(events, spec, start_ns, pd, as_json)
            rejected += sum(isinstance(event, Rejected) for event in events)
    except CaptureError as error:
        raise InputError(f"{file}: {error}", cure="everything before it was decoded") from None
    if rejected:
        talk(f"denchi decode: {rejected} pieces of the capture are no frames")
    return 0


# -- lines -------------------------------------------------------------------------------------

KEYS = {
    "vbus_uv": "vbus_v",
    "ibus_ua": "ibus_a",
    "dp_uv": "dp_v",
    "dm_uv": "dm_v",
    "cc1_uv": "cc1_v",
    "cc2_uv": "cc2_v",
    "pack_uv": "pack_v",
    "pack_ua": "pack_a",
}


def event_lines(
    events: Iterable[Event], spec: MeterSpec, start_ns: int | None, pd: Decoder | None = None
) -> Iterator[dict[str, Any]]:
    """Decode lines (DESIGN.md §6) of the events of one frame or read.

    ``start_ns`` None: frames without a time, ``t_s`` is null. What the frame tells beside its samples
    stands in its last sample's line, or in a line of its own. ``pd`` reads the PD messages of a row of
    frames in their order; without it they stand as wire bytes.
    """
    from denchi_protocol.codec import DeviceInfo, PdMessage, Telemetry
    from denchi_protocol.samples import SampleBlock

    samples: list[dict[str, Any]] = []
    beside: dict[str, Any] = {}
    beside_ns = 0
    messages = []
    for event in events:
        if isinstance(event, SampleBlock):
            samples += _sample_lines(event, spec, start_ns)
        elif isinstance(event, Telemetry):
            beside |= event.values
            beside_ns = event.t_ns
            if event.flags is not None:
                beside["flags"] = list(event.flags)
        elif isinstance(event, DeviceInfo):
            beside["device"] = _device(event)
            beside_ns = event.t_ns
        elif isinstance(event, PdMessage):
            messages.append(_message(event, start_ns, pd))
    if beside and not samples:
        samples = [{"t_s": _seconds(beside_ns, start_ns)}]
    if beside:
        samples[-1] |= beside
    yield from samples
    yield from messages


def _seconds(t_ns: int, start_ns: int | None) -> float | None:
    return None if start_ns is None else round((t_ns - start_ns) / 1e9, 9)


def _sample_lines(block: Any, spec: MeterSpec, start_ns: int | None) -> Iterator[dict[str, Any]]:
    from denchi.export.writer import lines
    from denchi_protocol.samples import Quality

    # The same keys in every line of one meter, measured or not.
    blank: dict[str, Any] = {KEYS[name]: None for name in spec.channels if name in KEYS}
    places = [n.removeprefix("temp_mc.") for n in spec.channels if n.startswith("temp_mc.")]
    temps: dict[str, Any] = {place: None for place in places if not place.startswith("cell")}
    for line, quality in zip(lines(block, start_ns or 0), block.quality.tolist(), strict=True):
        del line["t_ns"]
        line["t_s"] = None if start_ns is None else line["t_s"]
        line["temp_c"] = temps | line["temp_c"]
        whole = {"t_s": line["t_s"]} | blank | line
        if quality & Quality.UNCHECKED:
            whole["unchecked"] = True
        yield whole


def _device(info: Any) -> dict[str, Any]:
    from denchi.text import clean

    names = ("maker", "model", "serial", "firmware", "hardware")
    told = {n: clean(v) for n in names if (v := getattr(info, n)) is not None}
    rest = {clean(k): clean(v) if isinstance(v, str) else v for k, v in info.fields.items()}
    return told | rest


def _message(message: PdMessage, start_ns: int | None, pd: Decoder | None) -> dict[str, Any]:
    line: dict[str, Any] = {"t_s": _seconds(message.t_ns, start_ns)}
    if pd is None:
        return line | {"sop": message.sop, "wire": message.wire.hex(), "crc_ok": message.crc_ok}
    return line | dict(pd.feed(message).to_json())


def _print(
    events: list[Event], spec: MeterSpec, start_ns: int | None, pd: Decoder, as_json: bool
) -> None:
    for line in event_lines(events, spec, start_ns, pd):
        click.echo(json.dumps(line, ensure_ascii=False) if as_json else _plain(line))


def _plain(line: dict[str, Any]) -> str:
    words = []
    for key, value in line.items():
        if key == "t_s":
            words += [] if value is None else [f"{value:.4f} s"]
        elif key == "temp_c":
            words += [f"{place} {_number(v)} °C" for place, v in value.items()]
        elif isinstance(value, dict):
            words.append(f"{key}: " + ", ".join(f"{k} {v}" for k, v in value.items()))
        else:
            words.append(f"{key} {_number(value)}")
    return "  ".join(words)


def _number(value: Any) -> str:
    if value is None:
        return "--"
    if isinstance(value, list):
        return " ".join(_number(one) for one in value) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
