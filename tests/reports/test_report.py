"""The report: one page, both languages, nothing unescaped, nothing that calls a unit safe."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser

import pytest

from denchi_dashboards.reports import html, pdf
from denchi_dashboards.reports.data import collect
from denchi_dashboards.reports.svg import Trace, plot

T0 = 1_750_000_000_000_000_000
EVIL = "<script>alert(1)</script>\"'{{7*7}}\x1b[31m"
RTL = "A\u202e3621\u2066\u200f"
FORMULA = "=cmd|' /C calc'!A0"


def fake_reader(verdict="caution", *, evil=False, origin="meter", pd=None):
    bad = EVIL if evil else ""
    n = 60
    t_ns = [T0 + i * 5_000_000_000 for i in range(n)]
    volts = [None if 20 <= i < 25 else 5.1 - 0.002 * i for i in range(n)]
    case = [25 + 0.1 * i for i in range(n)]
    columns = lambda v: {"min": v, "mean": v, "max": v}
    session = {
        "id": "20260101-000000-left-abcd",
        "origin": origin,
        "started": "2026-01-01T00:00:00.000Z",
        "ended": "2026-01-01T00:05:00.000Z",
        "started_ns": T0,
        "ended_ns": T0 + 300_000_000_000,
        "bench": "left",
        "meter": "fnb58",
        "unit": "Anker A1263" + bad,
        "profile": "quick",
        "operator": "Sato" + bad,
        "samples": 30000,
        "gaps": 1,
        "verdict": verdict,
        "unit_label": {
            "brand": "Anker" + bad,
            "model": "A1263",
            "serial": "ABCD1234" + bad,
            "rated_mah": 10000.0,
        },
        "meta": {},
        "instruments": [
            {
                "role": "meter",
                "key": "fnb58",
                "model": "FNB58" + bad,
                "serial": "X1",
                "firmware": "0.68",
                "maturity": "captures",
                "channels": ["vbus_uv", "ibus_ua", "temp_mc.meter"],
                "extra": {"temperature_place": "meter"},
            }
        ],
        "verdict_report": None
        if verdict is None
        else {
            "verdict": verdict,
            "sentence": {"en": "A caution was raised.", "ja": "注意すべき所見があります。"},
            "reasons": [{"en": "sag " + bad, "ja": "電圧降下"}],
            "observed": ["voltage"],
            "not_observed": ["heat_of_the_unit"],
            "summary": {"wh_out": 1.25, "ah_out": 0.24, "wh_in": 0.0, "ah_in": 0.0},
        },
        "recall": {
            "status": "check_serial",
            "message": "Check the serial " + bad,
            "message_ja": "製造番号を確認",
            "safety": [
                {
                    "text": "Stop using it" + bad,
                    "text_ja": "使用をやめてください" + bad,
                    "source": "CPSC" + bad,
                    "dated": "2026-11-20",
                }
            ],
            "matches": [
                {
                    "jurisdiction": "US",
                    "regulator": "CPSC",
                    "notice": "25-1",
                    "brand": "Anker",
                    "product": "PowerCore",
                    "models": ["A1263"],
                    "unit_scope": "manufacturer-serial-check",
                    "date": "2025-06-12",
                    "url": "javascript:alert(1)" if evil else "https://example.org/notice",
                }
            ],
            "lists_dated": {"bundled": "2026-11-23"},
        },
        "screening": None,
    }
    finding = {
        "t_s": 61.0,
        "severity": "caution",
        "measured": {"vbus_v" + bad: {"value": 4.31, "unit": "V"}},
        "message": "VBUS sagged " + bad,
        "message_ja": "電圧降下",
        "advice": "check the cable",
        "advice_ja": "ケーブルを確認",
        "limit": "4.4 V" + bad,
        "source": "common practice",
        "place": "",
    }

    class Reader:
        def get(self, path, **params):
            if path.endswith("/findings"):
                return {"findings": [finding]}
            if path.endswith("/gaps"):
                return {
                    "gaps": [
                        {
                            "start_ns": t_ns[20],
                            "end_ns": t_ns[25],
                            "cause": "unplugged" + bad,
                            "lost": 0,
                        }
                    ]
                }
            if path.endswith("/pd"):
                return {"messages": [], "next": 0}
            if path.endswith("/pd/summary"):
                return {"pd": pd}
            if path.endswith("/series"):
                return {
                    "resolution_s": 5,
                    "t_ns": t_ns,
                    "channels": {"vbus_uv": columns(volts), "temp_mc.meter": columns(case)},
                    "gaps": [[t_ns[20], t_ns[25], "unplugged"]],
                }
            return session

    return Reader()


def page(lang="en", **options):
    return html.render(collect(fake_reader(**options), "x"), lang)


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *a) for a in attrs]


def parsed(text):
    parser = _Tags()
    parser.feed(text)
    return parser


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_one_self_contained_page_without_script_or_request(lang):
    tags = parsed(page(lang))
    assert "script" not in tags.tags
    assert "link" not in tags.tags
    assert "img" not in tags.tags
    for tag, name, value in tags.attributes:
        assert name != "src", (tag, value)
        if name == "href":
            assert tag == "a"
    assert {"header", "main", "footer", "h1", "h2"} <= set(tags.tags)
    assert ("html", "lang", lang) in tags.attributes


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("render", [html.render, html.render_label])
def test_everything_from_outside_is_escaped(lang, render):
    text = render(collect(fake_reader(evil=True), "x"), lang)
    assert "<script" not in text
    assert "javascript:" not in text
    assert "\x1b" not in text
    assert "49" not in re.findall(r"alert\(1\)[^<]{0,20}", text)
    tags = parsed(text)
    assert not [a for a in tags.attributes if a[1].startswith("on")]


@pytest.mark.parametrize(
    "verdict", ["stop_using", "caution", "inconclusive", "no_anomaly_seen", None]
)
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_no_verdict_is_called_good_in_words_colour_or_symbol(verdict, lang):
    text = page(lang, verdict=verdict)
    for word in ("合格", "正常", "安全", "異常なし", "✓", "✔", "✅", "PASS", "green"):
        assert word not in text, word
    assert not re.search(r"\b(safe|OK|passed|healthy)\b", text, re.IGNORECASE)


def test_a_session_without_a_verdict_is_inconclusive():
    assert "INCONCLUSIVE" in page(verdict=None)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_simulated_is_said_on_report_and_label(lang):
    data = collect(fake_reader(origin="simulated"), "x")
    assert "SIMULATED / 模擬" in html.render(data, lang)
    assert "SIMULATED / 模擬" in html.render_label(data, lang)
    assert "SIMULATED" not in html.render(collect(fake_reader(), "x"), lang)


def test_the_meter_own_temperature_is_named_as_the_meter_own():
    assert "the meter itself, not the unit" in page()


def test_a_missing_stretch_breaks_the_line_and_is_shaded():
    svg = plot("v", "V", [0, 1, 2, 3], [Trace("", *[[1.0, None, 2.0, 3.0]] * 3)], gaps=[(0.5, 1.5)])
    assert svg.count("<polyline") == 2
    assert 'class="gap"' in svg
    assert plot("v", "V", [0, 1], [Trace("", *[[None, None]] * 3)]) == ""


def test_a_probe_slower_than_its_board_is_drawn_as_a_line_that_its_silence_breaks():
    """One row in ten has a temperature; between 30 and 70 s there is none at all."""
    reader = fake_reader()
    get = reader.get
    n = 100
    case = [30.0 if i % 10 == 0 and not 30 < i < 70 else None for i in range(n)]

    def slow(path, **params):
        if path.endswith("/series"):
            columns = {"min": case, "mean": case, "max": case}
            nothing = {k: [None] * n for k in columns}
            t_ns = [T0 + i * 1_000_000_000 for i in range(n)]
            channels = {"temp_mc.case": columns, "temp_mc.cell.1": nothing}
            return {"resolution_s": 1, "t_ns": t_ns, "channels": channels, "gaps": []}
        return get(path, **params)

    reader.get = slow
    text = html.render(collect(reader, "x"), "en")
    assert text.count("<polyline") == 2
    assert "cell.1" not in text


def test_gap_share_is_of_the_whole_session():
    data = collect(fake_reader(), "x")
    assert data["completeness"]["gap_s"] == 25.0
    assert data["completeness"]["gap_percent"] == pytest.approx(100 * 25 / 300, abs=0.01)


@pytest.mark.browser
@pytest.mark.skipif(pdf.browser() is None, reason="no browser on this machine to print with")
def test_pdf_has_pages_with_the_text(tmp_path):
    target = tmp_path / "unit.pdf"
    pdf.to_pdf(page("ja"), target)
    assert target.read_bytes().startswith(b"%PDF")
    done = subprocess.run(
        ["pdftotext", str(target), "-"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        assert "検査報告書" in done.stdout
        assert "製造番号" in done.stdout


def pd_told(bad=""):
    return {
        "messages": 412,
        "contract": {
            "kind": "pps",
            "voltage_v": 8.4,
            "current_a": 2.0,
            "text": "PPS 3.30-11.00 V 3.00 A" + bad,
        },
        "capabilities": [
            {"position": 1, "kind": "fixed", "text": "fixed 5.00 V 3.00 A" + bad, "active": False},
            {"position": 8, "kind": "fixed", "text": "fixed 28.00 V 5.00 A", "active": True},
        ],
        "identity": {"unit": {"vid": "0x2e87", "manufacturer": "ACME" + bad, "told_by": []}},
        "batteries": [
            {"design_wh": 74.0, "last_full_wh": 59.2, "present_wh": None, "state_of_health": 0.8}
        ],
        "status": {"temperature_c": 41.0},
    }


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_what_the_unit_says_by_pd_is_its_own_report(lang):
    text = page(lang, pd=pd_told())
    assert "412" in text
    assert "<td>8</td><td>fixed 28.00 V 5.00 A</td>" in text
    assert "ACME" in text and "0x2e87" in text
    assert "59.2 Wh" in text and "80 %" in text and "41 °C" in text
    hint = {"en": "a hint only", "ja": "参考のみ"}[lang]
    assert hint in text


def test_pd_texts_are_escaped_and_absence_is_no_section():
    assert EVIL not in page(pd=pd_told(EVIL))
    assert "USB Power Delivery" not in page()


def _luminance(colour: str) -> float:
    """WCAG 2 relative luminance of ``#rrggbb``."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_ink_stands_out_from_every_ground():
    """WCAG AA for text: 4.5 to 1."""
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", page()))
    assert set(colours) == {"ink", "soft", "rule", "paper", "wash", "stop", "warn"}
    for ink in ("ink", "soft", "stop", "warn"):
        for ground in ("paper", "wash"):
            low, high = sorted((_luminance(colours[ink]), _luminance(colours[ground])))
            ratio = (high + 0.05) / (low + 0.05)
            print(f"{ink} on {ground}: {ratio:.1f}")
            assert ratio >= 4.5, (ink, ground)


def _opened(source, folder) -> tuple[str, set[str]]:
    """(DOM, hosts asked but for the browser's own) by Chromium's net log of opening a page."""
    log = folder / f"{source.stem}.json"
    command = [
        pdf.browser(), "--headless", "--disable-gpu", "--no-sandbox", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", f"--user-data-dir={folder}/{source.stem}",
        f"--log-net-log={log}", "--dump-dom", source.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    found = re.findall(r'"url":"https?://([^/":]+)', log.read_text("utf-8", "replace"))
    own = (".google.com", ".googleapis.com", ".gstatic.com")
    return done.stdout, {host for host in found if not host.endswith(own)}


@pytest.mark.browser
@pytest.mark.skipif(pdf.browser() is None, reason="no browser on this machine to ask")
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_browser_asks_no_host_for_anything(tmp_path, lang):
    picture = '<main><img src="http://127.0.0.1:9/x.png"></main>'
    (tmp_path / "control.html").write_text(picture, encoding="utf-8")
    assert _opened(tmp_path / "control.html", tmp_path)[1] == {"127.0.0.1"}, (
        "the log tells requests"
    )
    source = tmp_path / "unit.html"
    source.write_text(page(lang, pd=pd_told()), encoding="utf-8")
    dom, hosts = _opened(source, tmp_path)
    assert hosts == set()
    for landmark in ("<header", "<main", "<footer", 'aria-label="'):
        assert landmark in dom


def test_the_advice_of_the_recall_answer_is_said_in_the_language_with_its_source():
    assert "<li>Stop using it [CPSC, 2026-11-20]</li>" in page("en")
    assert "<li>使用をやめてください [CPSC, 2026-11-20]</li>" in page("ja")


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_nothing_is_left_in_the_words_of_the_api(lang):
    """Scope, place and figure names are said as a person says them."""
    text = page(lang)
    for key in ("manufacturer-serial-check", "vbus v", "vbus_v", "heat_of_the_unit"):
        assert key not in text, key
    assert "<li></li>" not in text
    assert "<td></td>" not in text


@pytest.mark.parametrize("hostile", [RTL, FORMULA, EVIL, "<b>A1</b>", "携帯電源\u3000①"])
@pytest.mark.parametrize("render", [html.render, html.render_label])
def test_a_hostile_model_name_stays_text(hostile, render):
    reader = fake_reader()
    get = reader.get

    def renamed(path, **params):
        answer = get(path, **params)
        if "unit_label" in answer:
            answer["unit"] = hostile
            answer["unit_label"] = {"model": hostile, "serial": hostile}
        return answer

    reader.get = renamed
    text = render(collect(reader, "x"), "en")
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x1b]", text)
    tags = parsed(text)
    assert "script" not in tags.tags
    assert "b" not in tags.tags


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_label_never_says_the_neutral_word_alone(lang):
    """It sticks on the unit when the report is long gone; that it is simulated is said there too."""
    denial = {"en": "does not mean that the unit is", "ja": "保証するものではありません"}[lang]
    for verdict in ("stop_using", "caution", "inconclusive", "no_anomaly_seen"):
        text = html.render_label(collect(fake_reader(verdict=verdict), "x"), lang)
        assert (denial in text) == (verdict == "no_anomaly_seen")
        assert "UTC" in text
        assert "20260101-000000-left-abcd" in text
        assert "<svg" in text


@pytest.mark.browser
@pytest.mark.skipif(pdf.browser() is None, reason="no browser on this machine to print with")
def test_paper_of_report_and_label(tmp_path):
    """A4 and Letter in points; the label of 62 mm holds everything on its one page."""
    data = collect(fake_reader(verdict="no_anomaly_seen", origin="simulated"), "x")
    sizes = {}
    for name, text in (
        ("a4", pdf.on_paper(html.render(data, "ja"), "a4")),
        ("letter", pdf.on_paper(html.render(data, "en"), "letter")),
        ("label", html.render_label(data, "en")),
    ):
        pdf.to_pdf(text, tmp_path / f"{name}.pdf")
        told = subprocess.run(
            ["pdfinfo", tmp_path / f"{name}.pdf"], capture_output=True, text=True, check=True
        )
        sizes[name] = [
            round(float(x)) for x in re.findall(r"Page size: +([\d.]+) x ([\d.]+)", told.stdout)[0]
        ]
        if name == "label":
            assert re.search(r"Pages: +1\b", told.stdout)
    assert sizes == {"a4": [595, 842], "letter": [612, 792], "label": [176, 113]}
    words = subprocess.run(
        ["pdftotext", tmp_path / "label.pdf", "-"], capture_output=True, text=True, check=True
    )
    for said in ("SIMULATED", "NO ANOMALY SEEN", "does not mean", "A1263", "left-abcd"):
        assert said in words.stdout, words.stdout
