"""Many units at once: a CSV in, the same rows with the answer out. For shops, schools, offices."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from denchi.errors import InputError
from denchi.model import Unit
from denchi.recalls.answer import RecallAnswer, check
from denchi.recalls.lists import RecallLists
from denchi.recalls.normalise import normalised
from denchi.recalls.notice import web_link
from denchi.recalls.privacy import cut, without_serials
from denchi.text import clean, csv_cell

_MAX_ROWS: Final = 100_000
_MAX_CELL: Final = 20_000
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "text": (
        "TEXT",
        "LABEL",
        "LABEL_TEXT",
        "ラベル",
        "表示",
        "NAME",
        "PRODUCT",
        "商品名",
        "製品名",
    ),
    "brand": ("BRAND", "MAKER", "ブランド", "メーカー"),
    "model": (
        "MODEL",
        "MODEL NUMBER",
        "MODEL_NUMBER",
        "P/N",
        "SKU",
        "型番",
        "品番",
        "JAN",
        "BARCODE",
    ),
    "serial": (
        "SERIAL",
        "SERIAL NUMBER",
        "SERIAL_NUMBER",
        "SN",
        "S/N",
        "シリアル",
        "シリアル番号",
        "製造番号",
    ),
    "colour": ("COLOUR", "COLOR", "色", "カラー"),
    "bought": ("BOUGHT", "PURCHASED", "購入", "購入日", "購入年月"),
    "country": ("COUNTRY", "国", "購入国"),
    "symptom": ("SYMPTOM", "SYMPTOMS", "症状"),
}
RESULT: Final = (
    "recall_status",
    "recall_notices",
    "recall_models",
    "recall_message",
    "recall_link",
    "recall_questions",
)


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One row: its line in the file, what was read of it, and its cells as they stood."""

    line: int
    unit: Unit
    text: str
    symptom: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Units:
    """A table of units."""

    header: tuple[str, ...]
    rows: tuple[UnitRow, ...]
    serial_columns: frozenset[int]


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """The answer for one row."""

    line: int
    answer: RecallAnswer

    def to_json(self) -> dict[str, Any]:
        """The recall line with the row's line number in the file."""
        return {"line": self.line} | self.answer.to_json()


def read_units(data: bytes, where: str) -> Units:
    """A CSV with a header; columns are known by English or Japanese names, in UTF-8 or Shift_JIS.

    Raises ``InputError`` with the line for what cannot be read.
    """
    reader = csv.reader(io.StringIO(_decoded(data, where), newline=""), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(c.strip() for c in row)]
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num}: {error}") from None
    if not rows:
        raise InputError(f"{where} is empty", cure="give a header line and one unit a row")
    header = [h.strip() for h in rows[0][1]]
    places = {
        name: [i for i, h in enumerate(header) if normalised(h) in known]
        for name, known in _NAMES.items()
    }
    if not any(places[n] for n in ("text", "brand", "model", "serial")):
        raise InputError(
            f"{where}, line 1: no column named text, brand, model or serial",
            cure="name the columns, for example: model,serial,colour,bought",
        )
    if len(rows) - 1 > _MAX_ROWS:
        raise InputError(f"{where} has more than {_MAX_ROWS} rows", cure="split it")
    units = []
    for line, row in rows[1:]:
        if len(row) > len(header):
            raise InputError(
                f"{where}, line {line}: {len(row)} cells, the header has {len(header)}"
            )
        units.append(_unit(line, [*row, *[""] * (len(header) - len(row))], places))
    return Units(tuple(header), tuple(units), frozenset(places["serial"]))


def _decoded(data: bytes, where: str) -> str:
    for encoding in ("utf-8-sig", "cp932"):  # cp932: what Japanese Excel writes
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(f"{where} is neither UTF-8 nor Shift_JIS text", cure="save it as CSV UTF-8")


def _unit(line: int, row: Sequence[str], places: dict[str, list[int]]) -> UnitRow:
    def cell(name: str) -> str:
        return " ".join(row[i].strip() for i in places[name] if row[i].strip())[:_MAX_CELL]

    unit = Unit(
        brand=cell("brand"),
        model=cell("model"),
        serial=cell("serial"),
        colour=cell("colour"),
        bought=cell("bought"),
        country=cell("country"),
    )
    return UnitRow(line, unit, cell("text"), cell("symptom"), tuple(row))


def check_rows(units: Units, lists: RecallLists, today: date) -> list[RowAnswer]:
    """The answer for each row."""
    return [
        RowAnswer(
            row.line,
            check(
                row.unit,
                lists,
                text=row.text,
                symptoms=[row.symptom] if row.symptom else (),
                today=today,
            ),
        )
        for row in units.rows
    ]


def result_csv(units: Units, answers: Sequence[RowAnswer], lang: str, lists: RecallLists) -> str:
    """The table with the answers; serials cut, and nothing that a spreadsheet takes for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*(csv_cell(h) for h in units.header), *RESULT])
    for row, answered in zip(units.rows, answers, strict=True):
        cells = [
            cut(c.strip())
            if i in units.serial_columns and c.strip()
            else without_serials_kept(c, lists)
            for i, c in enumerate(row.cells)
        ]
        writer.writerow(
            [*(csv_cell(c) for c in cells), *map(csv_cell, _result(answered.answer, lang))]
        )
    return out.getvalue()


def without_serials_kept(cell: str, lists: RecallLists) -> str:
    """A cell as it stood, unless it holds something that looks like a serial."""
    masked = without_serials(cell, (), lists)
    return cell if masked == normalised(cell) else masked


def _result(answer: RecallAnswer, lang: str) -> list[str]:
    top = [m for m in answer.matches if m.status is answer.status]
    models = list(dict.fromkeys(x for m in top for x in (m.models or m.notice.models)))
    links = [web_link(m.notice.form) or web_link(m.notice.url) for m in top]
    message = answer.message.render(lang)
    if answer.symptom and answer.safety:
        message = f"{answer.safety[0].render(lang)} {message}"
    return [
        answer.status.word,
        " ".join(clean(m.notice.id, 80) for m in top),
        ", ".join(clean(m, 40) for m in models),
        message,
        next((link for link in links if link), ""),
        " / ".join(q.render(lang) for q in answer.questions),
    ]
