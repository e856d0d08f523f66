"""Questions and notes that go with an answer: conflicts, look-alikes, the article's claims, serial rules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from denchi.i18n import Text
from denchi.model import RecallStatus
from denchi.recalls.facts import colours_in, month_of
from denchi.recalls.judge import Asked, Touch
from denchi.recalls.lists import RecallLists
from denchi.recalls.matching import Found, models_in
from denchi.recalls.normalise import TOKEN
from denchi.recalls.notice import Notice
from denchi.recalls.serials import anker_shape
from denchi.recalls.wording import t
from denchi.text import clean

_MAX_QUESTIONS: Final = 12
_FOREIGN: Final = "The number holds letters of another alphabet that look like {models}, which is on a list. Type it again."
_ANKER_SHAPE: Final = (
    "This does not look like an Anker serial (16 characters, the first an A, no letter O or I). Read it again; "
    "1/L/I, 2/Z and 0/O are easily confused."
)


def ask(
    asked: Asked, found: Found, touches: Sequence[Touch], lists: RecallLists, texts: Sequence[str]
) -> tuple[tuple[Text, ...], tuple[Text, ...]]:
    """Questions to the user, and notes that explain the matches."""
    questions = [*_claims(found, lists), *_readings(found, lists, texts)]
    questions += _serial_questions(asked, touches)
    questions += _conflicts(asked, touches)
    questions += _names(found)
    notes = [
        *_white(asked, found, lists),
        *_rules(touches),
        *_told_apart(touches),
        *_products(touches),
    ]
    return tuple(_distinct(questions)[:_MAX_QUESTIONS]), tuple(_distinct(notes))


def _distinct(texts: Sequence[Text]) -> list[Text]:
    return list({str(x): x for x in texts}.values())


def _claims(found: Found, lists: RecallLists) -> list[Text]:
    """The article's numbers: said as a claim, contradicted where the notices contradict it."""
    out = []
    for code in found.claimed:
        claim = lists.claims_by_code[code]
        if claim["agrees"]:
            continue
        params = {
            "number": clean(claim["article_model"], 20),
            "product": clean(claim["article_name"], 80),
            "right": clean(claim["actual_model"], 20),
        }
        if code in lists.models:
            out.append(
                t(
                    "An article that many copied gives {number} for {product}. The notices contradict it: that product is {right}, "
                    "and {number} is another recalled product. Compare name and number on the label.",
                    **params,
                )
            )
        else:
            out.append(
                t(
                    "An article that many copied names {number} for {product}. No notice read names {number}; that product is "
                    "{right}. The number is neither recalled nor cleared here: read the label again.",
                    **params,
                )
            )
    return out


def _readings(found: Found, lists: RecallLists, texts: Sequence[str]) -> list[Text]:
    """Codes that may have been read wrongly: asked, never applied."""
    out = [
        t(
            "{number} is said not to be affected, but {near} is recalled and differs in one character. Read the label again.",
            number=clean(code, 40),
            near=clean(", ".join(lists.raw(row).get("model_numbers") or ()), 80),
        )
        for code, row in found.not_models
    ]
    out += [
        t(
            "{wrong} is a misprint seen for {right}. Does the label say {right}?",
            wrong=clean(wrong, 40),
            right=clean(right, 40),
        )
        for wrong, right in found.misprints
    ]
    out += [
        t(
            "The barcode {code} is printed for two products in the copy read; look for the model number.",
            code=code,
        )
        for code in dict.fromkeys(found.doubtful_gtin.values())
    ]
    return out if found.models else [*out, *_lookalikes(found, lists, texts)]


def _lookalikes(found: Found, lists: RecallLists, texts: Sequence[str]) -> list[Text]:
    from denchi.recalls.lookalike import latin, similar  # only when no number was recognised

    plain = [*found.tokens, *(f"{a} {b}" for s in texts for a, b in _pairs(s))]
    known = {w for w, _ in found.misprints} | {c for c, _ in found.not_models} | set(found.claimed)
    out = [
        t(
            "Did you read {token}? It looks like {models}, which is on a list. Read the label again.",
            token=clean(token, 40),
            models=clean(", ".join(near), 80),
        )
        for token, near in similar([x for x in plain if x not in known], lists)
    ]
    foreign = [same for s in texts if (same := latin(s)) != s]
    return out + [
        t(_FOREIGN, models=clean(", ".join(hits), 80))
        for same in foreign
        if (hits := models_in(same, lists))
    ]


def _pairs(text: str) -> list[tuple[str, str]]:
    tokens = [m.group() for m in TOKEN.finditer(text)][:40]
    return [(a, b) for a, b in pairwise(tokens) if len(a) <= 2 or len(b) <= 2]


def _serial_questions(asked: Asked, touches: Sequence[Touch]) -> list[Text]:
    named = [x for x in touches if x.status is RecallStatus.CHECK_SERIAL]
    if not named:
        return []
    marks, out = asked.marks, []
    anker = any("Anker" in x.notice.brand for x in named)
    if not marks.given and not marks.absent and not (anker and marks.shaped):
        out.append(t("What is the serial number (SN) on the label? The maker decides by it."))
    if anker and marks.given and not anker_shape(marks.given[0]):
        out.append(t(_ANKER_SHAPE))
    for touch in named:
        rule = touch.notice.rule or {}
        length = rule.get("length")
        if length and marks.given and all(len(s) != length for s in marks.given):
            out.append(
                t(
                    "The notice speaks of serials of {length} characters; this one has {given}. Read it again.",
                    length=int(length),
                    given=len(marks.given[0]),
                )
            )
        if rule.get("kind") == "date-code" and not marks.date_codes:
            out.append(
                t(
                    "What is the four-digit date code ({format})? Type: date code 0123.",
                    format=clean(rule.get("format", ""), 10),
                )
            )
        if rule.get("absent_is_affected") and not marks.given and not marks.absent:
            out.append(
                t(
                    "Is there no such number on the unit at all? Then the notice means it: give --serial none."
                )
            )
    return out


def _conflicts(asked: Asked, touches: Sequence[Touch]) -> list[Text]:
    out = _countries(asked, touches)
    for touch in touches:
        n = touch.notice
        if touch.superseded or touch.status < RecallStatus.CHECK_SERIAL:
            continue
        for conflict in touch.conflicts:
            kind = conflict.split(" ", 1)[0]
            made = _conflict(kind, asked, n)
            if made is not None:
                out.append(made)
    return out


def _countries(asked: Asked, touches: Sequence[Touch]) -> list[Text]:
    """One question when every notice is of another country; it hides none of them."""
    named = [x for x in touches if x.status >= RecallStatus.CHECK_SERIAL and not x.superseded]
    if not named or not all(x.elsewhere for x in named):
        return []
    told = ", ".join(dict.fromkeys(x.notice.jurisdiction for x in named))
    return [
        t(
            "The notices are of other countries ({countries}) than {country}. Where was the unit bought? Parallel imports exist.",
            countries=clean(told, 80),
            country=clean(asked.country, 10),
        )
    ]


def _conflict(kind: str, asked: Asked, n: Notice) -> Text | None:
    where = clean(f"{n.jurisdiction} {n.label}", 120)
    unit = asked.unit
    if kind == "colour":
        return t(
            "{notice} names other colours ({colours}); this unit is {colour}. A colour never clears a unit: check the serial.",
            notice=where,
            colours=clean(", ".join(n.colours), 120),
            colour=clean(unit.colour, 40),
        )
    if kind == "bought":
        return t(
            "{notice} is about units sold {first} to {last}; this one was bought {bought}. A date never clears a unit: is it right?",
            notice=where,
            first=clean(n.sold[0], 20) or "?",
            last=clean(n.sold[1], 20) or "?",
            bought=month_of(unit.bought),
        )
    if kind == "brand":
        return t(
            "{notice} is about {brand}; the label says {own}. Gifts and novelty units carry other logos: compare the model number.",
            notice=where,
            brand=clean(n.brand, 60),
            own=clean(unit.brand, 60),
        )
    if kind == "capacity":
        return t(
            "{notice} is about {stated} mAh; the label says {own} mAh. Is the model number read rightly?",
            notice=where,
            stated=f"{n.capacity_mah or 0:g}",
            own=f"{unit.rated_mah or 0:g}",
        )
    if kind == "power":
        return t(
            "{notice} is about {stated} W; the label says {own} W. Notices differ in watts: is the model number read rightly?",
            notice=where,
            stated=f"{n.max_w or 0:g}",
            own=f"{unit.max_w or 0:g}",
        )
    return None


def _names(found: Found) -> list[Text]:
    """A product name that belongs to another model than the number read."""
    if not found.models:
        return []
    return [
        t(
            "The product name {name} belongs to {model}, not to {read}. Compare name and number on the label.",
            name=clean(name, 80),
            model=clean(model, 40),
            read=clean(", ".join(found.models), 80),
        )
        for model, name in found.name_models.items()
        if model not in found.models
        and name not in {found.name_models.get(m) for m in found.models}
    ]


# -- notes ---------------------------------------------------------------------------------------


def _white(asked: Asked, found: Found, lists: RecallLists) -> list[Text]:
    """The article's "white models are not affected", wherever somebody may rely on it."""
    said = asked.unit.colour or asked.unit.label_text
    named = {str(c[k]) for c in lists.claims for k in ("article_model", "actual_model")}
    if "white" not in colours_in(said) or named.isdisjoint(found.models):
        return []
    return [
        t(
            "An article that many copied says that white models are not affected. The official entry contradicts it: white "
            "A1263 units (A1263N22, A1263026) are listed."
        )
    ]


def _rules(touches: Sequence[Touch]) -> list[Text]:
    return [
        t(
            "{notice}: the printed rule does not name this serial; the maker decides.",
            notice=clean(f"{x.notice.jurisdiction} {x.notice.label}", 120),
        )
        for x in touches
        if x.rule == "no" and x.status is RecallStatus.CHECK_SERIAL
    ]


def _told_apart(touches: Sequence[Touch]) -> list[Text]:
    """Several recalls of one model are several recalls: where and when the unit was sold tells them apart."""
    live = [x for x in touches if x.status >= RecallStatus.CHECK_SERIAL and not x.superseded]
    out = []
    for model in sorted({m for x in live for m in x.models}):
        named = [x.notice for x in live if model in x.models]
        if len({(n.jurisdiction, n.sold) for n in named}) < 2:
            continue
        told = "; ".join(f"{n.jurisdiction} {n.label} ({_sold(n)})" for n in named[:8])
        out.append(
            t(
                "{count} different recalls name {model}; tell them apart by where and when the unit was sold: {notices}.",
                count=len(named),
                model=clean(model, 40),
                notices=clean(told, 600),
            )
        )
    return out


def _sold(n: Notice) -> str:
    if any(n.sold):
        return f"{n.sold[0] or '…'} – {n.sold[1] or '…'}"
    return "–"


def _products(touches: Sequence[Touch]) -> list[Text]:
    out = []
    if any(not x.notice.testable for x in touches if x.status >= RecallStatus.CHECK_SERIAL):
        out.append(
            t(
                "This product has no USB output to load: it cannot be tested here. The recall answer stands."
            )
        )
    if any(x.notice.by_machine for x in touches):
        out.append(
            t(
                "Model numbers of some notices were taken from prose by a program and not reviewed: read the official page."
            )
        )
    if any(x.superseded for x in touches):
        out.append(
            t(
                "An older notice was widened by a later one; exceptions of the older one no longer hold."
            )
        )
    return out
