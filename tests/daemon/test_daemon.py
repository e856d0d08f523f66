"""The daemon as a process: the whole path, its socket, its end, and everything it must start without."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from daemon.conftest import DEMO
from denchi.daemon import endpoint
from denchi.daemon.client import SyncClient
from denchi.errors import ApiError
from denchi.store.reader import JournalReader


def first_bench(state):
    return state["benches"][0] if state["benches"] else None


def streaming(state):
    bench = first_bench(state)
    return bench if bench and bench["session"] and bench["session"]["samples"] > 100 else None


def test_the_whole_path_from_emulated_meter_to_api(daemon):
    one = daemon("--bench", DEMO)
    bench = one.wait_for(streaming)
    state = one.client().get("/v1/state")
    assert state["simulated"]
    assert bench["origin"] == "simulated"
    assert bench["meter"]["key"] == "fnb58"
    assert "emulated" in json.dumps(bench["meter"]).lower()
    assert 4.0 < bench["live"]["channels"]["vbus_uv"]["value"] < 6.0
    assert bench["live"]["channels"]["temp_mc.meter"]["place"] == "meter"
    assert state["journal"]["degraded"] is None
    assert bench["verdict"]["verdict"] != "no_anomaly_seen", "a short look earns nothing"


def test_the_socket_is_private_and_nothing_else_listens(daemon):
    one = daemon("--bench", DEMO)
    one.wait_for(streaming)
    where = endpoint.read(one.data_dir)
    assert where is not None
    assert where.socket
    assert stat.S_IMODE(Path(where.socket).stat().st_mode) == 0o600
    family = [
        one.process.pid,
        *(c.pid for c in psutil.Process(one.process.pid).children(recursive=True)),
    ]
    listening = [c for c in psutil.net_connections("inet") if c.pid in family]
    print(f"inet sockets of the daemon and its children: {len(listening)}")
    assert listening == []


def test_sigterm_ends_soon_with_everything_in_the_journal(daemon):
    one = daemon("--bench", DEMO)
    bench = one.wait_for(streaming)
    began = time.monotonic()
    assert one.stop() == 0
    print(f"SIGTERM to end: {time.monotonic() - began:.2f} s")
    assert endpoint.read(one.data_dir) is None
    out = subprocess.run(
        [
            sys.executable,
            "-m",
            "denchi.cli.main",
            "sessions",
            "--json",
            "--data-dir",
            str(one.data_dir),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    line = json.loads(out.splitlines()[-1])
    assert line["id"] == bench["session"]["id"]
    assert line["samples"] >= bench["session"]["samples"]
    assert line["ended"] is not None
    assert line["origin"] == "simulated"


def test_a_second_daemon_on_the_same_directory_is_refused_with_the_reason(daemon):
    one = daemon()
    one.up()
    two = subprocess.run(
        [sys.executable, "-m", "denchi.cli.main", "run", "--data-dir", str(one.data_dir)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert two.returncode == 1
    last = two.stderr.strip().splitlines()[-1]
    assert last.startswith("denchi: ")
    assert str(one.process.pid) in last or "another" in last.lower()


def test_it_starts_with_nothing_attached_and_says_what_it_looks_for(daemon):
    one = daemon()
    state = one.up().get("/v1/state")
    assert state["benches"] == []
    assert any("FNIRSI" in text for text in state["waiting"]["looked_for"])


def test_an_unwritable_data_directory_is_one_line_with_the_cure(tmp_path):
    place = tmp_path / "file"
    place.write_text("not a directory")
    done = subprocess.run(
        [sys.executable, "-m", "denchi.cli.main", "run", "--data-dir", str(place / "data")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_configuration_stops_it_with_file_line_and_key(daemon, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[journal]\ncomit_ms = 3\n")
    one = daemon("--config", str(path))
    assert one.process.wait(timeout=30) == 1
    text = one.log.read_text()
    assert f"{path}, line 2" in text
    assert "commit_ms" in text
    assert "Traceback" not in text


def test_a_listener_needs_a_token_and_the_token_is_checked(daemon, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('[api]\nlisten = "127.0.0.1:0"\n')
    refused = daemon("--config", str(config), name="refused")
    assert refused.process.wait(timeout=30) == 1
    assert "token" in refused.log.read_text()
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    config.write_text(f'[api]\nlisten = "127.0.0.1:0"\ntoken_file = "{token}"\n')
    one = daemon("--config", str(config))
    one.up()
    bound = [
        c.laddr
        for c in psutil.net_connections("inet")
        if c.pid == one.process.pid and c.status == psutil.CONN_LISTEN
    ]
    assert [address.ip for address in bound] == ["127.0.0.1"]
    port = bound[0].port
    at = lambda token: endpoint.Endpoint(1, url=f"http://127.0.0.1:{port}", token=token)
    for token in ("wrong", "s3cre", "s3cret2", ""):
        with SyncClient(at(token)) as stranger, pytest.raises(ApiError, match="token"):
            stranger.get("/v1/ping")
    with SyncClient(at("wrong")) as stranger, pytest.raises(ApiError, match="token"):
        stranger.get("/v1/state")
    with SyncClient(at("s3cret")) as client:
        assert client.get("/v1/ping") == {"denchi": 1}


def test_bad_requests_are_answered_in_one_line_and_harm_nothing(daemon):
    one = daemon("--bench", DEMO)
    one.wait_for(streaming)
    client = one.client()
    for method, path, body in [
        ("POST", "/v1/benches/none/session", {}),
        ("PUT", "/v1/benches/demo/unit", {"rated_mah": "many"}),
        ("PUT", "/v1/benches/demo/unit", {"colour_of_sky": "blue"}),
        ("POST", "/v1/benches/demo/answers", {"in_sun": "perhaps"}),
        ("POST", "/v1/benches/demo/session", {"profile": "no such profile"}),
        ("POST", "/v1/benches/demo/screening", {"profile": "quick"}),
        ("GET", "/v1/sessions/none", None),
        ("DELETE", "/v1/sessions/none", None),
    ]:
        with pytest.raises(ApiError) as caught:
            client.request(method, path, json=body)
        assert "\n" not in str(caught.value)
    assert streaming(client.get("/v1/state"))
    assert "Traceback" not in one.log.read_text()


def test_the_unit_is_checked_against_the_lists_at_once(daemon):
    one = daemon("--bench", DEMO)
    one.wait_for(streaming)
    client = one.client()
    client.request(
        "PUT",
        "/v1/benches/demo/unit",
        json={"brand": "Anker", "model": "A1263", "serial": "TEST1234567"},
    )
    bench = first_bench(client.get("/v1/state"))
    assert bench["recall"]["status"] == "check_serial"
    assert bench["verdict"]["verdict"] in ("caution", "stop_using")
    assert "TEST1234567" not in one.log.read_text()
    # A symptom needs no label: what to do is told before the lists are.
    alone = client.get("/v1/recall", symptom="swelling")
    assert alone["symptom"]
    assert alone["safety"]
    assert "stop using" in alone["message"].lower()
    one.stop()
    with JournalReader(one.data_dir) as reader:
        # Outputs send the state of the lists as a measurement: it stands in the journal, without a serial.
        events = reader.events(bench["session"]["id"], "recall")
    assert [dict(e.data) for e in events][-1] == {"status": "check_serial", "level": 3}


def test_a_session_begun_when_stamps_are_ahead_of_the_wall_clock_is_measured_at_once(daemon):
    """A time lapse runs ahead of the wall clock, as stamps do when a wrong clock is put back."""
    one = daemon("--bench", f"{DEMO}&speed=8", "--speed", "8")
    ahead_s = 10.0
    one.wait_for(lambda s: streaming(s) and first_bench(s)["session"]["duration_s"] > ahead_s)
    one.client().post("/v1/benches/demo/session", {"unit": {"model": "next"}})
    state = one.wait_for(
        lambda s: first_bench(s)["session"]["unit"] == "next" and streaming(s) and s
    )
    bench = first_bench(state)
    measured_s = (bench["live"]["t_ns"] - bench["session"]["started_ns"]) / 1e9
    print(f"measured {measured_s:.1f} s of the first {bench['session']['duration_s']:.1f} s")
    old = one.client().get("/v1/sessions")["sessions"][1]
    assert bench["session"]["started"] >= old["ended"]
    grown = one.wait_for(
        lambda s: (first_bench(s)["session"]["duration_s"] > 6.0) and first_bench(s)
    )
    assert grown["live"]["t_ns"] - grown["session"]["started_ns"] > 3e9


def test_a_session_is_pinned_through_the_daemon(daemon):
    one = daemon("--bench", DEMO)
    id_ = one.wait_for(streaming)["session"]["id"]
    command = [sys.executable, "-m", "denchi.cli.main", "sessions", "pin", id_]
    for options, wanted in (([], True), (["--off"], False)):
        subprocess.run(
            [*command, *options, "--data-dir", str(one.data_dir)], check=True, timeout=60
        )
        one.wait_for(lambda s, w=wanted: one.client().get(f"/v1/sessions/{id_}")["pinned"] is w)
    with pytest.raises(ApiError):
        one.client().request("PUT", f"/v1/sessions/{id_}/pin", json={"pinned": "yes"})


def test_the_stream_carries_blocks_and_states(daemon):
    one = daemon("--bench", DEMO)
    one.wait_for(streaming)
    kinds = set()
    for message in one.client().lines("/v1/stream", max_hz=5):
        kinds.add(message["type"])
        if {"state", "block"} <= kinds:
            break
    assert {"state", "block"} <= kinds


def test_a_private_daemon_ends_with_its_parent(tmp_path):
    from denchi.daemon.child import ChildDaemon

    child = ChildDaemon(tmp_path / "data", None, ["--bench", DEMO])
    with child:
        assert child.alive()
        process = child._process
    assert process is not None
    assert process.poll() == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_limits_are_reloaded_without_a_restart(daemon, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("")
    one = daemon("--config", str(config), "--bench", DEMO)
    before = one.wait_for(streaming)
    config.write_text("[journal]\ncomit_ms = 3\n")
    one.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 10
    while "not reloaded" not in one.log.read_text() and time.monotonic() < end:
        time.sleep(0.1)
    assert "not reloaded" in one.log.read_text()
    after = one.wait_for(streaming)
    assert after["session"]["id"] == before["session"]["id"]
