"""``denchi demo``: the whole path with an emulated meter and a simulated power bank behind it."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from denchi.cli.common import common_options, talk

if TYPE_CHECKING:
    from denchi.daemon.client import SyncClient

DEFAULT_S = 20.0
DEFAULT_SCENARIO, DEFAULT_METER = "demo", "fnb58"
"""What is not typed needs no checking: the daemon is on its way before numpy is imported here."""
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """Seconds from ``30s``, ``5m``, ``2h`` or a plain number."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse one duration."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min|h)?", str(value).strip())
        if not match or float(match[1]) <= 0:
            self.fail(f"{value!r} is not a duration such as 30s, 5m or 2h", param, ctx)
        return float(match[1]) * _UNITS[match[2] or ""]


@click.command()
@common_options
@click.option(
    "--scenario", default=DEFAULT_SCENARIO, help="What the simulated bank does (`list` shows them)."
)
@click.option("--meter", default=DEFAULT_METER, help="Which meter is emulated.")
@click.option("--speed", default=1.0, type=click.FloatRange(0.1, 1000), help="Time lapse.")
@click.option("--headless", is_flag=True, help="Live lines and a summary instead of the TUI.")
@click.option(
    "--for", "duration_s", type=Duration(), default=None, help="Headless: how long (20s)."
)
@click.option("--deliver", is_flag=True, help="Let simulated data reach outputs and alarms.")
@click.option("--lang", type=click.Choice(["en", "ja"]), default=None)
def demo(
    data_dir: Path | None,
    config: Path | None,
    scenario: str,
    meter: str,
    speed: float,
    headless: bool,
    duration_s: float | None,
    deliver: bool,
    lang: str | None,
) -> int:
    """An emulated meter speaks its real protocol; a simulated power bank stands behind it.

    Everything else is the real path: transport, codec, gate, journal, health, API. All of it is
    marked SIMULATED. Without a terminal it prints live lines and a closing summary.
    """
    if scenario == "list":
        return _list()
    if scenario != DEFAULT_SCENARIO:
        _check(scenario)
    if lang:
        from denchi.i18n import set_language

        set_language(lang)
    arguments = [
        "--bench",
        f"demo=emulated:{meter}?scenario={scenario}&speed={speed}",
        "--speed",
        str(speed),
    ]
    if meter == DEFAULT_METER or _blind(meter):
        # Few meters see the unit's own temperature; the demo shows what a probe on the case adds.
        probe = f"emulated:denchi-board?scenario={scenario}&speed={speed}"
        arguments += ["--probe", f"demo.case={probe}"]
    if deliver:
        arguments.append("--deliver")
    headless = headless or not sys.stdout.isatty()
    with tempfile.TemporaryDirectory(prefix="denchi-demo-") as temporary:
        where = data_dir or Path(temporary)
        return _run(where, config, arguments, headless, duration_s or DEFAULT_S, lang)


def _list() -> int:
    from denchi.simulation import scenarios

    for name, text in scenarios().items():
        click.echo(f"{name:24} {text}")
    return 0


def _check(scenario: str) -> None:
    from denchi.cli.common import nearest
    from denchi.errors import UsageError
    from denchi.simulation import scenarios

    known = list(scenarios())
    if scenario not in known:
        raise UsageError(
            f"no scenario {scenario!r}{nearest(scenario, known)}", cure="`--scenario list`"
        )


def _blind(meter: str) -> bool:
    """Whether a meter does not see the unit's own temperature. Raises ``UsageError`` for no meter."""
    from denchi.drivers import registry

    spec = registry.get(meter)
    return spec.kind == "meter" and spec.temperature_place != "case"


def _run(
    where: Path,
    config: Path | None,
    arguments: list[str],
    headless: bool,
    duration_s: float,
    lang: str | None,
) -> int:
    from denchi.daemon.child import ChildDaemon

    if headless:
        with ChildDaemon(where, config, arguments):
            from denchi.daemon.client import SyncClient

            with SyncClient.connect(where) as client:
                return _lines(client, duration_s)
    from denchi.cli.desk import load_tui, open_tui

    with ChildDaemon(where, config, arguments, meanwhile=lambda: load_tui(where)):
        return open_tui(where, lang=lang)


def _lines(client: SyncClient, duration_s: float) -> int:
    """Print one line a second and what is found, then a summary."""
    talk(
        "SIMULATED / 模擬: an emulated meter with a simulated power bank behind it; nothing here is real"
    )
    end = time.monotonic() + duration_s
    due = 0.0
    for message in client.lines("/v1/stream", max_hz=5):
        if message["type"] == "finding":
            click.echo(_finding(message))
        elif message["type"] == "state":
            now = time.monotonic()
            if now >= due:
                for bench in message["benches"]:
                    click.echo(_live(bench))
                due = now + 0.9
        if time.monotonic() >= end:
            break
    state = client.get("/v1/state")
    for bench in state["benches"]:
        _summary(bench, state)
    return 0


def _value(bench: dict[str, Any], channel: str, unit: str) -> str:
    found = bench["live"]["channels"].get(channel)
    if found is None or found["stale"]:
        return f"   -- {unit}"
    return f"{found['value']:8.3f} {unit}"


def _live(bench: dict[str, Any]) -> str:
    session = bench["session"] or {}
    case, meter = (
        _value(bench, "temp_mc.case", "°C case"),
        _value(bench, "temp_mc.meter", "°C meter"),
    )
    return (
        f"[SIMULATED] {session.get('duration_s', 0):7.1f} s  {_value(bench, 'vbus_uv', 'V')}"
        f"  {_value(bench, 'ibus_ua', 'A')}  {_value(bench, 'power_w', 'W')}  {case}  {meter}"
        f"  {bench['link']['state']}"
    )


def _finding(line: dict[str, Any]) -> str:
    from denchi.i18n import language

    ja = language() == "ja"
    return f"[SIMULATED] {line['severity'].upper():8} {line['message_ja' if ja else 'message']}"


def _summary(bench: dict[str, Any], state: dict[str, Any]) -> None:
    session, energy, verdict = bench["session"], bench["energy"], bench["verdict"]
    journal = state["journal"]
    click.echo("")
    click.echo("SIMULATED / 模擬")
    if session is None:
        click.echo(f"no sample came: {bench['link']['state']} {bench['link']['message']}")
        return
    serial = bench["meter"]["serial"]
    click.echo(
        f"meter {bench['meter']['key']}{f' ({serial})' if serial else ''}, {session['samples']} samples, "
        f"{session['gaps']} gaps, {session['duration_s']:.0f} s of session time"
    )
    click.echo(
        f"energy out {energy['wh_out']:.3f} Wh, charge out {energy['ah_out'] * 1000:.1f} mAh at VBUS"
    )
    counts = {
        w: sum(f["severity"] == w for f in bench["findings"]) for w in ("danger", "caution", "info")
    }
    click.echo(
        f"findings: {counts['danger']} danger, {counts['caution']} caution, {counts['info']} info"
    )
    from denchi.i18n import language

    click.echo(f"verdict: {verdict['verdict']}: {verdict['sentence'][language()]}")
    click.echo(f"journal: {journal['bytes']} bytes at {journal['path']}")
