"""Delivery against a server that misbehaves: nothing lost, nothing altered, in order, neighbours go through."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from denchi.outputs.influx.output import classify, named_lines, retry_after
from denchi.store.journal import Journal
from faults.figures import record
from outputs.fault_server import Fault, FaultServer, fault_server
from outputs.helpers import Pauses, Running, influx
from store.helpers import begin, fnirsi_like

VERSIONS = [
    {"version": 2, "bucket": "b", "org": "o"},
    {"version": 1, "database": "d"},
    {"version": 3, "bucket": "b"},
]


def _fill(journal: Journal, n: int) -> dict[int, float]:
    """``n`` samples in an ended session; {stamp: volts}."""
    block = fnirsi_like(n)
    instrument = begin(journal)
    for piece in block.split(500):
        journal.append(instrument, piece, wait=True)
    journal.end_session("s1", int(block.t_ns[-1]) + 1, None)
    assert journal.flush(60)
    return dict(zip(block.t_ns.tolist(), block.vbus_v().tolist(), strict=True))


def _deliver(
    tmp_path: Path, server: FaultServer, n: int, pauses: Pauses, **config: Any
) -> tuple[dict[int, float], Any]:
    with Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        expected = _fill(journal, n)
        output = influx(journal, tmp_path / "d", url=server.url, wait=pauses, **config)
        with Running(output) as run:
            run.until(lambda s: s.delivered >= n and s.state == "idle")
        return expected, output.state()


@pytest.mark.parametrize("version", VERSIONS, ids=["v2", "v1", "v3"])
@pytest.mark.parametrize("kind", ["lost_ack", "cut", "drip", "garbage"])
def test_a_lost_or_late_acknowledgement(tmp_path: Path, kind: str, version: dict[str, Any]) -> None:
    pauses = Pauses()
    with fault_server() as server:
        server.faults.extend(Fault(kind) for _ in range(3))
        expected, state = _deliver(tmp_path, server, 3000, pauses, batch=1000, **version)
        assert server.column("vbus_v") == expected
        assert server.changed == 0, "a rewrite repeats what is there"
        assert state.quarantined == 0
        if kind in ("lost_ack", "garbage"):
            assert server.rewritten >= 3000, "the fault happened: batches came twice"
        first_seen = list(dict.fromkeys(t for head, t in server.arrivals if "sample" in head))
        assert first_seen == sorted(first_seen), "in order"
    if kind == "lost_ack":
        record(
            f"retries after lost acknowledgements (v{version['version']})",
            "0 duplicates, 0 reorderings",
            f"3 of 6 answers lost: {len(expected)} points stored once, 0 altered, in order",
            server.changed == 0,
        )


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    pauses = Pauses()
    with fault_server() as server:
        server.faults.append(Fault("stall", body="1.5"))
        expected, _ = _deliver(tmp_path, server, 500, pauses, bucket="b", timeout_s=0.2)
        assert server.column("vbus_v") == expected
    assert pauses.waited, "it was away, and tried again"


@pytest.mark.parametrize("version", VERSIONS, ids=["v2", "v1", "v3"])
def test_retry_after_is_honoured(tmp_path: Path, version: dict[str, Any]) -> None:
    pauses = Pauses()
    with fault_server() as server:
        server.faults.append(Fault("status", 503, {"Retry-After": "7"}))
        server.faults.append(Fault("status", 429, {"Retry-After": "41"}))
        expected, _ = _deliver(tmp_path, server, 300, pauses, **version)
        assert server.column("vbus_v") == expected
    long = [p for p in pauses.waited if p > 2]
    assert len(long) == 2
    assert 7 <= long[0] < 8
    assert 41 <= long[1] < 42


def test_back_off_grows_has_jitter_and_never_ends(tmp_path: Path) -> None:
    pauses = Pauses()
    with fault_server() as server:
        server.faults.extend(Fault("status", 503) for _ in range(60))
        expected, _ = _deliver(tmp_path, server, 100, pauses, bucket="b")
        assert server.column("vbus_v") == expected
    tries = pauses.waited[:60]
    assert 0.5 <= tries[0] <= 1.0
    assert all(30 <= p <= 60 for p in tries[10:])
    assert len(set(tries[10:])) > 40, "jitter: stations do not come back in step"


@pytest.mark.parametrize(
    ("status", "says"), [(401, "token or user"), (403, "right to write"), (404, "check bucket")]
)
def test_wrong_settings_keep_the_data_and_say_what_to_fix(
    tmp_path: Path, status: int, says: str
) -> None:
    with fault_server() as server, Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        server.faults.extend(Fault("status", status, body='{"message":"no"}') for _ in range(50))
        expected = _fill(journal, 400)
        output = influx(journal, tmp_path / "d", url=server.url, bucket="b", wait=Pauses())
        with Running(output) as run:
            state = run.until(lambda s: s.state == "waiting" and bool(s.last_error))
            assert says in state.last_error
            assert state.quarantined == 0
            server.faults.clear()
            state = run.until(lambda s: s.delivered == 400 and s.state == "idle")
            assert state.last_error == ""
        assert server.column("vbus_v") == expected
        assert state.quarantined == 0


@pytest.mark.parametrize("partial", ["v2", "v3", "all"])
@pytest.mark.parametrize("version", VERSIONS, ids=["v2", "v1", "v3"])
def test_a_poison_line_in_five_thousand(
    tmp_path: Path, partial: str, version: dict[str, Any]
) -> None:
    pauses = Pauses()
    poison = str(int(fnirsi_like(5000).t_ns[1234]))
    with fault_server() as server:
        server.partial, server.bad = partial, lambda line: line.endswith(poison)
        expected, state = _deliver(tmp_path, server, 5000, pauses, batch=5000, **version)
        assert expected.pop(int(poison)) is not None
        assert server.column("vbus_v") == expected
        assert state.quarantined == 1
        assert server.changed == 0
        sends = len(server.requests)
    text = (tmp_path / "d" / "outputs" / "tsdb.quarantine").read_text()
    assert text.count("\ndenchi_sample") == 1
    assert poison in text
    if version["version"] == 2:
        record(
            f"one bad line in 5,000 ({partial})",
            "never blocks or loses its neighbours; set aside, counted",
            f"4,999 stored, 1 set aside, {sends} writes",
            state.quarantined == 1,
        )


def test_more_bad_lines_than_a_list_holds(tmp_path: Path) -> None:
    """v3 names at most 100 lines; the others are found by the next answers."""
    bad = {str(int(t)) for t in fnirsi_like(2000).t_ns[::5]}
    with fault_server() as server:
        server.partial, server.bad = "v3", lambda line: line.rsplit(" ", 1)[1] in bad
        expected, state = _deliver(tmp_path, server, 2000, Pauses(), bucket="b", version=3)
        assert state.quarantined == len(bad) == 400
        assert len(server.column("vbus_v")) == 1600
        assert set(server.column("vbus_v")) == {t for t in expected if str(t) not in bad}


def test_every_line_outside_retention(tmp_path: Path) -> None:
    with fault_server() as server:
        server.bad = lambda line: line.startswith("denchi_sample")
        _, state = _deliver(tmp_path, server, 1000, Pauses(), bucket="b")
        assert state.quarantined == 1000
        assert server.column("vbus_v") == {}
        assert server.column("duration_s", "denchi_session"), "the record beside them is stored"


def test_too_large_is_cut_until_it_fits(tmp_path: Path) -> None:
    with fault_server() as server:
        server.max_lines = 130
        expected, state = _deliver(tmp_path, server, 3000, Pauses(), bucket="b", batch=3000)
        assert server.column("vbus_v") == expected
        assert state.quarantined == 0
        assert [t for head, t in server.arrivals if "sample" in head] == sorted(expected)


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """Stopped while the server refuses, and without a stored cursor: sent again, and nothing changes."""
    with fault_server() as server, Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        expected = _fill(journal, 4000)
        for n in (1000, 3000, 4000):
            output = influx(
                journal, tmp_path / "d", url=server.url, bucket="b", batch=500, wait=Pauses()
            )
            output._store = lambda **_: None  # type: ignore[method-assign]  # killed before it stored
            with Running(output) as run:
                run.until(lambda s, n=n: s.delivered >= n)
        assert server.column("vbus_v") == expected
        assert server.rewritten >= 4000
        assert server.changed == 0


def test_what_was_not_acknowledged_is_still_to_send_after_a_restart(tmp_path: Path) -> None:
    """The cursor that is stored never runs ahead of the server, however delivery ends."""
    with fault_server() as server, Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        expected = _fill(journal, 2000)
        make = lambda: influx(journal, tmp_path / "d", url=server.url, bucket="b", batch=500)
        server.faults.extend(Fault("status", 503) for _ in range(1000))
        for _ in range(2):  # stopped while the server is away, twice
            with Running(make()) as run:
                run.until(lambda s: s.state == "waiting")
                assert run.output.state().delivered == 0
        assert journal.flush(60)
        server.faults.clear()
        with Running(make()) as run:
            run.until(lambda s: s.delivered >= 2000 and s.state == "idle")
        assert server.column("vbus_v") == expected
        assert journal.flush(60)
        once_more, requests = make(), len(server.requests)
        once_more._load(threading.Event())
        once_more.step(threading.Event())
        assert len(server.requests) == requests, "an orderly end stores how far it came"


def test_stop_does_not_wait_for_a_server_that_is_away(tmp_path: Path) -> None:
    with fault_server() as server, Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        server.faults.extend(Fault("status", 503, {"Retry-After": "3600"}) for _ in range(5))
        _fill(journal, 10)
        output = influx(journal, tmp_path / "d", url=server.url, bucket="b")
        with Running(output) as run:  # waits for real here; its exit asserts that the thread ends
            run.until(lambda s: s.state == "waiting")
            stop: threading.Event = run.stop
            assert not stop.is_set()


def test_answers_are_read_as_they_are_meant() -> None:
    assert type(classify(413, "", {})).__name__ == "TooLarge"
    assert type(classify(500, "x", {})).__name__ == "Away"
    assert type(classify(422, "{}", {})).__name__ == "Refused"
    assert named_lines('{"data":{"line_number":3}}') == [2]
    assert named_lines('{"data":[{"line_number":"x"},{"line_number":0},5]}') is None
    assert named_lines("<html>") is None
    assert retry_after({"Retry-After": "12"}) == 12
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"}) == 0
