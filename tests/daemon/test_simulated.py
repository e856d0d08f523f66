"""What is simulated leaves the machine only when it is told to: no output, no remote alarm, unless --deliver."""

from __future__ import annotations

import importlib.util

import pytest

from daemon.conftest import DEMO
from outputs.fault_server import fault_server
from outputs.test_alarms import _service

PROBE = ["--probe", "demo.case=emulated:denchi-board?scenario=demo"]
# The demo's bank is warmer than this at once: a danger that an alarm would be sent for.
LIMITS = "[limits]\ncase_caution_c = 5.0\ncase_danger_c = 6.0\n"


@pytest.mark.skipif(importlib.util.find_spec("apprise") is None, reason="needs apprise")
@pytest.mark.parametrize("deliver", [False, True], ids=["kept", "delivered"])
def test_simulated_data_goes_nowhere_unless_it_is_told_to(daemon, tmp_path, deliver):
    with fault_server() as server, _service() as (url, posted):
        urls = tmp_path / "urls"
        urls.write_text(url + "\n")
        config = tmp_path / "config.toml"
        config.write_text(
            f'{LIMITS}[alarm]\nurls_file = "{urls}"\n'
            f'[output.x]\nkind = "influxdb"\nbucket = "b"\nurl = "{server.url}"\n'
        )
        one = daemon(
            "--config", str(config), "--bench", DEMO, *PROBE, *(["--deliver"] if deliver else [])
        )
        told = lambda s: (
            s["benches"] and any(f["severity"] == "danger" for f in s["benches"][0]["findings"])
        )
        one.wait_for(lambda s: told(s) and s["benches"][0]["session"]["samples"] > 500 and s, 90)
        if deliver:
            one.wait_for(lambda s: s["outputs"][0]["delivered"] > 0, 60)
            one.wait_for(lambda s: posted, 60)
            assert server.column("vbus_v")
        else:
            # It has looked at the journal more than once by now, and is idle: nothing is for it.
            state = one.wait_for(lambda s: s["outputs"][0]["state"] == "idle" and s, 60)
            assert state["outputs"][0]["delivered"] == 0
        one.stop()
    if not deliver:
        assert server.column("vbus_v") == {}
        assert posted == []
