"""Remote alarms: levels, hold, "cooled down", the hourly limit, retries, and the test command; real apprise."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from denchi.clock import FakeClock
from denchi.config import AlarmConfig
from denchi.errors import ConfigError
from denchi.i18n import Text
from denchi.model import Finding, Severity
from denchi.outputs import alarms
from denchi.outputs.alarms import KEEP, Alarms

# apprise's plugins import a module that Python 3.11 and 3.12 call deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Box:
    """Takes messages instead of a service."""

    def __init__(self, *, works: bool = True) -> None:
        self.works = works
        self.got: list[tuple[str, str, Severity]] = []
        self.tries = 0

    def __call__(
        self, title: str, body: str, severity: Severity, only: frozenset[str]
    ) -> list[tuple[str, str]]:
        self.tries += 1
        if not self.works:
            return [("address 1 (x)", "failed")]
        self.got.append((title, body, severity))
        return [("address 1 (x)", "")]


def _finding(code: str, severity: Severity, *, ends: str = "") -> Finding:
    return Finding(
        code, "thermal", severity, 1, 2, Text(f"It is {code}."), Text("Unplug it."), ends=ends
    )


def _alarms(box: Box, **config: Any) -> tuple[Alarms, FakeClock]:
    clock = FakeClock()
    return Alarms(AlarmConfig(**config), "shop", box, clock), clock


def _settle(made: Alarms, rounds: int = 40) -> None:
    for _ in range(rounds):
        made.step()


@pytest.mark.parametrize(("level", "told"), [("info", "icd"), ("caution", "cd"), ("danger", "d")])
def test_levels(level: str, told: str) -> None:
    box = Box()
    made, _ = _alarms(box, level=level)
    for code, severity in zip("icd", Severity, strict=True):
        made.tell("b1", code, _finding(code, severity))
    _settle(made)
    assert sorted(body[6] for _, body, _ in box.got) == sorted(told)
    assert box.got[0][2] is Severity.DANGER, "the most serious goes first"
    title, body, _ = box.got[0]
    assert title == "denchi: DANGER: shop / b1"
    assert body == "It is d.\nUnplug it."


def test_a_caution_is_held_and_a_danger_never() -> None:
    box = Box()
    made, clock = _alarms(box, hold_s=30)
    made.tell("b1", "f1", _finding("warm", Severity.CAUTION))
    made.tell("b1", "f2", _finding("hot", Severity.DANGER))
    _settle(made)
    assert [b[:9] for _, b, _ in box.got] == ["It is hot"]
    clock.advance(29)
    _settle(made)
    assert len(box.got) == 1
    clock.advance(2)
    _settle(made)
    assert [b[:10] for _, b, _ in box.got] == ["It is hot.", "It is warm"]


def test_what_ends_within_its_hold_is_told_to_nobody() -> None:
    box = Box()
    made, clock = _alarms(box, hold_s=30)
    made.tell("b1", "f1", _finding("warm", Severity.CAUTION))
    clock.advance(10)
    made.tell("b1", "f2", _finding("cooled_down", Severity.INFO, ends="warm"))
    clock.advance(100)
    _settle(made)
    assert box.got == []


@pytest.mark.parametrize("wanted", [True, False])
def test_the_end_of_what_was_told_is_told_when_wanted(wanted: bool) -> None:
    box = Box()
    made, _ = _alarms(box, cooled_down=wanted)
    made.tell("b1", "f1", _finding("hot", Severity.DANGER))
    _settle(made)
    made.tell("b2", "f2", _finding("cooled_down", Severity.INFO, ends="hot"))
    _settle(made)
    assert len(box.got) == 1, "another bench's end says nothing about this one"
    made.tell("b1", "f3", _finding("cooled_down", Severity.INFO, ends="hot"))
    _settle(made)
    assert len(box.got) == 1 + wanted


def test_the_hourly_limit_counts_what_it_holds_back_and_lets_danger_through() -> None:
    box = Box()
    made, clock = _alarms(box, per_hour=3)
    for n in range(10):
        made.tell("b1", "", _finding(f"c{n}", Severity.CAUTION))
    _settle(made)
    assert len(box.got) == 3
    made.tell("b1", "", _finding("hot", Severity.DANGER))
    _settle(made)
    assert len(box.got) == 4
    assert box.got[-1][2] is Severity.DANGER
    assert "7 further messages" in box.got[-1][1]
    clock.advance(3601)
    made.tell("b1", "", _finding("later", Severity.CAUTION))
    _settle(made)
    assert len(box.got) == 5
    assert "further" not in box.got[-1][1]


def test_a_flapping_danger_is_told_once_a_minute() -> None:
    box = Box()
    made, clock = _alarms(box)
    for _ in range(300):
        made.tell("b1", "", _finding("hot", Severity.DANGER))
        _settle(made, 3)
        clock.advance(1)
    assert len(box.got) == 5


def test_a_service_that_is_away_gets_it_later() -> None:
    box = Box(works=False)
    made, clock = _alarms(box)
    made.tell("b1", "", _finding("hot", Severity.DANGER))
    for _ in range(60):
        _settle(made, 3)
        clock.advance(10)
    assert 3 <= box.tries <= 12, "tried again, at growing distance"
    assert "failed" in made.last_error
    box.works = True
    clock.advance(400)
    _settle(made)
    assert len(box.got) == 1
    assert made.last_error == ""


def test_one_address_that_is_away_gets_it_later_and_the_others_only_once() -> None:
    got: dict[str, list[str]] = {"a": [], "b": []}
    away = {"b"}

    def send(
        title: str, body: str, severity: Severity, only: frozenset[str]
    ) -> list[tuple[str, str]]:
        asked = [where for where in got if not only or where in only]
        for where in asked:
            if where not in away:
                got[where].append(body)
        return [(where, "failed" if where in away else "") for where in asked]

    clock = FakeClock()
    made = Alarms(AlarmConfig(), "shop", send, clock)
    made.tell("b1", "", _finding("hot", Severity.DANGER))
    _settle(made)
    assert [len(got["a"]), len(got["b"])] == [1, 0]
    assert "b: failed" in made.last_error
    away.clear()
    clock.advance(60)
    _settle(made)
    assert [len(got["a"]), len(got["b"])] == [1, 1]
    assert made.last_error == ""
    # Away for good: given up and counted, so that it never holds the others up.
    away.add("b")
    clock.advance(3600)
    made.tell("b1", "", _finding("hot", Severity.DANGER))
    for _ in range(200):
        _settle(made, 2)
        clock.advance(10)
    assert [len(got["a"]), len(got["b"])] == [2, 1]
    assert made.dropped == 1


def test_what_waits_is_bounded_and_what_falls_out_is_counted() -> None:
    made, _ = _alarms(Box(works=False))
    for n in range(KEEP + 25):
        made.tell("b1", "", _finding(f"c{n}", Severity.CAUTION))
    assert made.dropped == 25


def test_telling_does_not_wait_for_a_slow_service() -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(title: str, body: str, severity: Severity, only: object) -> list[tuple[str, str]]:
        begun.set()
        assert go.wait(60)
        return [("x", "")]

    made = Alarms(AlarmConfig(), "shop", slow)
    stop = threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,), daemon=True)
    thread.start()
    made.tell("b1", "", _finding("hot", Severity.DANGER))
    assert begun.wait(60)
    for n in range(50):
        made.tell("b1", "", _finding(f"c{n}", Severity.CAUTION))  # returns while the service hangs
    assert made.sent == 0
    go.set()
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


# -- with apprise ------------------------------------------------------------------------------


@contextmanager
def _service(status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An HTTP service that apprise's json:// posts to."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"json://127.0.0.1:{server.server_address[1]}", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _config(folder: Path, *urls: str) -> Path:
    addresses = folder / "urls"
    addresses.write_text("# ours\n\n" + "\n".join(urls) + "\n")
    config = folder / "config.toml"
    config.write_text(f'station = "shop"\n[alarm]\nurls_file = "{addresses}"\n')
    return config


def test_apprise_delivers(tmp_path: Path) -> None:
    with _service() as (url, got):
        urls_file = tmp_path / "urls"
        urls_file.write_text(url + "\n")
        made = alarms.from_settings(AlarmConfig(urls_file=urls_file), "shop")
        made.tell("b1", "", _finding("hot", Severity.DANGER))
        _settle(made, 2)
    assert [(m["title"], m["message"], m["type"]) for m in got] == [
        ("denchi: DANGER: shop / b1", "It is hot.\nUnplug it.", "failure")
    ]


def test_denchi_alarm_test_says_what_came_of_each_address(tmp_path: Path) -> None:
    from denchi.cli.output import alarm

    with _service() as (good, got), _service(500) as (bad, _):
        config = _config(tmp_path, good, bad + "/a-token-of-ours")
        result = CliRunner().invoke(alarm, ["test", "--config", str(config)], standalone_mode=False)
    assert result.return_value == 1
    assert result.output.splitlines()[0] == "address 1 (json): delivered"
    assert "address 2 (json): the service took no message" in result.output
    assert "token-of-ours" not in result.output, "an address may hold a secret"
    assert got[0]["title"] == "denchi: test: shop"


def test_an_address_that_apprise_does_not_know(tmp_path: Path) -> None:
    urls_file = tmp_path / "urls"
    urls_file.write_text("nonsense-with-a-secret\n")
    with pytest.raises(ConfigError) as told:
        alarms.from_settings(AlarmConfig(urls_file=urls_file), "shop")
    assert "alarm address 1" in str(told.value)
    assert "secret" not in str(told.value)
