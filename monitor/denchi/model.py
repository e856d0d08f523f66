"""The frozen types that the rooms hand each other. Words as in DESIGN.md §2; one word for one thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Literal, TypeAlias

from denchi.i18n import Text

Origin: TypeAlias = Literal["meter", "recording", "simulated"]
Family: TypeAlias = Literal[
    "thermal",
    "voltage",
    "resistance",
    "dropout",
    "energy",
    "charge",
    "leak",
    "cell",
    "protection",
    "recall",
    "data",
]
FAMILIES: Final[tuple[Family, ...]] = Family.__args__  # type: ignore[attr-defined]


class Severity(IntEnum):
    """``info`` tells or asks; it is neither an alarm nor a detection."""

    INFO = 1
    CAUTION = 2
    DANGER = 3

    @property
    def word(self) -> str:
        """``info`` | ``caution`` | ``danger``."""
        return self.name.lower()


class Verdict(IntEnum):
    """In order of severity; the best is neutral and never says safe."""

    NO_ANOMALY_SEEN = 1
    INCONCLUSIVE = 2
    CAUTION = 3
    STOP_USING = 4

    @property
    def word(self) -> str:
        """``no_anomaly_seen`` | ``inconclusive`` | ``caution`` | ``stop_using``."""
        return self.name.lower()

    @property
    def exit_code(self) -> int:
        """Exit code of ``replay``, ``screen`` and ``report`` (DESIGN.md §6)."""
        return {
            Verdict.NO_ANOMALY_SEEN: 0,
            Verdict.STOP_USING: 3,
            Verdict.CAUTION: 4,
            Verdict.INCONCLUSIVE: 5,
        }[self]


class RecallStatus(IntEnum):
    """In order of seriousness; ``not_listed`` clears nothing."""

    NOT_LISTED = 1
    BRAND_HINT = 2
    CHECK_SERIAL = 3
    AFFECTED = 4

    @property
    def word(self) -> str:
        """``not_listed`` | ``brand_hint`` | ``check_serial`` | ``affected``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure with its unit, as evidence."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:.4g} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Gap:
    """Explicit absence: stored, drawn, reported, never interpolated. ``end_ns`` None = still open."""

    start_ns: int
    end_ns: int | None
    cause: str
    """``unplugged`` ``stalled`` ``lost`` ``suspended`` ``rejected`` ``not_started`` ``disk_full`` ..."""
    lost: int = 0
    """Samples known to be lost, 0 when only the time is known."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector saw, with its evidence.

    ``onset_ns``: when it seems to have begun; ``t_ns``: when a live run raises it. ``place`` says
    where the temperature (or voltage) was taken. ``source`` names where the limit comes from.
    """

    code: str
    family: Family
    severity: Severity
    onset_ns: int
    t_ns: int
    message: Text
    advice: Text
    measured: Mapping[str, Measured] = field(default_factory=dict)
    limit: str = ""
    source: str = ""
    place: str = ""
    question: str = ""
    """For an ``info`` that asks: the key of the question (``sun_or_cover`` ...), answered by ``answers``."""
    ends: str = ""
    """For an ``info`` that tells the end of an episode ("cooled down"): the code that ended."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit under test as its label says; every field is untrusted text from outside."""

    brand: str = ""
    model: str = ""
    serial: str = ""
    colour: str = ""
    bought: str = ""
    country: str = ""
    rated_mah: float | None = None
    rated_wh: float | None = None
    max_w: float | None = None
    chemistry: str = ""
    label_text: str = ""
    """The whole label as scanned or typed, when it was not taken apart."""

    @property
    def known(self) -> bool:
        """Whether anything identifies the unit."""
        return bool(self.brand or self.model or self.serial or self.label_text)


@dataclass(frozen=True, slots=True)
class RecallMatch:
    """One notice that touches a unit. ``notice`` is the notice's id in the lists."""

    status: RecallStatus
    notice: str
    agreed: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    list_date: str = ""


MeterPosition: TypeAlias = Literal["output", "input", "cell"]


@dataclass(frozen=True, slots=True)
class SessionMeta:
    """What is told about a session beyond its samples (``--meta`` of a recording, or the TUI)."""

    rated_mah: float | None = None
    rated_wh: float | None = None
    max_w: float | None = None
    chemistry: str = ""
    meter_position: MeterPosition = "output"
    started_full: bool | None = None
    ambient_c: float | None = None
    answers: Mapping[str, bool] = field(default_factory=dict)
    """Answers to questions that findings ask: ``{"in_sun": True}``."""

    @property
    def energy_rated_wh(self) -> float | None:
        """Rated energy: as printed, else printed mAh at the nominal 3.7 V of one cell."""
        if self.rated_wh is not None:
            return self.rated_wh
        return None if self.rated_mah is None else self.rated_mah * 3.7 / 1000


@dataclass(frozen=True, slots=True)
class Session:
    """A named run."""

    id: str
    origin: Origin
    started_ns: int
    ended_ns: int | None = None
    bench: str = ""
    meter: str = ""
    """Meter key (``fnb58``), or ``file`` for a recording."""
    unit: Unit = field(default_factory=Unit)
    profile: str = "watch"
    operator: str = ""
    meta: SessionMeta = field(default_factory=SessionMeta)
    verdict: Verdict | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VerdictReport:
    """A verdict with what it rests on. ``reasons`` are the sentences, most severe first."""

    verdict: Verdict
    sentence: Text
    reasons: tuple[Text, ...] = ()
    observed: tuple[str, ...] = ()
    not_observed: tuple[str, ...] = ()
    """``heat_of_the_unit`` ``energy_to_empty`` ``ambient`` ``serial_answer`` ..."""
