"""What to do with a recalled or suspect unit: each sentence with where it was read, and when.

Only what the research page found in a source stands here (its part F). What it marks as from memory,
planned or not re-checked (airline rules of April 2026, Japan's collection duty, aviation rules for
recalled batteries) is left out. No advice is given to discharge, open, cool or puncture a suspect unit:
no source for any was read.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from denchi.i18n import Text
from denchi.recalls.wording import t

READ_ON: Final = "2026-11-23"
"""The day on which the research page read its sources."""


class Guidance(NamedTuple):
    """One sentence of advice. ``country`` empty: anywhere."""

    key: str
    text: Text
    source: str
    confidence: str
    dated: str = READ_ON
    country: str = ""
    when: str = "listed"
    """``symptom`` (swelling, heat, smell, leak), ``listed`` (a recall match), ``travel``."""


GUIDANCE: Final[tuple[Guidance, ...]] = (
    Guidance(
        "stop",
        t("Stop using and charging it at once, and ask the maker or the shop."),
        "CPSC recall notices (official text); Consumer Affairs Agency of Japan, by news",
        "official-quoted",
        when="symptom",
    ),
    Guidance(
        "fire",
        t(
            "If it burns: get away first. Pour large amounts of water only where that is no danger to you, and call the fire service."
        ),
        "Consumer Affairs Agency of Japan, by ITmedia and livedoor",
        "secondary",
        when="symptom",
    ),
    Guidance(
        "metal",
        t(
            "A swollen unit: keep it in a metal container (a can with a lid), away from anything that burns, until it is handed over."
        ),
        "National Consumer Affairs Center of Japan (Kokumin Seikatsu Center)",
        "secondary",
        when="symptom",
    ),
    Guidance(
        "watch",
        t("Do not charge while asleep or unattended; keep it from heat and blows."),
        "Consumer Affairs Agency of Japan, by ITmedia and livedoor",
        "secondary",
    ),
    Guidance(
        "bin",
        t(
            "Never put it into household rubbish, kerbside recycling or the used-battery boxes of shops; ask the municipal hazardous-waste site first."
        ),
        "CPSC, standard text of its lithium-ion recall notices",
        "official-quoted",
    ),
    Guidance(
        "jbrc",
        t(
            "Japan: JBRC boxes take only products of member firms and nothing swollen or deformed; otherwise ask the municipality."
        ),
        "livedoor 29362076, citing a METI working group",
        "secondary",
        country="JP",
    ),
    Guidance(
        "kit",
        t(
            "Anker Japan sends a return kit (fire-resistant bag and Letter Pack Plus); do not post a recalled unit in any other way."
        ),
        "news on the Anker Japan recall",
        "secondary",
        country="JP",
    ),
    Guidance(
        "cabin",
        t(
            "Flights in Japan since 2025-07-08: not in the overhead bin but at hand and in sight, never in checked baggage."
        ),
        "MLIT Japan, by news",
        "secondary",
        country="JP",
        when="travel",
    ),
    Guidance(
        "ccc",
        t(
            "Domestic flights in China since 2025-06-28: no power bank without a clear 3C mark and no recalled model."
        ),
        "CAAC, by news",
        "secondary",
        country="CN",
        when="travel",
    ),
)


def guidance(
    *, symptom: bool, listed: bool, countries: frozenset[str], anker_jp: bool
) -> tuple[Guidance, ...]:
    """What applies: symptoms first, then the recall, then travel; country rules only where they hold."""
    if not (symptom or listed):
        return ()
    chosen = [
        g
        for g in GUIDANCE
        if (g.when != "symptom" or symptom or g.key in ("stop", "fire"))
        and (not g.country or g.country in countries)
        and (g.key != "kit" or anker_jp)
        and (g.when != "travel" or listed)
    ]
    order = {"symptom": 0, "listed": 1, "travel": 2}
    return tuple(sorted(chosen, key=lambda g: order[g.when]))
