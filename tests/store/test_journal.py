from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from denchi.errors import StoreBusy, StoreError
from denchi.i18n import Text
from denchi.model import Finding, Gap, Measured, Session, Severity, Unit, Verdict
from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from denchi.store.rows import unit_key
from denchi_protocol.codec import PdMessage
from denchi_protocol.samples import SampleBlock, same
from store.helpers import NS, T0, begin, fnirsi_like, in_steps, numbered, numbers


def test_samples_come_back_as_they_went_in(tmp_path: Path) -> None:
    whole = fnirsi_like(5000)
    with Journal.open(tmp_path, commit_ms=10, seal_s=0.2) as journal:
        instrument = begin(journal)
        for block in whole.split(37):
            journal.append(instrument, block)
        assert journal.flush()
        with journal.reader() as reader:
            assert same(SampleBlock.concat(list(reader.blocks(instrument))), whole)
        with JournalReader(tmp_path) as reader:  # another process would read like this
            assert same(SampleBlock.concat(list(reader.blocks(instrument))), whole)
    with JournalReader(tmp_path) as reader:
        assert same(SampleBlock.concat(list(reader.blocks(instrument))), whole)
        middle = list(reader.blocks(instrument, int(whole.t_ns[100]), int(whole.t_ns[200])))
        assert same(SampleBlock.concat(middle), whole[100:200])


def test_a_reader_beside_the_writer_never_misses_or_doubles(tmp_path: Path) -> None:
    with Journal.open(tmp_path, commit_ms=10, seal_s=0.05) as journal:
        instrument = begin(journal)
        journal.flush()
        stop = threading.Event()
        problems: list[str] = []

        def read() -> None:
            while not stop.is_set():
                with JournalReader(tmp_path) as reader:
                    found = numbers(reader, instrument)
                if found != list(range(len(found))):
                    problems.append(f"{len(found)} samples, not counted through")

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for first, n in in_steps(6000, 20):
            journal.append(instrument, numbered(first, n))
            if first % 200 == 0:
                journal.flush()
        stop.set()
        for thread in threads:
            thread.join()
        assert problems == []
        journal.flush()
        with JournalReader(tmp_path) as reader:
            assert numbers(reader, instrument) == list(range(6000))


def test_a_second_writer_is_refused_with_the_reason(tmp_path: Path) -> None:
    with Journal.open(tmp_path), pytest.raises(StoreBusy, match=str(os.getpid())):
        Journal.open(tmp_path)
    Journal.open(tmp_path).close()
    other = "import sys; from denchi.store.journal import Journal; from pathlib import Path; Journal.open(Path(sys.argv[1]))"
    with Journal.open(tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", other, str(tmp_path)], capture_output=True, text=True
        )
    assert "StoreBusy" in done.stderr
    assert "--data-dir" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        Journal.open(tmp_path)


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Journal.open(tmp_path / "file")


def test_durability_is_set_and_not_assumed(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        con = journal._writer.database.con
        assert con is not None
        assert con.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert con.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert con.execute("PRAGMA auto_vacuum").fetchone()[0] == 2


def test_records_come_back(tmp_path: Path) -> None:
    finding = Finding(
        "case_hot",
        "thermal",
        Severity.DANGER,
        T0,
        T0 + NS,
        Text("The case is at {t} degC.", {"t": 71.5}),
        Text("Unplug it."),
        {"temp": Measured(71.5, "degC")},
        "60 degC",
        "a source",
        "case",
    )
    pd = PdMessage(T0, "SOP", b"\x61\x01", True)
    with Journal.open(tmp_path, commit_ms=10) as journal:
        instrument = begin(journal)
        first = journal.add_finding("s1", finding)
        second = journal.add_finding("s1", finding)
        assert first != second
        journal.ack_finding(second)
        journal.add_gap("s1", instrument, Gap(T0, None, "unplugged"))
        journal.add_gap("s1", instrument, Gap(T0, T0 + NS, "unplugged", 100))
        journal.add_gap("s1", None, Gap(T0 + 5 * NS, T0 + 6 * NS, "suspended"))
        for _ in range(5):
            journal.add_pd("s1", pd)
        journal.add_event("s1", T0, "contract", {"volts": 9})
        key = unit_key(Unit(brand="Brand", model="Model", serial="X1"))
        journal.add_unit_record(key, "s1", T0, {"wh": 30.5})
        journal.end_session("s1", T0 + 10 * NS, Verdict.STOP_USING, {"reasons": ["hot"]})
        journal.flush()
        with journal.reader() as reader:
            found = reader.findings("s1")
            assert [f.finding for f in found] == [finding, finding]
            assert [f.acknowledged for f in found] == [False, True]
            assert [g.gap for g in reader.gaps("s1")] == [
                Gap(T0, T0 + NS, "unplugged", 100),
                Gap(T0 + 5 * NS, T0 + 6 * NS, "suspended"),
            ]
            messages, after = reader.pd("s1", 0, 3)
            assert messages == [pd] * 3
            assert len(reader.pd("s1", after, 10)[0]) == 2
            stored = reader.session("s1")
            assert stored is not None
            assert stored.session.verdict is Verdict.STOP_USING
            assert stored.report == {"reasons": ["hot"]}
            assert stored.gaps == 2
            assert reader.events("s1")[0].data == {"volts": 9}
            assert [r.data for r in reader.unit_history(key)] == [{"wh": 30.5}]
            assert [u.unit.serial for u in reader.units()] == ["X1"]


def test_a_simulated_session_enters_no_units_history(tmp_path: Path) -> None:
    with Journal.open(tmp_path, commit_ms=10) as journal:
        begin(journal, origin="simulated")
        key = unit_key(Unit(brand="Brand", model="Model", serial="X1"))
        journal.add_unit_record(key, "s1", T0, {"wh": 30.5})
        journal.flush()
        with journal.reader() as reader:
            assert reader.unit_history(key) == []
            assert reader.units() == []


def test_sessions_are_listed_searched_and_deleted(tmp_path: Path) -> None:
    with Journal.open(tmp_path, commit_ms=10) as journal:
        for i in range(5):
            session = Session(
                f"s{i}",
                "meter",
                T0 + i,
                unit=Unit(brand="携帯" if i == 4 else "", model=f"P{i}%_x"),
            )
            journal.begin_session(session)
            number = journal.add_instrument(f"s{i}", "meter", key="fnb58", serial=f"M-{i}")
            journal.append(number, numbered(0, 10))
        journal.flush()
        with journal.reader() as reader:
            assert [s.session.id for s in reader.sessions(2)] == ["s4", "s3"]
            assert [s.session.id for s in reader.sessions(9, before="s3")] == ["s2", "s1", "s0"]
            assert [s.session.id for s in reader.sessions(search="P2%_")] == ["s2"]
            assert [s.session.id for s in reader.sessions(search="m-3")] == ["s3"], "its meter"
            assert len(reader.sessions(search="FNB58")) == 5
            assert [s.session.id for s in reader.sessions(search="携帯")] == ["s4"]
            assert reader.sessions(search="'; DROP TABLE session; --") == []
            assert all(s.samples == 10 for s in reader.sessions())
            journal.delete_session("s2")
            journal.flush()
            assert [s.session.id for s in reader.sessions()] == ["s4", "s3", "s1", "s0"]


def test_time_that_goes_back_is_dropped_and_counted(tmp_path: Path) -> None:
    with Journal.open(tmp_path, commit_ms=10) as journal:
        instrument = begin(journal)
        journal.append(instrument, numbered(0, 10))
        journal.flush()
        journal.append(instrument, numbered(5, 10))
        journal.flush()
        assert journal.state().lost_samples == 5
        journal.flush()
        with journal.reader() as reader:
            assert numbers(reader, instrument) == list(range(15))
            assert [g.gap.lost for g in reader.gaps("s1") if g.gap.cause == "time_order"] == [5]


def test_closing_is_quick_and_seals(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    instrument = begin(journal)
    journal.append(instrument, fnirsi_like(50_000))
    journal.close()
    con = sqlite3.connect(tmp_path / "denchi.db")
    assert con.execute("SELECT sum(n) FROM segment").fetchone()[0] == 50_000
    con.close()


def test_an_unclosed_journal_is_recovered_from_its_tail(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from store.helpers import begin, numbered\n"
        "from denchi.store.journal import Journal\n"
        "j = Journal.open(Path(sys.argv[1]), commit_ms=10); i = begin(j)\n"
        "j.append(i, numbered(0, 500)); j.flush(); os._exit(9)\n"
    )
    here = str(Path(__file__).resolve().parents[1])
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path), here]).returncode == 9
    with JournalReader(tmp_path) as reader:
        (instrument,) = reader.instruments("s1")
        assert numbers(reader, instrument.id) == list(range(500))
    with Journal.open(tmp_path) as journal, journal.reader() as reader:
        assert numbers(reader, instrument.id) == list(range(500))
        again = journal.add_instrument("s1", "meter", key="fnb58")
        assert again > instrument.id


def test_many_instruments_seal_apart(tmp_path: Path) -> None:
    with Journal.open(tmp_path, commit_ms=10, seal_s=0.1) as journal:
        begin(journal)
        ids = [journal.add_instrument("s1", f"r{k}", key="line") for k in range(8)]
        for first, n in in_steps(2000, 50):
            for instrument in ids:
                journal.append(instrument, numbered(first, n))
            journal.flush()
        with journal.reader() as reader:
            for instrument in ids:
                assert numbers(reader, instrument) == list(range(2000))


def test_telemetry_is_thinned_but_a_change_of_flags_is_not(tmp_path: Path) -> None:
    with Journal.open(tmp_path, commit_ms=10) as journal:
        begin(journal)
        for k in range(200):
            data = {"role": "meter", "values": {"soc_pct": 50.0}, "flags": []}
            journal.add_event("s1", T0 + k * NS, "telemetry", data)
        changed = {"role": "meter", "values": {}, "flags": ["cell_over_voltage"]}
        journal.add_event("s1", T0 + 200 * NS, "telemetry", changed)
        journal.flush()
        with journal.reader() as reader:
            found = reader.events("s1", "telemetry")
            assert len(found) == 5
            assert found[-1].data["flags"] == ["cell_over_voltage"]


def test_quality_and_missing_survive(tmp_path: Path) -> None:
    block = SampleBlock.from_si(
        T0 + np.arange(4) * NS,
        {"vbus_uv": [5.0, np.nan, 5.1, 5.2], "temp_mc.case": [np.nan] * 4},
        [0, 2, 0, 8],
    )
    with Journal.open(tmp_path, commit_ms=10) as journal:
        instrument = begin(journal)
        journal.append(instrument, block)
        journal.flush()
        with journal.reader() as reader:
            back = SampleBlock.concat(list(reader.blocks(instrument)))
            assert np.isnan(back.si("vbus_uv")[1])
            assert np.isnan(back.temp_c("case")).all()
            assert back.quality.tolist() == [0, 2, 0, 8]
