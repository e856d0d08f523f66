"""Care of a journal: backup, the copy before a migration, giving space back."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from denchi.errors import StoreError
from denchi.store import disk, schema, tail

log = logging.getLogger("denchi.store")


def backup(data_dir: Path, target_dir: Path) -> Path:
    """Copy a journal, also while it is being written, so that the copy opens like the original.

    The tail is copied first: what is sealed in between then stands in both, and is counted once.
    Returns the directory written. Raises ``StoreError`` when there is no journal or no room.
    """
    source = data_dir / schema.FILE
    if not source.exists():
        raise StoreError(f"there is no journal in {data_dir}", cure="check --data-dir")
    if (target_dir / schema.FILE).exists():
        raise StoreError(f"{target_dir} already holds a journal", cure="choose an empty directory")
    try:
        target_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in tail.NAMES:
            if (data_dir / name).exists():
                shutil.copyfile(data_dir / name, target_dir / name)
        _copy_database(source, target_dir / schema.FILE)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the backup to {target_dir} failed: {error}", cure="free space") from None
    return target_dir


def _copy_database(source: Path, target: Path) -> None:
    reader = schema.connect_reader(source)
    copy = sqlite3.connect(target)
    try:
        reader.backup(copy, pages=4096)
    finally:
        copy.close()
        reader.close()


def backup_before_migration(con: sqlite3.Connection, path: Path, version: int) -> None:
    """Keep a copy of an older journal beside it; skipped (and said) when there is no room for it."""
    if 0 <= disk.space(path.parent).free < 2 * path.stat().st_size:
        log.warning("no room for a copy of the journal before its migration")
        return
    stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path.with_name(f"denchi-v{version}-{stamp}.db.bak")
    copy = sqlite3.connect(target)
    try:
        con.backup(copy, pages=4096)
    finally:
        copy.close()


def compact(con: sqlite3.Connection, pages: int = 10_000) -> int:
    """Give free pages back to the disk (inside the writer's operation); returns how many."""
    return schema.free_pages(con, pages)
