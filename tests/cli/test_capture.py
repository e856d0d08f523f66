"""`denchi capture`: both directions to a file that decodes and replays; Ctrl-C leaves a whole file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from denchi_protocol import capture
from denchi_protocol.codec import SampleBlock
from denchi_protocol.playback import events

DENCHI = [sys.executable, "-m", "denchi.cli.main"]


def denchi(*arguments):
    return subprocess.run(
        [*DENCHI, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def read(path):
    with path.open(encoding="utf-8") as stream:
        return capture.read(stream)


@pytest.mark.parametrize(
    "key", ["fnb58", *(pytest.param(k, marks=pytest.mark.slow) for k in ("um25c", "dl24", "jbd"))]
)
def test_a_capture_decodes_and_replays(key, tmp_path):
    """What was understood live is what decode and replay understand of the file."""
    path = tmp_path / "one.jsonl"
    done = denchi("capture", f"emulated:{key}", "--for", "3s", "-o", str(path), "--note", "a test")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    whole = read(path)
    assert whole.header.meter == key
    assert whole.header.synthetic
    assert whole.header.extra["note"] == "a test"
    assert {c.direction for c in whole.chunks} == {"rx", "tx"}
    times = [c.t_ns for c in whole.chunks]
    assert times == sorted(times)
    understood = int(done.stderr.split(" samples understood")[0].rsplit(" ", 1)[1])
    assert understood > 0
    decoded = denchi("decode", str(path), "--json")
    assert decoded.returncode == 0, decoded.stderr
    lines = [json.loads(line) for line in decoded.stdout.splitlines()]
    measured = [
        line for line in lines
        if any(line.get(k) is not None for k in ("vbus_v", "pack_v", "cells_v"))
    ]  # fmt: skip
    # The end of the drain is recorded and not counted.
    assert understood <= len(measured) <= understood + 8
    replayed = denchi("replay", str(path), "--json")
    assert replayed.returncode in (0, 3, 4, 5), replayed.stderr
    assert json.loads(replayed.stdout.splitlines()[-1])["summary"]["rows"] > 0


def test_ctrl_c_ends_cleanly_with_a_whole_file(tmp_path):
    path = tmp_path / "two.jsonl"
    child = subprocess.Popen(
        [*DENCHI, "capture", "emulated:fnb58", "-o", str(path)], stderr=subprocess.PIPE, text=True
    )
    for _ in range(600):
        if path.exists() and path.stat().st_size > 3000:
            break
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 0, said
    assert "bytes from the meter" in said
    assert path.read_text().endswith("\n")
    whole = read(path)
    assert any(isinstance(e, SampleBlock) for es in events(whole_codec(), whole.chunks) for e in es)


def whole_codec():
    from denchi.drivers import registry

    return registry.get("fnb58").codec()


def test_to_standard_output_and_never_over_a_file(tmp_path):
    done = denchi("capture", "emulated:yzx", "--for", "1s")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["meter"] == "yzx"
    path = tmp_path / "kept.jsonl"
    path.write_text("mine")
    done = denchi("capture", "emulated:yzx", "--for", "1s", "-o", str(path))
    assert done.returncode == 2
    assert path.read_text() == "mine"


def test_what_cannot_be_captured_is_one_line(tmp_path):
    for place, said in (("serial:/dev/nothing", "which meter"), ("emulated:fnb59", "fnb5")):
        done = denchi("capture", place, "--for", "1s", "-o", str(tmp_path / "x"))
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not (tmp_path / "x").exists()
