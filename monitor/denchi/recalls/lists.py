"""The recall lists in memory: every list's notices behind one index of codes, names and brands.

``load`` reads files (the bundled list, fetched lists and overlays of the data directory); everything
else here is pure. A list on disk that cannot be read is left out and named in ``problems``; the bundled
list is always there, so an answer never rests on nothing. Lists only add: no list can hide or weaken a
notice of another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

from denchi.errors import InputError
from denchi.recalls.normalise import compact, gtin, normalised
from denchi.recalls.notice import LIST_FORMAT, SCHEMA_VERSION, Notice

DATA: Final = Path(__file__).parent / "data"
MAX_LIST_BYTES: Final = 32 * 1024 * 1024


class ListFile(NamedTuple):
    """One list: its name, the day it speaks for, its notices as records."""

    name: str
    dated: str
    """ISO date of the last review or successful fetch."""
    notices: Sequence[Mapping[str, Any]]
    info: Mapping[str, Any]


class RecallLists:
    """All lists together. Build with ``load``; ``notice(i)`` makes a notice when it is needed."""

    def __init__(
        self,
        files: Iterable[ListFile],
        claims: Sequence[Mapping[str, Any]] = (),
        problems: Sequence[str] = (),
    ) -> None:
        self.files = tuple(files)
        self.claims = tuple(claims)
        self.problems = tuple(problems)
        self._rows: list[tuple[Mapping[str, Any], ListFile]] = [
            (raw, file) for file in self.files for raw in file.notices
        ]
        self.models: dict[str, list[tuple[str, int]]] = {}
        """Compact code -> (canonical model, row)."""
        self.gtins: dict[str, list[int]] = {}
        self.gtins_doubtful: dict[str, list[int]] = {}
        self.not_models: dict[str, tuple[str, int]] = {}
        self.misprints: dict[str, tuple[str, str]] = {}
        """Compact misprint -> (as misprinted, the right model): offered as a question."""
        self.superseded: dict[str, str] = {}
        """Notice id -> id of the notice that took its place."""
        for row, (raw, _) in enumerate(self._rows):
            self._add(row, raw)

    def _add(self, row: int, raw: Mapping[str, Any]) -> None:
        models = [m for m in raw.get("model_numbers") or () if m]
        for model in models:
            self._code(model, model, row)
        for variant in raw.get("model_variants") or ():
            base = [m for m in models if compact(variant).startswith(compact(m))]
            self._code(variant, max(base, key=len) if base else (models or [variant])[0], row)
        for spelling, model in (raw.get("spellings") or {}).items():
            self._code(spelling, model, row)
        for code in raw.get("not_models") or ():
            self.not_models[compact(code.upper())] = (code, row)
        for wrong, right in (raw.get("misprints") or {}).items():
            self.misprints[compact(wrong.upper())] = (wrong, right)
        for code in raw.get("gtins") or ():
            if code.isdecimal() and len(gtin(code)) >= 7:
                self.gtins.setdefault(gtin(code), []).append(row)
        for code in raw.get("gtins_doubtful") or ():
            self.gtins_doubtful.setdefault(gtin(code), []).append(row)
        for old in raw.get("supersedes") or ():
            self.superseded[old] = raw["id"]

    def _code(self, code: str, model: str, row: int) -> None:
        key = compact(code.upper())
        # A code without a digit, or of two characters, is a word: it would match half of all labels.
        if len(key) >= 3 and any(c.isdecimal() for c in key):
            entry = (model, row)
            rows = self.models.setdefault(key, [])
            if entry not in rows:
                rows.append(entry)

    def __len__(self) -> int:
        return len(self._rows)

    def raw(self, row: int) -> Mapping[str, Any]:
        """The record behind a row."""
        return self._rows[row][0]

    def notice(self, row: int) -> Notice:
        """The notice of a row."""
        raw, file = self._rows[row]
        return Notice(raw, file.name, file.dated)

    @property
    def dated(self) -> dict[str, str]:
        """List name -> ISO date."""
        return {file.name: file.dated for file in self.files}

    @property
    def newest(self) -> str:
        """The date of the newest list."""
        return max((file.dated for file in self.files), default="")

    @cached_property
    def brands(self) -> dict[str, list[int]]:
        """Brand name (normalised) -> rows."""
        out: dict[str, list[int]] = {}
        for row, (raw, _) in enumerate(self._rows):
            for alias in raw.get("brand_aliases") or [raw.get("brand") or ""]:
                key = normalised(alias).strip()
                if len(key) >= 2:
                    out.setdefault(key, []).append(row)
        return out

    @cached_property
    def models_of(self) -> dict[str, list[int]]:
        """Canonical model -> rows of all lists."""
        out: dict[str, list[int]] = {}
        for rows in self.models.values():
            for model, row in rows:
                if row not in out.setdefault(model, []):
                    out[model].append(row)
        return out

    @cached_property
    def claims_by_code(self) -> dict[str, Mapping[str, Any]]:
        """Compact code -> what the article claims of it."""
        return {compact(c["article_model"]): c for c in self.claims}


def parse_list(
    data: bytes, where: str, *, trusted: bool = False, problems: list[str] | None = None
) -> ListFile:
    """A list file from its bytes; raises ``InputError`` that says what is wrong with it.

    With ``problems`` a bad notice is left out and named there, so that one slip in an overlay does not
    hide its neighbours; without, it refuses the list.
    """
    try:
        doc = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON ({error})") from None
    if not isinstance(doc, dict) or doc.get("format") != LIST_FORMAT:
        raise InputError(f"{where} is not a recall list (format must be {LIST_FORMAT!r})")
    if doc.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{where} has schema_version {doc.get('schema_version')!r}, not {SCHEMA_VERSION}"
        )
    notices, name, dated = doc.get("notices"), doc.get("source"), doc.get("dated")
    if not isinstance(notices, list) or not isinstance(name, str) or not iso_day(dated):
        raise InputError(f"{where}: source, dated (YYYY-MM-DD) and notices are needed")
    if not trusted:
        notices = _checked_all(notices, where, problems)
    return ListFile(name, dated, notices, {k: v for k, v in doc.items() if k != "notices"})


def _checked_all(notices: list[Any], where: str, problems: list[str] | None) -> list[Any]:
    from denchi.recalls.inspection import checked

    kept = []
    for number, raw in enumerate(notices, 1):
        try:
            kept.append(checked(raw, f"{where}, notice {number}"))
        except InputError as error:
            if problems is None:
                raise
            problems.append(str(error))
    return kept


def iso_day(value: object) -> TypeGuard[str]:
    """Whether a value is a date as YYYY-MM-DD."""
    if not isinstance(value, str) or len(value) != 10 or not value.isascii():
        return False
    from datetime import date

    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def load(data_dir: Path | None) -> RecallLists:
    """The bundled list with what was fetched and laid over it in ``data_dir/recalls``."""
    files = [parse_list((DATA / "notices.json").read_bytes(), "notices.json", trusted=True)]
    problems: list[str] = []
    folder = data_dir / "recalls" if data_dir is not None else None
    if folder is not None and folder.is_dir():
        for path in sorted(folder.glob("*.json")):
            try:
                if path.stat().st_size > MAX_LIST_BYTES:
                    raise InputError(f"{path.name} is larger than {MAX_LIST_BYTES} bytes")
                found = parse_list(path.read_bytes(), path.name, problems=problems)
            except (InputError, OSError) as error:
                problems.append(str(error))
                continue
            if found.name in {f.name for f in files}:
                problems.append(f"{path.name}: there is already a list named {found.name!r}")
                continue
            files.append(found)
    claims = json.loads((DATA / "claims.json").read_bytes())["claims"]
    return RecallLists(files, claims, problems)
