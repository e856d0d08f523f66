"""Makes the golden journals: `python tests/store/golden/make.py`. Run once a schema version, never to mend a test.

A journal of an older version is made from that version's own steps (which are never edited) and the rows that
its tables can hold. What is in them is made up.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from denchi.i18n import Text
from denchi.model import Finding, Gap, Measured, Severity, Verdict
from denchi.store import schema
from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from store.helpers import T0, begin, fnirsi_like

HERE = Path(__file__).parent


def fill(folder: Path) -> None:
    """Two sessions, a finding, a gap, an event, 1,500 samples."""
    with Journal.open(folder, reserve_mb=0, commit_ms=10) as journal:
        for n, name in enumerate(("g1", "g2")):
            instrument = begin(journal, name, serial=f"G{n}")
            block = fnirsi_like(1500 if n == 0 else 300, T0 + n * 10**12, seed=n)
            journal.append(instrument, block)
            t_ns = int(block.t_ns[-1])
            hot = Finding(
                "case_hot",
                "thermal",
                Severity.DANGER,
                t_ns - 5,
                t_ns,
                Text("Hot: {t}", {"t": 71}),
                Text("Unplug."),
                {"temp": Measured(71.5, "degC")},
            )
            journal.add_finding(name, hot)
            journal.add_gap(name, None, Gap(T0 + 5, T0 + 9, "unplugged", 3))
            journal.add_event(name, T0 + 7, "mark", {"value": n})
            journal.end_session(name, t_ns + 1, Verdict.STOP_USING, {"summary": {"n": n}})
        assert journal.flush(60)


def content(reader: JournalReader) -> dict[str, Any]:
    """What a golden journal says, as JSON."""
    out: dict[str, Any] = {}
    for stored in reader.sessions():
        name = stored.session.id
        digest = hashlib.sha256()
        for instrument in reader.instruments(name):
            for block in reader.blocks(instrument.id):
                digest.update(block.t_ns.tobytes())
                for column in sorted(block.columns):
                    digest.update(column.encode() + block.columns[column].tobytes())
        out[name] = {
            "samples": stored.samples,
            "sha256": digest.hexdigest(),
            "unit": [stored.session.unit.brand, stored.session.unit.serial],
            "verdict": stored.session.verdict.word if stored.session.verdict else None,
            "report": dict(stored.report or {}),
            "findings": [
                [f.finding.code, f.finding.t_ns, f.finding.message.render("en")]
                for f in reader.findings(name)
            ],
            "gaps": [[g.gap.start_ns, g.gap.cause, g.gap.lost] for g in reader.gaps(name)],
            "events": [[e.t_ns, e.kind, dict(e.data)] for e in reader.events(name)],
        }
    return out


def dump(source: Path, version: int) -> str:
    """The journal as SQL of an older (or this) version."""
    con = sqlite3.connect(":memory:")
    for step in schema.MIGRATIONS[:version]:
        con.executescript(step)
    con.execute(f"PRAGMA user_version = {version}")
    con.execute("ATTACH ? AS new", (str(source),))
    names = "SELECT name FROM {}.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    tables = {row[0] for row in con.execute(names.format("main"))}
    for table in sorted(tables & {row[0] for row in con.execute(names.format("new"))}):
        columns = ", ".join(r[1] for r in con.execute(f"PRAGMA main.table_info({table})"))
        con.execute(f"DELETE FROM main.{table}")
        con.execute(f"INSERT INTO main.{table}({columns}) SELECT {columns} FROM new.{table}")
    con.commit()
    con.execute("DETACH new")
    return f"PRAGMA user_version = {version};\n" + "\n".join(con.iterdump()) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder)
        with JournalReader(folder) as reader:
            told = content(reader)
        con = sqlite3.connect(folder / schema.FILE)
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        con.close()
        for version in range(1, schema.VERSION + 1):
            path = HERE / f"v{version}.sql"
            if not path.exists():
                path.write_text(dump(folder / schema.FILE, version), encoding="utf-8")
                path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
