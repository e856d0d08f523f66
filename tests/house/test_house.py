"""The house: a meter is one complete folder and one entry point; matchers do not overlap; columns stay whole."""

from __future__ import annotations

import ast
import itertools
import re
import tomllib
from pathlib import Path

import pytest

from denchi.drivers import registry
from denchi_protocol.codec import BleMatch, MeterSpec, SerialMatch, SysfsMatch, UsbMatch
from support import CAPTURES, ROOT

PROTOCOL = ROOT / "firmware_protocol" / "denchi_protocol"
SOURCES = [
    path
    for top in (PROTOCOL, ROOT / "monitor" / "denchi", ROOT / "dashboards" / "denchi_dashboards")
    for path in sorted(top.rglob("*.py"))
]
FOLDERS = sorted(
    path.parent
    for room in ("meters", "batteries")
    for path in (PROTOCOL / room).glob("*/__init__.py")
)
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "entry-points"
]


def points(group):
    """Name and (module, attribute) of each entry point of this project."""
    return {name: where.split(":") for name, where in ENTRY_POINTS[group].items()}


# -- folders and doors ---------------------------------------------------------------------------


def test_every_folder_has_its_door_and_every_door_its_folder():
    doors = {
        module.removeprefix("denchi_protocol.") for module, _ in points("denchi.meters").values()
    }
    folders = {f"{folder.parent.name}.{folder.name}" for folder in FOLDERS}
    assert folders - doors == set(), "folders without an entry point in pyproject.toml"
    outside = {d for d in doors - folders if d.startswith(("meters.", "batteries."))}
    assert outside == set(), "entry points without a folder"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_a_family_is_complete(folder):
    for name in ("__init__.py", "codec.py", "emulator.py", "README.md"):
        assert (folder / name).is_file(), f"{folder.name} lacks {name}"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert len(readme) > 500, f"{folder.name}/README.md names no facts"
    named = re.search(
        r"https?://|\bSources?\b|\b[\w.-]+/[\w.-]+\b", readme
    )  # an address, or owner/name
    assert named, f"{folder.name}/README.md names no source"
    captures = list((CAPTURES / folder.name).glob("*.jsonl"))
    assert captures, f"tests/captures/{folder.name} has no capture"


@pytest.mark.parametrize("group", sorted(g for g in ENTRY_POINTS if g.startswith("denchi.")))
def test_every_entry_point_leads_somewhere(group):
    from importlib import import_module

    for name, (module, attribute) in points(group).items():
        assert hasattr(import_module(module), attribute), f"{group} {name}"


def test_the_registry_shows_every_declared_meter():
    from importlib import import_module

    declared = [
        spec
        for module, name in points("denchi.meters").values()
        for spec in getattr(import_module(module), name)
    ]
    keys = [spec.key for spec in declared]
    assert len(keys) == len(set(keys)), "two meters of one key"
    assert set(keys) <= set(registry.specs())


@pytest.mark.parametrize("spec", registry.specs().values(), ids=lambda s: s.key)
def test_a_spec_is_sound(spec: MeterSpec):
    assert spec.key == spec.key.lower()
    assert " " not in spec.key
    assert (PROTOCOL / "meters" / spec.family).is_dir() or (
        PROTOCOL / "batteries" / spec.family
    ).is_dir()
    assert spec.maturity != "hardware", "nobody has run it on one"
    # A second sensor in one stick is named in the configuration; its first is found.
    beside = [s for s in registry.specs().values() if s.family == spec.family and s.matches]
    assert spec.matches or (spec.kind == "sensor" and beside), "it can never be found"
    for name, (low, high) in spec.limits.items():
        assert low < high, name
    # Every declared channel has a physical limit, or a value that cannot be would count.
    bare = {
        name
        for name in spec.channels
        if name not in spec.limits and name.split(".")[0] not in spec.limits
    }
    bare = {n for n in bare if n.rsplit(".", 1)[0] not in spec.limits}
    assert not bare, f"channels without limits: {bare}"
    if spec.descriptors is not None:
        told = (
            f"{spec.descriptors.product} {spec.descriptors.manufacturer} {spec.descriptors.serial}"
        )
        assert "emulated" in told.lower()
        assert sum(i.speaks for i in spec.descriptors.interfaces) == 1


# -- matchers ------------------------------------------------------------------------------------


def overlap(a, b):
    """Whether one device could be taken for both without anything to tell them apart."""
    if type(a) is not type(b):
        return False
    if isinstance(a, UsbMatch):
        if a.vid != b.vid or (None not in (a.pid, b.pid) and a.pid != b.pid):
            return False
        if (a.pid is None) != (b.pid is None):
            return False  # the exact product id goes first (discovery)
        return a.product == b.product and a.manufacturer == b.manufacturer
    if isinstance(a, SerialMatch):
        if None in (a.vid, b.vid):
            return False  # must be named in the configuration
        return (a.vid, a.pid, a.product, a.manufacturer) == (
            b.vid,
            b.pid,
            b.product,
            b.manufacturer,
        )
    if isinstance(a, BleMatch):
        return a.name == b.name
    assert isinstance(a, SysfsMatch)
    # Without a driver's name it is never found by itself (discovery), only named.
    return a.name is not None and (a.subsystem, a.name) == (b.subsystem, b.name)


def test_no_two_meters_claim_one_device():
    """Ids that several share are flagged as ambiguous: such a device is never opened unasked."""
    wrong = []
    for one, two in itertools.combinations(registry.specs().values(), 2):
        for a, b in itertools.product(one.matches, two.matches):
            if overlap(a, b) and not (
                getattr(a, "ambiguous", False) and getattr(b, "ambiguous", False)
            ):
                wrong.append(f"{one.key} and {two.key}: {a}")
    assert not wrong


SHARED_IDS = {
    (0x1A86, 0x7523),
    (0x10C4, 0xEA60),
    (0x0403, 0x6001),
    (0x067B, 0x2303),
    (0x0483, 0x5740),
}
"""Bridges and defaults that a thousand other products have: alone they name nothing."""


def test_a_bare_bridge_is_never_taken_for_a_meter():
    for spec in registry.specs().values():
        for match in spec.matches:
            if isinstance(match, (UsbMatch, SerialMatch)) and (match.vid, match.pid) in SHARED_IDS:
                assert match.ambiguous or match.product or match.manufacturer, (
                    f"{spec.key}: {match}"
                )


# -- raw columns ---------------------------------------------------------------------------------

WIDE = {"int64", "float64", "Int64s", "Floats", "object", "uint64"}
HARMLESS = {"len", "int", "set", "list", "tuple", "bool", "str", "isinstance", "enumerate", "zip"}


def raw_column(node, names):
    """Whether an expression is a raw int32 column: ``x.columns[...]``, or a name bound to one."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Subscript):
        inner = node.value
        if isinstance(inner, ast.Attribute) and inner.attr == "columns":
            return True
        return raw_column(inner, names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        inner = node.func.value
        return (
            node.func.attr == "get" and isinstance(inner, ast.Attribute) and inner.attr == "columns"
        )
    return False


def arithmetic_on_columns(tree):
    """Line numbers where a raw column is added, multiplied, negated, summed or averaged."""
    found = []
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        names = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and raw_column(node.value, names):
                names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
            if isinstance(node, ast.NamedExpr) and raw_column(node.value, names):
                names.add(node.target.id)
        for node in ast.walk(function):
            operands = []
            if isinstance(node, ast.BinOp) and isinstance(
                node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Pow)
            ):
                operands = [node.left, node.right]
            elif isinstance(node, ast.AugAssign):
                operands = [node.target, node.value]
            elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                operands = [node.operand]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr in ("sum", "mean", "cumsum", "dot", "prod", "diff", "std", "var"):
                    operands = [node.func.value, *node.args]
            if any(raw_column(one, names) for one in operands):
                found.append(node.lineno)
    return sorted(set(found))


def test_the_rule_sees_what_it_forbids():
    bad = """
def f(block):
    v = block.columns["vbus_uv"]
    a = block.columns["ibus_ua"] * 2
    w = v * v
    n = -block.columns.get("x")
    return np.mean(v), v.sum()
def g(block):
    return block.vbus_v() * block.ibus_a(), block.columns["x"] == 3, block.columns["x"].astype(np.int64) * 2
"""
    assert arithmetic_on_columns(ast.parse(bad)) == [4, 5, 6, 7]


@pytest.mark.parametrize(
    "path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)).replace("/", ".").removesuffix(".py")
)
def test_no_arithmetic_on_raw_columns(path: Path):
    """int32 products wrap silently: work goes through the float accessors (DESIGN.md §4)."""
    if path == PROTOCOL / "samples.py":
        return
    lines = arithmetic_on_columns(ast.parse(path.read_text(encoding="utf-8")))
    assert not lines, f"{path.relative_to(ROOT)}: raw column arithmetic in lines {lines}"


# -- time and threads ----------------------------------------------------------------------------

NO_TIME = {"time", "datetime", "threading", "asyncio", "socket", "subprocess", "select", "random"}


@pytest.mark.parametrize("path", sorted(PROTOCOL.rglob("*.py")), ids=lambda p: p.stem)
def test_the_protocol_floor_knows_no_clock_thread_or_chance(path: Path):
    """import-linter holds the same over packages; here each module, `random` included, by name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        for name in names:
            if name.split(".")[0] in NO_TIME:
                # An emulator may throw dice that its seed determines.
                assert name == "random", f"{path.name} imports {name}"
                assert path.stem.startswith("emulator"), f"{path.name} imports random"


def test_time_is_read_in_one_place():
    """`time.time`, `datetime.now` and their like stand in clock.py only, or in what plays a device."""
    allowed = {"clock.py", "emulation.py", "usbip.py", "emulate.py"}
    wrong = []
    for path in SOURCES:
        if path.name in allowed:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                call = f"{node.value.id}.{node.attr}"
                if call in (
                    "time.time",
                    "time.time_ns",
                    "datetime.now",
                    "datetime.utcnow",
                    "date.today",
                ):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {call}")
    assert not wrong


def test_nothing_is_left_to_be_written():
    """A module says what it is for; a placeholder in its place says nothing to a newcomer."""
    left = re.compile(r"\b(TODO|FIXME|XXX|TBD)\b")
    found = [str(p.relative_to(ROOT)) for p in SOURCES if left.search(p.read_text("utf-8"))]
    mute = [
        str(p.relative_to(ROOT))
        for p in SOURCES
        if len(ast.get_docstring(ast.parse(p.read_text("utf-8"))) or "") < 15
    ]
    assert not found
    assert not mute
