"""``denchi replay``: recordings through the same ingest, journal and health as live data."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from denchi.cli.common import common_options, json_option, talk

if TYPE_CHECKING:
    from denchi.daemon.pipeline import SessionPipe
    from denchi.model import Finding, SessionMeta, Verdict, VerdictReport
    from denchi.store.journal import Journal
    from denchi_protocol.codec import Event, MeterSpec


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
@click.option(
    "--meta",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What is known of the recording.",
)
@click.option("--profile", "profile_name", default="watch", help="Limits to judge by.")
@click.option("--keep", is_flag=True, help="Keep the sessions in the data directory's journal.")
@common_options
def replay(
    files: tuple[Path, ...],
    as_json: bool,
    meta: Path | None,
    profile_name: str,
    keep: bool,
    data_dir: Path | None,
    config: Path | None,
) -> int:
    """Recordings (CSV, .gz, Parquet, capture) through ingest, journal and health, as fast as it goes.

    Each file is a session of its own. Findings as JSON lines, then a summary line. Exit 3 danger,
    4 caution, 5 inconclusive, 0 no anomaly seen.
    """
    from denchi.config import load as load_config
    from denchi.health import profiles

    settings = load_config(config, must_exist=config is not None).settings
    profile = profiles.load(profile_name, settings.profiles_dir)
    if settings.limits:
        profile = profile.with_limits(settings.limits)
    worst: Verdict | None = None
    with _journal(data_dir if keep else None, keep) as journal:
        for path in files:
            # Opened and checked before a session begins: a foreign file leaves nothing behind.
            source = _Source.open(path, meta)
            report = _one(path, source, profile, journal, as_json)
            worst = report.verdict if worst is None else max(worst, report.verdict)
    return worst.exit_code if worst is not None else 0


@contextmanager
def _journal(data_dir: Path | None, keep: bool) -> Iterator[Journal]:
    """The journal the sessions go through: the user's with ``--keep``, else one that vanishes."""
    from denchi.cli.common import default_data_dir
    from denchi.store.journal import Journal

    with tempfile.TemporaryDirectory(prefix="denchi-replay-") as temporary:
        where = (data_dir or default_data_dir()) if keep else Path(temporary)
        where.mkdir(parents=True, exist_ok=True, mode=0o700)
        journal = Journal.open(where, commit_ms=1000, reserve_mb=64 if keep else 0)
        try:
            yield journal
        finally:
            journal.close()


class _Source:
    """A recording or a capture, opened: what is known of it, and its events in order."""

    def __init__(
        self,
        meta: SessionMeta,
        events: Iterator[list[Event]],
        *,
        spec: MeterSpec | None,
        offset_ns: int,
    ) -> None:
        self.meta, self.events, self.spec, self.offset_ns = meta, events, spec, offset_ns

    @classmethod
    def open(cls, path: Path, meta_path: Path | None) -> _Source:
        """Open by content: a capture begins with its header line, everything else is a recording."""
        if _is_capture(path):
            return cls._capture(path, meta_path)
        from denchi.export import recording

        meta, blocks = recording.read(path, meta_path)
        return cls(meta, ([block] for block in blocks), spec=None, offset_ns=0)

    @classmethod
    def _capture(cls, path: Path, meta_path: Path | None) -> _Source:
        from denchi.drivers import registry
        from denchi.errors import InputError
        from denchi.export import recording
        from denchi_protocol import capture, playback
        from denchi_protocol.errors import CaptureError

        try:
            with path.open(encoding="utf-8") as stream:
                whole = capture.read(stream)
        except (CaptureError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: {error}", cure="is this a denchi capture?") from None
        spec = registry.get(whole.header.meter)
        events = playback.events(spec.codec(), whole.chunks)
        meta = recording.read_meta(path, meta_path)
        return cls(meta, events, spec=spec, offset_ns=0)


def _is_capture(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return b'"denchi_capture"' in stream.read(200)
    except OSError as error:
        from denchi.errors import UsageError

        raise UsageError(f"{path}: {error.strerror}", cure="check the path") from None


def _one(
    path: Path, source: _Source, profile: Any, journal: Journal, as_json: bool
) -> VerdictReport:
    """Replay one file and print what was found."""
    pipe: SessionPipe | None = None
    start_ns = last_ns = 0
    for events in source.events:
        if pipe is None:
            first = _first_stamp(events)
            if first is None:
                continue
            start_ns = first
            pipe = _begin(path, source, profile, journal, start_ns)
        for taken in pipe.take("meter", events):
            _print(pipe.judge(taken), path, as_json)
        last_ns = max(last_ns, pipe.instruments["meter"].gate.last_ns or 0)
    if pipe is None:
        pipe = _begin(path, source, profile, journal, 0)
    _print(pipe.keep(pipe.engine.finish(last_ns)), path, as_json)
    report = pipe.engine.verdict(recall=None, recall_answered=False, symptoms=(), end_ns=last_ns)
    _end(path, pipe, report, journal, last_ns, as_json)
    return report


def _first_stamp(events: list[Event]) -> int | None:
    from denchi_protocol.samples import SampleBlock

    return next((int(e.t_ns[0]) for e in events if isinstance(e, SampleBlock) and len(e)), None)


def _begin(
    path: Path, source: _Source, profile: Any, journal: Journal, start_ns: int
) -> SessionPipe:
    import uuid

    from denchi.daemon.pipeline import SessionPipe
    from denchi.health.engine import HealthEngine
    from denchi.ingest import Gate
    from denchi.model import Session

    spec = source.spec
    session = Session(
        id=f"replay-{uuid.uuid4().hex[:12]}",
        origin="recording",
        started_ns=start_ns,
        bench=path.name,
        meter=spec.key if spec else "file",
        profile=profile.name,
        meta=source.meta,
    )
    places = frozenset({spec.temperature_place} if spec and spec.temperature_place else ())
    engine = HealthEngine(
        profile,
        source.meta,
        start_ns=start_ns,
        temperature_places=places or frozenset({"case", "meter"}),
        rate_hz=spec.rate_hz if spec else None,
    )
    journal.begin_session(session)
    pipe = SessionPipe(session, engine, journal, wait=True)
    # A recording has settled long ago, and its reader has turned the current already.
    gate = (
        replace(Gate.of(spec, position=source.meta.meter_position), settle=False)
        if spec
        else Gate(settle=False)
    )
    pipe.add(
        "meter",
        gate,
        {
            "key": session.meter,
            "model": "",
            "serial": "",
            "firmware": "",
            "maturity": spec.maturity if spec else "captures",
            "channels": (),
            "extra": {"file": path.name},
        },
    )
    return pipe


def _print(found: list[tuple[str, Finding]], path: Path, as_json: bool) -> None:
    from denchi.health.lines import finding_line
    from denchi.text import clean

    for _, finding in found:
        if as_json:
            click.echo(json.dumps(finding_line(finding, 0, str(path)), ensure_ascii=False))
        else:
            moment = finding.t_ns / 1e9
            click.echo(
                f"{moment:10.1f} s  {finding.severity.word:8} {clean(finding.message.render(), 400)}"
            )


def _end(
    path: Path,
    pipe: SessionPipe,
    report: VerdictReport,
    journal: Journal,
    end_ns: int,
    as_json: bool,
) -> None:
    from denchi.daemon.lines import verdict_dict
    from denchi.health.lines import summary_line
    from denchi.text import clean

    journal.end_session(pipe.session.id, end_ns, report.verdict, verdict_dict(report))
    line = summary_line(str(path), pipe.engine.summary(), report, [f for _, f in pipe.findings])
    if as_json:
        click.echo(json.dumps(line, ensure_ascii=False))
        return
    s = line["summary"]
    click.echo(
        f"{clean(path.name, 80)}: {s['rows']} rows, {s['span_s']:.1f} s, {s['gaps']} gaps; "
        f"{s['n_danger']} danger, {s['n_caution']} caution, {s['n_info']} info"
    )
    talk(clean(report.sentence.render(), 600))
