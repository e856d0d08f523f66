"""Sessions made of arrays, run through the health engine in any cutting."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import numpy as np

from denchi.health import profiles
from denchi.health.engine import HealthEngine, Summary
from denchi.model import Finding, SessionMeta, VerdictReport
from denchi_protocol.samples import SampleBlock

NS = 1_000_000_000
START = 1_700_000_000 * NS


@dataclass
class Result:
    findings: list[Finding]
    report: VerdictReport
    summary: Summary
    engine: HealthEngine
    start_ns: int
    codes: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.codes = [f"{f.code}:{f.severity.word}" for f in self.findings]

    def when(self, code: str) -> float:
        """Seconds of the first finding ``code`` or ``code:severity``."""
        name, _, word = code.partition(":")
        for f in self.findings:
            if f.code == name and word in ("", f.severity.word):
                return (f.t_ns - self.start_ns) / NS
        raise AssertionError(f"no {code} in {self.codes}")

    def lines(self) -> list[tuple[str, str, float, float, str]]:
        return [
            (f.code, f.severity.word, (f.t_ns - self.start_ns) / NS,
             (f.onset_ns - self.start_ns) / NS, str(f.message))
            for f in self.findings
        ]  # fmt: skip


def block(seconds, *, start_ns=START, hz=None, **columns) -> SampleBlock:
    """A block of SI columns (scalars are repeated); ``seconds``: stamps, or a duration with ``hz``."""
    t = np.arange(int(seconds * hz)) / hz if hz else np.asarray(seconds, float)
    names = {
        "v": "vbus_uv", "i": "ibus_ua", "case": "temp_mc.case", "ambient": "temp_mc.ambient",
        "meter": "temp_mc.meter", "pd": "temp_mc.pd", "cell1": "temp_mc.cell.1",
        "pack_v": "pack_uv", "pack_i": "pack_ua", "c1": "cell_uv.1", "c2": "cell_uv.2",
    }  # fmt: skip
    values = {
        names[k]: np.broadcast_to(np.asarray(v, float), t.shape).copy() for k, v in columns.items()
    }
    return SampleBlock.from_si(start_ns + np.rint(t * 1e4).astype(np.int64) * 100_000, values)


def run(
    whole: SampleBlock, *, cuts=(), profile="watch", gaps=(), recall=None, answered=False,
    symptoms=(), start_ns=START, role="meter", rate_hz=None, **meta,
) -> Result:  # fmt: skip
    """Feed a session, cut at row numbers ``cuts``."""
    chosen = profiles.load(profile)
    if profile == "watch":
        chosen = replace(chosen, minutes=0.0)
    engine = HealthEngine(
        chosen,
        SessionMeta(**meta),
        start_ns=start_ns,
        temperature_places=frozenset({"case"}),
        rate_hz=rate_hz,
    )
    found: list[Finding] = []
    edges = [0, *sorted(c for c in cuts if 0 < c < len(whole)), len(whole)]
    pending = list(gaps)
    for lo, hi in itertools.pairwise(edges):
        if hi > lo:
            while pending and pending[0].end_ns <= int(whole.t_ns[lo]):
                found += engine.gap(role, pending.pop(0))
            found += engine.feed(role, whole[lo:hi])
    end = int(whole.t_ns[-1]) if len(whole) else start_ns
    found += engine.finish(end)
    report = engine.verdict(
        recall=recall, recall_answered=answered, symptoms=tuple(symptoms), end_ns=end
    )
    return Result(found, report, engine.summary(), engine, start_ns)
