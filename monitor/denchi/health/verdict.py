"""The verdict: findings, recall, symptoms and completeness, the most severe that applies (DESIGN.md §4).

``inconclusive`` is the default that has to be earned away. The best result is neutral, and its
sentence names what was not observed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from denchi.health.profiles import Profile
from denchi.i18n import Text
from denchi.model import Finding, RecallStatus, Severity, Verdict, VerdictReport

if TYPE_CHECKING:
    from denchi.health.base import Context, Second

NS: Final = 1_000_000_000
MISSING_FRACTION: Final = 0.05
"""A required channel may be missing for this part of the time (a slow probe's first reading) beside gaps."""


def _t(msgid: str, **params: str | float | int | Text | tuple[Text, ...]) -> Text:
    return Text(msgid, params, domain="health")


WORDS: Final = {
    "heat_of_the_unit": _t("heat of the unit"),
    "voltage": _t("voltage"),
    "current": _t("current"),
    "voltage_under_load": _t("voltage under load"),
    "idle_after_load": _t("rest after a load, where unexplained heat shows best"),
    "energy_to_empty": _t("energy until empty"),
    "ambient": _t("temperature of the surroundings"),
    "serial_answer": _t("the maker's answer for the serial"),
    "recall": _t("recall lists (no unit was named)"),
    "whole_test": _t("the whole of the test"),
}
"""What can be observed or not; the keys stand in ``observed`` and ``not_observed``."""
_CHANNEL_WORD: Final = {
    "vbus_uv": "voltage",
    "ibus_ua": "current",
    "pack_uv": "voltage",
    "pack_ua": "current",
    "unit_temperature": "heat_of_the_unit",
    "temp_mc.ambient": "ambient",
}
_INSTEAD: Final = {"vbus_uv": "pack_uv", "ibus_ua": "pack_ua"}


@dataclass(slots=True)
class Coverage:
    """What was measured for how long, in seconds."""

    total_s: float = 0.0
    measured_s: dict[str, float] = field(default_factory=dict)
    gap_s: float = 0.0
    longest_gap_s: float = 0.0
    unchecked_s: float = 0.0
    loaded_s: float = 0.0
    idle_after_load_s: float = 0.0
    _loaded_once: bool = False

    def gap(self, seconds: float) -> None:
        """The main instrument was away."""
        self.gap_s += seconds
        self.longest_gap_s = max(self.longest_gap_s, seconds)

    def second(self, s: Second, ctx: Context) -> None:
        """Count one second."""
        self.total_s += 1.0
        counts = self.measured_s
        for name, there in (
            ("pack_uv" if s.pack else "vbus_uv", s.v == s.v),
            ("pack_ua" if s.pack else "ibus_ua", s.i == s.i),
            ("unit_temperature", s.case == s.case or s.cell_temp == s.cell_temp or s.pd == s.pd),
            ("temp_mc.ambient", s.ambient == s.ambient),
        ):
            if there:
                counts[name] = counts.get(name, 0.0) + 1.0
        if s.unchecked:
            self.unchecked_s += 1.0
        if ctx.load_s > 0:
            self.loaded_s += 1.0
            self._loaded_once = True
        elif self._loaded_once and ctx.idle_s > 0:
            self.idle_after_load_s += 1.0

    def share(self, channel: str) -> float:
        """Part of the time in which a channel was measured, 0..1."""
        found = max(
            self.measured_s.get(channel, 0.0), self.measured_s.get(_INSTEAD.get(channel, ""), 0.0)
        )
        return found / self.total_s if self.total_s else 0.0


def judge(
    profile: Profile,
    coverage: Coverage,
    findings: Iterable[Finding],
    *,
    recall: RecallStatus | None,
    recall_answered: bool,
    symptoms: tuple[str, ...],
    emptied: bool,
    started_ns: int | None,
    last_ns: int,
    end_ns: int,
) -> VerdictReport:
    """The verdict with its reasons and what was and was not observed."""
    bad = [f for f in findings if f.family != "data" and f.severity > Severity.INFO]
    bad.sort(key=lambda f: (-f.severity, f.onset_ns))
    reasons: list[Text] = []
    verdict = Verdict.NO_ANOMALY_SEEN
    if symptoms:
        verdict = Verdict.STOP_USING
        reasons.append(_t("A symptom was reported by the person who held the unit."))
    if recall is RecallStatus.AFFECTED:
        verdict = Verdict.STOP_USING
        reasons.append(_t("The unit is named in a recall notice."))
    if any(f.severity is Severity.DANGER for f in bad):
        verdict = Verdict.STOP_USING
    elif bad:
        verdict = max(verdict, Verdict.CAUTION)
    reasons += [f.message for f in bad]
    if recall is RecallStatus.CHECK_SERIAL and not recall_answered:
        verdict = max(verdict, Verdict.CAUTION)
        reasons.append(_t("A recall names this model; only the maker can say for this serial."))
    if recall is RecallStatus.BRAND_HINT:
        verdict = max(verdict, Verdict.CAUTION)
        reasons.append(_t("A recall of this brand may name this product; its model must be found."))
    lacking = _lacking(profile, coverage, started_ns, last_ns, end_ns)
    if lacking:
        verdict = max(verdict, Verdict.INCONCLUSIVE)
        if verdict is not Verdict.STOP_USING:
            # Who is told to stop need not read how long was measured.
            reasons += lacking
    observed, missing = _observed(profile, coverage, recall, recall_answered, emptied)
    minutes = coverage.total_s / 60
    return VerdictReport(
        verdict,
        sentence(verdict, missing, tuple(reasons), minutes=minutes),
        tuple(reasons),
        observed,
        missing,
    )


def _lacking(
    profile: Profile, c: Coverage, started_ns: int | None, last_ns: int, end_ns: int
) -> list[Text]:
    """Why the data cannot carry a verdict that nothing was seen."""
    if started_ns is None or not c.total_s:
        return [_t("Nothing was measured.")]
    why: list[Text] = []
    for name in profile.required:
        if name == "unit_temperature" and profile.electrical_only:
            continue
        share = c.share(name)
        if share < 1.0 - MISSING_FRACTION - profile.gap_fraction_most:
            word = WORDS[_CHANNEL_WORD[name]]
            why.append(
                _t(
                    "Measured only {share:.0f} % of the time: {what}.",
                    what=word,
                    share=share * 100,
                )
                if share
                else _t("Not measured: {what}.", what=word)
            )
    if c.share("unit_temperature") == 0.0 and not profile.electrical_only:
        text = _t("Not measured: {what}.", what=WORDS["heat_of_the_unit"])
        if text not in why:
            why.append(text)
    silence_s = max(0.0, (end_ns - last_ns) / NS)
    longest = max(c.longest_gap_s, silence_s if silence_s > 3.0 else 0.0)
    lost = (c.gap_s + (silence_s if silence_s > 3.0 else 0.0)) / max(c.total_s, 1.0)
    if longest > profile.gap_most_s:
        why.append(_t("Data were missing for {gap:.0f} s in one piece.", gap=longest))
    elif lost > profile.gap_fraction_most:
        why.append(_t("Data were missing for {lost:.0f} % of the time.", lost=lost * 100))
    if c.unchecked_s > profile.gap_most_s:
        why.append(
            _t(
                "This meter's frames carry no checksum: a wrong value cannot be told from a right one."
            )
        )
    if c.total_s < profile.minutes * 60:
        why.append(
            _t(
                "Watched for {minutes:.1f} min; this profile asks for {least:.0f} min.",
                minutes=c.total_s / 60,
                least=profile.minutes,
            )
        )
    if c.loaded_s < 30:
        why.append(_t("The unit was never under load for half a minute."))
    return why


def _observed(
    profile: Profile,
    c: Coverage,
    recall: RecallStatus | None,
    recall_answered: bool,
    emptied: bool,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    there: dict[str, bool] = {
        "voltage": c.share("vbus_uv") > 0,
        "current": c.share("ibus_ua") > 0,
        "voltage_under_load": c.loaded_s >= 30 and c.share("vbus_uv") > 0,
        "heat_of_the_unit": c.share("unit_temperature") > 0,
        "idle_after_load": c.idle_after_load_s >= 300 and c.share("unit_temperature") > 0,
        "ambient": c.share("temp_mc.ambient") > 0,
        "energy_to_empty": emptied,
        "recall": recall is not None,
    }
    if recall is RecallStatus.CHECK_SERIAL:
        there["serial_answer"] = recall_answered
    return (
        tuple(k for k, seen in there.items() if seen),
        tuple(k for k, seen in there.items() if not seen),
    )


def sentence(
    verdict: Verdict,
    not_observed: tuple[str, ...],
    reasons: tuple[Text, ...],
    *,
    minutes: float | None = None,
) -> Text:
    """The verdict's sentence. The best one is neutral, and every one names what was not observed."""
    missing = tuple(WORDS[key] for key in not_observed if key in WORDS)
    tail: Text | str = _t(" Not observed: {missing}.", missing=missing) if missing else ""
    if "heat_of_the_unit" in not_observed:
        tail = _t("{tail} Heat was not observed.", tail=tail)
    why = reasons[0] if reasons else _t("see the reasons")
    if verdict is Verdict.STOP_USING:
        return _t("Stop using this unit. {why}{tail}", why=why, tail=tail)
    if verdict is Verdict.CAUTION:
        return _t("Caution. {why}{tail}", why=why, tail=tail)
    if verdict is Verdict.INCONCLUSIVE:
        return _t("Inconclusive: nothing can be said. {why}{tail}", why=why, tail=tail)
    return _t(
        "No anomaly seen in {minutes:.0f} min of this test (this does not mean that the unit is safe).{tail}",
        minutes=minutes or 0.0,
        tail=tail,
    )
