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


WRONG = """\
statoin = "x"
bench.desk.metter = "fnb58"
bench.desk.position = "sideways"
limits.sag_v = "x"

[output.influx]
kind = "influxdb"
url = "http://127.0.0.1:9"
tokn_file = "s3cret"

[journal]
commit_ms = -5
"""


def test_validate_tells_all_that_is_wrong_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(WRONG)
    done = denchi("config", "validate", path)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    for line, (number, *parts) in zip(
        lines,
        [
            (1, "'statoin'", "did you mean 'station'?"),
            (2, "'bench.desk.metter'", "did you mean 'meter'?"),
            (3, "bench.desk.position must be 'output', 'input' or 'cell', not 'sideways'"),
            (4, "limits.sag_v must be a number"),
            (12, "journal.commit_ms must be greater than or equal to 10, not -5"),
            (9, "'output.influx.tokn_file'", "did you mean 'token_file'?"),
        ],
        strict=True,
    ):
        assert f"{path}, line {number}:" in line
        for part in parts:
            assert part in line
    assert "s3cret" not in done.stderr
    # Who starts the daemon is told the first, and that there are more.
    started = denchi("run", "--config", path, "--data-dir", tmp_path / "data")
    assert started.returncode == 1
    (said,) = started.stderr.strip().splitlines()
    assert "line 1" in said
    assert "(and 4 more, `denchi config validate` tells all)" in said


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('[api]\nlisten = "0.0.0.0:9000"\n', "line 2: api.listen = '0.0.0.0:9000' without a token"),
        ('[api]\nlisten = "9000"\n', "line 2: api.listen must be host:port"),
        ("[[bench]]\n", "line 1: bench must be a table: begin it with [bench.NAME]"),
        ("api = 3\n", "line 1: api must be a table: begin it with [api]"),
        ("bench.desk = 3\n", "line 1: bench.desk must be a table: begin it with [bench.desk]"),
        ("output = 3\n", "line 1: output must be a table: begin it with [output.NAME]"),
        ('[output.a]\nkind = "influxdb"\n', "line 1: output.a: version 2 needs `bucket`: see docs"),
    ],
)
def test_what_would_refuse_the_start_is_told_by_validate(tmp_path, text, part):
    path = tmp_path / "config.toml"
    path.write_text(text)
    done = denchi("config", "validate", "--config", path)
    assert done.returncode == 1
    assert part in done.stderr


def test_a_wrong_value_of_the_environment_is_named_by_its_variable(tmp_path):
    done = denchi("config", "validate", DENCHI_JOURNAL__COMMIT_MS="soon")
    assert done.returncode == 1
    assert "environment DENCHI_JOURNAL__COMMIT_MS: journal.commit_ms must be a whole number" in (
        done.stderr
    )


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
