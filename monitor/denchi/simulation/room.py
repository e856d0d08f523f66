"""The room at an instant: air, warm bodies, sun, cover, and whether the probe still sits."""

from __future__ import annotations

import math

from denchi.simulation.params import Influence, SessionParams


def surround(
    params: SessionParams, t_s: float, case_c: float
) -> tuple[float, float, float, float, float, float, float]:
    """Air, loss to air, W/K and W from warm bodies, sun, heat of pass-through, probe contact."""
    room, t = params.surroundings, t_s
    air_c = room.ambient_c + room.drift_k_h * t / 3600.0
    loss = params.bank.loss_w_k
    body_w_k = body_w = sun_w = inside_w = 0.0
    contact = params.probe.contact
    for it in room.influences:
        if not it.start_s <= t:
            continue
        share = _share(it, t)
        if share <= 0.0:
            continue
        if it.kind == "ambient":
            air_c += it.value * share
        elif it.kind == "sun":
            sun_w += it.value * share
        elif it.kind == "cover":
            loss *= 1.0 + (it.value - 1.0) * share
        elif it.kind == "pass_through":
            inside_w += it.value * share
        elif it.kind == "probe_off":
            contact = it.value
        else:
            body_w_k += it.value * share
            body_w += it.value * share * it.body_c
    # Natural convection: the hotter, the faster the air moves.
    loss *= 1.0 + 0.006 * min(max(case_c - air_c, 0.0), 60.0)
    return air_c, loss, body_w_k, body_w, sun_w, inside_w, contact


def _share(it: Influence, t_s: float) -> float:
    """How much of an influence is there: grows with ``tau_s`` and goes with it."""
    if it.kind == "probe_off":
        return 1.0 if t_s < it.end_s else 0.0
    grown = 1.0 - math.exp(-(min(t_s, it.end_s) - it.start_s) / it.tau_s)
    if t_s <= it.end_s:
        return grown
    return grown * math.exp(-(t_s - it.end_s) / it.tau_s)
