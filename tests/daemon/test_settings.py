"""What a configuration names must exist: told with file and line before a meter has to wait for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from daemon.conftest import DEMO
from denchi.clock import FakeClock
from denchi.daemon.renewal import AGAIN_NS, DAY_NS, Renewal


def denchi(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "denchi.cli.main", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False, env=os.environ | env,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[limits]\ncase_cautoin_c = 40.0\n", ("line 2", "case_caution_c")),
        ('[bench.a]\nprofile = "wach"\n', ("wach", "watch")),
        (
            '[output.x]\nkind = "influxdb"\nbucket = "b"\nurll = "http://127.0.0.1:9"\n',
            ("line 4", "'url'"),
        ),
    ],
)
def test_validate_says_where_and_what_was_meant(tmp_path, text, parts):
    path = tmp_path / "config.toml"
    path.write_text(text)
    done = denchi("config", "validate", "--config", path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    for part in parts:
        assert part in done.stderr


def test_a_wrong_limit_stops_the_start_and_not_each_session(daemon, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("[limits]\nno_such_limit = 1.0\n")
    one = daemon("--config", str(config), "--bench", DEMO)
    assert one.process.wait(timeout=60) == 1
    assert "no_such_limit" in one.log.read_text()
    assert f"{config}, line 2" in one.log.read_text()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_new_limit_judges_the_running_session(daemon, tmp_path):
    """The demo's bank never reaches the built-in limit of heat; after a reload with one far below, it is told."""
    config = tmp_path / "config.toml"
    config.write_text("")
    bench = ["--bench", DEMO, "--probe", "demo.case=emulated:denchi-board?scenario=demo"]
    one = daemon("--config", str(config), *bench)
    hot = lambda s: [f for f in s["benches"][0]["findings"] if f["code"] == "over_temperature"]
    before = one.wait_for(
        lambda s: (
            s["benches"]
            and s["benches"][0]["session"]
            and s["benches"][0]["session"]["samples"] > 200
            and s
        )
    )
    assert hot(before) == []
    config.write_text("[limits]\ncase_caution_c = 5.0\ncase_danger_c = 6.0\n")
    one.process.send_signal(signal.SIGHUP)
    found = one.wait_for(hot, 60)
    after = one.client().get("/v1/state")["benches"][0]
    assert after["session"]["id"] == before["benches"][0]["session"]["id"], (
        "no restart, the same session"
    )
    assert "6" in json.dumps(found[0]["limit"]) or "5" in json.dumps(found[0]["limit"])


def test_lists_are_fetched_when_they_are_as_old_as_wanted(tmp_path):
    clock, asked = FakeClock(wall_ns=time.time_ns()), []
    days = None

    def fetch(data_dir):
        asked.append(clock.wall_ns())
        return True

    renewal = Renewal(tmp_path, lambda: days, fetch, clock)
    renewal.step()
    assert asked == [], "never asked for: never fetched"
    days = 7.0
    renewal.step()
    assert len(asked) == 1
    (tmp_path / "recalls").mkdir()
    (tmp_path / "recalls" / "feed.json").write_text("{}")
    clock.advance(6.9 * DAY_NS / 1e9)
    renewal.step()
    assert len(asked) == 1
    clock.advance(0.2 * DAY_NS / 1e9)
    renewal.step()
    renewal.step()
    assert len(asked) == 2, "due, and not again within the hour"
    clock.advance(AGAIN_NS / 1e9 + 1)
    renewal.step()
    assert len(asked) == 3, "the files are as old as before: a feed failed, it is tried again"
