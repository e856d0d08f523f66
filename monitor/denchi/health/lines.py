"""The findings line and the summary line of ``denchi replay --json`` (DESIGN.md §6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from denchi.model import Finding, Severity, VerdictReport

if TYPE_CHECKING:
    from denchi.health.engine import Summary

NS: Final = 1_000_000_000


def finding_line(finding: Finding, start_ns: int, file: str | None) -> dict[str, Any]:
    """One finding; times in seconds from ``start_ns``."""
    return {
        "file": file,
        "t_s": round((finding.t_ns - start_ns) / NS, 3),
        "onset_s": round((finding.onset_ns - start_ns) / NS, 3),
        "code": finding.code,
        "family": finding.family,
        "severity": finding.severity.word,
        "place": finding.place,
        "measured": {k: {"value": v.value, "unit": v.unit} for k, v in finding.measured.items()},
        "limit": finding.limit,
        "source": finding.source,
        "message": finding.message.render(),
    }


def summary_line(
    file: str, summary: Summary, report: VerdictReport, findings: Sequence[Finding]
) -> dict[str, Any]:
    """The line that ends each file."""
    counts = {s.word: sum(f.severity is s for f in findings) for s in Severity}
    return {
        "summary": {
            "file": file,
            "rows": summary.rows,
            "span_s": round(summary.span_s, 3),
            "gaps": summary.gaps,
            "verdict": report.verdict.word,
            "not_observed": list(report.not_observed),
            "n_info": counts["info"],
            "n_caution": counts["caution"],
            "n_danger": counts["danger"],
            "wh_out": round(summary.wh_out, 4),
            "wh_in": round(summary.wh_in, 4),
            "ah_out": round(summary.ah_out, 4),
            "ah_in": round(summary.ah_in, 4),
            "sentence": report.sentence.render(),
        }
    }
