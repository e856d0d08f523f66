"""The guest's first file system: busybox, the modules the lab needs, and a script that takes the host's root."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from kernel.lab.fetch import Kernel, LabMissing, cache, only_one

BASE = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")

# The host's files are the lower, read-only half; what the guest writes goes to memory.
INIT = """#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs dev /dev
while read name; do $B insmod /modules/$name; done </modules/order
$B mount -t tmpfs tmpfs /over
$B mkdir -p /over/host /over/new /over/work /over/root
$B mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /over/host
$B mount -t overlay -o lowerdir=/over/host,upperdir=/over/new,workdir=/over/work over /over/root
R=/over/root
for one in proc sys dev; do $B mount --move /$one $R/$one; done
$B mkdir -p $R/dev/pts $R/dev/shm
$B mount -t devpts -o mode=620,ptmxmode=666 devpts $R/dev/pts
$B mount -t tmpfs tmpfs $R/dev/shm
$B mount -t tmpfs tmpfs $R/run
$B mkdir -p $R/run/lab
$B cp -r /modules /start $R/run/lab/
$B ip link set lo up
$B chroot $R /bin/sh /run/lab/start <$R/dev/null >$R/dev/ttyS0 2>&1
$B poweroff -f
"""


class Modules:
    """Modules of an unpacked kernel, with what each needs."""

    def __init__(self, kernel: Kernel) -> None:
        self.folder = kernel.modules
        self._needs: dict[str, list[str]] = {}
        self._paths: dict[str, str] = {}
        for line in (self.folder / "modules.dep").read_text(encoding="utf-8").splitlines():
            path, _, rest = line.partition(":")
            self._paths[_plain(path)] = path
            self._needs[path] = rest.split()
        text = (self.folder / "modules.builtin").read_text(encoding="utf-8")
        self._builtin = {_plain(path) for path in text.split()}

    def order(self, names: Iterable[str]) -> list[str]:
        """Paths in the order of loading. Raises ``LabMissing`` for a module that is not there."""
        found: dict[str, None] = {}
        for name in map(_plain, names):
            if name in self._builtin:
                continue
            if name not in self._paths:
                raise LabMissing(f"the kernel has no module {name}")
            path = self._paths[name]
            found.update(dict.fromkeys([*reversed(self._needs[path]), path]))
        return list(found)

    def content(self, path: str) -> bytes:
        """A module as insmod wants it, unpacked."""
        data = (self.folder / path).read_bytes()
        if path.endswith(".xz"):
            return lzma.decompress(data)
        if path.endswith(".gz"):
            return gzip.decompress(data)
        if path.endswith(".zst"):
            return _zstd(data)
        return data


def _plain(path: str) -> str:
    return re.sub(r"\.ko(\.\w+)?$", "", path.rsplit("/", 1)[-1]).replace("-", "_")


def _zstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        raise LabMissing("zstd is not installed and the kernel is packed with it")
    # Ends with an error where the stream has a tail; what came before it is right.
    return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=False).stdout


def plain_kernel(kernel: Kernel) -> Path:
    """The kernel as ELF, unpacked once: QEMU starts it by PVH, 2 to 5 s sooner than a bzImage under TCG."""
    out = cache() / f"vmlinux-{kernel.release}"
    with only_one():
        if not out.exists() and (elf := _elf_in(kernel.image.read_bytes())):
            part = out.with_name(out.name + ".part")
            part.write_bytes(elf)
            part.rename(out)
    return out if out.exists() else kernel.image


def _elf_in(data: bytes) -> bytes:
    """The ELF inside a bzImage; empty where none is found."""
    for magic, unpack in (
        (b"\xfd7zXZ\x00", lambda d: lzma.LZMADecompressor().decompress(d)),
        (b"\x28\xb5\x2f\xfd", _zstd),
        (b"\x1f\x8b\x08\x00", lambda d: gzip.GzipFile(fileobj=io.BytesIO(d)).read(1 << 28)),
    ):
        at = -1
        while (at := data.find(magic, at + 1)) >= 0:
            try:
                elf = unpack(data[at:])
            except (lzma.LZMAError, OSError, EOFError, LabMissing):
                continue
            if elf[:4] == b"\x7fELF":
                return elf
    return b""


class Cpio:
    """A "newc" archive, as the kernel takes it for its first file system."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._inode = 0
        self._folders: set[str] = set()

    def _add(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        title = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(title), 0)
        self._out.write(b"070701" + b"".join(b"%08X" % f for f in fields) + title)
        self._pad()
        self._out.write(data)
        self._pad()

    def _pad(self) -> None:
        self._out.write(b"\0" * (-self._out.tell() % 4))

    def folder(self, name: str) -> None:
        """A folder and those above it."""
        if name and name not in self._folders:
            self.folder(name.rpartition("/")[0])
            self._folders.add(name)
            self._add(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, data: bytes) -> None:
        """An executable file."""
        self.folder(name.rpartition("/")[0])
        self._add(name, stat.S_IFREG | 0o755, data)

    def console(self) -> None:
        """/dev/console, which init needs before it has mounted /dev."""
        self.folder("dev")
        self._add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))

    def bytes(self) -> bytes:
        """The whole archive."""
        self._add("TRAILER!!!", 0)
        return self._out.getvalue()


def build(kernel: Kernel, modules: Iterable[str], extra: dict[str, bytes], start: str) -> bytes:
    """The archive: ``modules`` are loaded on boot, ``extra`` ones lie at /run/lab/modules; then ``start`` runs."""
    have = Modules(kernel)
    archive = Cpio()
    for name in ("proc", "sys", "dev", "over"):
        archive.folder(name)
    archive.console()
    busybox = shutil.which("busybox")
    if busybox is None:
        raise LabMissing("not installed: busybox (busybox-static)")
    archive.file("bin/busybox", Path(busybox).read_bytes())
    order = have.order([*BASE, *modules])
    for path in order:
        archive.file(f"modules/{_plain(path)}.ko", have.content(path))
    for name, data in extra.items():
        archive.file(f"modules/{name}.ko", data)
    archive.file("modules/order", "".join(f"{_plain(p)}.ko\n" for p in order).encode())
    archive.file("start", start.encode())
    archive.file("init", INIT.encode())
    return archive.bytes()
