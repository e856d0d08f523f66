"""Reading a recording: CSV, gzipped CSV or Parquet with the columns of DESIGN.md §6.

A file is read whole before its first block is handed out, so that nothing of a broken one is imported.
Plain numpy parses a clean file; pyarrow does when it is installed; whatever they stumble over is gone
through line by line, to say which line and which column it is.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import gzip
import io
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from denchi.errors import InputError
from denchi.export import meta as meta_file
from denchi.export.columns import HEADER, OPTIONAL, ORIGIN, channels
from denchi.model import SessionMeta
from denchi.text import clean
from denchi_protocol.samples import Floats, SampleBlock

log = logging.getLogger("denchi.export")

BLOCK_ROWS: Final = 65_536
CHUNK_BYTES: Final = 8 << 20
MAX_VALUE: Final = 2000.0
"""No voltage, current or temperature of a power bank is near this: a larger one is a broken cell."""
_PLAIN: Final = np.zeros(256, np.bool_)
_PLAIN[list(b"0123456789+-.eE,\n")] = True


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording, read and checked. ``warnings`` are sentences for stderr."""

    path: Path
    meta: SessionMeta
    blocks: tuple[SampleBlock, ...]
    columns: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    simulated: bool = False
    """The file says of itself that it is simulated."""
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of samples."""
        return sum(len(block) for block in self.blocks)


def read(
    path: Path, meta: SessionMeta | Path | None = None
) -> tuple[SessionMeta, Iterator[SampleBlock]]:
    """Meta and blocks of a recording; ``t_ns`` is the file's ``t_s``. Warnings go to the log.

    Raises ``InputError`` naming line and column.
    """
    recording = load(path, meta)
    for warning in recording.warnings:
        log.warning("%s", warning)
    return recording.meta, iter(recording.blocks)


def read_meta(path: Path, meta: Path | None = None) -> SessionMeta:
    """What is told of a recording or capture: the file given, the one beside it, or nothing."""
    beside = meta_file.beside(Path(path))
    if meta is None and beside.exists():
        meta = beside
    return SessionMeta() if meta is None else meta_file.load(meta)[0]


def load(path: Path, meta: SessionMeta | Path | None = None) -> Recording:
    """Read a recording whole. ``meta``: what is known, a file that tells, or None (the file beside it)."""
    path = Path(path)
    about: dict[str, Any] = {}
    if meta is None and (beside := meta_file.beside(path)).exists():
        meta = beside
    if isinstance(meta, Path):
        meta, told = meta_file.load(meta)
        about = dict(told)
    known = meta or SessionMeta()
    if _is_parquet(path):
        from denchi.export.parquet import read_table

        table, about_file = read_table(path)
        about = about_file | about
        if meta is None:
            known = meta_file.parse(about_file, str(path))
        warnings: list[str] = []
    else:
        table, warnings = _read_csv(path)
    simulated = table.pop(ORIGIN, None) is not None or about.get("origin") == "simulated"
    _check(path, table)
    blocks = tuple(_blocks(table, known))
    names = tuple(table)
    return Recording(path, known, blocks, names, tuple(warnings), simulated, about)


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", cure="check the name") from None


# -- bytes -------------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error):
            lines = _lines_before_end(data)
            raise InputError(
                f"{path}, line {lines}: the compressed file is damaged or cut short here",
                cure="copy it again",
            ) from None
    if data[:3] == b"\xef\xbb\xbf":
        data = data[3:]
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def _lines_before_end(data: bytes) -> int:
    text = b""
    with contextlib.suppress(zlib.error):
        text = zlib.decompressobj(31).decompress(data)
    return text.count(b"\n") + 1


def _read_csv(path: Path) -> tuple[dict[str, Any], list[str]]:
    data = _bytes(path)
    head, newline, body = data.partition(b"\n")
    names = _header(path, head)
    if not newline:
        return {name: np.zeros(0) for name in names}, []
    warnings: list[str] = []
    body = _whole_lines(path, body, names, warnings)
    simulated = names[-1] == ORIGIN
    if simulated:
        plain = body.replace(b",simulated\n", b"\n")
        if len(body) - len(plain) != body.count(b"\n") * len(b",simulated"):
            plain = b""
        values = _parse(plain, len(names) - 1) if plain or not body else None
    else:
        values = _parse(body, len(names))
    if values is None:
        return _slow(path, body, names), warnings
    table: dict[str, Any] = {
        name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(names) if name != ORIGIN
    }
    if simulated:
        table[ORIGIN] = "simulated"
    return table, warnings


def _header(path: Path, head: bytes) -> list[str]:
    try:
        names = [n.strip() for n in next(csv.reader([head.decode("utf-8")]), [])]
    except (UnicodeDecodeError, csv.Error):
        raise InputError(
            f"{path}, line 1: not a recording (the header is not text)",
            cure=f"expected {','.join(HEADER)}",
        ) from None
    known = (*HEADER, *OPTIONAL, ORIGIN)
    for i, name in enumerate(names):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise InputError(
                f"{path}, line 1, column {i + 1}: no column {clean(name, 40)!r}", cure=cure
            )
        if name in names[:i]:
            raise InputError(
                f"{path}, line 1, column {i + 1}: {name!r} stands there twice", cure="remove one"
            )
    if "t_s" not in names or len(names) < 2:
        raise InputError(
            f"{path}, line 1: no column 't_s'"
            if "t_s" not in names
            else f"{path}, line 1: only 't_s'",
            cure=f"expected {','.join(HEADER)}",
        )
    if ORIGIN in names[:-1]:
        raise InputError(f"{path}, line 1: {ORIGIN!r} must be the last column", cure="move it")
    return names


def _whole_lines(path: Path, body: bytes, names: list[str], warnings: list[str]) -> bytes:
    """The body ending in a newline; a last line that is not whole is dropped, with a warning."""
    if not body or body.endswith(b"\n"):
        return body.rstrip(b"\n") + b"\n" if body.strip(b"\n") else b""
    kept, _, last = body.rpartition(b"\n")
    line = body.count(b"\n") + 2
    try:
        _row(path, line, next(csv.reader([last.decode("utf-8")]), []), names)
    except (InputError, UnicodeDecodeError, csv.Error):
        warnings.append(f"{path}, line {line}: the last line is incomplete and was dropped")
        return kept + b"\n" if kept else b""
    return body + b"\n"


# -- the quick way -----------------------------------------------------------------------------


def _parse(body: bytes, columns: int) -> Floats | None:
    """Values (rows, columns), NaN where empty; None when anything is not plain."""
    if not body:
        return np.zeros((0, columns))
    if (table := _by_pyarrow(body, columns)) is not None:
        return table
    parts: list[Floats] = []
    at = 0
    while at < len(body):
        end = body.find(b"\n", min(len(body) - 1, at + CHUNK_BYTES)) + 1
        part = _by_numpy(body[at:end], columns)
        if part is None:
            return None
        parts.append(part)
        at = end
    return np.concatenate(parts)


def _regular(chars: NDArray[np.uint8], columns: int) -> bool:
    """Whether there are only numbers, and as many cells in every line as in the header."""
    if not _PLAIN[chars].all():
        return False
    separators = chars[(chars == 44) | (chars == 10)]
    if len(separators) % columns:
        return False
    grid = separators.reshape(-1, columns)
    return bool((grid[:, -1] == 10).all() and (grid[:, :-1] == 44).all())


def _by_numpy(chunk: bytes, columns: int) -> Floats | None:
    if not _regular(np.frombuffer(chunk, np.uint8), columns):
        return None
    if b",," in chunk:
        chunk = chunk.replace(b",,", b",nan,").replace(b",,", b",nan,")
    text = chunk.replace(b",\n", b",nan\n").replace(b"\n,", b"\nnan,").replace(b"\n", b",")
    if text.startswith(b","):
        text = b"nan" + text
    try:
        values = np.fromstring(text.decode("ascii"), dtype=np.float64, sep=",")
    except (ValueError, DeprecationWarning):
        return None
    if len(values) % columns or len(values) != chunk.count(b"\n") * columns:
        return None
    return values.reshape(-1, columns)


def _by_pyarrow(body: bytes, columns: int) -> Floats | None:
    try:
        import pyarrow as pa
        from pyarrow import csv as pacsv
    except ImportError:
        return None
    chars = np.frombuffer(body, np.uint8)
    # pyarrow takes "nan", "inf" and hexadecimal; a recording may not. One look at all bytes is cheap.
    for at in range(0, len(chars), CHUNK_BYTES):
        if not _PLAIN[chars[at : at + CHUNK_BYTES]].all():
            return None
    names = [str(i) for i in range(columns)]
    try:
        table = pacsv.read_csv(
            io.BytesIO(body),
            read_options=pacsv.ReadOptions(column_names=names, use_threads=False),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.float64()), null_values=[""]
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != body.count(b"\n"):
        return None  # pyarrow skips empty lines; the slow way names them
    out = np.empty((table.num_rows, columns), order="F")
    for i in range(columns):
        out[:, i] = table.column(i).to_numpy()
    return out


# -- the exact way -----------------------------------------------------------------------------


def _row(path: Path, line: int, cells: list[str], names: list[str]) -> list[float]:
    if len(cells) != len(names):
        raise InputError(
            f"{path}, line {line}, column {min(len(cells), len(names)) or 1}:"
            f" {len(cells)} cells where the header has {len(names)}",
            cure="mend or remove that line",
        )
    row: list[float] = []
    for i, (cell, name) in enumerate(zip(cells, names, strict=True)):
        text = cell.strip()
        where = f"{path}, line {line}, column {i + 1} ({name})"
        if name == ORIGIN:
            if text != "simulated":
                raise InputError(
                    f"{where}: {clean(cell, 40)!r}", cure="only 'simulated' stands here"
                )
            continue
        if not text:
            row.append(np.nan)
            continue
        try:
            value = float(text) if text.isascii() and "_" not in text else np.nan
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise InputError(f"{where}: {clean(cell, 40)!r} is no number", cure="mend that cell")
        row.append(value)
    return row


def _slow(path: Path, body: bytes, names: list[str]) -> dict[str, Any]:
    """Go through the lines one by one. Raises ``InputError`` at the first bad cell."""
    rows: list[list[float]] = []
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 2
        raise InputError(f"{path}, line {line}: not text", cure="is it a recording?") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows.extend(_row(path, reader.line_num + 1, cells, names) for cells in reader)
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num + 1}, column 1: {error}", cure="mend that line"
        ) from None
    values = np.array(rows, np.float64)
    kept = [name for name in names if name != ORIGIN]
    table: dict[str, Any] = {name: values[:, i] for i, name in enumerate(kept)}
    if ORIGIN in names:
        table[ORIGIN] = "simulated"
    return table


# -- values ------------------------------------------------------------------------------------


def _check(path: Path, table: dict[str, Any]) -> None:
    """Time is there and increases; no value is beyond what can be. Raises ``InputError``."""
    t_s = table["t_s"]
    number = list(table).index("t_s") + 1
    missing = np.flatnonzero(np.isnan(t_s))
    if len(missing):
        raise InputError(
            f"{path}, line {missing[0] + 2}, column {number} (t_s): no time", cure="mend that cell"
        )
    back = np.flatnonzero(np.diff(np.rint(t_s * 1e9)) <= 0)
    if len(back):
        raise InputError(
            f"{path}, line {back[0] + 3}, column {number} (t_s): {t_s[back[0] + 1]:.10g} does not"
            f" come after {t_s[back[0]]:.10g}",
            cure="time must increase",
        )
    far = np.flatnonzero(np.abs(t_s) > 9e9)
    if len(far):
        raise InputError(
            f"{path}, line {far[0] + 2}, column {number} (t_s): {t_s[far[0]]:.10g} is no time in seconds",
            cure="t_s is in seconds",
        )
    for i, (name, values) in enumerate(table.items()):
        if name == "t_s":
            continue
        with np.errstate(invalid="ignore"):
            bad = np.flatnonzero(np.abs(values) > MAX_VALUE)
        if len(bad):
            raise InputError(
                f"{path}, line {bad[0] + 2}, column {i + 1} ({name}): {values[bad[0]]:g} cannot be",
                cure="mend that cell",
            )


def _blocks(table: dict[str, Any], meta: SessionMeta) -> Iterator[SampleBlock]:
    named = channels(meta.meter_position)
    t_ns = np.rint(table["t_s"] * 1e9).astype(np.int64)
    values = {named[name]: table[name] for name in table if name in named}
    for start in range(0, len(t_ns), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        block = SampleBlock.from_si(t_ns[rows], {name: v[rows] for name, v in values.items()})
        if meta.meter_position == "input":
            # The meter shows what flows into the unit; denchi counts out of the unit.
            block = block.negated(("ibus_ua",))
        yield block
