"""The unit on the bench, and what the recall lists say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.content import Content

from denchi.i18n import language
from denchi_dashboards.tui import words
from denchi_dashboards.tui.layout import cut, line, pair, said, styled_lines
from denchi_dashboards.tui.panels.rows import Lines, heading, labelled
from denchi_dashboards.tui.present import BenchView, Present
from denchi_dashboards.tui.words import _


def unit(present: Present, bench: BenchView, width: int) -> Lines:
    """The unit on the bench and what the recall lists say of it."""
    told = bench.part("unit")
    rows = [heading(_("Unit"), width)]
    name = unit_name(told)
    if not name and not told.get("serial"):
        rows += styled_lines(
            _("Not named yet: press u and type or scan its label."), "$note", width
        )
        return rows
    rows.append(line((cut(name or "–", width), "bold")))
    if told.get("serial"):
        rows.append(pair(_("serial"), said(told.get("serial"), 60), width, 8))
    ratings = [
        words.fixed(words.number(told.get(key)), 0 if key != "rated_wh" else 1, sign)
        for key, sign in (("rated_mah", "mAh"), ("rated_wh", "Wh"), ("max_w", "W"))
        if words.number(told.get(key)) is not None
    ]
    if ratings:
        rows.append(pair(_("rated"), " · ".join(ratings), width, 8))
    return rows + recall_lines(bench.state.get("recall"), width, short=True)


def unit_name(told: Mapping[str, Any]) -> str:
    """Brand and model, or the label as scanned."""
    parts = [said(told.get("brand"), 60), said(told.get("model"), 60)]
    return " ".join(p for p in parts if p) or said(told.get("label_text"), 120)


def recall_lines(answer: object, width: int, *, short: bool) -> Lines:
    """A recall line of the API in words."""
    if not isinstance(answer, Mapping):
        return styled_lines(_("Recall lists: not checked"), "$quiet", width)
    status = str(answer.get("status"))
    shape = words.RECALL_SHAPES.get(status, "─")
    style = words.RECALL_STYLES.get(status, "$neutral")
    rows: Lines = []
    if answer.get("symptom"):  # whatever the lists say: a swollen unit on no list is still swollen
        rows += [*symptom_head(width), *safety_lines(answer, width), Content("")]
    rows.append(line((cut(f"{shape} {words.recall(status)}", width), style)))
    for match in (answer.get("matches") or [])[: 1 if short else 20]:
        if isinstance(match, Mapping):
            rows += notice_lines(match, width, short=short)
    text = (
        words.both(answer.get("message"))
        if isinstance(answer.get("message"), Mapping)
        else words.message(answer)
    )
    if text:
        rows += styled_lines(
            text,
            "$ink" if status != "not_listed" else "$neutral",
            width,
            limit=4 if short else None,
        )
    for question in in_language(answer, "questions")[: 1 if short else 10]:
        rows += styled_lines(
            "? " + question_text(question), "$note", width, limit=3 if short else None
        )
    if not short:
        for note in in_language(answer, "notes"):
            rows += styled_lines("! " + said(note, 400), "$ink", width)
        if not answer.get("symptom"):
            rows += safety_lines(answer, width)
        for problem in answer.get("problems") or []:
            rows += styled_lines("▲ " + said(problem, 300), "$caution", width)
    if not text or not short:
        rows += styled_lines(lists_dated(answer.get("lists_dated")), "$quiet", width)
    return rows


def symptom_head(width: int) -> Lines:
    """A symptom needs no list."""
    head = f"{words.VERDICT_SHAPES['stop_using']} {_('STOP USING: a symptom is reported')}"
    return styled_lines(head, words.VERDICT_STYLES["stop_using"], width)


def in_language(answer: Mapping[str, Any], name: str) -> list[Any]:
    """A list of the recall answer in the language in force; English where there is no other."""
    other = answer.get(f"{name}_ja") if language() == "ja" else None
    return list(other or answer.get(name) or [])


def safety_lines(answer: Mapping[str, Any], width: int) -> Lines:
    """What to do with the unit, as the authorities say it, each with its source."""
    told = [g for g in answer.get("safety") or [] if isinstance(g, Mapping)]
    if not told:
        return []
    rows = [line((_("What to do"), "bold $ink"))]
    for one in told[:12]:
        source = " · ".join(said(one.get(k), 120) for k in ("source", "dated") if one.get(k))
        rows += styled_lines("→ " + words.message(one, "text"), "$ink", width)
        rows += styled_lines(source, "$quiet", width, indent="  ")
    return rows


def question_text(question: object) -> str:
    """A question of the recall answer, whatever shape it has."""
    if isinstance(question, Mapping):
        return words.both(question.get("text") or question)
    return said(question, 300)


def notice_lines(match: Mapping[str, Any], width: int, *, short: bool) -> Lines:
    """One notice that touches the unit."""
    brand, product = said(match.get("brand"), 40), said(match.get("product"), 80)
    known = brand and product.lower().startswith(brand.lower())
    head = product if known else f"{brand} {product}".strip()
    rows = styled_lines(head, "bold", width, limit=2 if short else None)
    who = " · ".join(
        p
        for p in (
            said(match.get("regulator"), 60),
            said(match.get("notice") or match.get("id"), 60),
            said(match.get("date"), 20),
        )
        if p
    )
    rows += styled_lines(who, "$quiet", width, limit=1 if short else None)
    if short:
        return rows
    for label, key in (
        (_("models"), "models"),
        (_("agreed"), "agreed"),
        (_("conflicts"), "conflicts"),
        (_("which units"), "unit_scope"),
        (_("jurisdiction"), "jurisdiction"),
        (_("page"), "url"),
        (_("form"), "form"),
    ):
        value = match.get(key)
        text = (
            ", ".join(said(v, 60) for v in value) if isinstance(value, list) else said(value, 300)
        )
        if key == "unit_scope" and text:
            text = words.scope(text)
        if text:
            rows += labelled(label, text, width)
    return [*rows, Content("")]


def lists_dated(dated: object) -> str:
    """Which lists were checked and how old the newest is."""
    if not isinstance(dated, Mapping) or not dated:
        return _("no list at hand")
    newest = max((said(v, 20) for v in dated.values() if v), default="–")
    return _("lists checked: {n}, the newest dated {date}").format(n=len(dated), date=newest)
