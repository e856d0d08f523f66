"""The guest: QEMU without KVM, booted once a run; an agent in it runs the cases that the tests ask for."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kernel.lab import image
from kernel.lab.fetch import Kernel, LabMissing, kernel

ROOT = Path(__file__).resolve().parents[3]
INSIDE = Path(__file__).resolve().parents[1] / "inside"
MODULES = ("vhci-hcd", "usbhid", "hid-generic", "cdc-acm", "usb-storage", "sd_mod")
QEMU = "qemu-system-x86_64"
BOOT_MOST_S = 120.0


class CaseFailed(AssertionError):
    """A case in the guest failed; the message is the guest's traceback."""


class Guest:
    """A running guest. ``run`` asks its agent for a case and returns the case's figures."""

    powerz = b""
    """The kernel's powerz driver, loaded; empty when it could not be built."""
    without_powerz = ""
    """Why not."""

    def __init__(self, extra: dict[str, bytes] | None = None) -> None:
        if shutil.which(QEMU) is None:
            raise LabMissing(f"not installed: {QEMU} (qemu-system-x86)")
        self.kernel: Kernel = kernel()
        self._folder = tempfile.TemporaryDirectory(prefix="denchi-lab-")
        folder = Path(self._folder.name)
        archive = folder / "initrd"
        archive.write_bytes(image.build(self.kernel, MODULES, extra or {}, self._start_script()))
        self._console = folder / "console"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "agent"))
        listener.listen(1)
        began = time.monotonic()
        self._qemu = subprocess.Popen(
            self._command(archive, folder), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            self._channel = self._accept(listener)
            self._lines = self._channel.makefile("rwb")
            self.hello = self._answer(BOOT_MOST_S)
        except BaseException:
            self.close()
            raise
        finally:
            listener.close()
        self.boot_s = time.monotonic() - began

    def _start_script(self) -> str:
        agent = INSIDE / "agent.py"
        keep = {k: os.environ[k] for k in ("PATH", "LANG") if k in os.environ}
        keep |= {"HOME": "/root", "PYTHONUNBUFFERED": "1"}
        keep["DENCHI_LAB"] = "guest"
        exports = "".join(f"export {k}={shlex.quote(v)}\n" for k, v in keep.items())
        python = Path(sys.prefix) / "bin" / "python"
        return f"{exports}cd {shlex.quote(str(ROOT))}\nexec {shlex.quote(str(python))} {shlex.quote(str(agent))}\n"

    def _command(self, archive: Path, folder: Path) -> list[str]:
        return [
            QEMU, "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "Nehalem", "-smp", "2", "-m", "1024",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-serial", f"file:{self._console}",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={folder / 'agent'}",
            "-device", "virtserialport,chardev=agent,name=agent",
            "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
            "-kernel", str(image.plain_kernel(self.kernel)), "-initrd", str(archive),
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=1",
        ]  # fmt: skip

    def _accept(self, listener: socket.socket) -> socket.socket:
        listener.settimeout(0.5)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self._qemu.poll() is not None:
                assert self._qemu.stderr is not None
                words = self._qemu.stderr.read().decode(errors="replace").strip().splitlines()
                raise LabMissing(f"QEMU does not start here: {' '.join(words[-1:])}")
            try:
                return listener.accept()[0]
            except TimeoutError:
                continue
        raise LabMissing("QEMU does not come up")

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        self._channel.settimeout(timeout_s)
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise CaseFailed(
                f"no answer in {timeout_s:.0f} s; console:\n{self.console()}"
            ) from None
        if not line:
            raise CaseFailed(f"the guest has ended; console:\n{self.console()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self, case: str, *, most_s: float = 120.0, **arguments: Any) -> dict[str, Any]:
        """Run a case; returns what it measured. Raises ``CaseFailed`` with the guest's traceback."""
        request = {"case": case, "arguments": arguments}
        self._lines.write(json.dumps(request).encode() + b"\n")
        self._lines.flush()
        answer = self._answer(most_s)
        if "failed" in answer:
            raise CaseFailed(
                f"{answer['failed']}\n--- kernel's log in the guest:\n{answer['dmesg']}"
            )
        figures: dict[str, Any] = answer["figures"]
        return figures

    def console(self) -> str:
        """The last of what kernel and init said."""
        if not self._console.exists():
            return ""
        return self._console.read_text(encoding="utf-8", errors="replace")[-3000:]

    def close(self) -> None:
        """Pull the plug: nothing in the guest is worth keeping."""
        if hasattr(self, "_channel"):
            self._lines.close()
            self._channel.close()
        self._qemu.kill()
        self._qemu.wait()
        if self._qemu.stderr is not None:
            self._qemu.stderr.close()
        self._folder.cleanup()
