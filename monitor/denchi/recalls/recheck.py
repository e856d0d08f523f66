"""For the daemon: known units asked about again when a list changes, and the finding an answer raises."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from denchi.i18n import Text
from denchi.model import Finding, RecallStatus, Severity, Unit
from denchi.recalls.answer import RecallAnswer, check
from denchi.recalls.lists import RecallLists
from denchi.recalls.notice import web_link
from denchi.recalls.wording import t
from denchi.text import clean, masked

CODE = "recall_"
"""A finding's code is this and the status: ``recall_affected``."""


def recheck(
    units: Iterable[tuple[Unit, RecallStatus]],
    lists: RecallLists,
    *,
    today: date,
    country: str = "",
) -> list[tuple[Unit, RecallAnswer]]:
    """Units that the lists now name more seriously than was told of them before.

    ``units``: each with the most serious status already told (``NOT_LISTED``: nothing yet). Only
    ``affected`` and ``check_serial`` count: a brand is on a list long before a unit of it is.
    """
    changed = []
    for unit, told in units:
        answer = check(unit, lists, country=country, today=today)
        if answer.status >= RecallStatus.CHECK_SERIAL and answer.status > told:
            changed.append((unit, answer))
    return changed


def status_told(code: str) -> RecallStatus:
    """The recall status that a finding's code tells; ``NOT_LISTED`` for any other code."""
    word = code.removeprefix(CODE) if code.startswith(CODE) else ""
    return next((s for s in RecallStatus if s.word == word), RecallStatus.NOT_LISTED)


def unit_label(unit: Unit) -> str:
    """A unit in a few words, its serial by the last four characters."""
    words = (unit.brand, unit.model, masked(unit.serial))
    return clean(" ".join(w for w in words if w), 120) or "?"


def finding_for(answer: RecallAnswer, t_ns: int, *, unit: Unit | None = None) -> Finding | None:
    """The finding that an answer raises: danger, caution or info; None when no list names the unit.

    With ``unit`` the message names it: one that is in the records and not on a bench.
    """
    if answer.status is RecallStatus.NOT_LISTED:
        return None
    top = next(m for m in answer.matches if m.status is answer.status)
    models = ", ".join(top.models or top.notice.models) or top.notice.product
    params = {
        "models": clean(models, 120),
        "notice": clean(f"{top.notice.jurisdiction} {top.notice.label}", 120),
    }
    if unit is None:
        message = _message(answer.status, params)
    else:
        message = _of_the_records(answer.status, {"unit": unit_label(unit)} | params)
    severity, advice = _advice(answer)
    return Finding(
        code=f"{CODE}{answer.status.word}",
        family="recall",
        severity=severity,
        onset_ns=t_ns,
        t_ns=t_ns,
        message=message,
        advice=advice,
        source=clean(
            f"{top.notice.id}, list {top.notice.list_name} of {top.notice.list_date}", 200
        ),
    )


def _message(status: RecallStatus, params: dict[str, str]) -> Text:
    return {
        RecallStatus.AFFECTED: t("The unit is recalled: {models}, {notice}", **params),
        RecallStatus.CHECK_SERIAL: t(
            "The serial has to be checked with the maker: {models}, {notice}", **params
        ),
    }.get(status, t("A recall of this brand is on the lists: {models}, {notice}", **params))


def _of_the_records(status: RecallStatus, params: dict[str, str]) -> Text:
    if status is RecallStatus.AFFECTED:
        return t("A unit in the records is now recalled: {unit} ({models}, {notice})", **params)
    return t(
        "The serial of a unit in the records now has to be checked with the maker: {unit} ({models}, {notice})",
        **params,
    )


def _advice(answer: RecallAnswer) -> tuple[Severity, Text]:
    where = _where(answer)
    return {
        RecallStatus.AFFECTED: (
            Severity.DANGER,
            t(
                "Stop using and charging it. Do not test it under load. Follow the notice: {url}",
                url=where,
            ),
        ),
        RecallStatus.CHECK_SERIAL: (
            Severity.CAUTION,
            t("Ask the maker with the serial number: {url}", url=where),
        ),
    }.get(
        answer.status,
        (Severity.INFO, t("Read the model number on the label and check it: {url}", url=where)),
    )


def _where(answer: RecallAnswer) -> str:
    for match in answer.matches:
        if match.status is answer.status:
            link = web_link(match.notice.form) or web_link(match.notice.url)
            if link:
                return link
    return "denchi recall"
