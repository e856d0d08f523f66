"""The MQTT output against a real mosquitto, read back by a client of its own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from denchi.i18n import Text
from denchi.model import Finding, Measured, Severity, Verdict
from denchi.outputs import registry
from denchi.outputs.base import Context
from denchi.outputs.mqtt.messages import identifier, part
from denchi.store.journal import Journal
from outputs.helpers import Running
from outputs.servers import binary, free_port, mosquitto, running
from store.helpers import NS, begin, fnirsi_like


class Listener:
    """Everything that a broker hands out; ``retained`` is what a newcomer is told."""

    def __init__(self, port: int, **login: str) -> None:
        self.heard: list[tuple[str, Any, bool]] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        if login:
            self.client.username_pw_set(login["user"], login["password"])
        self.client.on_message = self._take
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("#", qos=1)
        self.client.loop_start()

    def _take(self, client: Any, data: Any, message: Any) -> None:
        text = message.payload.decode()
        body = json.loads(text) if text[:1] in "{[" else text
        self.heard.append((message.topic, body, bool(message.retain)))

    def on(self, topic: str) -> list[Any]:
        return [body for where, body, _ in list(self.heard) if where == topic]

    def until(self, topic: str, n: int = 1, seconds: float = 30) -> list[Any]:
        end = time.monotonic() + seconds
        while len(self.on(topic)) < n and time.monotonic() < end:
            time.sleep(0.01)
        found = self.on(topic)
        assert len(found) >= n, sorted({t for t, _, _ in self.heard})
        return found

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def listening(port: int, **login: str) -> Iterator[Listener]:
    listener = Listener(port, **login)
    try:
        yield listener
    finally:
        listener.close()


def _output(journal: Journal, folder: Path, port: int, **settings: Any) -> Any:
    table = {"kind": "mqtt", "port": port, **settings}
    configured = registry.configure("ha", table)
    return configured.kind.make("ha", configured.config, Context(folder, "shop 1", journal))


def _now_block(n: int) -> Any:
    return fnirsi_like(n, time.time_ns() - n * 10_000_000)


@pytest.mark.servers
def test_values_discovery_and_findings_reach_a_broker(tmp_path: Path) -> None:
    block = _now_block(1000)
    with mosquitto(tmp_path) as port, Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        instrument = begin(journal)
        journal.append(instrument, block)
        finding = Finding(
            "case_hot",
            "thermal",
            Severity.DANGER,
            int(block.t_ns[0]),
            int(block.t_ns[-1]),
            Text("Hot: {t}", {"t": 71}),
            Text("Unplug."),
            {"temp": Measured(71.5, "degC")},
        )
        journal.add_finding("s1", finding)
        journal.end_session("s1", int(block.t_ns[-1]) + 1, Verdict.STOP_USING, {})
        journal.flush()
        with listening(port) as listener:
            output = _output(journal, tmp_path / "d", port, seconds=True)
            assert output.check() is None
            with Running(output) as run:
                run.until(lambda s: s.delivered == 1000)
                listener.until("denchi/shop 1/b1/session")
                assert listener.on("denchi/shop 1/status")[-1] == "online"
            # "offline" twice: the goodbye of the check, and that of the run.
            listener.until("denchi/shop 1/status", 4)
            assert listener.on("denchi/shop 1/status") == ["online", "offline"] * 2
            (state,) = listener.on("denchi/shop 1/b1/meter/state")
            seconds = listener.on("denchi/shop 1/b1/meter/second")
            told = listener.on("denchi/shop 1/b1/finding")[0]
            configs = {t: b for t, b, _ in listener.heard if t.startswith("homeassistant/")}
        expected = {
            int(s) * NS: float(block.vbus_v()[block.t_ns // NS == s].mean())
            for s in np.unique(block.t_ns // NS)
        }
        assert {r["t_ns"]: r["vbus_v"] for r in seconds} == pytest.approx(expected, abs=1e-6)
        assert state == seconds[-1]
        assert state["unit"].startswith("Brand Model #")
        assert "X1" not in json.dumps([seconds, list(configs.values())])
        assert told["severity"] == "danger"
        assert told["message"]["en"] == "Hot: 71"
        assert told["measured"] == {"temp": [71.5, "degC"]}
        with listening(port) as newcomer:
            for topic in ("denchi/shop 1/b1/meter/state", "denchi/shop 1/b1/alert", *configs):
                newcomer.until(topic)
            kept = {t for t, _, retain in newcomer.heard if retain}
        assert {"denchi/shop 1/b1/alert", "denchi/shop 1/status"} | set(configs) <= kept
    _check_discovery(configs, state)


def _check_discovery(configs: dict[str, Any], state: dict[str, Any]) -> None:
    """As Home Assistant's MQTT sensor documents its keys."""
    volts = configs["homeassistant/sensor/denchi_shop_1_b1_meter_vbus_v/config"]
    assert volts["device_class"] == "voltage"
    assert volts["unit_of_measurement"] == "V"
    assert volts["state_topic"] == "denchi/shop 1/b1/meter/state"
    assert volts["availability_topic"] == "denchi/shop 1/status"
    assert volts["expire_after"] == 15
    assert len({c["unique_id"] for c in configs.values()}) == len(configs)
    for config in configs.values():
        # Home Assistant words these classes as "Safe" and "OK".
        assert config.get("device_class") not in ("safety", "problem", "battery")
        field = config["value_template"].split("value_json.")[1].split(" ")[0]
        assert field in state or field == "severity"


@pytest.mark.servers
def test_old_data_is_never_a_state(tmp_path: Path) -> None:
    block = fnirsi_like(500, time.time_ns() - 3600 * NS)
    with mosquitto(tmp_path) as port, Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        journal.append(begin(journal), block)
        journal.end_session("s1", int(block.t_ns[-1]) + 1, None)
        journal.flush()
        with listening(port) as listener:
            with Running(_output(journal, tmp_path / "d", port)) as run:
                run.until(lambda s: s.delivered == 500)
                listener.until("denchi/shop 1/b1/session")
            assert not listener.on("denchi/shop 1/b1/meter/state")


@pytest.mark.servers
def test_a_broker_that_goes_and_comes_back_with_nothing_in_mind(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "m.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    command = [binary("mosquitto"), "-c", str(config)]
    with Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        instrument = begin(journal)
        output = _output(journal, tmp_path / "d", port, seconds=True, timeout_s=2)
        first = _now_block(300)
        # Right behind it, however soon the broker is back: the journal takes no stamp twice.
        later = fnirsi_like(100, int(first.t_ns[-1]) + 10_000_000)
        with Running(output) as run:
            journal.append(instrument, first)
            journal.flush()
            run.until(lambda s: s.state == "waiting" and "127.0.0.1" in s.last_error)
            with running(command, f"127.0.0.1:{port}", tmp_path), listening(port) as listener:
                listener.until("denchi/shop 1/b1/meter/second", 2)
            with running(command, f"127.0.0.1:{port}", tmp_path), listening(port) as listener:
                journal.append(instrument, later)
                journal.end_session("s1", int(later.t_ns[-1]) + 1, None)
                journal.flush()
                listener.until("denchi/shop 1/b1/session")
                run.until(lambda s: s.delivered == 400)
                assert [t for t, _, _ in listener.heard if t.startswith("homeassistant/")]
                assert "online" in listener.on("denchi/shop 1/status")


@pytest.mark.servers
def test_a_wrong_password_is_said_and_keeps_the_data(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    tool = binary("mosquitto_passwd")
    subprocess.run([tool, "-b", "-c", str(passwords), "writer", "right"], check=True)
    passwords.chmod(0o644)
    port = free_port()
    config = tmp_path / "m.conf"
    config.write_text(
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\npersistence false\n"
    )
    secret = tmp_path / "secret"
    secret.write_text("wrong")
    command = [binary("mosquitto"), "-c", str(config)]
    with (
        running(command, f"127.0.0.1:{port}", tmp_path),
        Journal.open(tmp_path / "d", reserve_mb=0) as journal,
    ):
        journal.append(begin(journal), _now_block(200))
        journal.end_session("s1", time.time_ns(), None)
        journal.flush()
        login = {"user": "writer", "password_file": str(secret)}
        told = str(_output(journal, tmp_path / "d", port, **login).check())
        assert "check user and password_file" in told
        assert "wrong" not in told
        secret.write_text("right")
        assert _output(journal, tmp_path / "d", port, **login).check() is None
        with Running(_output(journal, tmp_path / "d", port, **login)) as run:
            run.until(lambda s: s.delivered == 200)


def test_names_cannot_break_out_of_their_topic() -> None:
    assert part("a/b+c#d") == "a_b_c_d"
    assert part("") == part("  ") == part("$") == "-"
    assert part("$SYS") == "SYS"
    assert identifier("denchi", "x y", "ü/é") == "denchi_x_y"


@pytest.mark.parametrize("prefix", ["a/#", "/a", "a/", "a\tb", "+"])
def test_a_prefix_that_is_no_topic_is_refused(prefix: str) -> None:
    from denchi.errors import ConfigError

    with pytest.raises(ConfigError, match="wildcards"):
        registry.configure("x", {"kind": "mqtt", "prefix": prefix})
