"""Folders of /sys/class/typec and /sys/class/usb_power_delivery, from the protocol page (README.md)."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from denchi_protocol.codec import Action, SceneSource, Send, Wait


class _Folder:
    ODDITIES: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in self.ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(self.ODDITIES)}")
        self._oddity = oddity
        self._begun_ns = now_ns
        self._got = b""
        self._out: deque[bytes] = deque()

    def receive(self, data: bytes, now_ns: int) -> None:
        """Attribute names, one a line."""
        *names, self._got = (self._got + data).split(b"\n")
        tree = self._tree(now_ns)
        lines = [f"{n} {tree.get(n, '!ENOENT')}\n" for n in (name.decode() for name in names)]
        self._out.append("".join(lines).encode())

    def next(self, now_ns: int) -> Action:
        """The answer is there at once."""
        return Send(self._out.popleft()) if self._out else Wait(now_ns + 1_000_000_000)

    def _tree(self, now_ns: int) -> dict[str, str]:
        raise NotImplementedError


class PartnerEmulator(_Folder):
    """A power bank on a Type-C port. late: its identity is all 0 for 15 s."""

    ODDITIES: ClassVar[tuple[str, ...]] = ("late", "no_identity")

    def _tree(self, now_ns: int) -> dict[str, str]:
        tree = {
            "type": "psd",
            "supports_usb_power_delivery": "yes",
            "usb_power_delivery_revision": "3.0",
            "accessory_mode": "none",
        }
        if self._oddity == "no_identity":
            return tree
        known = self._oddity != "late" or now_ns - self._begun_ns > 15_000_000_000
        return tree | {
            "identity/id_header": "0x1800291a" if known else "0x0",
            "identity/cert_stat": "0x0",
            "identity/product": "0xabcd0100" if known else "0x0",
        }


class CapabilitiesEmulator(_Folder):
    """What a 65 W source offers. more_later: a PPS offer appears after 15 s. unknown_kind: a newer one."""

    ODDITIES: ClassVar[tuple[str, ...]] = ("more_later", "unknown_kind")

    def _tree(self, now_ns: int) -> dict[str, str]:
        at = "source-capabilities"
        tree = {"revision": "3.0"}
        for position, volts_mv in enumerate((5000, 9000, 15000, 20000), 1):
            amps_ma = 3000 if volts_mv < 20000 else 3250
            tree[f"{at}/{position}:fixed_supply/voltage"] = f"{volts_mv}mV"
            tree[f"{at}/{position}:fixed_supply/maximum_current"] = f"{amps_ma}mA"
        if self._oddity != "more_later" or now_ns - self._begun_ns > 15_000_000_000:
            tree[f"{at}/5:programmable_supply/minimum_voltage"] = "3300mV"
            tree[f"{at}/5:programmable_supply/maximum_voltage"] = "21000mV"
            tree[f"{at}/5:programmable_supply/maximum_current"] = "3000mA"
        if self._oddity == "unknown_kind":
            tree[f"{at}/6:spr_adjustable_voltage_supply/maximum_current_9V_to_15V"] = "3000mA"
        return tree
