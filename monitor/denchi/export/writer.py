"""Writing a session: CSV (the recording of DESIGN.md §6), Parquet, JSON lines; each with its meta file.

A file appears under its name only when it is whole. Simulated data says so in every row.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import numpy as np

from denchi.errors import InputError, StoreError, UsageError
from denchi.export import meta as meta_file
from denchi.export import table
from denchi.export.columns import ORIGIN
from denchi.text import csv_cell
from denchi_protocol.samples import SampleBlock

if TYPE_CHECKING:
    from denchi.store.reader import JournalReader

FORMATS: Final = ("csv", "parquet", "jsonl")
ROWS: Final = 65_536


def export(
    reader: JournalReader,
    session_id: str,
    format_: str,
    target: Path | TextIO | None,
    *,
    role: str = "meter",
) -> int:
    """Write a session to a file (with its meta file) or a text stream (None: stdout); returns the rows.

    ``role`` ``meter``: all instruments of the session on one time axis; another: that one alone.

    Raises ``UsageError`` for an unknown format or binary to a terminal, ``InputError`` for an unknown
    session, ``StoreError`` when the file cannot be written.
    """
    if format_ not in FORMATS:
        raise UsageError(f"no format {format_!r}", cure=f"one of {', '.join(FORMATS)}")
    what = table.source(reader, session_id, None if role == "meter" else role)
    if what is None:
        raise InputError(f"no session {session_id!r}", cure="`denchi sessions` lists them")
    if not isinstance(target, Path):
        target = target or sys.stdout
        if format_ == "parquet":
            raise UsageError("Parquet is binary", cure="give a file with -o")
        return (_csv if format_ == "csv" else _jsonl)(reader, what, target)
    try:
        with _whole(target) as part:
            if format_ == "parquet":
                from denchi.export.parquet import write_table

                rows = write_table(part, reader, what)
            else:
                with part.open("w", encoding="utf-8", newline="") as file:
                    rows = (_csv if format_ == "csv" else _jsonl)(reader, what, file)
        told = replace(what.session.meta, meter_position=table.position(what))
        with _whole(meta_file.beside(target)) as part:
            part.write_text(meta_file.dump(told, what.about()), encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{target}: {error.strerror}", cure="choose another place with -o"
        ) from None
    return rows


@contextlib.contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A path beside ``target`` that takes its name once everything is written."""
    part = target.with_name(f".{target.name}.part{os.getpid()}")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _texts(values: Any, decimals: int) -> list[str]:
    return ["" if v != v else f"{v:.{decimals}f}" for v in values.tolist()]


def _csv(reader: JournalReader, what: table.Source, file: TextIO) -> int:
    names = table.header(what)
    simulated = what.session.origin == "simulated"
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in [*names, *([ORIGIN] if simulated else [])]])
    rows = 0
    for block in table.windows(reader, what):
        for part in block.split(ROWS):
            values = table.values(what, part, names)
            columns = [_times(part, what.first_ns)]
            columns += [_texts(v, 6 if n.endswith(("_v", "_a")) else 3) for n, v in values.items()]
            if simulated:
                columns.append(["simulated"] * len(part))
            writer.writerows(zip(*columns, strict=True))
            rows += len(part)
    return rows


def _times(block: SampleBlock, origin_ns: int) -> list[str]:
    # Integer arithmetic: a float of seconds since 1970 could not hold 100 us for long.
    ns = block.t_ns - np.int64(origin_ns)
    digits = 4 if not (ns % 100_000).any() else 9
    unit = 10 ** (9 - digits)
    counts = (ns // unit).tolist()
    base = 10**digits
    return [f"{c // base}.{c % base:0{digits}d}" for c in counts]


def _jsonl(reader: JournalReader, what: table.Source, file: TextIO) -> int:
    rows = 0
    simulated = what.session.origin == "simulated"
    for block in table.windows(reader, what):
        for line in lines(block, what.first_ns):
            if simulated:
                line["origin"] = "simulated"
            file.write(json.dumps(line) + "\n")
            rows += 1
    return rows


def lines(block: SampleBlock, origin_ns: int) -> Iterator[dict[str, Any]]:
    """Decode lines (DESIGN.md §6) with ``t_ns``; null = not measured."""
    singles = (
        ("vbus_v", "vbus_uv"),
        ("ibus_a", "ibus_ua"),
        ("dp_v", "dp_uv"),
        ("dm_v", "dm_uv"),
        ("cc1_v", "cc1_uv"),
        ("cc2_v", "cc2_uv"),
        ("pack_v", "pack_uv"),
        ("pack_a", "pack_ua"),
    )
    flat = {key: _list(block, name) for key, name in singles if name in block.columns}
    places = {n[8:]: _list(block, n) for n in block.columns if n.startswith("temp_mc.")}
    probes = [places.pop(p) for p in sorted(places, key=_number) if p.startswith("cell.")]
    cells = [_list(block, name) for name in block.numbered("cell_uv")]
    for i, t_ns in enumerate(block.t_ns.tolist()):
        line: dict[str, Any] = {"t_ns": t_ns, "t_s": round((t_ns - origin_ns) / 1e9, 9)}
        line |= {key: values[i] for key, values in flat.items()}
        line["temp_c"] = {place: values[i] for place, values in places.items()}
        if probes:
            line["temp_c"]["cell"] = [values[i] for values in probes]
        if cells:
            line["cells_v"] = [values[i] for values in cells]
        yield line


def _number(place: str) -> int:
    return int(place.rsplit(".", 1)[1]) if place.startswith("cell.") else 0


def _list(block: SampleBlock, name: str) -> list[float | None]:
    return [None if v != v else v for v in block.si(name).tolist()]
