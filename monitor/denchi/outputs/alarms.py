"""Remote alarms by apprise (extra ``alerts``): ntfy, mail, Telegram, webhooks and many more.

An alarm names bench, code and place, never a serial. ``danger`` goes out at once; ``caution`` may have to
last ``hold_s`` first. Messages beyond the hourly limit are counted and told with the next one;
a danger is held back only when the same one was told within the last minute.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from denchi.clock import NS, SYSTEM, Clock
from denchi.config import secret
from denchi.errors import ConfigError
from denchi.i18n import translator
from denchi.model import Finding, Severity
from denchi.text import clean

if TYPE_CHECKING:
    from denchi.config import AlarmConfig

log = logging.getLogger("denchi.outputs")
_ = translator("outputs")

REPEAT_S: Final = 60.0
RETRY_S: Final = (2.0, 5.0, 15.0, 60.0, 300.0)
KEEP: Final = 200
"""Messages that wait while no service can be reached; the oldest go first, and are counted."""

_LEVELS: Final = {"info": Severity.INFO, "caution": Severity.CAUTION, "danger": Severity.DANGER}


class Service:
    """Sends one message to every address. Errors name an address by number and kind, never as it is."""

    def __init__(self, urls: Sequence[str]) -> None:
        try:
            import apprise
        except ImportError:
            raise ConfigError(
                "alarms need apprise", cure="install denchi with the extra `alerts`"
            ) from None
        self._apprise = apprise
        self._targets: list[tuple[str, Any]] = []
        for number, url in enumerate(urls, 1):
            target = apprise.Apprise()
            if not target.add(url):
                raise ConfigError(
                    f"alarm address {number} is not one that apprise knows",
                    cure="see apprise's list of services",
                )
            scheme = clean(url.partition(":")[0], 20)
            self._targets.append((f"address {number} ({scheme})", target))

    def send(
        self, title: str, body: str, severity: Severity, only: frozenset[str] = frozenset()
    ) -> list[tuple[str, str]]:
        """Send to all (or ``only`` to some); (address, problem) for each, empty when it was taken."""
        kinds = self._apprise.NotifyType
        kind = {
            Severity.DANGER: kinds.FAILURE,
            Severity.CAUTION: kinds.WARNING,
            Severity.INFO: kinds.INFO,
        }[severity]
        told: list[tuple[str, str]] = []
        for where, target in self._targets:
            if only and where not in only:
                continue
            problem = ""
            try:
                if not target.notify(title=title, body=body, notify_type=kind):
                    problem = "the service took no message"
            except Exception as error:
                # Its text could hold the address with a token.
                problem = f"failed ({type(error).__name__})"
            told.append((where, problem))
        return told

    def __len__(self) -> int:
        return len(self._targets)


def addresses(config: AlarmConfig) -> list[str]:
    """The URLs, one a line; empty lines and comments left out. Raises ``ConfigError``."""
    text = secret(file=config.urls_file, env=config.urls_env) or ""
    return [line.strip() for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]


@dataclass(slots=True)
class _Message:
    title: str
    body: str
    severity: Severity
    due_ns: int
    key: tuple[str, str]
    tries: int = 0
    owed: frozenset[str] = frozenset()
    """Addresses that have not taken it while others have; empty: nobody has."""


@dataclass(slots=True)
class Alarms:
    """Decides what is told and when; a thread of its own sends."""

    config: AlarmConfig
    station: str
    send: Callable[[str, str, Severity, frozenset[str]], list[tuple[str, str]]]
    clock: Clock = SYSTEM
    dropped: int = 0
    last_error: str = ""
    sent: int = 0
    _queue: deque[_Message] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _told: dict[tuple[str, str], int] = field(default_factory=dict)
    _hour: deque[int] = field(default_factory=deque)
    _withheld: int = 0

    def tell(self, bench: str, finding_id: str, finding: Finding) -> None:
        """Take a finding; returns at once."""
        if finding.ends:
            self._ended(bench, finding)
            return
        if finding.severity < _LEVELS[self.config.level]:
            return
        now = self.clock.monotonic_ns()
        hold = 0.0 if finding.severity is Severity.DANGER else self.config.hold_s
        self._put(bench, finding.code, finding, now + int(hold * NS))

    def _ended(self, bench: str, finding: Finding) -> None:
        key = (bench, finding.ends)
        with self._lock:
            held = [m for m in self._queue if m.key == key and m.severity is not Severity.DANGER]
            for message in held:
                self._queue.remove(message)
            told = self._told.pop(key, None)
        if held and told is None:
            return  # it ended within its hold: nobody was told of it
        if told is not None and self.config.cooled_down:
            self._put(bench, finding.code, finding, self.clock.monotonic_ns())

    def _put(self, bench: str, code: str, finding: Finding, due_ns: int) -> None:
        word = {
            Severity.DANGER: _("DANGER"),
            Severity.CAUTION: _("Caution"),
            Severity.INFO: _("Note"),
        }[finding.severity]
        where = clean(f"{self.station} / {bench}" if self.station else bench, 80)
        text = [finding.message.render(), finding.advice.render()]
        message = _Message(
            clean(f"denchi: {word}: {where}", 120),
            "\n".join(clean(t, 600) for t in text if t),
            finding.severity,
            due_ns,
            (bench, code),
        )
        with self._lock:
            if len(self._queue) >= KEEP:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(message)
        self._wake.set()

    # -- sending -----------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Send what is due until ``stop``."""
        while not stop.is_set():
            pause = self.step()
            self._wake.wait(min(pause, 0.5))
            self._wake.clear()

    def test(self) -> list[tuple[str, str]]:
        """Send a test message to every address; (address, problem) for each."""
        title = clean(f"denchi: {_('test')}: {self.station}", 120)
        return self.send(
            title, _("This is a test message of denchi's alarms."), Severity.INFO, frozenset()
        )

    def step(self) -> float:
        """Send one message that is due; seconds until the next could be."""
        now = self.clock.monotonic_ns()
        with self._lock:
            due = [m for m in self._queue if m.due_ns <= now]
            if not due:
                return min([(m.due_ns - now) / NS for m in self._queue], default=60.0)
            message = max(due, key=lambda m: m.severity)
            self._queue.remove(message)
        if not self._may(message, now):
            return 0.0
        body = message.body
        if self._withheld:
            body += "\n" + _("{n} further messages were held back by the hourly limit.").format(
                n=self._withheld
            )
        told = self.send(message.title, body, message.severity, message.owed)
        self._settle(message, told, now)
        return 0.0

    def _settle(self, message: _Message, told: Sequence[tuple[str, str]], now: int) -> None:
        """What came of a message: an address that did not take it gets it again, the others do not."""
        failed = frozenset(where for where, problem in told if problem)
        self.last_error = "; ".join(f"{where}: {problem}" for where, problem in told if problem)
        if len(failed) < len(told) and not message.owed:
            self._withheld = 0
            self.sent += 1
        if not failed:
            return
        if message.owed or len(failed) < len(told):
            message.owed = failed
            if message.tries >= len(RETRY_S):
                # One dead address must not take the time that the living ones need.
                self.dropped += 1
                log.error("alarm given up for: %s", self.last_error)
                return
        log.warning("alarm not delivered, tried again later: %s", self.last_error)
        message.due_ns = now + int(RETRY_S[min(message.tries, len(RETRY_S) - 1)] * NS)
        message.tries += 1
        with self._lock:
            self._queue.appendleft(message)

    def _may(self, message: _Message, now: int) -> bool:
        if message.tries:
            return True
        last = self._told.get(message.key)
        if last is not None and now - last < REPEAT_S * NS:
            self._withheld += 1
            return False
        while self._hour and now - self._hour[0] > 3600 * NS:
            self._hour.popleft()
        if len(self._hour) >= self.config.per_hour and message.severity is not Severity.DANGER:
            self._withheld += 1
            return False
        self._hour.append(now)
        self._told[message.key] = now
        return True


def from_settings(config: AlarmConfig, station: str) -> Alarms:
    """Alarms of a configuration.

    Raises ``ConfigError`` when no address is configured, one is not known, or apprise is missing.
    """
    urls = addresses(config)
    if not urls:
        raise ConfigError(
            "no alarm address is configured", cure="set alarm.urls_file or alarm.urls_env"
        )
    return Alarms(config, station, Service(urls).send)
