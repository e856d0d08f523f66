"""A distribution kernel for the guest, from the mirror that this machine's apt already uses.

Nothing is installed and no address stands here: the mirror is read from apt's own configuration at
run time. Packages are unpacked into a cache outside the checkout (``DENCHI_LAB_CACHE``, else
``$XDG_CACHE_HOME/denchi-lab``) and kept for the next run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KERNEL = re.compile(r"^linux-image-(\d+\.\d+\.\d+\S*-amd64)$")


class LabMissing(Exception):
    """What the lab needs is not on this machine; the message says what."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unpacked kernel: its release name, image and module folder."""

    release: str
    image: Path
    modules: Path


def cache() -> Path:
    """The folder that outlives a run, outside the checkout."""
    base = os.environ.get("DENCHI_LAB_CACHE")
    if base:
        path = Path(base)
    else:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "denchi-lab"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Two runs at once must not unpack over each other."""
    with (cache() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(*command: str, cwd: Path | None = None, timeout_s: float = 300) -> str:
    """A command's output. Raises ``LabMissing`` with its last words when it fails."""
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabMissing(f"{command[0]}: {error}") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise LabMissing(f"{command[0]} {command[1] if command[1:] else ''}: {' '.join(words)}")
    return done.stdout


class Mirror:
    """apt with lists of its own: the machine's mirror, its release and that release's backports."""

    def __init__(self) -> None:
        self.folder = cache() / "apt"
        for part in ("lists/partial", "cache/archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self._sources()

    def _sources(self) -> None:
        form = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)"
        rows = run("apt-get", "indextargets", "--format", form, "Created-By: Packages")
        release = re.search(
            r"(?m)^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(encoding="utf-8")
        )
        if release is None:
            raise LabMissing("this distribution has no code name")
        code = release[1]
        found = {
            uri
            for origin, uri, name in (r.split("|") for r in rows.splitlines() if r)
            if origin == "Debian" and name == code
        }
        if not found:
            raise LabMissing(
                "apt knows no Debian mirror here (apt-get update first, or another system)"
            )
        lines = [f"deb {u} {code}{s} main" for u in sorted(found)[:1] for s in ("", "-backports")]
        (self.folder / "sources.list").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _apt(self, tool: str, *words: str, cwd: Path | None = None) -> str:
        own = {
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": self.folder / "lists",
            "Dir::Cache": self.folder / "cache",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        options = [x for key, value in own.items() for x in ("-o", f"{key}={value}")]
        return run(tool, *options, *words, cwd=cwd)

    def update(self) -> None:
        """Fetch the lists of packages."""
        self._apt("apt-get", "-qq", "update")

    def kernels(self) -> list[str]:
        """Release names of kernels on the mirror, plain amd64 ones, newest first."""
        names = self._apt("apt-cache", "pkgnames", "linux-image-").split()
        plain = {m[1] for n in names if (m := KERNEL.match(n))}
        plain = {r for r in plain if not re.search(r"cloud|rt-", r)}
        return sorted(plain, key=_numbers, reverse=True)

    def about(self, package: str) -> str:
        """A package's record. Raises ``LabMissing`` when the mirror has none."""
        if not list(self.folder.glob("lists/*Packages*")):
            self.update()
        return self._apt("apt-cache", "show", package)

    def unpack(self, package: str, into: Path) -> None:
        """Fetch a package and unpack it; it is not installed."""
        into.mkdir(parents=True, exist_ok=True)
        self._apt("apt-get", "-qq", "download", package, cwd=into)
        for deb in into.glob("*.deb"):
            run("dpkg-deb", "-x", str(deb), str(into))
            deb.unlink()


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", release))


def kernel() -> Kernel:
    """The lab's kernel, fetched on first use. Raises ``LabMissing`` with the reason."""
    missing = [t for t in ("dpkg-deb", "apt-get", "depmod") if shutil.which(t) is None]
    if missing:
        raise LabMissing(f"not installed: {', '.join(missing)}")
    with only_one():
        if (have := _cached()) is not None:
            return have
        mirror = Mirror()
        mirror.update()
        # Releases from 7 on come in several packages; 6.x is one and has everything the lab needs.
        names = [r for r in mirror.kernels() if _numbers(r)[0] == 6] or mirror.kernels()
        if not names:
            raise LabMissing("the mirror has no kernel image for amd64")
        part = cache() / "kernel.part"
        shutil.rmtree(part, ignore_errors=True)
        mirror.unpack(f"linux-image-{names[0]}", part)
        run("depmod", "-b", str(_usr(part)), names[0])
        target = cache() / f"kernel-{names[0]}"
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
        have = _cached()
        if have is None:
            raise LabMissing(f"linux-image-{names[0]} holds no image and modules")
        return have


def _usr(root: Path) -> Path:
    return root / "usr" if (root / "usr/lib/modules").is_dir() else root


def _cached() -> Kernel | None:
    for folder in sorted(cache().glob("kernel-*"), key=lambda p: _numbers(p.name), reverse=True):
        for modules in _usr(folder).glob("lib/modules/*"):
            image = folder / "boot" / f"vmlinuz-{modules.name}"
            if image.is_file() and (modules / "modules.dep").is_file():
                return Kernel(modules.name, image, modules)
    return None
