"""A daemon's API without a daemon: data shaped as docs/api.md says, the same at every run.

Written from docs/api.md, not from the daemon. Everything in it is invented; what is drawn from it
says SIMULATED unless a test asks for another origin.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from denchi.errors import ApiError

NS = 1_000_000_000
NOW = 1_795_402_800 * NS  # 2026-11-23T03:00:00Z
DATA_DIR = "/nowhere/denchi"

RECALL_AFFECTED = {
    "query": {"text": "Anker A1263", "serial": "…0042"},
    "status": "check_serial",
    "matches": [
        {
            "id": "jp-caa-2025-anker",
            "brand": "Anker",
            "product": "PowerCore 10000",
            "models": ["A1263"],
            "jurisdiction": "JP",
            "regulator": "CAA / METI",
            "notice": "2025-10-21",
            "date": "2025-10-21",
            "unit_scope": "manufacturer-serial-check",
            "url": "https://example.invalid/notice",
            "form": "https://example.invalid/form",
            "confidence": "exact",
            "agreed": ["brand", "model"],
            "conflicts": [],
            "status": "check_serial",
        }
    ],
    "questions": ["Which serial number is printed on the unit?"],
    "questions_ja": ["本体に印字されている製造番号は何ですか?"],
    "lists_dated": {
        "jp-caa": "2026-11-20",
        "us-cpsc": "2026-11-18",
        "eu-safety-gate": "2026-11-15",
    },
    "message": "This model is on a recall list; only the maker can say whether this serial is affected. Stop using it until the maker has answered.",
    "message_ja": "この型番はリコールの対象リストにあります。このシリアル番号が対象かどうかはメーカーだけが答えられます。回答があるまで使用をやめてください。",
}
RECALL_NONE = {
    "query": {"text": "Example PB-10"},
    "status": "not_listed",
    "matches": [],
    "questions": [],
    "lists_dated": {
        "jp-caa": "2026-11-20",
        "us-cpsc": "2026-11-18",
        "eu-safety-gate": "2026-11-15",
    },
    "message": "Not on the lists checked, the newest dated 2026-11-20. This clears nothing.",
    "message_ja": "確認したリスト(最新 2026-11-20)には載っていません。何かを保証するものではありません。",
}
SAFETY = [
    {
        "text": "Stop using and charging it at once, and ask the maker or the shop.",
        "text_ja": "使用と充電を直ちにやめ、メーカーか販売店に相談してください。",
        "source": "CPSC recall notices",
        "dated": "2026-11-20",
        "confidence": "official-quoted",
    }
]
CAUTION = {
    "file": None,
    "t_s": 312.0,
    "onset_s": 305.0,
    "code": "sag_under_load",
    "family": "voltage",
    "severity": "caution",
    "place": "vbus",
    "measured": {"voltage_v": {"value": 4.712, "unit": "V"}, "drop": {"value": 0.392, "unit": "V"}},
    "limit": "4.75 V at the output under load",
    "source": "USB-PD R3.2 §7.1.4",
    "message": "VBUS fell to 4.71 V under 2.4 A; the contract allows no less than 4.75 V.",
    "id": "f-2",
    "bench": "bench-1",
    "session": "s-100",
    "t_ns": NOW - 20 * NS,
    "onset_ns": NOW - 27 * NS,
    "advice": "Try another cable and look again; when it stays, do not rely on this unit.",
    "message_ja": "2.4 A の負荷で VBUS が 4.71 V まで低下しました。契約では 4.75 V を下回れません。",
    "advice_ja": "別のケーブルで確かめてください。変わらなければ、このユニットに頼らないでください。",
    "question": "",
    "ends": "",
    "acknowledged": False,
}
DANGER = {
    **CAUTION,
    "id": "f-3",
    "code": "over_temperature",
    "family": "thermal",
    "severity": "danger",
    "place": "case",
    "measured": {"temperature_c": {"value": 63.2, "unit": "degC"}},
    "limit": "60 degC on the case",
    "source": "IEC 62368-1 touch temperature, see health/science",
    "message": "The case is at 63.2 °C, above 60 °C.",
    "message_ja": "ケースの温度が 63.2 °C で、上限の 60 °C を超えています。",
    "advice": "Unplug it now and put it where it can burn without harm. Do not touch it while it is hot.",
    "advice_ja": "すぐに抜き、燃えても被害の出ない場所に置いてください。熱いうちは触らないでください。",
    "t_ns": NOW - 8 * NS,
    "onset_ns": NOW - 10 * NS,
}
QUESTION = {
    **CAUTION,
    "id": "f-1",
    "code": "ambient_or_sun",
    "family": "thermal",
    "severity": "info",
    "place": "case",
    "measured": {"temperature_c": {"value": 38.4, "unit": "degC"}},
    "limit": "",
    "source": "",
    "message": "The case is warm without load. Does the sun shine on it, or is it covered?",
    "message_ja": "負荷がないのにケースが温かいです。日光が当たっているか、何かで覆われていますか?",
    "advice": "",
    "advice_ja": "",
    "question": "sun_or_cover",
    "t_ns": NOW - 200 * NS,
    "onset_ns": NOW - 230 * NS,
}
COOLED = {
    **DANGER,
    "id": "f-4",
    "severity": "info",
    "ends": "over_temperature",
    "message": "The case has cooled down to 48.0 °C.",
    "message_ja": "ケースは 48.0 °C まで冷めました。",
    "advice": "",
    "advice_ja": "",
    "t_ns": NOW - 2 * NS,
    "onset_ns": NOW - 2 * NS,
}
PDOS = [
    {"position": 1, "text": "Fixed 5.00 V 3.00 A", "active": False},
    {"position": 2, "text": "Fixed 9.00 V 2.22 A", "active": True},
    {"position": 3, "text": "Fixed 12.00 V 1.67 A", "active": False},
    {"position": 4, "text": "PPS 3.30–11.00 V 2.00 A", "active": False},
]
PD = {
    "messages": 42,
    "epr": False,
    "contract": None,
    "capabilities": PDOS,
    "sink_capabilities": [],
    "identity": {
        "unit": {
            "vid": "0x2e87",
            "pid": "0x0021",
            "manufacturer": "ACME",
            "told_by": ["Manufacturer_Info"],
        },
        "other": None,
        "cable": None,
    },
    "batteries": [
        {
            "battery": 0,
            "design_wh": 74.0,
            "last_full_wh": 59.2,
            "state_of_health": 0.8,
            "present_wh": None,
            "state": None,
            "t_ns": NOW,
        }
    ],
    "status": None,
    "events": [],
}
VERDICTS = {
    "caution": {
        "en": "Caution: something was seen that should not be.",
        "ja": "注意:あってはならないものが観測されました。",
    },
    "inconclusive": {
        "en": "Inconclusive: too little was observed to say anything; heat was not observed.",
        "ja": "判定できません:観測が足りません。発熱は観測されていません。",
    },
    "no_anomaly_seen": {
        "en": "No anomaly seen in 5 min of this test. This does not guarantee safety.",
        "ja": "この試験(5分間)では異常は観測されませんでした(安全を保証するものではありません)",
    },
    "stop_using": {
        "en": "Stop using this unit: the case was above 60 °C.",
        "ja": "このユニットの使用をやめてください:ケースが 60 °C を超えました。",
    },
}


def verdict(word: str) -> dict[str, Any]:
    """A verdict report."""
    reasons = {
        "caution": [
            {
                "en": "VBUS fell to 4.71 V under 2.4 A",
                "ja": "2.4 A の負荷で VBUS が 4.71 V まで低下",
            }
        ],
        "stop_using": [{"en": "case above 60 °C", "ja": "ケースが 60 °C を超過"}],
    }
    return {
        "verdict": word,
        "sentence": VERDICTS[word],
        "reasons": reasons.get(word, []),
        "observed": ["voltage", "current", "heat_of_the_unit"],
        "not_observed": ["energy_to_empty", "ambient"],
    }


def wave(i: int, phase: float) -> tuple[float, float, float]:
    """V, A and case temperature of sample ``i`` (10 Hz): rest, a load step, ripple."""
    t = i / 10
    amps = 0.02 if t < 12 + phase else 1.62 + 0.03 * math.sin(t * 1.7)
    if 34 + phase < t < 38 + phase:
        amps = 2.38
    volts = 9.06 - 0.075 * amps + 0.004 * math.sin(t * 9.3 + phase)
    case = 31.0 + 0.09 * t + 0.2 * math.sin(t / 7)
    return round(volts, 5), round(amps, 5), round(case, 3)


def block(name: str, phase: float = 0.0, *, hole: bool = True, end: int = NOW) -> dict[str, Any]:
    """The last 60 s of a bench as one ``block`` message, with a hole of 5 s in it."""
    keep = [i for i in range(600) if not (hole and 450 <= i < 500)]
    rows = [wave(i, phase) for i in keep]
    return {
        "type": "block",
        "bench": name,
        "role": "meter",
        "t_ns": [end - (600 - i) * NS // 10 for i in keep],
        "columns": {
            "vbus_uv": [r[0] for r in rows],
            "ibus_ua": [r[1] for r in rows],
            "temp_mc.meter": [round(r[2] + 6.0, 3) for r in rows],
            "temp_mc.case": [
                r[2] if i % 10 == 0 else None for i, r in zip(keep, rows, strict=True)
            ],
        },
    }


def _channel(
    value: float, unit: str, place: str, age: float, stale: bool = False
) -> dict[str, Any]:
    return {
        "value": value,
        "unit": unit,
        "place": place,
        "age_s": age,
        "stale": stale,
        "role": "meter",
    }


def bench(
    name: str = "bench-1", *, origin: str = "simulated", phase: float = 0.0
) -> dict[str, Any]:
    """A bench that streams; a caution was found."""
    volts, amps, case = wave(599, phase)
    return {
        "name": name,
        "origin": origin,
        "link": {
            "state": "streaming",
            "since_ns": NOW - 600 * NS,
            "message": "",
            "cure": "",
            "rate_hz": 100.0,
            "frames": 40_120,
            "rejected": 3,
            "unchecked": False,
        },
        "meter": {
            "key": "fnb58",
            "model": "FNB58",
            "maker": "FNIRSI",
            "serial": "E-0001",
            "firmware": "0.68",
            "maturity": "captures",
            "port": "emulated:fnb58",
            "temperature_place": "meter",
            "current": "signed",
            "notes": [],
        },
        "probes": {"case": None, "ambient": None},
        "session": {
            "id": f"s-{100 + int(phase)}",
            "origin": origin,
            "started": "2026-11-23T02:54:40.000Z",
            "ended": None,
            "bench": name,
            "meter": "fnb58",
            "unit": "Anker A1263",
            "profile": "watch",
            "samples": 32_000,
            "gaps": 1,
            "verdict": None,
            "started_ns": NOW - 320 * NS,
            "duration_s": 320.0,
            "gap_s": 5.0,
        },
        "unit": {
            "brand": "Anker",
            "model": "A1263",
            "serial": "AB12XY0042",
            "colour": "",
            "bought": "2023-05",
            "country": "JP",
            "rated_mah": 10_000.0,
            "rated_wh": 37.0,
            "max_w": 22.5,
            "chemistry": "",
            "label_text": "",
        },
        "recall": RECALL_AFFECTED,
        "live": {
            "t_ns": NOW - NS // 10,
            "age_s": 0.1,
            "stale": False,
            "channels": {
                "vbus_uv": _channel(volts, "V", "vbus", 0.1),
                "ibus_ua": _channel(amps, "A", "vbus", 0.1),
                "power_w": _channel(round(volts * amps, 4), "W", "vbus", 0.1),
                "dp_uv": _channel(0.601, "V", "dp", 0.1),
                "dm_uv": _channel(0.6, "V", "dm", 0.1),
                "temp_mc.case": _channel(case, "degC", "case", 0.9),
                "temp_mc.meter": _channel(round(case + 6, 3), "degC", "meter", 0.1),
            },
        },
        "energy": {
            "wh_out": 1.2034,
            "ah_out": 0.1331,
            "wh_in": 0.0,
            "ah_in": 0.0,
            "seconds": 315.0,
        },
        "contract": {
            "kind": "PD fixed",
            "voltage_v": 9.0,
            "current_a": 2.22,
            "since_ns": NOW - 310 * NS,
            "from": "pd",
            "low_v": 8.55,
            "high_v": 9.45,
            "pdos": PDOS,
        },
        "findings": [copy.deepcopy(QUESTION), {**copy.deepcopy(CAUTION), "bench": name}],
        "verdict": verdict("caution"),
        "screening": None,
        "pd_messages": 42,
        "pd": copy.deepcopy(PD),
    }


def state(benches: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole state."""
    alarms = [
        f
        for b in benches
        for f in b["findings"]
        if f["severity"] != "info" and not f["acknowledged"]
    ]
    return {
        "version": "0.1.0",
        "pid": 4242,
        "station": "counter-2",
        "private": True,
        "simulated": any(b["origin"] == "simulated" for b in benches),
        "data_dir": DATA_DIR,
        "started": "2026-11-23T02:54:00.000Z",
        "now_ns": NOW,
        "benches": benches,
        "journal": {
            "path": f"{DATA_DIR}/journal.sqlite3",
            "bytes": 18_400_000,
            "free_bytes": 64_200_000_000,
            "tail_samples": 812,
            "last_commit_age_s": 0.06,
            "commit_ms": 7.4,
            "lost_samples": 0,
            "degraded": None,
            "message": None,
        },
        "outputs": [
            {
                "name": "influx",
                "kind": "influxdb2",
                "state": "waiting",
                "backlog_samples": 12_340,
                "backlog_s": 123.4,
                "rate_per_s": 0.0,
                "last_error": "connection refused",
                "quarantined": 0,
            }
        ],
        "alarms": copy.deepcopy(alarms),
        "recall_lists": {
            "dated": RECALL_NONE["lists_dated"],
            "newest": "2026-11-20",
            "age_days": 3,
        },
        "waiting": None,
    }


def waiting_state() -> dict[str, Any]:
    """No meter; one that cannot be opened."""
    made = state([])
    made["outputs"] = []
    made["waiting"] = {
        "looked_for": [
            "FNIRSI FNB48, FNB58, C1 (USB)",
            "POWER-Z KM003C (USB)",
            "RDTech TC66C (serial)",
        ],
        "unopenable": [
            {
                "what": "FNIRSI FNB58 at usb 1-2",
                "key": "fnb58",
                "reason": "permission denied on /dev/hidraw3",
                "cure": "sudo denchi install udev, then plug the meter in again",
            }
        ],
    }
    return made


SESSIONS = [
    ("s-104", "simulated", "2026-11-23T02:54:40.000Z", None, "bench-1", "fnb58", "Anker A1263", "watch", 32_000, 1, None),
    ("s-103", "meter", "2026-11-22T06:10:00.000Z", "2026-11-22T06:31:00.000Z", "bench-1", "fnb58", "Example PB-10", "standard", 126_000, 0, "no_anomaly_seen"),
    ("s-102", "meter", "2026-11-22T05:40:00.000Z", "2026-11-22T06:01:00.000Z", "bench-2", "km003c", "Beispiel 携帯電源 20000", "standard", 63_000, 0, "stop_using"),
    ("s-101", "meter", "2026-11-21T05:40:00.000Z", "2026-11-21T05:45:00.000Z", "bench-2", "km003c", "Example PB-10", "quick", 15_000, 2, "inconclusive"),
    ("s-099", "recording", "2026-11-20T00:00:00.000Z", "2026-11-20T01:00:00.000Z", "", "file", "", "watch", 36_000, 0, "caution"),
]  # fmt: skip
_KEYS = (
    "id",
    "origin",
    "started",
    "ended",
    "bench",
    "meter",
    "unit",
    "profile",
    "samples",
    "gaps",
    "verdict",
)


def session_lines() -> list[dict[str, Any]]:
    """Session lines, newest first."""
    return [dict(zip(_KEYS, row, strict=True)) for row in SESSIONS]


def span_of(session: str) -> tuple[int, int]:
    """Begin and end of a session."""
    row = next((r for r in SESSIONS if r[0] == session), None)
    if row is None or row[3] is None:
        return NOW - 320 * NS, NOW
    ends = [datetime.fromisoformat(t.replace("Z", "+00:00")).timestamp() for t in (row[2], row[3])]
    return int(ends[0]) * NS, int(ends[1]) * NS


def series(session: str, channels: str, start: int, end: int, points: int) -> dict[str, Any]:
    """Roll-ups of a session: a discharge with a hole."""
    phase = {"s-102": 4.0, "s-103": 0.0}.get(session, 1.0)
    count = min(points, 240)
    step = max(1, (end - start) // count)
    stamps = [start + i * step for i in range(count)]
    names = (
        channels.split(",")
        if channels
        else ["vbus_uv", "ibus_ua", "power_w", "temp_mc.case", "temp_mc.meter"]
    )
    answer: dict[str, Any] = {}
    for name in names:
        low, mean, high = [], [], []
        for i in range(count):
            share = i / count
            hole = 0.6 < share < 0.66
            amps = 0.02 if share < 0.1 else 1.5 + 0.1 * math.sin(share * 20 + phase)
            volts = 5.1 - 0.08 * amps - (0.05 + 0.03 * phase) * share
            value = {
                "vbus_uv": volts,
                "ibus_ua": amps,
                "power_w": volts * amps,
                "temp_mc.case": 26 + (6 + 2.2 * phase) * share,
                "temp_mc.meter": 34 + 5 * share,
            }.get(name)
            wide = {"vbus_uv": 0.01, "ibus_ua": 0.05}.get(name, 0.1)
            missing = hole or value is None
            low.append(None if missing else round(value - wide, 4))
            mean.append(None if missing else round(value, 4))
            high.append(None if missing else round(value + wide, 4))
        answer[name] = {"min": low, "mean": mean, "max": high}
    hole_at = (start + int((end - start) * 0.6), start + int((end - start) * 0.66))
    return {
        "resolution_s": step / NS,
        "t_ns": stamps,
        "channels": answer,
        "gaps": [[hole_at[0], hole_at[1], "unplugged"]],
    }


PROFILES = {
    "profiles": [
        {"name": "quick", "title": {"en": "Quick check", "ja": "簡易検査"}, "minutes": 5, "description": {"en": "rest, one load step, recovery", "ja": "無負荷・負荷1段・回復"}},
        {"name": "standard", "title": {"en": "Standard", "ja": "標準検査"}, "minutes": 20, "description": {"en": "rest, load steps, hold, recovery", "ja": "無負荷・負荷段階・保持・回復"}},
    ]
}  # fmt: skip
CHECKLIST = [
    {"key": "swollen", "text": {"en": "Is the case swollen or bulging?", "ja": "ケースが膨らんでいますか?"}},
    {"key": "dented", "text": {"en": "Is it dented, cracked or crushed?", "ja": "へこみ、割れ、つぶれがありますか?"}},
    {"key": "smell", "text": {"en": "Does it smell sweet or burnt?", "ja": "甘い臭いや焦げた臭いがしますか?"}},
    {"key": "hot_at_rest", "text": {"en": "Is it hot although nothing is connected?", "ja": "何もつないでいないのに熱いですか?"}},
    {"key": "leaking", "text": {"en": "Does anything leak?", "ja": "液漏れがありますか?"}},
    {"key": "cable", "text": {"en": "Are cable or sockets damaged?", "ja": "ケーブルや端子が傷んでいますか?"}},
]  # fmt: skip


def screening(where: str) -> dict[str, Any]:
    """A screening in one of its states."""
    made: dict[str, Any] = {
        "profile": "quick",
        "title": {"en": "Quick check", "ja": "簡易検査"},
        "state": where,
        "session": "s-100",
        "checklist": CHECKLIST,
        "step": {
            "index": 1,
            "count": 4,
            "key": "load_1a",
            "title": {"en": "Load 1 A", "ja": "負荷 1 A"},
            "instruction": {
                "en": "Set the electronic load to 1.0 A, or plug in a device that draws about 1 A.",
                "ja": "電子負荷を 1.0 A に設定するか、約 1 A の機器をつないでください。",
            },
            "seconds_total": 60,
            "seconds_left": 42.0,
            "waiting_for": {"en": "a current between 0.8 and 1.2 A", "ja": "0.8〜1.2 A の電流"},
        },
        "progress": 0.36,
        "seconds_left": 192.0,
        "verdict": None,
    }
    if where == "done":
        made.update(progress=1.0, seconds_left=0.0, verdict=verdict("no_anomaly_seen"))
    return made


LOGS = [
    {"n": 1, "t": "2026-11-23T02:54:00.120Z", "level": "info", "room": "daemon", "message": "denchi 0.1.0 begins on /nowhere/denchi"},
    {"n": 2, "t": "2026-11-23T02:54:01.020Z", "level": "info", "room": "drivers", "message": "FNIRSI FNB58 opened (emulated)"},
    {"n": 3, "t": "2026-11-23T02:56:40.020Z", "level": "warning", "room": "outputs", "message": "influx: connection refused; 0 samples lost, they wait in the journal"},
    {"n": 4, "t": "2026-11-23T02:58:10.000Z", "level": "error", "room": "drivers", "message": "[bold red]not markup[/] \x1b[31mnot an escape 電池"},
]  # fmt: skip
DOCTOR = {
    "checks": [
        {"name": "permissions", "state": "bad", "message": "hidraw3 may not be opened", "cure": "sudo denchi install udev"},
        {"name": "clock", "state": "fine", "message": "steps of the clock do not reach the record", "cure": ""},
        {"name": "disk", "state": "fine", "message": "64 GB free", "cure": ""},
        {"name": "recall lists", "state": "notice", "message": "newest list is 3 days old", "cure": "denchi recall update"},
    ]
}  # fmt: skip
METERS = {
    "found": [
        {"key": "fnb58", "model": "FNB58", "maker": "FNIRSI", "port": "usb 1-3", "serial": "E-0001", "maturity": "captures", "bench": "bench-1"}
    ],
    "unopenable": [
        {"what": "POWER-Z KM003C at usb 1-2", "key": "km003c", "reason": "permission denied", "cure": "sudo denchi install udev"}
    ],
}  # fmt: skip


def pd_messages() -> list[dict[str, Any]]:
    """A short negotiation."""
    kinds = [
        ("Source_Capabilities", "SOP", "source", {"pdos": copy.deepcopy(PDOS)}),
        ("GoodCRC", "SOP", "sink", {}),
        (
            "Request",
            "SOP",
            "sink",
            {"kind": "current", "position": 2, "operating_a": 2.0, "mismatch": False},
        ),
        ("Accept", "SOP", "source", {}),
        ("PS_RDY", "SOP", "source", {}),
    ]
    return [
        {
            "type": kind,
            "sop": sop,
            "rev": "3.x",
            "id": i % 8,
            "power_role": role,
            "objects": ["0x1912c", "0x2d0de"] if i == 0 else [],
            "fields": fields,
            "t_ns": NOW - (310 * NS) + i * NS // 50,
        }
        for i, (kind, sop, role, fields) in enumerate(kinds)
    ]


class FakeApi:
    """The client the TUI gets in tests: answers at once, streams what it was given, notes what was asked."""

    def __init__(self, whole: dict[str, Any], messages: list[dict[str, Any]] | None = None) -> None:
        self.whole = whole
        self.messages = messages if messages is not None else self._blocks()
        self.calls: list[tuple[str, str, Any]] = []
        self.answers: dict[str, Any] = {}
        self.fail = False
        self.feed: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def _blocks(self) -> list[dict[str, Any]]:
        return [
            block(b["name"], float(i % 4), end=NOW - NS // 10)
            for i, b in enumerate(self.whole["benches"])
        ] + [
            {"type": "gap", "bench": b["name"], "start_ns": NOW - 15 * NS, "end_ns": NOW - 10 * NS, "cause": "unplugged"}
            for b in self.whole["benches"]
        ]  # fmt: skip

    def connect(self) -> FakeApi:
        """The client factory."""
        if self.fail:
            raise ApiError("no daemon runs on /nowhere/denchi", cure="start one with `denchi run`")
        return self

    async def close(self) -> None:
        """Nothing to close."""

    async def state(self) -> dict[str, Any]:
        """The whole state."""
        return copy.deepcopy(self.whole)

    async def stream(self, max_hz: float = 20) -> AsyncIterator[dict[str, Any]]:
        """What was prepared, then what a test feeds, until ``None``."""
        yield {"type": "state", **copy.deepcopy(self.whole)}
        for message in self.messages:
            yield copy.deepcopy(message)
        while True:
            message = await self.feed.get()
            if message is None:
                raise ApiError("the daemon has gone (ReadError)", cure="is it running?")
            yield message

    async def get(self, path: str, **params: Any) -> Any:
        """Prepared answers by path."""
        self.calls.append(("GET", path, params))
        if path in self.answers:
            return copy.deepcopy(self.answers[path])
        return copy.deepcopy(self._get(path, params))

    def _get(self, path: str, params: dict[str, Any]) -> Any:
        parts = path.strip("/").split("/")
        plain = {"meters": METERS, "doctor": DOCTOR, "profiles": PROFILES, "state": self.whole}
        if parts[1] in plain:
            return plain[parts[1]]
        if parts[1] == "logs":
            after = int(params.get("after") or 0)
            return {"lines": [x for x in LOGS if x["n"] > after], "next": 4}
        if parts[1] == "recall":
            text = f"{params.get('text', '')} {params.get('model', '')}"
            answer = RECALL_AFFECTED if "1263" in text else RECALL_NONE
            return (
                {**answer, "symptom": True, "safety": SAFETY} if params.get("symptom") else answer
            )
        if parts[1] == "sessions" and len(parts) == 2:
            word = str(params.get("search") or "").lower()
            rows = [x for x in session_lines() if word in str(x).lower()]
            return {"sessions": rows, "more": False}
        return self._session(parts[2], parts[3] if len(parts) > 3 else "", params)

    def _session(self, name: str, what: str, params: dict[str, Any]) -> Any:
        if what == "series":
            began, ended = span_of(name)
            start = params.get("from_ns") or began
            end = params.get("to_ns") or ended
            return series(
                name,
                params.get("channels") or "",
                int(start),
                int(end),
                int(params.get("points") or 400),
            )
        if what == "findings":
            return {"findings": [DANGER, COOLED] if name == "s-102" else [CAUTION]}
        if what == "gaps":
            return {"gaps": [[NOW - 900 * NS, NOW - 880 * NS, "unplugged"]]}
        if what == "pd":
            after = int(params.get("after") or 0)
            return {"messages": pd_messages()[after:], "next": len(pd_messages())}
        found = [x for x in session_lines() if x["id"] == name]
        if not found:
            raise ApiError(f"no session {name}", cure="see `denchi sessions`")
        return {
            **found[0],
            "unit_label": found[0]["unit"],
            "meta": {},
            "instruments": [{"role": "meter", "key": found[0]["meter"]}],
            "verdict_report": verdict(found[0]["verdict"]) if found[0]["verdict"] else None,
            "recall": RECALL_NONE,
            "screening": None,
        }

    async def post(self, path: str, body: Any = None) -> Any:
        """Noted, and acted on as far as a page waits for it."""
        self.calls.append(("POST", path, body))
        if path in self.answers:
            return copy.deepcopy(self.answers[path])
        if path.endswith("/screening"):
            return self._set_screening(path, "recall")
        return {}

    def _set_screening(self, path: str, where: str) -> dict[str, Any]:
        for one in self.whole["benches"]:
            if one["name"] == path.split("/")[3]:
                one["screening"] = screening(where)
        self.feed.put_nowait({"type": "state", **copy.deepcopy(self.whole)})
        return screening(where)

    async def put(self, path: str, body: Any) -> Any:
        """Noted."""
        self.calls.append(("PUT", path, body))
        return {}

    async def delete(self, path: str) -> Any:
        """Noted."""
        self.calls.append(("DELETE", path, None))
        return {}


def desk() -> FakeApi:
    """One bench with a caution."""
    return FakeApi(state([bench()]))


def shop(count: int = 4) -> FakeApi:
    """Several benches."""
    units = [("Anker", "A1263"), ("Example", "PB-10"), ("Beispiel", "携帯電源 20000"), ("", "")]
    benches = []
    for i in range(count):
        one = bench(f"bench-{i + 1}", phase=float(i))
        one["session"]["id"] = f"s-{100 + i}"
        one["unit"]["brand"], one["unit"]["model"] = units[i % 4]
        if i % 4 != 0:
            one["recall"] = RECALL_NONE
            one["findings"] = []
            one["verdict"] = verdict("no_anomaly_seen" if i % 4 == 1 else "inconclusive")
        if i == 2:
            one["link"]["state"] = "gone"
            one["live"]["stale"] = True
            one["live"]["age_s"] = 14.0
            for value in one["live"]["channels"].values():
                value.update(age_s=14.0, stale=True)
            one["live"]["t_ns"] = NOW - 14 * NS
        benches.append(one)
    made = FakeApi(state(benches))
    if count > 2:
        made.messages = [
            block(b["name"], float(i % 4), end=NOW - (14 * NS if i == 2 else NS // 10))
            for i, b in enumerate(benches)
        ]
    return made


def alarm() -> FakeApi:
    """A danger that ended and was not acknowledged."""
    one = bench()
    one["findings"] += [copy.deepcopy(DANGER)]
    one["verdict"] = verdict("stop_using")
    return FakeApi(state([one]))


def waiting() -> FakeApi:
    """No meter."""
    return FakeApi(waiting_state(), [])


def guided(where: str) -> FakeApi:
    """A screening at a stage."""
    one = bench()
    one["screening"] = screening(where)
    one["findings"] = []
    return FakeApi(state([one]))
