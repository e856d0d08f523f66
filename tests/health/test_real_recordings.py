"""The public recordings used in development raise nothing but what happened in them (docs/health.md names it)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "real_logs"
HAPPENED = {
    ("projectcharger_example_powerz_100hz.csv.gz", "dropout", "caution"),
    ("samsung30q_Q30_S001_3C.csv.gz", "over_temperature", "caution"),
}
"""The charger trips on overload; the surface of the bare cell at 3C reaches 54 degC."""


@pytest.mark.slow
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside this checkout")
def test_real_recordings_raise_only_what_happened() -> None:
    files = sorted(map(str, RECORDINGS.rglob("*.csv.gz")))
    assert len(files) >= 30
    command = [sys.executable, "-m", "denchi.cli.main", "replay", "--json", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum("summary" in line for line in lines) == len(files)
    alarms = {
        (Path(x["file"]).name, x["code"], x["severity"])
        for x in lines
        if x.get("severity") in ("caution", "danger")
    }
    assert alarms == HAPPENED
