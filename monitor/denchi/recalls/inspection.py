"""The check that every notice from outside must pass: feeds, overlays, files in the data directory.

Apart from ``notice`` because a machine that has fetched nothing never needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from denchi.errors import InputError
from denchi.recalls.notice import CONFIDENCE, RULE_KINDS, SCOPES, web_link

_TEXT_KEYS: Final = (
    "id jurisdiction regulator notice_number notice_date title brand product_name category unit_scope "
    "serial_rule units_note hazard remedy official_url form_url confidence extracted_by notes colours_text "
    "raw_text"
)
_LIST_KEYS: Final = (
    "brand_aliases model_numbers model_variants not_models gtins gtins_doubtful colours_affected "
    "colours_excluded other_urls supersedes"
)
_TEXTS: Final = tuple(_TEXT_KEYS.split())
_LISTS: Final = tuple(_LIST_KEYS.split())
_REQUIRED: Final = ("id", "jurisdiction", "regulator", "brand", "product_name", "unit_scope")
_MAX_TEXT: Final = 4000
_MAX_ITEMS: Final = 400


def checked(raw: object, where: str) -> dict[str, Any]:
    """An outside record made harmless and complete, or ``InputError`` that names the field.

    Unknown keys are dropped, links are validated, sizes are bounded. Texts stay as they are (they are
    cleaned where they are shown), so that an extraction can be repeated.
    """
    if not isinstance(raw, Mapping):
        raise InputError(f"{where}: a notice is an object, this is {type(raw).__name__}")
    out: dict[str, Any] = {}
    for key in _TEXTS:
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, str):
            raise InputError(f"{where}: {key} must be text")
        out[key] = value[:_MAX_TEXT]
    for key in _LISTS:
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise InputError(f"{where}: {key} must be a list of texts")
        out[key] = [v[:200] for v in value[:_MAX_ITEMS]]
    for key in _REQUIRED:
        if not out.get(key):
            raise InputError(f"{where}: {key} is missing")
    if out["unit_scope"] not in SCOPES:
        raise InputError(f"{where}: unit_scope must be one of {', '.join(SCOPES)}")
    if out.get("confidence", "secondary") not in CONFIDENCE:
        raise InputError(f"{where}: confidence must be one of {', '.join(CONFIDENCE)}")
    for key in ("official_url", "form_url"):
        if key in out:
            out[key] = web_link(out[key])
    _numbers(raw, out, where)
    _mappings(raw, out, where)
    return out


def _numbers(raw: Mapping[str, Any], out: dict[str, Any], where: str) -> None:
    for key in ("units", "capacity_mah", "max_output_w"):
        value = raw.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            raise InputError(f"{where}: {key} must be a number")
        out[key] = value


def _mappings(raw: Mapping[str, Any], out: dict[str, Any], where: str) -> None:
    for key in ("sale_period", "manufacture_period", "spellings", "misprints"):
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, Mapping) or not all(
            isinstance(k, str) and (v is None or isinstance(v, str)) for k, v in value.items()
        ):
            raise InputError(f"{where}: {key} must be an object of texts")
        out[key] = dict(list(value.items())[:_MAX_ITEMS])
    names = raw.get("names")
    if names is not None:
        if not isinstance(names, Mapping) or not all(_texts(v) for v in names.values()):
            raise InputError(f"{where}: names must map a model to a list of texts")
        out["names"] = {str(k): list(v)[:20] for k, v in list(names.items())[:_MAX_ITEMS]}
    sources = raw.get("sources") or []
    if not isinstance(sources, list) or not all(isinstance(s, Mapping) for s in sources):
        raise InputError(f"{where}: sources must be a list of objects")
    out["sources"] = [{str(k): str(v)[:500] for k, v in s.items()} for s in sources[:20]]
    if raw.get("rule") is not None:
        out["rule"] = _rule(raw["rule"], where)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _rule(raw: object, where: str) -> dict[str, Any]:
    """A serial rule of known shape; a rule that is not understood is refused, never guessed at."""
    if not isinstance(raw, Mapping) or raw.get("kind") not in RULE_KINDS:
        raise InputError(f"{where}: rule.kind must be one of {', '.join(RULE_KINDS)}")
    values = raw.get("values") or {}
    if not isinstance(values, Mapping) or not all(_texts(v) for v in values.values()):
        raise InputError(f"{where}: rule.values must map a model (or *) to a list of texts")
    if any(not v.strip() for listed in values.values() for v in listed):
        raise InputError(
            f"{where}: rule.values holds an empty text, which would match every serial"
        )
    ranges = raw.get("ranges") or []
    if not isinstance(ranges, list) or not all(_texts(r) and len(r) == 2 for r in ranges):
        raise InputError(f"{where}: rule.ranges must be a list of [first day, last day]")
    for key in ("all_of", "replacement", "endings"):
        if not _texts(raw.get(key) or []):
            raise InputError(f"{where}: rule.{key} must be a list of texts")
    length = raw.get("length")
    if length is not None and (not isinstance(length, int) or isinstance(length, bool)):
        raise InputError(f"{where}: rule.length must be a whole number")
    kept = ("kind", "length", "format", "absent_is_affected", "all_of", "replacement", "endings")
    return {"values": {str(k): list(v) for k, v in values.items()}, "ranges": ranges} | {
        k: raw[k] for k in kept if k in raw
    }
