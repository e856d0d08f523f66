"""A private daemon as a child process: the TUI and the demo stand on one without the user noticing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from denchi.errors import ApiError, DenchiError

START_S = 20.0


class ChildDaemon:
    """``denchi run --private`` as a child that ends with us. Use as a context manager."""

    def __init__(
        self,
        data_dir: Path,
        config: Path | None,
        arguments: Sequence[str] = (),
        *,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self.data_dir = data_dir
        self._meanwhile = meanwhile
        self._log_path = data_dir / "daemon.log"
        self._arguments = [sys.executable, "-m", "denchi.cli.main", "run", "--private"]
        self._arguments += ["--data-dir", str(data_dir)]
        if config is not None:
            self._arguments += ["--config", str(config)]
        self._arguments += list(arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ChildDaemon:
        """Start the daemon and wait until it answers; its own error line is ours when it does not."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
            )
        try:
            self._meanwhile()
            # Only now: importing an HTTP client takes as long as the daemon needs to start.
            from denchi.daemon.client import wait_until_up
        except BaseException:
            self.stop()
            raise
        if not wait_until_up(self.data_dir, seconds=START_S, alive=self.alive):
            line = self._last_line()
            self.stop()
            raise (
                DenchiError(line)
                if line
                else ApiError("the daemon did not start", cure=f"see {self._log_path}")
            )
        return self

    def __exit__(self, *_: object) -> None:
        """End the daemon."""
        self.stop()

    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End the daemon: its standard input closes; if that does not serve, it is told harder."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=4.0)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(timeout=2.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _last_line(self) -> str:
        try:
            lines = (
                self._log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            )
        except OSError:
            return ""
        return lines[-1].removeprefix("denchi: ") if lines else ""
