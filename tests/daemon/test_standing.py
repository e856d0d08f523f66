"""An alarm stands until a person acknowledges it: after its episode, its session, and the daemon's restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from denchi.config import BenchConfig, Settings
from denchi.daemon.standing import MOST
from denchi.daemon.supervisor import Supervisor
from denchi.i18n import Text
from denchi.model import Finding, Origin, Severity
from denchi.store.journal import Journal

NS = 1_000_000_000


def finding(severity: Severity, t_s: int = 0, **more: str) -> Finding:
    at = 1_790_000_000 * NS + t_s * NS
    return Finding(
        more.pop("code", "vbus_sag"),
        "electrical",
        severity,
        at,
        at,
        Text("seen"),
        Text("do"),
        **more,
    )


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path, reserve_mb=0, commit_ms=10) as opened:
        yield opened


def desk(journal: Journal, tmp_path: Path, origin: Origin = "meter"):
    """A supervisor with one bench on which a session runs; its threads are not started."""
    supervisor = Supervisor(Settings(), tmp_path, journal)
    bench = supervisor._bench("b", BenchConfig(), origin=origin)
    bench.begin_session()
    return supervisor, bench


def raise_(bench, *found: Finding) -> None:
    pipe = bench._pipe
    bench._publish_findings(pipe, pipe.keep(list(found)))


def standing(supervisor: Supervisor) -> list[str]:
    return [line["code"] for line in supervisor.state()["alarms"]]


def test_it_outlives_its_episode_its_session_and_a_restart(journal, tmp_path):
    supervisor, bench = desk(journal, tmp_path)
    raise_(
        bench,
        finding(Severity.CAUTION),
        finding(Severity.INFO, 1, code="sag_over", ends="vbus_sag"),
    )
    assert standing(supervisor) == ["vbus_sag"]
    bench.begin_session()
    assert bench.state()["findings"] == []
    assert standing(supervisor) == ["vbus_sag"]
    bench.stop()
    journal.flush()
    again, other = desk(journal, tmp_path)
    (line,) = again.state()["alarms"]
    assert (line["code"], line["bench"], line["acknowledged"]) == ("vbus_sag", "b", False)
    assert again.acknowledge(line["id"])
    assert not again.acknowledge(line["id"])
    other.stop()
    journal.flush()
    last, third = desk(journal, tmp_path)
    assert standing(last) == []
    third.stop()


def test_acknowledged_it_is_marked_on_its_bench_and_stands_no_more(journal, tmp_path):
    supervisor, bench = desk(journal, tmp_path)
    raise_(bench, finding(Severity.DANGER), finding(Severity.CAUTION, 1, code="dropout"))
    danger = supervisor.state()["alarms"][0]
    assert supervisor.acknowledge(danger["id"])
    assert standing(supervisor) == ["dropout"]
    told = {f["code"]: f["acknowledged"] for f in bench.state()["findings"]}
    assert told == {"vbus_sag": True, "dropout": False}
    bench.stop()


def test_a_danger_is_not_crowded_out(journal, tmp_path):
    supervisor, bench = desk(journal, tmp_path)
    raise_(bench, finding(Severity.DANGER, code="over_temperature"))
    for i in range(MOST + 20):
        raise_(bench, finding(Severity.CAUTION, i + 1))
    codes = standing(supervisor)
    assert len(codes) == MOST
    assert codes[0] == "over_temperature"
    bench.stop()
    journal.flush()
    again, other = desk(journal, tmp_path)
    assert len(standing(again)) == MOST
    assert "over_temperature" in standing(again)
    other.stop()


def test_what_was_simulated_does_not_come_back(journal, tmp_path):
    _supervisor, bench = desk(journal, tmp_path, origin="simulated")
    raise_(bench, finding(Severity.DANGER))
    bench.stop()
    journal.flush()
    again, other = desk(journal, tmp_path)
    assert standing(again) == []
    other.stop()


def test_a_deleted_session_takes_its_alarms_along(journal, tmp_path):
    supervisor, bench = desk(journal, tmp_path)
    raise_(bench, finding(Severity.DANGER))
    old = bench.session.id
    bench.begin_session()
    raise_(bench, finding(Severity.CAUTION, code="dropout"))
    supervisor.delete_session(old)
    assert standing(supervisor) == ["dropout"]
    bench.stop()
