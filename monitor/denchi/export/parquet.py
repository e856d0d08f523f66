"""Parquet through pyarrow (extra ``parquet``): the recording's columns, with ``t_ns`` and the meta in the file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from denchi.errors import InputError, UsageError
from denchi.export import table as rows
from denchi.export.columns import HEADER, OPTIONAL, ORIGIN
from denchi.text import clean

if TYPE_CHECKING:
    from denchi.store.reader import JournalReader

KEY = b"denchi"


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow", cure="install denchi with the extra `parquet`, or use CSV"
        ) from None
    return pyarrow


def write_table(path: Path, reader: JournalReader, what: rows.Source) -> int:
    """Write a session's samples; returns the rows."""
    pa = _pyarrow()
    from pyarrow import parquet

    names = rows.header(what)
    simulated = what.session.origin == "simulated"
    told = {k: v for k, v in asdict(what.session.meta).items() if v not in (None, "", {})}
    told |= {"meter_position": rows.position(what)} | what.about()
    fields = [("t_ns", pa.int64())] + [(name, pa.float64()) for name in names]
    if simulated:
        fields.append((ORIGIN, pa.string()))
    schema = pa.schema(fields, {KEY: json.dumps(told, ensure_ascii=False).encode()})
    written = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for block in rows.windows(reader, what):
            data: dict[str, Any] = {"t_ns": block.t_ns}
            data["t_s"] = (block.t_ns - np.int64(what.first_ns)) / 1e9
            for name, values in rows.values(what, block, names).items():
                data[name] = pa.array(values, mask=np.isnan(values))
            if simulated:
                data[ORIGIN] = ["simulated"] * len(block)
            writer.write_table(pa.table(data, schema=schema))
            written += len(block)
    return written


def read_table(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns by name (float64, NaN = not measured) and the meta of the file. Raises ``InputError``."""
    pa = _pyarrow()
    from pyarrow import parquet

    try:
        found = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {clean(error, 120)}") from None
    about: dict[str, Any] = {}
    told = (found.schema.metadata or {}).get(KEY)
    if told:
        try:
            about = json.loads(told)
        except ValueError:
            raise InputError(
                f"{path}: its denchi meta is not JSON", cure="export it anew"
            ) from None
    out: dict[str, Any] = {}
    for i, name in enumerate(found.column_names):
        if name == "t_ns":
            continue
        if name == ORIGIN:
            out[ORIGIN] = "simulated"
            continue
        if name not in (*HEADER, *OPTIONAL):
            raise InputError(
                f"{path}, column {i + 1}: no column {clean(name, 40)!r}",
                cure=f"known: {', '.join((*HEADER, *OPTIONAL))}",
            )
        try:
            out[name] = found.column(i).cast(pa.float64()).to_numpy()
        except pa.ArrowException:
            raise InputError(
                f"{path}, column {i + 1} ({name}): no numbers", cure="mend it"
            ) from None
    if "t_s" not in out:
        raise InputError(f"{path}: no column 't_s'", cure=f"expected {','.join(HEADER)}")
    return out, about
