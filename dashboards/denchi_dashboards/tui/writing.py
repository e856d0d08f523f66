"""Files that ``denchi export`` and ``denchi report`` write for the person, each in a process of its own.

The TUI opens no journal, so the command line does the work. Leaving waits for what is being written: somebody who
asks for a report and presses q wants the report. A second q stops it, and nothing half-written stays.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from denchi_dashboards.tui.layout import said
from denchi_dashboards.tui.words import _

if TYPE_CHECKING:
    from denchi_dashboards.tui.app import DenchiApp


STOP_S: Final = 3.0
"""Longer no process that was stopped holds up the end."""


class Writing:
    """What is being written now."""

    def __init__(self, app: DenchiApp) -> None:
        self._app = app
        self._targets: list[Path] = []
        self._leaving = False

    async def run(
        self,
        arguments: Sequence[str],
        target: Path,
        *,
        good: Collection[int],
        failed: str,
        simulated: bool = False,
    ) -> None:
        """Run ``denchi`` with these arguments and tell the outcome: the path written, or the error's line.

        ``good`` are the exit codes of success, ``failed`` is said where the error has no words, and what is
        simulated is said to be. A worker that is cancelled takes its process along.
        """
        where = self._app.present.state.get("data_dir")
        if where:
            arguments = [*arguments, "--data-dir", str(where)]
        self._targets.append(target)
        try:
            code, error = await _ended(arguments)
        finally:
            self._targets.remove(target)
        mark = f" [{_('SIMULATED')}]" if simulated else ""
        if code in good:
            self._app.tell(_("Written: {path}").format(path=said(target, 300)) + mark)
        else:
            lines = error.strip().splitlines()
            self._app.tell(lines[-1] if lines else failed, "error")
            self._leaving = False  # an error is read before the screen goes
        if self._leaving and not self._targets:
            self._app.exit(self._app.worst_verdict)

    def may_leave(self) -> bool:
        """Whether to leave at once; else the person is told what is waited for."""
        if not self._targets or self._leaving:
            return True
        self._leaving = True
        self._app.tell(
            _("{path} is being written; denchi leaves when it is there. q again stops it.").format(
                path=said(self._targets[-1].name, 120)
            )
        )
        return False


async def _ended(arguments: Sequence[str]) -> tuple[int | None, str]:
    """(exit code, standard error) of ``denchi`` with these arguments."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "denchi.cli.main", *arguments,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _out, error = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()  # it takes its unfinished file away
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
        raise
    return process.returncode, error.decode("utf-8", "replace")
