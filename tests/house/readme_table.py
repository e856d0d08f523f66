"""The README's table of meters, made from the specs: `python tests/house/readme_table.py` rewrites it."""

from __future__ import annotations

from pathlib import Path

from denchi.drivers.registry import specs

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- meters: made from the specs -->", "<!-- /meters -->"
PLACES = {
    None: "none",
    "meter": "the meter itself",
    "case": "case probe",
    "cell": "cells",
    "pd": "USB-PD",
    "ambient": "air",
}
WAYS = {
    "hid": "USB HID",
    "bulk": "USB",
    "serial": "serial",
    "ble": "Bluetooth LE",
    "sysfs": "Linux sysfs",
}


def table() -> str:
    """One row a family and way of connecting."""
    groups: dict[tuple[str, ...], list[str]] = {}
    models: dict[tuple[str, ...], list[str]] = {}
    for spec in specs().values():
        ways = [WAYS[spec.transport.kind], *(WAYS[t.kind] for t in spec.also)]
        quantities = sorted(
            {
                name.split(".")[0].split("_")[0]
                for name in spec.channels
                if not name.startswith("temp")
            }
        )
        row = (
            spec.maker,
            spec.family,
            ", ".join(dict.fromkeys(ways)),
            " ".join(quantities),
            f"{spec.rate_hz:g}/s",
            PLACES[spec.temperature_place],
            spec.maturity,
        )
        groups.setdefault(row, []).append(spec.key)
        models.setdefault(row, []).extend(m for m in spec.models if m not in models.get(row, []))
    lines = [
        "| maker | models | keys | over | quantities | rate | its temperature is of | verified against |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, keys in sorted(groups.items()):
        maker, _, ways, quantities, rate, place, maturity = row
        names = ", ".join(dict.fromkeys(models[row]))
        shown = ", ".join(f"`{k}`" for k in keys)
        lines.append(
            f"| {maker} | {names} | {shown} | {ways} | {quantities} | {rate} | {place} | {maturity} |"
        )
    return "\n".join(lines)


def rewritten(text: str) -> str:
    """The README with a fresh table."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")
