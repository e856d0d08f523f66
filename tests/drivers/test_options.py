"""Options behind a locator reach the codec of a link; a wrong one is refused with what is known."""

from __future__ import annotations

import threading

from denchi.clock import AnchoredClock
from denchi.drivers import registry
from denchi.drivers.link import MeterLink
from denchi.locator import Locator
from denchi_protocol.samples import SampleBlock


class Wire:
    """A transport that has some lines to tell, then nothing."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def read(self, timeout_s: float) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is ever sent to this meter")

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass


class Ears:
    """Waits for the first sample or the first refusal."""

    def __init__(self) -> None:
        self.blocks: list[SampleBlock] = []
        self.refused = ""
        self.heard = threading.Event()

    def on_events(self, link, events, t_ns):
        self.blocks += [e for e in events if isinstance(e, SampleBlock)]
        if self.blocks:
            self.heard.set()

    def on_state(self, link, state):
        if state.state == "refused":
            self.refused = f"{state.message}; {state.cure}"
            self.heard.set()


def run(text: str, *pieces: bytes) -> tuple[Ears, list[Wire]]:
    """Let a link talk until something is heard."""
    place, ears, opened = Locator.parse(text), Ears(), []

    def opener() -> Wire:
        opened.append(Wire(*pieces))
        return opened[-1]

    link = MeterLink(registry.get(place.spec_key), place, AnchoredClock(), ears, opener=opener)
    link.start()
    try:
        assert ears.heard.wait(60), "nothing was heard"
    finally:
        assert link.stop(10)
    return ears, opened


def test_columns_named_in_the_locator_are_read():
    ears, _ = run("line@serial:/dev/none?columns=current_ma,voltage_v", b"\n", b"750.5,5.1\n")
    assert ears.blocks[0].vbus_v()[0] == 5.1
    assert ears.blocks[0].ibus_a()[0] == 0.7505


def test_a_wrong_option_is_refused_before_anything_is_opened():
    ears, opened = run("line@serial:/dev/none?colums=voltage_v", b"5.1\n")
    assert "no option 'colums'" in ears.refused
    assert "known: columns, baud" in ears.refused
    assert not opened


def test_options_of_an_emulator_are_not_the_meters():
    ears, _ = run("emulated:line?scenario=demo&oddity=json", b'{"voltage_v": 5.1}\n')
    assert ears.blocks[0].vbus_v()[0] == 5.1
