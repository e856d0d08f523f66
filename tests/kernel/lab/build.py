"""A module that the distribution leaves out of its kernel, built from the distribution's own source.

Debian's kernels have SENSORS_POWERZ off. Headers, kbuild and source are fetched from the same mirror,
unpacked and not installed; the module stays in the cache.
"""

from __future__ import annotations

import lzma
import re
import shutil
import tarfile
from pathlib import Path

from kernel.lab.fetch import Kernel, LabMissing, Mirror, cache, only_one, run


def module(kernel: Kernel, name: str, source: str) -> bytes:
    """The module ``name`` out of the kernel's file ``source``. Raises ``LabMissing`` with the reason."""
    out = cache() / f"{name}-{kernel.release}.ko"
    with only_one():
        if not out.exists():
            folder = cache() / "build"
            shutil.rmtree(folder, ignore_errors=True)
            try:
                built = _build(kernel, name, source, folder)
                built.rename(out)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return out.read_bytes()


def _build(kernel: Kernel, name: str, source: str, folder: Path) -> Path:
    mirror = Mirror()
    headers = f"linux-headers-{kernel.release}"
    about = mirror.about(headers)
    needs = re.findall(r"(linux-headers-\S+-common|linux-kbuild-\S+?|gcc-\d+)(?=[ ,\n])", about)
    compiler = next((n for n in needs if n.startswith("gcc-")), "gcc")
    missing = [t for t in ("make", compiler) if shutil.which(t) is None]
    if missing:
        raise LabMissing(f"{name} cannot be built, not installed: {', '.join(missing)}")
    for package in {headers, *(n for n in needs if n.startswith("linux-"))}:
        mirror.unpack(package, folder / "root")
    base = folder / "root" / "usr" / "src"
    # Debian's headers name their other halves by absolute path, as if they were installed.
    for makefile in (base / headers).rglob("Makefile"):
        text = makefile.read_text(encoding="utf-8")
        makefile.write_text(text.replace("/usr/src/", f"{base}/"), encoding="utf-8")
    _lead_links_to(folder / "root", base / headers)
    work = folder / "module"
    work.mkdir()
    version = ".".join(kernel.release.split(".")[:2])
    (work / f"{name}.c").write_bytes(_from_source(mirror, version, source, folder / "source"))
    (work / "Makefile").write_text(f"obj-m := {name}.o\n", encoding="utf-8")
    run(
        "make", "-C", str(base / headers), f"M={work}", f"CC={compiler}",
        "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules",
    )  # fmt: skip
    return work / f"{name}.ko"


def _lead_links_to(root: Path, folder: Path) -> None:
    """Absolute links inside the unpacked packages are led into the folder they were unpacked to."""
    for one in folder.iterdir():
        if one.is_symlink() and str(target := one.readlink()).startswith(("/usr/", "/lib/")):
            one.unlink()
            one.symlink_to(root / str(target).lstrip("/"))


def _from_source(mirror: Mirror, version: str, source: str, folder: Path) -> bytes:
    """One file of the kernel's source package, which is read only as far as that file."""
    mirror.unpack(f"linux-source-{version}", folder)
    packed = next((folder / "usr" / "src").glob("linux-source-*.tar.xz"))
    with lzma.open(packed) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if member.name.partition("/")[2] == source:
                file = archive.extractfile(member)
                assert file is not None
                return file.read()
    raise LabMissing(f"the kernel's source has no {source}")
