"""MeterLink: one thread a device, that reads for ever.

One code path for cold start and replug: open, converse until the device leaves, close, wait a little,
open again. The arrival time is taken first, before anything looks at the bytes. The listener is
called on this thread and must not block.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from denchi.clock import NS, AnchoredClock
from denchi.errors import DenchiError, DeviceGone, DeviceRefused
from denchi.ingest import stale_after_s
from denchi.locator import Locator
from denchi.transports.base import Transport
from denchi.transports.opening import open_transport
from denchi_protocol.codec import Codec, DeviceInfo, Done, Event, MeterSpec, Rejected, Send, Wait
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.samples import SampleBlock

log = logging.getLogger(__name__)

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MOST_S: Final = 5.0
"""Between attempts at a device that is there and refuses, or opens and never speaks."""
ABSENT_MOST_S: Final = 0.5
"""Between looks for one that is not there: however long it was away, it streams within 2 s (DESIGN.md §7)."""
READ_MOST_S: Final = 0.25
"""No read waits longer, so that a stop is never waited for longer."""
RESET_S: Final = 10.0
REOPEN_S: Final = 30.0
GATHER_HZ: Final = 200.0
GATHER_S: Final = 0.025
"""A fast meter's samples are read together; over-temperature still has its second."""
CLOSE_MOST_S: Final = 1.2
"""A stop releases the meter within 2 s, draining included; a meter that streams for ever is left then."""
CLOSE_QUIET_S: Final = 0.2
"""Nothing said for so long: the meter has ended, whatever its codec would still wait for. The FNIRSIs
stream for up to a second after the last keep-alive, a packet each 40 ms."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """``searching`` ``opening`` ``settling`` ``streaming`` ``stale`` ``gone`` ``refused``, with reason and cure."""

    state: str
    message: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Counters:
    """What has come over a link since it was started."""

    frames: int
    rejected: int
    reconnects: int
    rate_hz: float


class LinkListener(Protocol):
    """Called on the meter's thread."""

    def on_events(self, link: MeterLink, events: list[Event], t_ns: int) -> None:
        """Events of one read."""
        ...

    def on_state(self, link: MeterLink, state: LinkState) -> None:
        """The link changed its state."""
        ...


Recorder = Callable[[int, str, bytes], None]
"""``recorder(t_ns, "rx" | "tx", data)``: raw bytes for a capture."""
Opener = Callable[[], Transport]


class MeterLink:
    """A device, for ever."""

    def __init__(
        self,
        spec: MeterSpec,
        locator: Locator,
        session_clock: AnchoredClock,
        listener: LinkListener,
        *,
        recorder: Recorder | None = None,
        opener: Opener | None = None,
        usb_backend: str = "auto",
    ) -> None:
        self.spec = spec
        self.locator = locator
        self._clock = session_clock
        self._listener = listener
        self._recorder = recorder
        self._opener = opener or (
            lambda: open_transport(spec, locator, session_clock, usb_backend=usb_backend)
        )
        self._stop = threading.Event()
        self._handed_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"meter-{spec.key}", daemon=True)
        self._state = LinkState("searching")
        self._frames = self._rejected = 0
        self._opened = 0
        self.progress = 0
        """Counts the thread's rounds, for the watchdog."""
        self._recent: deque[tuple[int, int]] = deque(maxlen=64)
        self._random = random.Random()  # noqa: S311  jitter, not secrets

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def release(self) -> None:
        """Tell the thread to take nothing more, drain and let go of the device; returns at once."""
        self._stop.set()

    def handed_over(self, timeout: float) -> bool:
        """Wait until the listener has had its last events, which is before the draining."""
        return self._handed_over.wait(timeout)

    def stop(self, timeout: float = 2.0) -> bool:
        """Stop, drain, release; False when the thread did not end in time."""
        self.release()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def state(self) -> LinkState:
        """The present state."""
        return self._state

    def counters(self) -> Counters:
        """Frames, rejections, reconnects, samples a second of late."""
        recent = list(self._recent)
        rate = 0.0
        if len(recent) > 1 and recent[-1][0] > recent[0][0]:
            rate = sum(n for _, n in recent[1:]) / ((recent[-1][0] - recent[0][0]) / NS)
        return Counters(self._frames, self._rejected, max(0, self._opened - 1), rate)

    # -- the thread --------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._run()
        finally:
            self._handed_over.set()

    def _run(self) -> None:
        backoff = BACKOFF_FIRST_S
        while not self._stop.is_set():
            self.progress += 1
            most = BACKOFF_MOST_S
            try:
                self._say(LinkState("opening"))
                codec = self._codec()
                transport = self._opener()
            except DeviceRefused as error:
                self._say(LinkState("refused", error.message, error.cure))
            except DenchiError as error:
                most = ABSENT_MOST_S
                word = "gone" if self._opened else "searching"
                self._say(LinkState(word, error.message, error.cure))
            except Exception as error:
                # A library's surprise must not end the measuring for ever.
                log.exception("opening %s failed", self.locator)
                self._say(
                    LinkState("refused", f"opening failed ({type(error).__name__})", "see the log")
                )
            else:
                self._opened += 1
                heard = self._converse(codec, transport)
                backoff = BACKOFF_FIRST_S if heard else backoff
            self._stop.wait(min(backoff, most) * (0.8 + 0.4 * self._random.random()))
            backoff = min(backoff * 2, most)

    def _codec(self) -> Codec:
        """The family's codec as the locator's options want it."""
        options = self.locator.options
        if self.locator.kind == "emulated":  # most of them are the emulator's
            options = {k: v for k, v in options.items() if k in self.spec.options}
        try:
            return self.spec.codec_with(options)
        except LocalProtocolError as error:
            raise DeviceRefused(str(error), cure=f"correct {self.locator}") from None

    def _converse(self, codec: Codec, transport: Transport) -> bool:
        """Talk until the device leaves or we are stopped; True when anything was heard."""
        heard = False
        try:
            heard = self._talk(codec, transport)
        except DeviceGone as error:
            heard = self._heard_ns is not None
            self._say(LinkState("gone", error.message, error.cure))
        except Exception as error:
            log.exception("%s: the conversation failed", self.spec.key)
            self._say(
                LinkState(
                    "gone", f"the conversation failed ({type(error).__name__})", "see the log"
                )
            )
        finally:
            try:
                if self._stop.is_set():
                    self._handed_over.set()
                    self._drain(codec, transport)
            except DeviceGone:
                pass
            except Exception:
                log.exception("%s: draining failed", self.spec.key)
            transport.close()
        return heard

    _heard_ns: int | None = None

    def _talk(self, codec: Codec, transport: Transport) -> bool:
        self._heard_ns = None
        opened = self._clock.now_ns()
        was_reset = False
        stale_s = stale_after_s(self.spec.rate_hz)
        # A read a sample would cost a thousand wake-ups a second; the samples carry the meter's time.
        gather = self.spec.rate_hz >= GATHER_HZ and getattr(transport, "keeps", False)
        self._say(LinkState("settling"))
        while not self._stop.is_set():
            self.progress += 1
            now = self._clock.now_ns()
            action = codec.next(now)
            if isinstance(action, Send):
                self._send(transport, action.data)
                continue
            data = transport.read(self._patience(action))
            t_ns = self._clock.now_ns()
            if data:
                self._take(codec, data, t_ns)
                if self._heard_ns is not None and self._state.state in ("settling", "stale"):
                    self._say(LinkState("streaming"))
                if gather:
                    time.sleep(GATHER_S)  # an Event's wait costs a good part of what this saves
                continue
            silent = (t_ns - (self._heard_ns or opened)) / NS / self._clock.speed
            if silent > REOPEN_S:
                raise DeviceGone("no data for 30 s", cure="plug the meter in again")
            waited = silent > max(RESET_S, 10 * stale_s / 3)
            if waited and self.spec.may_reset and not was_reset:
                was_reset = True
                log.warning("%s: silent for %.0f s, resetting it", self.spec.key, silent)
                transport.reset()
            if silent > stale_s and self._state.state != "stale":
                self._say(LinkState("stale", "no data", "check the meter's screen and cable"))
        return self._heard_ns is not None

    def _patience(self, action: object) -> float:
        assert isinstance(action, Wait)
        return min(max(self._clock.seconds_until(action.until_ns), 0.0005), READ_MOST_S)

    def _send(self, transport: Transport, data: bytes) -> None:
        if self._recorder is not None:
            self._recorder(self._clock.now_ns(), "tx", data)
        transport.write(data)

    def _take(self, codec: Codec, data: bytes, t_ns: int) -> None:
        if self._recorder is not None:
            self._recorder(t_ns, "rx", data)
        events = codec.feed(data, t_ns)
        for event in events:
            if isinstance(event, SampleBlock):
                self._heard_ns = t_ns
                self._frames += 1
                self._recent.append((t_ns, len(event)))
            elif isinstance(event, Rejected):
                self._rejected += 1
            elif not isinstance(event, DeviceInfo):
                self._heard_ns = t_ns
        if events:
            self._listener.on_events(self, events, t_ns)

    def _drain(self, codec: Codec, transport: Transport) -> None:
        """Stop commands and draining, bounded by time and by quiet: nothing may hold up the end."""
        monotonic_ns = self._clock.clock.monotonic_ns
        end = monotonic_ns() + int(CLOSE_MOST_S * NS)
        quiet = monotonic_ns() + int(CLOSE_QUIET_S * NS)
        while (now := monotonic_ns()) < min(end, quiet):
            action = codec.close(self._clock.now_ns())
            if isinstance(action, Done):
                return
            if isinstance(action, Send):
                self._send(transport, action.data)
            elif data := transport.read(
                min(self._patience(action), max(0.0005, (min(end, quiet) - now) / NS))
            ):
                codec.feed(data, self._clock.now_ns())
            else:
                continue
            quiet = monotonic_ns() + int(CLOSE_QUIET_S * NS)

    def _say(self, state: LinkState) -> None:
        if state == self._state:
            return
        self._state = state
        self._listener.on_state(self, state)
