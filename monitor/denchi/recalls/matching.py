"""Label texts against the lists: codes on whole tokens, barcodes, product names, brands.

A code is found only where it stands as a whole token (or one broken by a single space or hyphen), and
matches only when it is in a list. Colour, sale date, capacity and watts take no part here: nothing that
is typed beside a code can take its match away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from denchi.recalls.lists import RecallLists
from denchi.recalls.normalise import TOKEN, compact, gtin, normalised

_MAX_JOIN: Final = 5
"""``CIO MB20W2C 5K EX01 WH`` is a code broken into five tokens."""
_MAX_PARTS: Final = 8
"""``CIO-MB20W2C-5K-EX01-WH`` has five; a label of ten thousand hyphens must cost no more than its length."""
_GAPS: Final = frozenset({" ", "_", ".", " - ", "- ", " -"})
_GLUED: Final = ("MODELNUMBER", "MODELNO", "MODEL", "NUMBERS", "SKU", "PN", "NO")
# Anker's label grammar: base number, then three (or four) characters for region and colour (N12, 016,
# 0V1): the product codes in the Consumer Affairs Agency's entry of 2025-10-21.
_ANKER: Final = r"(A[1-3]\d{3})[0-9A-Z]{3,4}"
# Codes of brands whose numbers have a known shape; finding one means "a model was given".
_SHAPES: Final = (
    r"A[1-3]\d{3}(?:[0-9A-Z]{3,4})?|BPB\d{3,4}|BPD\d{3}|MMA\d{3}|PB\d{4}|BS\d{2}KP\d{3}|PPCX[MW]\d{2}[A-Z]?"
    r"|2G5\d{2}B?|BIB\d{1,2}|PAC20\d{3}|PLT20A\d{3}|OM10|PB\d{4}[A-Z]{2}|CHE\d{3}|CIOMB[0-9A-Z]+"
)
_WORD: Final = r"\d+(?:\.\d+)?[A-Z]*|[A-Z]+\d*[A-Z0-9]*|[^\W\d_A-Z]+"
_COMMON_WORDS: Final = (
    "POWER BANK BATTERY PORTABLE CHARGER CHARGING WIRELESS PACK MOBILE MAGNETIC EXTERNAL STATION THE AND "
    "WITH FOR OF MODEL ONLY USB C A CABLE LITHIUM ION MAGSAFE "
    "モバイルバッテリー リチウム電池内蔵充電器 移动电源 充電器 バッテリー ケーブル パワーバンク"
)
_GENERIC: Final = frozenset(_COMMON_WORDS.split())
_GENERIC_WEIGHT: Final = 0.3
_NAME_SCORE: Final = 0.75


@dataclass(slots=True)
class Found:
    """What a unit's texts hold of the lists."""

    by_model: dict[int, set[str]] = field(default_factory=dict)
    """Row -> canonical models whose code was found."""
    by_gtin: dict[int, str] = field(default_factory=dict)
    doubtful_gtin: dict[int, str] = field(default_factory=dict)
    by_name: dict[int, str] = field(default_factory=dict)
    """Row -> the product name that was recognised."""
    name_models: dict[str, str] = field(default_factory=dict)
    """Model that a recognised name leads to -> the name."""
    by_brand: set[int] = field(default_factory=set)
    brands: set[str] = field(default_factory=set)
    models: list[str] = field(default_factory=list)
    """Canonical models, in order of appearance."""
    printed: dict[str, str] = field(default_factory=dict)
    """Canonical model -> the code as it stood on the label."""
    not_models: list[tuple[str, int]] = field(default_factory=list)
    misprints: list[tuple[str, str]] = field(default_factory=list)
    claimed: list[str] = field(default_factory=list)
    """Numbers that the article names, compact."""
    unlisted: list[str] = field(default_factory=list)
    """Codes with the shape of a known brand's model that no list holds."""
    tokens: list[str] = field(default_factory=list)


def _codes(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """For each token: the token, the codes it may be (the whole first), and codes broken over tokens."""
    spans = [(m.group(), m.start(), m.end()) for m in TOKEN.finditer(text)]
    for i, (token, _, end) in enumerate(spans):
        parts = re.split(r"[-/]", token)
        # "A1263-BK", "DBL6000M/DBL6000P": the whole, then from the left, then part by part.
        ahead = range(min(len(parts) - 1, _MAX_PARTS), 0, -1)
        own = [token, *("-".join(parts[:n]) for n in ahead), *parts[1:]]
        broken: list[str] = []
        joined, last = token, end
        for following, start, stop in spans[i + 1 : i + _MAX_JOIN]:
            if text[last:start] not in _GAPS:
                break
            joined, last = f"{joined} {following}", stop
            broken.append(joined)
        yield token, own, broken


def _resolve(code: str, lists: RecallLists, found: Found) -> bool:
    """Note what ``code`` is; True when it is something that a list knows (or expressly excludes)."""
    key = compact(code)
    broken = " " in code
    if broken and key.isdecimal():
        return False  # "10000 4779" is two figures, not the seven digits of somebody's model
    hits = lists.models.get(key)
    if hits is None and (anker := re.fullmatch(_ANKER, key)):
        hits = lists.models.get(anker.group(1))
    if hits is None:
        for label in _GLUED:
            if key.startswith(label) and len(key) > len(label) + 2:
                hits = lists.models.get(key[len(label) :])
                break
    if hits is not None:
        for model, row in hits:
            found.by_model.setdefault(row, set()).add(model)
            found.printed.setdefault(model, code)
            if model not in found.models:
                found.models.append(model)
        return True
    # Only an unbroken code can be the exempt one: "PPCXM06 A" may be PPCXM06 and another word.
    if key in lists.not_models and not broken:
        if lists.not_models[key] not in found.not_models:
            found.not_models.append(lists.not_models[key])
        return True
    return False


def _claim(code: str, lists: RecallLists, found: Found) -> None:
    key = compact(code)
    anker = re.fullmatch(_ANKER, key)
    for candidate in (key, anker.group(1) if anker else key):
        if candidate in lists.claims_by_code and candidate not in found.claimed:
            found.claimed.append(candidate)


def _misprint(code: str, lists: RecallLists, found: Found) -> None:
    wrong = lists.misprints.get(compact(code))
    if wrong is not None and wrong not in found.misprints:
        found.misprints.append(wrong)


def _unlisted(codes: Sequence[str], found: Found) -> None:
    for key in map(compact, codes):
        if re.fullmatch(_SHAPES, key) and key not in found.unlisted:
            found.unlisted.append(key)


def _barcode(code: str, lists: RecallLists, found: Found) -> None:
    digits = compact(code)
    if not digits.isdecimal() or not 7 <= len(digits) <= 14:
        return
    for row in lists.gtins.get(gtin(digits), ()):
        found.by_gtin[row] = digits
    for row in lists.gtins_doubtful.get(gtin(digits), ()):
        found.doubtful_gtin[row] = digits


def match_texts(texts: Sequence[str], lists: RecallLists) -> Found:
    """What normalised ``texts`` (label, model, brand, serial fields) hold of ``lists``."""
    found = Found()
    for text in texts:
        for token, own, broken in _codes(text):
            found.tokens.append(token)
            for code in (*own, *broken):
                _barcode(code, lists, found)
                _claim(code, lists, found)
                _misprint(code, lists, found)
            known = any(_resolve(code, lists, found) for code in own)
            for code in broken:  # each of them: a broken code must not hide a whole one
                known |= _resolve(code, lists, found)
            if not known:
                _unlisted((*own, *broken), found)
    _names(texts, lists, found)
    return found


def models_in(text: str, lists: RecallLists) -> tuple[str, ...]:
    """Canonical model numbers of the lists that stand in a label text, in order of appearance."""
    return tuple(match_texts([normalised(text)], lists).models)


# -- names and brands ----------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """A normalised text as words; ``10K``, ``10,000 mAh`` and ``10000`` become one word."""
    out: list[str] = []
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    for word in re.findall(_WORD, text):
        if out and word in ("MAH", "W", "K") and re.fullmatch(r"\d+(?:\.\d+)?", out[-1]):
            word = out.pop() + word
        thousands = re.fullmatch(r"(\d{1,2})K", word)
        if thousands:
            word = f"{thousands.group(1)}000"
        elif re.fullmatch(r"\d{4,5}MAH", word):
            word = word[:-3]
        elif len(word) > 4 and word.endswith("S") and word[:-1] in _GENERIC:
            word = word[:-1]
        elif word.endswith("W") and word[:-1].replace(".", "").isdigit():
            word = f"{float(word[:-1]):g}W"
        out.append(word)
    return out


@lru_cache(maxsize=65_536)
def _name_words(name: str) -> tuple[str, ...]:
    """The words of a name of a list: the same names are asked for with every unit of a table."""
    return tuple(words(normalised(name)))


def _phrase(needle: Sequence[str], haystack: Sequence[str]) -> bool:
    return bool(needle) and f" {' '.join(needle)} " in f" {' '.join(haystack)} "


def _distinct(name: Sequence[str], brand_words: frozenset[str]) -> tuple[int, int]:
    """How many words of a name are no common word, and how many of those are no brand either."""
    kept = [w for w in name if w not in _GENERIC]
    return len(kept), sum(w not in brand_words for w in kept)


def _score(name: Sequence[str], said: frozenset[str], brand_words: frozenset[str]) -> float:
    def weight(word: str) -> float:
        return _GENERIC_WEIGHT if word in _GENERIC or word in brand_words or len(word) < 2 else 1.0

    total = sum(map(weight, set(name)))
    return sum(weight(w) for w in set(name) if w in said) / total if total else 0.0


def _names(texts: Sequence[str], lists: RecallLists, found: Found) -> None:
    if len(found.tokens) < 2 and found.models:
        return  # one code and nothing else: no name to look for
    spoken = [words(t) for t in texts]
    flat = [w for line in spoken for w in line]
    said = frozenset(flat)
    joined = " ".join(texts)
    brand_words: set[str] = set()
    for brand, rows in lists.brands.items():
        parts = _name_words(brand)
        if (not brand.isascii() and brand in joined) or any(_phrase(parts, s) for s in spoken):
            found.brands.add(brand)
            found.by_brand.update(rows)
            brand_words.update(parts)
    brands = frozenset(brand_words)
    hits: list[_Hit] = []
    for row in range(len(lists)):
        raw = lists.raw(row)
        named = [(n, m) for m, many in (raw.get("names") or {}).items() for n in many]
        named += [(raw.get("product_name") or "", ""), (raw.get("title") or "", "")]
        for name, model in named:
            parts = _name_words(name)
            common, own = _distinct(parts, brands)
            whole = any(_phrase(parts, s) for s in spoken) and (common >= 2 or own >= 1)
            whole = whole or (bool(model) and _short(name, raw, spoken))
            near = (
                bool(model)
                and own >= 1
                and row in found.by_brand
                and _score(parts, said, brands) >= _NAME_SCORE
            )
            if whole or near:
                hits.append(_Hit(frozenset(parts), name, model, row))
    _keep_longest(hits, said, lists, found)


class _Hit(NamedTuple):
    parts: frozenset[str]
    name: str
    model: str
    row: int


def _short(name: str, raw: Mapping[str, Any], spoken: Sequence[Sequence[str]]) -> bool:
    """A name without its bracket or its brand ("334 MagGo Battery"), where enough of it is its own."""
    own = {w for alias in raw.get("brand_aliases") or () for w in _name_words(alias)}
    for part in (name, name.split("(")[0]):
        parts = [w for w in _name_words(part) if w not in own]
        telling = [w for w in parts if w not in _GENERIC]
        lettered = any(w[0].isalpha() for w in telling)  # "20000 22.5W" is no name
        if len(telling) >= 2 and lettered and any(_phrase(parts, s) for s in spoken):
            return True
    return False


def _keep_longest(
    hits: Sequence[_Hit], said: frozenset[str], lists: RecallLists, found: Found
) -> None:
    """ "334 MagGo Battery (PowerCore 10000)" holds "PowerCore 10000": the longer name is the one meant.

    Only a longer name of which every word was said can take a shorter one's place.
    """
    full = [h for h in hits if h.model and h.parts <= said]
    for hit in sorted(hits, key=lambda h: -len(h.parts)):
        if any(hit.parts < other.parts and other.model != hit.model for other in full):
            continue
        found.by_name.setdefault(hit.row, hit.name)
        if hit.model:
            found.name_models.setdefault(hit.model, hit.name)
            for row in lists.models_of.get(hit.model, ()):
                found.by_name.setdefault(row, hit.name)
