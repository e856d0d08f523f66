"""What every output keeps: its settings, the context it runs in, its state.

An output reads the journal by cursor in a thread of its own; it can be away for months without
anything being lost or anybody waiting. It is registered under its kind in the entry-point group
``denchi.outputs`` as an ``OutputKind``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from denchi.clock import SYSTEM, Clock
from denchi.store.cursor import Cursor
from denchi.store.feed import Batch
from denchi.text import clean

State = Literal["idle", "delivering", "waiting", "stopped"]


def cause(error: BaseException) -> str:
    """Why a server is not reached, in the system's words ("Connection refused"), else the error's own.

    HTTP and MQTT clients wrap the system's error several times and put their own objects into the text.
    """
    said, inner = "", error
    for _ in range(8):
        if isinstance(inner, OSError) and inner.strerror:
            said = inner.strerror
        deeper = inner.__cause__ or inner.__context__
        if deeper is None:
            break
        inner = deeper
    return clean(said or error, 200) or type(error).__name__


class OutputConfig(BaseModel):
    """Base of an output's settings; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class OutputState:
    """How an output is (``outputs`` of ``GET /v1/state``)."""

    name: str
    kind: str
    state: State
    backlog_samples: int = 0
    backlog_s: float = 0.0
    rate_per_s: float = 0.0
    last_error: str = ""
    quarantined: int = 0
    delivered: int = 0


class Feed(Protocol):
    """Where an output reads: the journal."""

    def read_after(
        self,
        cursor: Cursor,
        max_samples: int = 5000,
        *,
        live_s: float = 10.0,
        align_ns: int = 1,
        simulated: bool = False,
    ) -> tuple[Batch, Cursor]:
        """The next batch and the cursor behind it."""
        ...

    def load_cursor(self, output: str) -> Cursor:
        """The stored cursor."""
        ...

    def store_cursor(self, output: str, cursor: Cursor, *, wait: bool = False) -> None:
        """Store a cursor soon, or (``wait``) before going on."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What an output may use."""

    data_dir: Path
    station: str
    journal: Feed
    simulated: bool = False
    """Deliver simulated sessions too (``--deliver``)."""
    health: Callable[[], Mapping[str, float | int | str | bool]] = dict
    """Figures of the daemon's health, for outputs that send them."""
    clock: Clock = SYSTEM


class Output(Protocol):
    """One destination."""

    name: str
    kind: str

    def run(self, stop: threading.Event) -> None:
        """Deliver until ``stop`` is set; never raises for a destination that is away or refuses."""
        ...

    def state(self) -> OutputState:
        """How it is now; from any thread."""
        ...

    def check(self) -> str | None:
        """Try the connection once for ``denchi doctor``; what is wrong and what to do, or None."""
        ...


@dataclass(frozen=True, slots=True)
class OutputKind:
    """The entry point's object: ``kind``, the settings it takes, and how to make it."""

    kind: str
    config: type[OutputConfig]
    make: Callable[[str, Any, Context], Output]
    needs: str = ""
    """The extra that must be installed (``mqtt``), empty when none."""
