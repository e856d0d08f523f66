"""Over-temperature is told within a second of the frame that confirms it, with the disk full and the database away."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from daemon.conftest import Daemon
from faults.figures import record
from faults.test_disk import fill, small_disk

pytestmark = pytest.mark.faults
LIMIT_C = 60.0
SPEED = 4

CONFIG = """
[journal]
reserve_mb = 1
[output.away]
kind = "influxdb"
url = "http://127.0.0.1:9"
version = 1
database = "denchi"
"""


def test_over_temperature_with_disk_full_and_database_away(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    options = f"scenario=hot&speed={SPEED}"
    with small_disk(tmp_path / "disk", 24) as disk:
        daemon = Daemon(
            disk / "d", "--config", str(config), "--speed", str(SPEED), "--deliver",
            "--bench", f"demo=emulated:fnb58?{options}",
            "--probe", f"demo.case=emulated:denchi-board?{options}",
        )  # fmt: skip
        try:
            client = daemon.up()
            told, degraded, told_s = None, None, 0.0
            heard: list[tuple[float, int, float]] = []
            fill(disk / "filler")
            deadline = time.monotonic() + 120
            for message in client.lines("/v1/stream", max_hz=1000):
                assert time.monotonic() < deadline, "the bank never became hot"
                if message["type"] == "block" and message["role"] == "case":
                    values = [v for v in message["columns"].get("temp_mc.case") or [] if v]
                    heard.append((time.monotonic(), message["t_ns"][-1], max(values, default=0.0)))
                elif message["type"] == "state":
                    degraded = message["journal"]["degraded"] or degraded
                elif (
                    message["type"] == "finding"
                    and message["code"] == "over_temperature"
                    and message["severity"] == "danger"
                ):
                    told, told_s = message, time.monotonic()
                if told is not None and heard and heard[-1][1] >= told["t_ns"]:
                    break
        finally:
            daemon.stop()
    assert told is not None
    assert told["measured"]["temperature"]["value"] >= LIMIT_C
    # The finding's stamp is that of the confirming sample: how much later than its block was it heard?
    frame_s = next(at for at, t_ns, _ in heard if t_ns >= told["t_ns"])
    late_s = max(0.0, told_s - frame_s)
    cooler = [top for at, t_ns, top in heard if t_ns < told["t_ns"] - 4 * SPEED * 10**9]
    record(
        "over-temperature, disk full and database away",
        "≤ 1 s from the frame that confirms it",
        f"{late_s * 1000:.0f} ms after the block of that frame (journal: {degraded})",
        late_s <= 1.0,
    )
    assert degraded == "disk_full"
    assert max(cooler) < LIMIT_C + 0.5, "it was hot long before it was told"
