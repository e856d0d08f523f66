"""`make evaluate`: simulated sessions through the real gate and the real health engine, scored.

    python tests/evaluation/run.py --seeds test --hours 300 [--seed 0] [--factors 0.6,1,1.6] [--json F]

Sessions are drawn by ``denchi.simulation.population`` (wider than what a detector assumes), one by
one until the hours are reached, and judged twice: with the case probe and without it. The
trade-off judges a part of them again with the main thermal limits multiplied. Every missed or
falsely alarmed session is named by its seed: ``--only SEED`` plays that one and prints what was found.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import baseline
import curve

from denchi.daemon.pipeline import SessionPipe
from denchi.health import profiles
from denchi.health.engine import HealthEngine
from denchi.ingest import Gate
from denchi.model import Session, SessionMeta
from denchi.simulation import evaluation, population
from denchi.simulation.evaluation import Found, Outcome
from denchi.simulation.recording import Recording, record
from denchi_protocol.samples import SampleBlock

NS = 1_000_000_000
START_NS = 1_750_000_000 * NS
BLOCK_S = 60
THERMAL = (
    "excess_caution_k", "excess_soon_caution_k", "idle_excess_caution_k", "excess_danger_k",
    "excess_fast_danger_k", "excess_joined_danger_k", "excess_cold_danger_k", "rise_caution_k_min", "rise_danger_k_min",
)  # fmt: skip
"""The limits that the trade-off multiplies; absolute temperatures stay."""
BASELINE = (True, 0.0)
"""The place of the fixed thresholds among the ways to judge."""
FACTORS = (0.6, 0.8, 1.0, 1.25, 1.6)


@dataclass(frozen=True)
class Job:
    """One session to judge, and how."""

    seed: int
    fault_share: float
    factors: tuple[float, ...]
    blind: bool


def judge(drawn: population.Drawn, made: Recording, *, probe: bool, factor: float) -> Outcome:
    """Feed a recording to gate and engine as a live run would."""
    block = made.block
    if not probe:
        block = SampleBlock(
            block.t_ns, {n: c for n, c in block.columns.items() if n != "temp_mc.case"}
        )
    profile = profiles.load("watch")
    if factor != 1.0:
        limits = profile.limits
        profile = profile.with_limits({name: getattr(limits, name) * factor for name in THERMAL})
    told = drawn.told
    meta = SessionMeta(
        rated_mah=told.rated_mah,
        meter_position=made.position,  # type: ignore[arg-type]
        started_full=told.started_full,
        ambient_c=told.ambient_c,
    )
    places = frozenset(n.removeprefix("temp_mc.") for n in block.columns if n.startswith("temp"))
    engine = HealthEngine(
        profile,
        meta,
        start_ns=START_NS,
        temperature_places=places,
        rate_hz=drawn.meter.rate_hz,
    )
    session = Session(
        id=f"seed-{drawn.seed}", origin="simulated", started_ns=START_NS, bench="evaluation",
        meter="simulated", profile=profile.name, meta=meta,
    )  # fmt: skip
    pipe = SessionPipe(session, engine, None)
    pipe.add(
        "meter",
        Gate(
            rate_hz=drawn.meter.rate_hz,
            checked=drawn.meter.checked,
            sign=-1 if made.position == "input" else 1,
            settle=False,  # as in a replay: settling counts blocks, and these are long
        ),
        {},
    )
    findings = []
    for part in block.split(max(1, int(drawn.meter.rate_hz * BLOCK_S))):
        for taken in pipe.take("meter", [part]):
            findings += pipe.judge(taken)
    last_ns = pipe.instruments["meter"].gate.last_ns or START_NS
    findings += pipe.keep(engine.finish(last_ns))
    found = tuple(
        Found((f.t_ns - START_NS) / NS, int(f.severity), f.family, f.code) for _, f in findings
    )
    return Outcome(
        drawn.seed, made.seconds / 3600.0, made.truth, drawn.params.fault.size, drawn.awkward,
        made.position, probe, found,
    )  # fmt: skip


def work(job: Job) -> dict[tuple[bool, float], Outcome]:
    """Simulate one session and judge it in every way that is asked for."""
    drawn = population.draw(job.seed, fault_share=job.fault_share)
    made = record(drawn.params, job.seed, drawn.hours, drawn.meter, start_ns=START_NS)
    plain = baseline.found(made.block, START_NS, probe=True)
    out = {(True, f): judge(drawn, made, probe=True, factor=f) for f in job.factors}
    if job.blind:
        out[(False, 1.0)] = judge(drawn, made, probe=False, factor=1.0)
    out[BASELINE] = replace(out[(True, 1.0)], found=plain)
    return out


def jobs(arguments: argparse.Namespace) -> list[Job]:
    """Sessions of the asked-for set until their drawn hours reach the target."""
    made: list[Job] = []
    hours = 0.0
    factors = tuple(float(f) for f in arguments.factors.split(",") if f)
    for seed in population.seeds(arguments.seeds, 20_000, arguments.seed * 20_000):
        if hours >= arguments.hours or len(made) >= arguments.sessions:
            break
        some = (1.0, *(f for f in factors if f != 1.0)) if len(made) < arguments.trade else (1.0,)
        made.append(Job(seed, arguments.fault_share, some, not arguments.no_blind))
        hours += population.draw(seed, fault_share=arguments.fault_share).hours
    return made


# -- printing ----------------------------------------------------------------------------------


def _f(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({100 * part / whole:.0f} %)" if whole else "0/0"


def _named(seeds: Sequence[int], most: int = 8) -> str:
    shown = " ".join(str(s) for s in seeds[:most])
    return shown + (f" +{len(seeds) - most}" if len(seeds) > most else "")


def show_kinds(outcomes: list[Outcome]) -> None:
    """Detection by kind of fault."""
    print(
        f"{'fault':22} {'sessions':>8} {'with trace detected':>20} {'any':>10} {'latency':>8} "
        f"{'after trace':>11}  missed seeds   (medians in min)"
    )
    for row in evaluation.score_kinds(outcomes):
        print(
            f"{row.kind:22} {row.sessions:8d} {_share(row.detected_with_trace, row.with_trace):>20} "
            f"{_share(row.detected, row.sessions):>10} {_f(row.latency_min):>8} "
            f"{_f(row.after_trace_min):>11}  {_named(row.missed)}"
        )


def show_leads(outcomes: list[Outcome]) -> None:
    """Leads before 60 degC and before runaway."""
    for row in (
        evaluation.score_lead("caution before case 60 °C", outcomes, lambda o: o.truth.case_60_s, 2),
        evaluation.score_lead("danger before case 60 °C", outcomes, lambda o: o.truth.case_60_s, 3),
        evaluation.score_lead("caution before runaway", outcomes, lambda o: o.truth.run_away_s, 2),
        evaluation.score_lead("danger before runaway", outcomes, lambda o: o.truth.run_away_s, 3),
    ):  # fmt: skip
        print(
            f"{row.what:28} {_share(row.before, row.sessions):>14}  lead median {_f(row.median_min)} "
            f"min, p10 {_f(row.p10_min)} min  late: {_named(row.late)}"
        )


def show_false(outcomes: list[Outcome]) -> None:
    """False alarms by group."""
    print(
        f"{'sessions without a fault':28} {'n':>4} {'hours':>7} {'caution+ /1000 h':>17} "
        f"{'danger /1000 h':>15}  seeds, codes"
    )
    for row in evaluation.score_falses(outcomes):
        print(
            f"{row.group:28} {row.sessions:4d} {row.hours:7.1f} "
            f"{row.per_1000_h(row.cautions):10.1f} ({row.cautions:3d}) "
            f"{row.per_1000_h(row.dangers):9.1f} ({row.dangers:2d})  {_named(row.seeds)}  "
            f"{', '.join(row.codes)}"
        )
    count, hours, seeds = evaluation.early_alarms(outcomes)
    print(
        f"before the onset of a fault: {count} caution+ in {hours:.1f} h "
        f"({1000 * count / hours if hours else 0:.1f} /1000 h)  {_named(seeds)}"
    )


def show_trade(by_way: dict[tuple[bool, float], list[Outcome]]) -> list[curve.Point]:
    """Detection against false alarms over a factor on the thermal limits; the points of the curve."""
    points: list[curve.Point] = []
    factors = sorted({f for probe, f in by_way if probe and f > 0.0})
    if len(factors) < 2:
        return points
    common = set.intersection(*({o.seed for o in by_way[(True, f)]} for f in factors))
    print(f"\nTrade-off: main thermal limits x factor, the same {len(common)} sessions, with probe")
    print(f"{'factor':>6} {'thermal faults found':>22} {'latency min':>11} {'caution+ /1000 h':>17} "
          f"{'danger /1000 h':>15} {'danger before runaway':>22}")  # fmt: skip
    for factor in factors:
        mine = [o for o in by_way[(True, factor)] if o.seed in common]
        heat = evaluation.score_kind("heat", [o for o in mine if "heat" in o.truth.traces])
        cool = [o for o in mine if not o.truth.really_hot]
        false = evaluation.score_false("", cool)
        lead = evaluation.score_lead("", mine, lambda o: o.truth.run_away_s, 3)
        print(
            f"{factor:6.2f} {_share(heat.detected_with_trace, heat.with_trace):>22} "
            f"{_f(heat.latency_min):>11} {false.per_1000_h(false.cautions):11.1f} "
            f"({false.cautions:3d}) {false.per_1000_h(false.dangers):10.1f} ({false.dangers:2d}) "
            f"{_share(lead.before, lead.sessions):>22}"
        )
        found = heat.detected_with_trace / heat.with_trace if heat.with_trace else 0.0
        points.append(curve.Point(factor, false.per_1000_h(false.cautions), found))
    return points


def show_baseline(outcomes: list[Outcome]) -> None:
    """How hard the population is: the fixed thresholds on the same sessions."""
    every = evaluation.score_kinds(outcomes)[-1]
    false = evaluation.score_falses(outcomes)[-1]
    print(
        f"\nFixed thresholds on the same sessions, with probe: "
        f"{_share(every.detected_with_trace, every.with_trace)} of faults with a trace, "
        f"{false.per_1000_h(false.cautions):.0f} false alarms /1000 h (one of a kind a session)"
    )


def show(by_way: dict[tuple[bool, float], list[Outcome]]) -> list[curve.Point]:
    """All tables; returns the points of the trade-off."""
    for probe in (True, False):
        outcomes = by_way.get((probe, 1.0), [])
        if not outcomes:
            continue
        print(f"\n== {'With' if probe else 'Without'} a case probe ==")
        show_kinds(outcomes)
        print()
        show_leads(outcomes)
        print()
        show_false(outcomes)
    print(f"\n{'quantity':28} {'goal':>16}  here (latency from onset, median)")
    for name, goal, here in evaluation.goals(by_way[(True, 1.0)], by_way.get((False, 1.0), [])):
        print(f"{name:28} {goal:>16}  {here}")
    show_baseline(by_way[BASELINE])
    return show_trade(by_way)


def show_one(seed: int, fault_share: float) -> None:
    """One session by seed: what it was and what was found."""
    drawn = population.draw(seed, fault_share=fault_share)
    print(json.dumps(asdict(replace(drawn, params=replace(drawn.params, segments=()))), indent=1))
    print("segments", len(drawn.params.segments), drawn.params.segments[:6])
    for probe in (True, False):
        made = record(drawn.params, seed, drawn.hours, drawn.meter, start_ns=START_NS)
        outcome = judge(drawn, made, probe=probe, factor=1.0)
        print(f"{'with' if probe else 'without'} probe: {outcome.truth}")
        for f in outcome.found:
            print(f"  {f.t_s:9.1f} s  {f.severity}  {f.family:12} {f.code}")


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", choices=("tune", "test"), default="test")
    parser.add_argument("--seed", type=int, default=0, help="which 20,000 of the set")
    parser.add_argument("--hours", type=float, default=600.0)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--fault-share", type=float, default=0.5)
    parser.add_argument("--trade", type=int, default=60, help="sessions of the trade-off")
    parser.add_argument("--factors", default=",".join(str(f) for f in FACTORS))
    parser.add_argument("--no-blind", action="store_true")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="every outcome, one a line")
    parser.add_argument("--svg", type=Path, help="the trade-off as a picture")
    parser.add_argument("--only", type=int, help="play one session by its seed")
    arguments = parser.parse_args()
    if arguments.only is not None:
        show_one(arguments.only, arguments.fault_share)
        return 0
    todo = jobs(arguments)
    began = time.monotonic()
    by_way: dict[tuple[bool, float], list[Outcome]] = {}
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for i, made in enumerate(pool.imap_unordered(work, todo), 1):
            for way, outcome in made.items():
                by_way.setdefault(way, []).append(outcome)
            if i % 25 == 0:
                print(
                    f"{i}/{len(todo)} sessions, {time.monotonic() - began:.0f} s", file=sys.stderr
                )
    for outcomes in by_way.values():
        outcomes.sort(key=lambda o: o.seed)
    hours = sum(o.hours for o in by_way[(True, 1.0)])
    print(
        f"SIMULATED. {len(todo)} sessions, {hours:.0f} h, set '{arguments.seeds}', seeds "
        f"{todo[0].seed}..{todo[-1].seed}, {100 * arguments.fault_share:.0f} % with a fault; "
        f"{time.monotonic() - began:.0f} s on {arguments.processes} processes."
    )
    points = show(by_way)
    if arguments.svg and points:
        title = f"Limits of unexplained heat x factor, {arguments.seeds} seeds, simulated"
        arguments.svg.write_text(curve.svg(points, title), encoding="utf-8")
    if arguments.json:
        with arguments.json.open("w", encoding="utf-8") as stream:
            for (probe, factor), outcomes in by_way.items():
                for outcome in outcomes:
                    line = {"factor": factor, "probe": probe, **asdict(outcome)}
                    stream.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
