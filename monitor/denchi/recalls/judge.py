"""From what was found on a label to the notices that touch the unit, each with its own status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from denchi.model import RecallStatus, Unit
from denchi.recalls import serials
from denchi.recalls.facts import colours_in, month_of, outside
from denchi.recalls.lists import RecallLists
from denchi.recalls.matching import Found
from denchi.recalls.normalise import normalised
from denchi.recalls.notice import Notice
from denchi.recalls.serials import Marks, Says
from denchi.text import clean

_CAPACITY_TOLERANCE: Final = 0.1


class Asked(NamedTuple):
    """The unit asked about, with what was made of it."""

    unit: Unit
    country: str
    marks: Marks


class Touch(NamedTuple):
    """One notice that touches the unit."""

    row: int
    notice: Notice
    status: RecallStatus
    models: frozenset[str]
    agreed: tuple[str, ...]
    conflicts: tuple[str, ...]
    elsewhere: bool
    rule: str
    also_in: tuple[str, ...] = ()
    superseded: bool = False


def judge(asked: Asked, found: Found, lists: RecallLists) -> list[Touch]:
    """The notices that touch the unit: the most serious first, then the user's country, then the newest."""
    touches = [
        _touch(row, frozenset(models), "model", asked, found, lists)
        for row, models in found.by_model.items()
    ]
    done = set(found.by_model)
    for row in found.by_gtin:
        if row not in done:
            touches.append(_touch(row, frozenset(), "barcode", asked, found, lists))
            done.add(row)
    for row in found.doubtful_gtin:
        if row not in done:
            touches.append(_touch(row, frozenset(), "doubtful barcode", asked, found, lists))
            done.add(row)
    for row in found.by_name:
        if row not in done:
            led_to = frozenset(found.name_models) & frozenset(
                lists.raw(row).get("model_numbers") or ()
            )
            touches.append(_touch(row, led_to, "name", asked, found, lists))
            done.add(row)
    if not touches:
        rows = _brand_rows(found, lists)
        touches = [_touch(row, frozenset(), "brand", asked, found, lists) for row in rows]
    return sorted(_once(touches), key=_order)


def _brand_rows(found: Found, lists: RecallLists) -> Iterable[int]:
    """A brand alone leads to all its notices; with an unlisted model, to those that print no model."""
    known = bool(found.unlisted or found.not_models or found.claimed)
    return sorted(r for r in found.by_brand if not known or not lists.raw(r).get("model_numbers"))


def _order(touch: Touch) -> tuple[int, bool, bool, tuple[int, ...], str]:
    digits = tuple(-int(p) for p in touch.notice.date.split("-") if p.isdecimal())
    return (-int(touch.status), touch.superseded, touch.elsewhere, digits, touch.notice.id)


def _once(touches: list[Touch]) -> list[Touch]:
    """One entry for a notice that several lists hold; the one with the more serious status is kept."""
    best: dict[object, Touch] = {}
    lists_of: dict[object, list[str]] = {}
    for touch in sorted(touches, key=lambda x: (-int(x.status), x.notice.by_machine, x.row)):
        n = touch.notice
        key: object = (
            (n.jurisdiction, n.regulator.split(" ")[0], n.number)
            if n.number
            else (n.id, n.list_name)
        )
        lists_of.setdefault(key, []).append(n.list_name)
        best.setdefault(key, touch)
    out = []
    for key, touch in best.items():
        others = tuple(dict.fromkeys(x for x in lists_of[key] if x != touch.notice.list_name))
        out.append(touch._replace(also_in=others))
    return out


def _touch(
    row: int,
    models: frozenset[str],
    how: str,
    asked: Asked,
    found: Found,
    lists: RecallLists,
) -> Touch:
    notice = lists.notice(row)
    said = serials.says(notice.rule, sorted(models) or list(notice.models), asked.marks)
    agreed, conflicts = _beside(notice, asked, found)
    head = _how(row, models, how, found)
    if notice.rule is not None and said is Says.YES:
        agreed.insert(0, "printed serial rule")
    elif notice.rule is not None and said is Says.NO:
        conflicts.insert(0, "printed serial rule")
    return Touch(
        row,
        notice,
        _status(notice, how, said),
        models,
        (*head, *agreed),
        tuple(conflicts),
        bool(asked.country) and notice.jurisdiction not in (asked.country, "WW"),
        said.value if notice.rule is not None else "",
        superseded=notice.id in lists.superseded,
    )


def _status(notice: Notice, how: str, said: Says) -> RecallStatus:
    """The status that a notice's scope gives; only a scope that names all units, or a rule's yes, affects."""
    if how not in ("model", "barcode"):
        return RecallStatus.BRAND_HINT
    if notice.by_machine:
        # What a program read from prose is a reason to look, not a verdict.
        return RecallStatus.CHECK_SERIAL
    if notice.unit_scope == "all-units-of-model" or said is Says.YES:
        return RecallStatus.AFFECTED
    return RecallStatus.CHECK_SERIAL


def _how(row: int, models: frozenset[str], how: str, found: Found) -> list[str]:
    if how == "model":
        printed = [
            f"model {m}"
            if found.printed.get(m, m) == m
            else f"model {m} (printed {found.printed[m]})"
            for m in sorted(models)
        ]
        return [clean(p, 80) for p in printed]
    if how == "barcode":
        return [f"barcode {found.by_gtin[row]}"]
    if how == "doubtful barcode":
        return [f"barcode {found.doubtful_gtin[row]} (printed for two products)"]
    if how == "name":
        return [clean(f"name {found.by_name[row]}", 120)]
    return ["brand"]


def _beside(notice: Notice, asked: Asked, found: Found) -> tuple[list[str], list[str]]:
    """What the label says beside its number, as agreed or in conflict with the notice. Clears nothing."""
    unit = asked.unit
    agreed: list[str] = []
    conflicts: list[str] = []

    def note(same: bool, told: str) -> None:
        (agreed if same else conflicts).append(clean(told, 120))

    if unit.brand:
        own = normalised(notice.brand)
        named = (
            any(b in own or own in b for b in found.brands) or normalised(unit.brand).strip() in own
        )
        note(named, f"brand {unit.brand}")
    colours = colours_in(unit.colour)
    if colours and (notice.colours or notice.colours_excluded):
        inside = colours & colours_in(" / ".join(notice.colours))
        barred = colours & colours_in(" / ".join(notice.colours_excluded))
        note(bool(inside) and not barred, f"colour {unit.colour}")
    bought = month_of(unit.bought)
    if bought and any(notice.sold):
        note(not outside(bought, notice.sold), f"bought {bought}")
    if asked.country and notice.jurisdiction != "WW":
        note(asked.country == notice.jurisdiction, f"country {asked.country}")
    if unit.rated_mah and notice.capacity_mah:
        near = (
            abs(unit.rated_mah - notice.capacity_mah) <= _CAPACITY_TOLERANCE * notice.capacity_mah
        )
        note(near, f"capacity {unit.rated_mah:g} mAh")
    if unit.max_w and notice.max_w:
        note(abs(unit.max_w - notice.max_w) <= 0.5, f"power {unit.max_w:g} W")
    return agreed, conflicts
