"""denchi never calls a unit safe: not in a word, a colour or a symbol, in no language it speaks.

Searched: every sentence of the catalogues and of ``Text(...)``, every string of the code that a person
can see, the TUI's styles and themes, the report's templates, Grafana's dashboards.
"""

from __future__ import annotations

import ast
import colorsys
import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from house.compile_catalogues import LOCALE
from support import ROOT

DASHBOARDS = ROOT / "dashboards" / "denchi_dashboards"
MONITOR = ROOT / "monitor" / "denchi"
WORDS = re.compile(
    r"\b(?:safe(?:ly|ty)?|unsafe|OK|okay|PASS(?:ED)?|pass(?:ed|es)?|no (?:problem|defect|fault)s?|harmless|"
    r"healthy|all (?:clear|good)|looks (?:good|fine))\b|合格|正常|安全|安心|異常なし|異常ありません|問題なし|問題ありません|良好|無害",
    re.IGNORECASE,
)
SYMBOLS = re.compile("[✓✔✅☑🗸👍🟢🟩💚⭕◯○]")
"""Ticks and what stands for them; in Japan a circle means "right"."""

DENIALS = (
    "this does not mean that the unit is safe",
    "安全を保証するものではありません",
)
"""The only sentences in which the words may stand: they deny it."""

OTHER_MEANING = (
    "Health Canada recalls and safety alerts",  # names of public bodies and their lists
    "safety-gate",
    "Safety Gate",
    "Safety-Gate",
    "'unsafe-inline'",  # a word of the Content-Security-Policy standard
    "recall.safety",  # fields: the advice of a recall notice, which only ever warns
    "recall_safety",
)


def denied(text: str) -> str:
    """The text without the sentences that deny safety."""
    for sentence in (*DENIALS, *OTHER_MEANING):
        text = text.replace(sentence, "")
    return text


def wrong(text: str) -> list[str]:
    """Forbidden words and symbols of a text."""
    rest = denied(text)
    return [m.group() for m in WORDS.finditer(rest)] + SYMBOLS.findall(rest)


def test_the_search_finds_what_it_forbids():
    """Each of the words that the contract names, alone and in a sentence."""
    for bad in (
        "The unit is safe.",
        "OK",
        "PASS",
        "Test passed",
        "合格",
        "正常",
        "安全です",
        "異常なし",
        "✓",
        "✔",
        "✅",
    ):
        assert wrong(bad), bad
    assert wrong("安全を保証するものではありません。安全です") == ["安全"]
    assert not wrong("No anomaly seen in 5 min (this does not mean that the unit is safe).")
    assert not wrong("Bluetooth token of a book")


# -- words -----------------------------------------------------------------------------------------


def catalogue(po: Path):
    with po.open("rb") as stream:
        for message in read_po(stream):
            for part in (message.id, message.string):
                for text in part if isinstance(part, (tuple, list)) else (part,):
                    if text:
                        yield str(text)


@pytest.mark.parametrize("po", sorted(LOCALE.glob("*/LC_MESSAGES/*.po")), ids=lambda p: p.stem)
def test_catalogues(po: Path):
    """Both languages: the msgid is the English sentence."""
    found = {text: wrong(text) for text in catalogue(po) if wrong(text)}
    assert not found


SEEN_BY_PEOPLE = [
    *sorted(DASHBOARDS.rglob("*.py")),
    *sorted((MONITOR / "cli").glob("*.py")),
    *sorted((MONITOR / "daemon").glob("*.py")),
    *sorted((MONITOR / "health").rglob("*.py")),
    *sorted((MONITOR / "outputs").rglob("*.py")),
    *sorted((MONITOR / "recalls").rglob("*.py")),
    MONITOR / "doctor.py",
    MONITOR / "model.py",
]


def strings(path: Path):
    """String constants that a person may see, with their lines: no docstrings, no names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    bare = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    sentences = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYING
        for argument in (*node.args, *(k.value for k in node.keywords))
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documents and id(node) not in bare:
                if id(node) in sentences or not reads_as_code(node.value):
                    yield node.lineno, node.value


SAYING = ("_", "_t", "Text", "key", "mark", "text", "translate")
"""Functions whose words are shown, also a single one in small letters."""


def reads_as_code(text: str) -> bool:
    """Keys, names and patterns are not shown: no blank in them and no capital word."""
    return bool(re.fullmatch(r"[a-z0-9_.:/\-]+", text))


def test_a_single_word_is_found_where_it_is_shown(tmp_path):
    source = tmp_path / "page.py"
    source.write_text('x = ("healthy", _("safe"), key("k", "act", "ok"), _("stop using"))\n')
    assert [text for _, text in strings(source) if wrong(text)] == ["safe", "ok"]


@pytest.mark.parametrize(
    "path",
    SEEN_BY_PEOPLE,
    ids=lambda p: str(p.relative_to(ROOT)).replace("/", ".").removesuffix(".py"),
)
def test_strings_of_the_code(path: Path):
    found = [(line, text, wrong(text)) for line, text in strings(path) if wrong(text)]
    assert not found


TEMPLATES = sorted(
    path
    for path in DASHBOARDS.rglob("*")
    if path.suffix in (".j2", ".html", ".tcss", ".css", ".svg", ".json")
)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_templates_styles_and_dashboards(path: Path):
    text = path.read_text(encoding="utf-8")
    assert not wrong(text)


# -- colours -----------------------------------------------------------------------------------------

HEX = re.compile(r"#([0-9a-fA-F]{6})\b")
SHORT_HEX = re.compile(r"#([0-9a-fA-F]{3})\b")
NAMED = re.compile(
    r"\b(?:(?:dark|light|pale|sea|spring|medium|lawn|forest|yellow|semi-dark-|super-light-)*green|lime|chartreuse|ansi_green|bright_green|olive)\b",
    re.IGNORECASE,
)


def is_green(code: str) -> bool:
    """Whether a colour would be called green: hue between yellow-green and turquoise, not grey."""
    if len(code) == 3:
        code = "".join(c * 2 for c in code)
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    return 75 / 360 <= hue <= 168 / 360 and saturation > 0.18 and 0.08 < light < 0.95


def test_green_is_seen():
    assert all(is_green(c) for c in ("00ff00", "2e7d32", "4caf50", "98c379", "0f0", "73bf69"))
    assert not any(
        is_green(c) for c in ("62c3ff", "ffc145", "808080", "ffff66", "ff5f6d", "8ea3c7")
    )


COLOURED = [*TEMPLATES, *sorted(DASHBOARDS.rglob("*.py"))]


@pytest.mark.parametrize(
    "path", COLOURED, ids=lambda p: str(p.relative_to(DASHBOARDS)).replace("/", ".")
)
def test_no_green(path: Path):
    """Not only for a verdict: where nothing is green, nothing green can be taken for one."""
    if path.suffix == ".py":
        text = "\n".join(value for _, value in strings(path))
    else:
        text = path.read_text(encoding="utf-8")
    codes = [*HEX.findall(text), *(SHORT_HEX.findall(text) if path.suffix != ".py" else ())]
    assert not [c for c in codes if is_green(c)]
    assert not NAMED.findall(text)


def test_the_themes_give_no_hue_to_the_best_verdict():
    """`success` of the design system, and what the best verdict is drawn with, is as neutral as text."""
    from denchi_dashboards.tui.themes import THEMES

    for theme in THEMES:
        assert theme.success is not None
        assert not is_green(theme.success.lstrip("#"))
        colours = [theme.primary, theme.secondary, theme.accent, *theme.variables.values()]
        for colour in colours:
            for code in HEX.findall(colour or ""):
                assert not is_green(code), f"{theme.name}: {colour}"


def test_the_best_verdict_has_no_tick_and_no_colour_of_its_own():
    from denchi_dashboards.reports import html

    assert not wrong(html.SHAPES["no_anomaly_seen"])
    assert not wrong(html.VERDICT_WORDS["no_anomaly_seen"])
    template = (DASHBOARDS / "reports" / "templates" / "report.html.j2").read_text(encoding="utf-8")
    assert (
        ".verdict.no_anomaly_seen" not in template
        or "color" not in template.split(".verdict.no_anomaly_seen")[1].split("}")[0]
    )


def test_the_sentence_denies_safety_in_both_languages():
    """The best result says in the same breath what it does not mean."""
    from denchi.health import verdict

    source = Path(verdict.__file__).read_text(encoding="utf-8")
    assert DENIALS[0] in source.replace('"\n', "").replace("  ", "") or DENIALS[0] in source
    po = LOCALE / "ja" / "LC_MESSAGES" / "health.po"
    assert DENIALS[1] in po.read_text(encoding="utf-8")
