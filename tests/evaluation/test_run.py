"""The evaluation's runner: small, but through the real gate and engine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from denchi.simulation import record

RUN = Path(__file__).parent / "run.py"
START_NS = 1_750_000_000_000_000_000


@pytest.fixture
def baseline(monkeypatch):
    monkeypatch.syspath_prepend(str(RUN.parent))
    import baseline

    return baseline


@pytest.mark.parametrize(
    ("name", "hours", "codes"),
    [
        ("healthy", 0.5, set()),
        ("demo", 0.5, {"fixed_drop"}),
        ("sag", 0.2, {"fixed_low"}),
        ("hot", 0.2, {"fixed_hot", "fixed_rise"}),
    ],
)
def test_fixed_thresholds_find_what_is_plain_to_see(baseline, name, hours, codes):
    made = record(name, 1, hours, start_ns=START_NS)
    assert {f.code for f in baseline.found(made.block, START_NS, probe=True)} == codes
    blind = baseline.found(made.block, START_NS, probe=False)
    assert {f.code for f in blind} == codes - {"fixed_hot", "fixed_rise"}


@pytest.mark.slow
def test_two_sessions_are_judged_printed_and_written(tmp_path):
    out = tmp_path / "outcomes.jsonl"
    command = [sys.executable, str(RUN), "--seeds", "tune", "--sessions", "2", "--trade", "1",
               "--factors", "1,2", "--processes", "2", "--json", str(out)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("SIMULATED. 2 sessions")
    for words in ("With a case probe", "Without a case probe", "Trade-off", "Fixed thresholds"):
        assert words in done.stdout
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    ways = {(line["seed"], line["probe"], line["factor"]) for line in lines}
    first, second = 1_000_000, 1_000_001
    assert ways == {
        *((s, p, f) for s in (first, second) for p, f in ((True, 1.0), (False, 1.0), (True, 0.0))),
        (first, True, 2.0),
    }
