"""Words, shapes and figures as the TUI shows them: nothing here judges, it only names.

Each severity, verdict and recall status has a word **and** a shape, so colour carries nothing alone.
The best verdict and an unlisted unit are neutral in word, shape and colour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from denchi.clock import NS
from denchi.i18n import language, translator
from denchi_dashboards.figures import FIGURES
from denchi_dashboards.tui.layout import said

_ = translator("tui")


def mark(msgid: str) -> str:
    """Mark a msgid for the catalogue; it is translated where it is shown."""
    return msgid


# No circle for an info: in Japan a circle marks what is right.
SHAPES: Final = {"danger": "■", "caution": "▲", "info": "›"}
STYLES: Final = {"danger": "bold $danger", "caution": "bold $caution", "info": "$note"}
VERDICT_SHAPES: Final = {
    "stop_using": "■",
    "caution": "▲",
    "inconclusive": "◇",
    "no_anomaly_seen": "─",
}
VERDICT_STYLES: Final = {
    "stop_using": "bold $danger",
    "caution": "bold $caution",
    "inconclusive": "bold $note",
    "no_anomaly_seen": "$neutral",
}
RECALL_SHAPES: Final = {
    "affected": "■",
    "check_serial": "▲",
    "brand_hint": "△",
    "not_listed": "─",
}
RECALL_STYLES: Final = {
    "affected": "bold $danger",
    "check_serial": "bold $caution",
    "brand_hint": "$caution",
    "not_listed": "$neutral",
}


def both(text: object) -> str:
    """A ``{"en", "ja"}`` sentence of the API in the language in force."""
    if isinstance(text, Mapping):
        text = text.get(language()) or text.get("en") or ""
    return said(text, 600)


def message(finding: Mapping[str, Any], key: str = "message") -> str:
    """``message`` or ``advice`` of a finding line in the language in force."""
    other = finding.get(f"{key}_ja") if language() == "ja" else None
    return said(other or finding.get(key), 600)


def severity(word: object) -> str:
    """The word of a severity."""
    return {"danger": _("DANGER"), "caution": _("CAUTION"), "info": _("info")}.get(
        str(word), said(word, 20)
    )


def shape(word: object) -> str:
    """The shape of a severity."""
    return SHAPES.get(str(word), SHAPES["info"])


def style(word: object) -> str:
    """The style of a severity."""
    return STYLES.get(str(word), "$note")


def verdict(word: object) -> str:
    """The word of a verdict; the best one is a statement about the test, never about the unit."""
    return {
        "stop_using": _("STOP USING"),
        "caution": _("CAUTION"),
        "inconclusive": _("inconclusive"),
        "no_anomaly_seen": _("no anomaly seen in this test"),
    }.get(str(word), _("none yet"))


def verdict_short(word: object) -> str:
    """The same in a narrow column; never shorter than what was (not) seen."""
    return _("no anomaly seen") if str(word) == "no_anomaly_seen" else verdict(word)


def recall(word: object) -> str:
    """The word of a recall status; ``not_listed`` clears nothing."""
    return {
        "affected": _("RECALLED"),
        "check_serial": _("CHECK THE SERIAL"),
        "brand_hint": _("brand is on a list"),
        "not_listed": _("not on the lists checked"),
    }.get(str(word), _("not checked"))


def scope(word: object) -> str:
    """Which units a notice means, in the words of ``denchi recall``."""
    from denchi.recalls.plain import scope_words

    return scope_words(said(word, 40))


def link(word: object) -> str:
    """The word of a link's state."""
    return {
        "searching": _("searching"),
        "opening": _("opening"),
        "settling": _("settling"),
        "streaming": _("streaming"),
        "stale": _("stale"),
        "gone": _("gone"),
        "refused": _("refused"),
    }.get(str(word), said(word, 20))


def output_state(word: object) -> str:
    """The word of an output's state."""
    return {
        "idle": _("idle"),
        "delivering": _("delivering"),
        "waiting": _("waiting"),
        "stopped": _("stopped"),
    }.get(str(word), said(word, 20))


def degraded(word: object) -> str:
    """Why the journal is degraded."""
    return {
        "disk_full": _("disk full"),
        "moved_aside": _("moved aside, new one begun"),
        "read_only": _("read-only"),
    }.get(str(word), said(word, 40))


def cause(word: object) -> str:
    """Why there is a gap."""
    return {
        "unplugged": _("meter unplugged"),
        "stalled": _("meter silent"),
        "lost": _("samples lost"),
        "suspended": _("computer slept"),
        "rejected": _("frames rejected"),
        "not_started": _("not started"),
        "disk_full": _("disk full"),
    }.get(str(word), said(word, 40))


def origin(word: object) -> str:
    """The mark of an origin; empty for a real meter."""
    return {"simulated": _("SIMULATED"), "recording": _("RECORDING")}.get(str(word), "")


def place(name: object) -> str:
    """Where a temperature was taken. The meter's own board is always said to be the meter's."""
    name = said(name, 24)
    if name.startswith("cell."):
        return _("cell {n}").format(n=name[5:])
    return {
        "case": _("unit's case"),
        "ambient": _("ambient"),
        "pd": _("unit, by USB-PD"),
        "meter": _("meter's own"),
        "cell": _("cell"),
        "vbus": "VBUS",
    }.get(name, name)


def place_long(name: object) -> str:
    """The place of a finding, said in full where it matters."""
    return _("the meter's own board, not the unit") if said(name, 24) == "meter" else place(name)


def maturity(word: object) -> str:
    """How far a meter's support was shown."""
    return {
        "captures": _("tried on captured frames"),
        "peer reader": _("tried against another reader"),
        "synthetic only": _("synthetic data only"),
        "hardware": _("tried on hardware"),
    }.get(str(word), said(word, 40))


def observed(word: object) -> str:
    """A key of ``observed``/``not_observed``."""
    key = said(word, 60)
    return {
        "heat_of_the_unit": _("heat of the unit"),
        "energy_to_empty": _("energy until empty"),
        "ambient": _("ambient temperature"),
        "serial_answer": _("the maker's answer for the serial"),
        "voltage": _("voltage"),
        "voltage_under_load": _("voltage under load"),
        "current": _("current"),
        "vbus": "VBUS",
        "recall": _("recall lists"),
        "idle_after_load": _("rest after a load"),
        "whole_test": _("the whole test"),
    }.get(key, key.replace("_", " "))


def figure_name(name: object) -> str:
    """The name of a measured figure."""
    key = said(name, 40)
    return _(FIGURES[key]) if key in FIGURES else key.replace("_", " ")


def unit_sign(unit: object) -> str:
    """A unit as people write it."""
    return said(unit, 16).replace("degC", "°C").replace("Ohm", "Ω").replace("ohm", "Ω")


def number(value: object) -> float | None:
    """A finite number or None; the API says null for what is not measured."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def fixed(value: float | None, decimals: int, unit: str = "") -> str:
    """A figure with its unit; a dash where nothing was measured, never 0."""
    if value is None:
        return "–"
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return f"{text} {unit}".rstrip()


def figures(measured: object) -> str:
    """``name value unit`` of each figure of a finding."""
    if not isinstance(measured, Mapping):
        return ""
    parts = []
    for name, one in measured.items():
        value = number(one.get("value")) if isinstance(one, Mapping) else number(one)
        unit = unit_sign(one.get("unit")) if isinstance(one, Mapping) else ""
        if value is not None:
            parts.append(f"{figure_name(name)} {value:.4g} {unit}".rstrip())
    return " · ".join(parts)


def limit(text: object) -> str:
    """The limit of a finding."""
    return unit_sign_in(said(text, 200))


def unit_sign_in(text: str) -> str:
    """Units inside a sentence as people write them."""
    return text.replace("degC", "°C")


def duration(seconds: float | None) -> str:
    """``12 s``, ``4:05``, ``2:03:10``, ``3 d 04:12``."""
    if seconds is None:
        return "–"
    whole = int(max(0.0, seconds))
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    if days:
        return _("{d} d {h:02d}:{m:02d}").format(d=days, h=hours, m=minutes)
    if hours:
        return f"{hours}:{minutes:02d}:{secs:02d}"
    return f"{minutes}:{secs:02d}" if minutes else _("{s} s").format(s=secs)


def age(seconds: float | None) -> str:
    """An age in one short word."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return _("{s:.1f} s").format(s=max(0.0, seconds))
    if seconds < 120:
        return _("{s} s").format(s=int(seconds))
    if seconds < 7200:
        return _("{m} min").format(m=int(seconds / 60))
    if seconds < 172_800:
        return _("{h} h").format(h=int(seconds / 3600))
    return _("{d} d").format(d=int(seconds / 86_400))


def size(count: float | None) -> str:
    """Bytes with a binary-free decimal prefix."""
    if count is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"


def local(t_ns: int) -> datetime:
    """Local time of a stamp."""
    return datetime.fromtimestamp(t_ns / NS).astimezone()


def clock_time(t_ns: object) -> str:
    """``12:03:11`` local."""
    value = number(t_ns)
    return "–" if value is None else f"{local(int(value)):%H:%M:%S}"


def date_time(t_ns: object) -> str:
    """``2026-11-23 12:03`` local."""
    value = number(t_ns)
    return "–" if value is None else f"{local(int(value)):%Y-%m-%d %H:%M}"


def parse_iso(text: object) -> int | None:
    """An ISO stamp of the API as UTC ns."""
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return int(moment.timestamp() * 1e6) * 1000
