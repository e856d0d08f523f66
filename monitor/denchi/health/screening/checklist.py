"""The look-and-feel checklist, asked before anything is connected.

Questions follow the authorities' handling advice for power banks (swelling, heat, smell, leaks, damage:
Japan CAA/NITE and US CPSC guidance collected in ``denchi.recalls``). Any "yes" ends the screening with
``stop_using`` and no load is applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from denchi.i18n import Text


@dataclass(frozen=True, slots=True)
class Question:
    """One question; ``symptom`` is what a "yes" is called in findings and reports."""

    key: str
    text: Text
    symptom: Text


def _q(key: str, text: str, symptom: str) -> Question:
    return Question(key, Text(text, domain="screening"), Text(symptom, domain="screening"))


CHECKLIST: Final[tuple[Question, ...]] = (
    _q(
        "swollen",
        "Is the case swollen, bulging or coming apart at a seam?",
        "the case is swollen or coming apart",
    ),
    _q(
        "dented",
        "Is it dented, pierced, cracked, or has it been dropped hard or got wet?",
        "the case is damaged",
    ),
    _q("smell", "Does it smell (sweet, like solvent, or burnt)?", "it smells"),
    _q("hot_at_rest", "Does it feel warm although nothing is connected?", "it is warm at rest"),
    _q("leaking", "Does anything leak from it, or are there stains or white residue?", "it leaks"),
    _q("noise", "Does it hiss, crackle or rattle?", "it makes a noise"),
    _q(
        "cable_damage",
        "Are its ports or a fixed cable burnt, melted, loose or corroded?",
        "its ports or cable are damaged",
    ),
)
KEYS: Final = tuple(question.key for question in CHECKLIST)


def symptoms_of(answers: dict[str, bool]) -> tuple[Text, ...]:
    """The symptoms that were answered with yes."""
    return tuple(q.symptom for q in CHECKLIST if answers.get(q.key))


def unanswered(answers: dict[str, bool]) -> tuple[str, ...]:
    """Questions without an answer: a checklist counts only when it is complete."""
    return tuple(key for key in KEYS if key not in answers)
