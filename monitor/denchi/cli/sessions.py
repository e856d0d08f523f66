"""``denchi sessions`` and ``denchi compare``: recorded sessions, read beside the daemon."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from denchi.cli.common import common_options, default_data_dir, json_option, talk


def _reader(data_dir: Path | None) -> Any:
    from denchi.store.reader import JournalReader

    return JournalReader(data_dir or default_data_dir())


def _known(reader: Any, session_id: str) -> Any:
    """The stored session. Raises ``InputError`` for one that is not there."""
    from denchi.errors import InputError

    found = reader.session(session_id)
    if found is None:
        raise InputError(f"no session {session_id!r}", cure="`denchi sessions` lists them")
    return found


@click.group(invoke_without_command=True)
@json_option
@click.option("--limit", default=100, type=click.IntRange(1, 100_000))
@click.option("--search", default=None, help="Brand, model, serial, bench, meter or operator.")
@common_options
@click.pass_context
def sessions(
    ctx: click.Context,
    as_json: bool,
    limit: int,
    search: str | None,
    data_dir: Path | None,
    config: Path | None,
) -> int:
    """List recorded sessions, newest last."""
    if ctx.invoked_subcommand is not None:
        ctx.obj = (ctx.obj or {}) | {"data_dir": data_dir}
        return 0
    from datetime import UTC, datetime

    from denchi.clock import NS
    from denchi.daemon.lines import session_line
    from denchi.text import clean

    stored = _reader(data_dir).sessions(limit, None, search or "")
    for one in reversed(stored):
        line = session_line(one.session, samples=one.samples, gaps=one.gaps)
        if as_json:
            click.echo(json.dumps(line, ensure_ascii=False))
        else:
            mark = " SIMULATED" if line["origin"] == "simulated" else ""
            began = datetime.fromtimestamp(one.session.started_ns // NS, UTC).astimezone()
            click.echo(
                f"{began:%Y-%m-%d %H:%M:%S}  {line['id']:32} {clean(line['bench'], 16):16} "
                f"{clean(line['unit'], 24) or '-':24} {line['samples']:>10} {line['verdict'] or 'running'}{mark}"
            )
    if not stored and not as_json:
        talk("no session is recorded here yet")
    return 0


@sessions.command("delete")
@click.argument("session_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
def delete(session_id: str, yes: bool, data_dir: Path | None, config: Path | None) -> int:
    """Delete an ended session, after a question."""
    from denchi.daemon.client import SyncClient
    from denchi.daemon.lines import unit_label
    from denchi.errors import ApiError, UsageError
    from denchi.store.journal import Journal

    where = data_dir or default_data_dir()
    with _reader(where) as reader:
        found = _known(reader, session_id)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nothing was deleted: nobody can be asked here", cure="say --yes")
        unit = unit_label(found.session.unit) or "no unit named"
        kept = ", kept on purpose (pin)" if found.pinned else ""
        what = f"{session_id} ({unit}, {found.samples} samples{kept})"
        if not click.confirm(f"Delete {what} for good?", default=False, err=True):
            talk("nothing was deleted")
            return 0
    try:
        client = SyncClient.connect(where, timeout_s=2.0)
    except ApiError:
        with Journal.open(where) as journal:
            journal.delete_session(session_id)
    else:
        with client:
            client.request("DELETE", f"/v1/sessions/{session_id}")
    talk(f"deleted {session_id}")
    return 0


@sessions.command("pin")
@click.argument("session_id")
@click.option("--off", is_flag=True, help="Let its raw samples go with the others again.")
@common_options
def pin(session_id: str, off: bool, data_dir: Path | None, config: Path | None) -> int:
    """Keep a session's raw samples, past the limits of age and size."""
    from denchi.daemon.client import SyncClient
    from denchi.errors import ApiError
    from denchi.store.journal import Journal

    where = data_dir or default_data_dir()
    with _reader(where) as reader:
        _known(reader, session_id)
    try:
        client = SyncClient.connect(where, timeout_s=2.0)
    except ApiError:
        with Journal.open(where) as journal:
            journal.pin_session(session_id, not off)
    else:
        with client:
            client.request("PUT", f"/v1/sessions/{session_id}/pin", json={"pinned": not off})
    talk(f"{session_id}: {'let go' if off else 'kept'}")
    return 0


@sessions.command("backup")
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@common_options
def backup(target: Path, data_dir: Path | None, config: Path | None) -> int:
    """Copy the journal, also while it is being written.

    TARGET is an empty directory, or one that is not there yet.
    """
    from denchi.store import upkeep

    talk(f"wrote {upkeep.backup(data_dir or default_data_dir(), target)}")
    return 0


def figures(reader: Any, session_id: str) -> dict[str, Any]:
    """The figures of one session for a comparison, from its stored report and its samples' roll-ups."""
    stored = _known(reader, session_id)
    summary = (stored.report or {}).get("summary", {})
    out: dict[str, Any] = {"id": session_id, "samples": stored.samples, "gaps": stored.gaps}
    out["verdict"] = stored.session.verdict.word if stored.session.verdict else None
    for name in ("span_s", "wh_out", "ah_out", "wh_in", "ah_in"):
        out[name] = summary.get(name)
    series = reader.series(
        session_id,
        "meter",
        ["vbus_uv", "ibus_ua", "power_w", "temp_mc.case", "temp_mc.meter"],
        None,
        None,
        400,
    )
    for name, columns in series.to_json()["channels"].items():
        low = [v for v in columns["min"] if v is not None and v == v]
        high = [v for v in columns["max"] if v is not None and v == v]
        out[f"{name}.min"] = min(low, default=None)
        out[f"{name}.max"] = max(high, default=None)
    return out


@click.command()
@click.argument("first")
@click.argument("second")
@json_option
@common_options
def compare(
    first: str, second: str, as_json: bool, data_dir: Path | None, config: Path | None
) -> int:
    """Two sessions side by side, with their differences."""
    reader = _reader(data_dir)
    a, b = figures(reader, first), figures(reader, second)
    rows = []
    for key in a:
        x, y = a[key], b.get(key)
        numbers = isinstance(x, (int, float)) and isinstance(y, (int, float))
        rows.append(
            {"figure": key, "first": x, "second": y, "difference": y - x if numbers else None}
        )
    if as_json:
        click.echo(json.dumps({"first": first, "second": second, "figures": rows}))
        return 0
    for row in rows:
        cells = [_cell(row[k]) for k in ("first", "second", "difference")]
        click.echo(f"{row['figure']:18} {cells[0]:>26} {cells[1]:>26} {cells[2]:>14}")
    return 0


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
