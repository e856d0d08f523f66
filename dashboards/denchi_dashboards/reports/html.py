"""The report as one self-contained HTML page: no script, no request to any host, everything escaped."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import jinja2
import segno
from markupsafe import Markup

from denchi.i18n import translate
from denchi.text import clean, masked
from denchi_dashboards.figures import FIGURES
from denchi_dashboards.reports.svg import Trace, plot

SHAPES: Final = {"stop_using": "■", "caution": "▲", "inconclusive": "◆", "no_anomaly_seen": "—"}
SEVERITY_SHAPES: Final = {"danger": "■", "caution": "▲", "info": "·"}
VERDICT_WORDS: Final = {
    "stop_using": "STOP USING",
    "caution": "CAUTION",
    "inconclusive": "INCONCLUSIVE",
    "no_anomaly_seen": "NO ANOMALY SEEN IN THIS TEST",
}
SEVERITY_WORDS: Final = {"danger": "danger", "caution": "caution", "info": "info"}
RECALL_WORDS: Final = {
    "affected": "named in a recall",
    "check_serial": "the serial must be checked with the maker",
    "brand_hint": "a notice exists for this brand",
    "not_listed": "not on the lists checked",
}
OUTCOMES: Final = {
    "pending": "not begun",
    "waiting": "waited for",
    "held": "held",
    "not_seen": "the load was not seen",
    "wrong_load": "not the load asked for",
    "cut": "the output went dark",
}
NOT_OBSERVED: Final = {
    "heat_of_the_unit": "heat of the unit",
    "voltage": "voltage",
    "current": "current",
    "voltage_under_load": "voltage under load",
    "idle_after_load": "rest after a load",
    "recall": "recall lists",
    "ambient": "temperature of the air",
    "energy_to_empty": "energy to empty",
    "serial_answer": "the maker's answer for the serial",
    "whole_test": "the whole test",
}
DENIAL: Final = "this does not mean that the unit is safe"
_PLOT_NAMES: Final = {"vbus_uv": "voltage", "ibus_ua": "current", "power_w": "power"}


def _harmless(value: Any) -> Any:
    """Control and bidi characters out of every value before it is escaped; drawn SVG passes."""
    return clean(value, 5000) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("denchi_dashboards.reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _qr(data: dict[str, Any], word: str) -> Markup:
    session = data["session"]
    text = f"denchi {session['id']} {session['started'][:10]} {word}"
    svg = segno.make(text, error="m").svg_inline(
        scale=2, border=2, omitsize=True, svgclass=None, lineclass=None, title="denchi"
    )
    return Markup(svg)  # noqa: S704  segno's own drawing of our own id


class _View:
    """One report in one language."""

    def __init__(self, data: dict[str, Any], lang: str) -> None:
        self.d, self.lang = data, lang

    def _(self, msgid: str) -> str:
        return translate(msgid, "report", self.lang)

    def pick(self, both: Any) -> str:
        """The sentence of this language out of ``{"en", "ja"}``."""
        return (
            clean(both.get(self.lang) or both.get("en") or "", 2000)
            if isinstance(both, dict)
            else ""
        )

    @property
    def word(self) -> str:
        """The verdict's word; a session without one is inconclusive."""
        verdict = (self.d["verdict"] or {}).get("verdict")
        return verdict if verdict in SHAPES else "inconclusive"

    def context(self) -> dict[str, Any]:
        """What the template draws."""
        verdict = self.d["verdict"] or {}
        recall = self.d["recall"]
        word = self.word
        ja = self.lang == "ja"
        return {
            "d": self.d,
            "lang": self.lang,
            "_": self._,
            "word": word,
            "shape": SHAPES[word],
            "verdict_word": self._(VERDICT_WORDS[word]),
            "short": self._("See the report of this session."),
            # A label outlives its report: the neutral word never stands alone on a unit.
            "denial": self._(DENIAL) if word == "no_anomaly_seen" else "",
            "sentence": self.sentence(verdict),
            "begun": str(self.d["session"]["started"])[:16].replace("T", " ") + " UTC",
            "reasons": list(dict.fromkeys(self.pick(r) for r in verdict.get("reasons", []))),
            "not_observed": [
                self._(NOT_OBSERVED.get(n, n.replace("_", " ")))
                for n in verdict.get("not_observed", [])
            ],
            "unit_rows": self.unit_rows(),
            "recall": recall,
            "recall_word": self._(RECALL_WORDS.get((recall or {}).get("status", ""), "")),
            "recall_message": clean(
                (recall or {}).get("message_ja" if ja else "message") or "", 2000
            ),
            "recall_safety": self.safety(recall or {}),
            "scope": self.scope,
            "screening": self.d["screening"],
            "outcomes": {k: self._(v) for k, v in OUTCOMES.items()},
            "findings": [self.finding(f) for f in self.d["findings"]],
            "plots": self.plots(),
            "figure_rows": self.figures(),
            "completeness_rows": self.completeness(),
            "pdos": self.pdos(),
            "pd_rows": self.pd_rows(),
            "instrument_rows": self.instruments(),
            "cannot_tell": [self._(line) for line in self.d["cannot_tell"]],
            "qr": _qr(self.d, word),
        }

    def sentence(self, verdict: dict[str, Any]) -> str:
        """The verdict's sentence where it says what word, reasons and list below do not say already.

        The neutral verdict is never shown without its own.
        """
        if self.word != "no_anomaly_seen" and verdict.get("reasons"):
            return ""
        told = self.pick(verdict.get("sentence"))
        return told or self._("This session has no verdict: nothing can be said.")

    def safety(self, recall: dict[str, Any]) -> list[str]:
        """The safety sentences of the recall answer."""
        lines = (
            recall.get("safety_ja" if self.lang == "ja" else "safety") or recall.get("safety") or []
        )
        return [self._advice(x) if isinstance(x, dict) else clean(x, 1000) for x in lines]

    def _advice(self, one: dict[str, Any]) -> str:
        text = one.get("text_ja" if self.lang == "ja" else "text") or one.get("text") or ""
        source = ", ".join(clean(one[k], 200) for k in ("source", "dated") if one.get(k))
        return clean(text, 1000) + (f" [{source}]" if source else "")

    def scope(self, word: Any) -> str:
        """Which units a notice means, in the words of ``denchi recall``."""
        from denchi.recalls.plain import scope_words

        return scope_words(clean(word, 40), self.lang)

    def unit_rows(self) -> list[tuple[str, str]]:
        """Unit fields; the serial in full, as the report belongs to whoever holds the unit."""
        unit = self.d["unit"]
        names = (
            ("label_text", "Label"),
            ("brand", "Brand"),
            ("model", "Model"),
            ("serial", "Serial number"),
            ("colour", "Colour"),
            ("bought", "Bought"),
            ("country", "Country"),
            ("rated_mah", "Printed capacity, mAh"),
            ("rated_wh", "Printed energy, Wh"),
            ("max_w", "Printed power, W"),
            ("chemistry", "Chemistry"),
        )
        rows = [
            (self._(name), _figure(unit[key]))
            for key, name in names
            if unit.get(key) not in (None, "")
        ]
        return rows or [(self._("Label"), self._("unit not named"))]

    def finding(self, line: dict[str, Any]) -> dict[str, str]:
        """One finding as its row."""
        ja = self.lang == "ja"
        figures = ", ".join(
            f"{self._figure_name(k)} {_figure(m['value'])} {_unit(m['unit'])}"
            for k, m in line["measured"].items()
        )
        return {
            "at": _clock(line["t_s"]),
            "severity": line["severity"],
            "shape": SEVERITY_SHAPES.get(line["severity"], "·"),
            "word": self._(SEVERITY_WORDS.get(line["severity"], line["severity"])),
            "text": clean(line["message_ja" if ja else "message"], 1000),
            "advice": clean(line["advice_ja" if ja else "advice"], 1000),
            "figures": figures,
            "limit": clean(line["limit"], 200),
            "source": clean(line["source"], 200),
            "place": self._place(clean(line["place"], 40)),
        }

    def _figure_name(self, name: str) -> str:
        key = clean(name, 40)
        if key in FIGURES:
            return translate(FIGURES[key], "tui", self.lang)
        return key.replace("_", " ")

    def plots(self) -> list[Markup]:
        """SVG plots of every instrument: one a quantity, all temperatures together."""
        drawn = []
        for series in self.d["plots"]:
            start = series["t_ns"][0]
            t_s = [(t - start) / 1e9 for t in series["t_ns"]]
            gaps = [
                ((a - start) / 1e9, ((b or series["t_ns"][-1]) - start) / 1e9)
                for a, b, _ in series["gaps"]
            ]
            channels = series["channels"]
            for name, unit in (("vbus_uv", "V"), ("ibus_ua", "A"), ("power_w", "W")):
                if name in channels:
                    drawn.append(
                        self._plot(
                            self._(_PLOT_NAMES[name]), unit, t_s, [_trace("", channels[name])], gaps
                        )
                    )
            temps = {
                name: columns
                for name, columns in channels.items()
                if name.startswith("temp_mc.") and any(v is not None for v in columns["mean"])
            }
            if temps:
                rows = _measured_rows(t_s, [c["mean"] for c in temps.values()])
                traces = [
                    _trace(self._place(name.removeprefix("temp_mc.")), columns, rows)
                    for name, columns in temps.items()
                ]
                times = [t_s[i] for i in rows]
                drawn.append(self._plot(self._("temperature"), "°C", times, traces[:3], gaps))
        return [Markup(svg) for svg in drawn if svg]  # noqa: S704  drawn and escaped by reports.svg

    def _plot(
        self,
        title: str,
        unit: str,
        t_s: list[float],
        traces: list[Trace],
        gaps: list[tuple[float, float]],
    ) -> str:
        lows = [v for t in traces for v in t.low if v is not None]
        highs = [v for t in traces for v in t.high if v is not None]
        if not lows:
            return ""
        words = self._("{title} over time, from {low:.3g} to {high:.3g} {unit}, {gaps} gaps")
        text = words.format(title=title, low=min(lows), high=max(highs), unit=unit, gaps=len(gaps))
        return plot(title, unit, t_s, traces, gaps=gaps, description=text)

    def _place(self, place: str) -> str:
        if place.startswith("cell."):
            return f"{self._('cell')} {place.removeprefix('cell.')}"
        names = {
            "vbus": "the unit's output (VBUS)",
            "case": "case",
            "ambient": "air",
            "meter": "the meter itself, not the unit",
            "pd": "told by USB-PD",
        }
        return self._(names[place]) if place in names else place

    def figures(self) -> list[tuple[str, str]]:
        """Figures of the session's summary."""
        summary = (self.d["verdict"] or {}).get("summary") or {}
        rows = []
        for key, name, unit in (
            ("wh_out", "Energy out", "Wh"),
            ("ah_out", "Charge out, at the voltage of VBUS", "Ah"),
            ("wh_in", "Energy in", "Wh"),
            ("ah_in", "Charge in, at the voltage of VBUS", "Ah"),
        ):
            if summary.get(key):
                rows.append((self._(name), f"{summary[key]:.4g} {unit}"))
        for place, value in (summary.get("max_temp_c") or {}).items():
            rows.append(
                (self._("Highest temperature") + f": {self._place(place)}", f"{value:.1f} °C")
            )
        return rows

    def completeness(self) -> list[tuple[str, str]]:
        """Samples, duration, gaps."""
        c = self.d["completeness"]
        rows = [
            (self._("Duration"), _clock(c["duration_s"])),
            (self._("Samples"), f"{c['samples']:,}"),
            (
                self._("Gaps"),
                f"{len(c['gaps'])}, {c['gap_s']:g} s"
                + (f" ({c['gap_percent']:g} %)" if c["gap_percent"] is not None else ""),
            ),
        ]
        for gap in c["gaps"][:20]:
            end = gap["end_ns"] or gap["start_ns"]
            rows.append(
                ("", f"{self._(clean(gap['cause'], 40))}: {(end - gap['start_ns']) / 1e9:.1f} s")
            )
        return rows

    def pdos(self) -> list[tuple[str, str]]:
        """Offered power data objects: position and text."""
        told = self.d["pd"].get("told") or {}
        rows = told.get("capabilities") or (self.d["pd"]["capabilities"] or {}).get("pdos") or []
        return [
            (clean(p.get("position", i), 3), clean(p.get("text", ""), 200))
            for i, p in enumerate(rows, 1)
            if isinstance(p, dict)
        ]

    def pd_rows(self) -> list[tuple[str, str]]:
        """What was agreed last, and what the unit says of itself."""
        told = self.d["pd"].get("told")
        if not told:
            return []
        rows = []
        contract = told["contract"] or {}
        if contract.get("text"):
            parts = [clean(contract["text"], 80)]
            if contract["kind"] in ("pps", "avs"):
                parts.append(f"{contract['voltage_v']:.2f} V {contract['current_a']:.2f} A")
            rows.append((self._("Last contract"), ", ".join(parts)))
        unit = told["identity"]["unit"]
        if unit:
            words = [f"{k} {clean(v, 40)}" for k, v in unit.items() if k != "told_by"]
            hint = self._("a hint only: such ids are often the chip maker's")
            rows.append((self._("The unit says of itself"), f"{', '.join(words)} ({hint})"))
        for battery in told["batteries"]:
            rows.append((self._("Battery, by its own report"), self._battery(battery)))
        status = told["status"] or {}
        if status.get("temperature_c") is not None:
            rows.append(
                (
                    self._("Temperature inside, by its own report"),
                    f"{status['temperature_c']:.0f} °C",
                )
            )
        return rows

    def _battery(self, battery: dict[str, Any]) -> str:
        parts = []
        for key, name in (
            ("design_wh", "by design"),
            ("last_full_wh", "last full"),
            ("present_wh", "now"),
        ):
            if battery.get(key) is not None:
                parts.append(f"{self._(name)} {battery[key]:.1f} Wh")
        if battery.get("state_of_health") is not None:
            parts.append(f"{self._('last full / design')} {battery['state_of_health'] * 100:.0f} %")
        return ", ".join(parts) or self._("nothing")

    def instruments(self) -> list[tuple[str, str]]:
        """Instruments with maturity and place of their temperature."""
        rows = []
        for one in self.d["instruments"]:
            extra = one.get("extra") or {}
            place = extra.get("temperature_place")
            text = f"{clean(one.get('model') or one['key'], 60)} ({clean(one['key'], 20)})"
            if one.get("serial"):
                text += f", {self._('serial')} {masked(one['serial'])}"
            if one.get("firmware"):
                text += f", {self._('firmware')} {clean(one['firmware'], 30)}"
            text += f"; {self._('verified against')}: {self._(one.get('maturity') or '?')}"
            text += f"; {self._('its temperature is of')}: {self._place(place) if place else self._('nothing')}"
            rows.append((clean(one["role"], 20), text))
        return rows


def _trace(name: str, columns: dict[str, Any], rows: list[int] | None = None) -> Trace:
    if rows is not None:
        columns = {k: [columns[k][i] for i in rows] for k in ("min", "mean", "max")}
    return Trace(name, columns["min"], columns["mean"], columns["max"])


def _measured_rows(t_s: list[float], columns: list[list[float | None]]) -> list[int]:
    """Rows to draw of a sensor slower than its instrument: those in which something was measured.

    Where it was silent for more than three of its own periods, one empty row stays and breaks the line.
    """
    there = [i for i in range(len(t_s)) if any(c[i] is not None for c in columns)]
    if len(there) < 2:
        return there
    steps = [t_s[b] - t_s[a] for a, b in pairwise(there)]
    longest = 3 * sorted(steps)[len(steps) // 2]
    rows = there[:1]
    for (a, b), step in zip(pairwise(there), steps, strict=True):
        if step > longest and b - a > 1:
            rows.append(a + 1)
        rows.append(b)
    return rows


def _clock(seconds: float) -> str:
    seconds = round(seconds)
    hours, rest = divmod(abs(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def _unit(unit: Any) -> str:
    return clean(unit, 10).replace("degC", "°C").replace("Ohm", "Ω")


def _figure(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, (int, float)) else clean(value, 200)


def render(data: dict[str, Any], lang: str) -> str:
    """The report page."""
    return _environment().get_template("report.html.j2").render(_View(data, lang).context())


def render_label(data: dict[str, Any], lang: str) -> str:
    """The 62 mm label page."""
    return _environment().get_template("label.html.j2").render(_View(data, lang).context())
