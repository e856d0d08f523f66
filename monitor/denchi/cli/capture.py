"""``denchi capture``: a device's raw bytes, both directions, with their times, to a capture file."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from denchi.cli.common import talk
from denchi.cli.demo import Duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from denchi.drivers.link import LinkState, MeterLink
    from denchi.locator import Locator
    from denchi_protocol.codec import Event, MeterSpec


@click.command()
@click.argument("locator", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default="-",
    help="The capture file; - is standard output.",
)
@click.option("--for", "duration_s", type=Duration(), default=None, help="How long (30s, 5m, 2h).")
@click.option("--note", default="", help="Device, firmware, circumstances: kept in the header.")
def capture(locator: str | None, output: Path, duration_s: float | None, note: str) -> int:
    """Record what goes over a device's wire, until Ctrl-C or for as long as --for says.

    LOCATOR is a place as `denchi list` shows it, or `emulated:KEY`; without one, the only meter present.
    The file replays with `denchi replay` and decodes with `denchi decode`. Only what the meter's own
    reading needs is sent.
    """
    from denchi.clock import AnchoredClock
    from denchi.drivers.link import MeterLink

    spec, place = _resolved(locator)
    clock = AnchoredClock()
    with _opened(output) as file:
        tape = _Tape(file, spec, place, note)
        link = MeterLink(spec, place, clock, tape, recorder=tape.record)
        ended = threading.Event()
        with _interrupts(ended):
            link.start()
            try:
                _wait(ended, tape, duration_s)
            finally:
                stopped = link.stop(4.0)
        tape.shut()
    if not stopped:
        talk("denchi capture: the meter was not released in time")
    return tape.told()


def _wait(ended: threading.Event, tape: _Tape, duration_s: float | None) -> None:
    """Until Ctrl-C, the end of the time asked for (from the first byte), or a refusal."""
    while not (ended.is_set() or tape.refused is not None or tape.first.is_set()):
        tape.first.wait(0.1)
    if tape.refused is not None or ended.is_set():
        return
    ended.wait(duration_s)


class _Tape:
    """Writes the header and one line a chunk, on the meter's thread; counts what came."""

    def __init__(self, file: TextIO, spec: MeterSpec, place: Locator, note: str) -> None:
        from denchi import __version__
        from denchi.clock import SYSTEM, iso
        from denchi.text import clean
        from denchi_protocol.capture import CaptureHeader

        self._file = file
        self._lock = threading.Lock()
        self.first = threading.Event()
        self.refused: LinkState | None = None
        self._state: LinkState | None = None
        self.chunks = self.received = self.samples = 0
        emulated = place.kind == "emulated"
        # Not the locator: it holds the meter's serial number, and captures are made to be given away.
        where = f"emulated {spec.key}" if emulated else f"{spec.key} by {place.kind}"
        extra: dict[str, Any] = {"note": clean(note, 500)} if note else {}
        header = CaptureHeader(
            spec.key,
            f"denchi {__version__}, {where}, {iso(SYSTEM.wall_ns())}",
            synthetic=emulated,
            extra=extra,
        )
        self._write(header.to_json())

    def _write(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()

    def record(self, t_ns: int, direction: str, data: bytes) -> None:
        """One chunk (the link's recorder)."""
        from denchi_protocol.capture import Chunk

        with self._lock:
            if self._file.closed:
                return
            self._write(Chunk(t_ns, "rx" if direction == "rx" else "tx", data).to_json())
            self.chunks += 1
            self.received += len(data) if direction == "rx" else 0
        if direction == "rx":
            self.first.set()

    def on_events(self, link: MeterLink, events: list[Event], t_ns: int) -> None:
        """Count samples, so that the person sees whether they are understood."""
        from denchi_protocol.samples import SampleBlock

        self.samples += sum(len(event) for event in events if isinstance(event, SampleBlock))

    def on_state(self, link: MeterLink, state: LinkState) -> None:
        """Tell what the link is doing where that is news."""
        if state.state == "refused":
            self.refused = state
        elif state.message and state.message != (self._state.message if self._state else ""):
            talk(f"{state.state}: {state.message}; {state.cure}")
        self._state = state

    def shut(self) -> None:
        """No more chunks after this."""
        with self._lock:
            self._file.flush()

    def told(self) -> int:
        """The closing words; raises when nothing was captured."""
        from denchi.errors import DeviceGone, DeviceRefused

        if self.refused is not None:
            raise DeviceRefused(self.refused.message, cure=self.refused.cure)
        if not self.received:
            state = self._state
            message = (state.message if state else "") or "nothing came from the meter"
            raise DeviceGone(message, cure=(state.cure if state else "") or "`denchi doctor`")
        talk(
            f"{self.chunks} chunks, {self.received} bytes from the meter, {self.samples} samples understood"
        )
        return 0


def _resolved(text: str | None) -> tuple[MeterSpec, Locator]:
    """The meter and its place; a place without a key is looked up among what is present."""
    from denchi.drivers import discovery, registry
    from denchi.errors import DeviceGone, UsageError
    from denchi.locator import Locator

    if text is not None:
        place = Locator.parse(text)
        if place.spec_key:
            return registry.get(place.spec_key), place
        if place.kind in ("serial", "ble", "sysfs"):
            raise UsageError(
                f"{text}: which meter is it?", cure=f"KEY@{text}, such as tc66c@{text}"
            )
        found = [
            f
            for f in discovery.discover().found
            if (f.locator.vid, f.locator.pid) == (place.vid, place.pid)
            and place.serial in ("", f.locator.serial)
        ]
    else:
        found = [f for f in discovery.discover().found if not f.ambiguous]
    if not found:
        raise DeviceGone("no meter found", cure="`denchi list` and `denchi doctor` say more")
    if len(found) > 1:
        names = ", ".join(str(f.locator) for f in found)
        raise UsageError("more than one meter", cure=f"name one of {names}")
    return registry.get(found[0].spec_key), found[0].locator


@contextmanager
def _interrupts(ended: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the recording; the meter is drained and the file is whole."""
    kept = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _opened(output: Path) -> Any:
    from denchi.errors import UsageError

    if str(output) == "-":
        return nullcontext(sys.stdout)
    try:
        return output.open("x", encoding="utf-8")
    except FileExistsError:
        raise UsageError(f"{output} exists", cure="a capture is never written over") from None
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}", cure="choose another place") from None
