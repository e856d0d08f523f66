"""A folder of /sys/class/power_supply, from the protocol page (README.md): names in, values out."""

from __future__ import annotations

from collections import deque
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = (
    "unsigned",
    "busy",
    "overheat",
    "ucsi",
    "pps",
    "vanishes",
    "energy_only",
    "idle_unsigned",
)
"""unsigned: the driver never shows a minus. busy: current_now cannot be read every third time. overheat:
health says so. ucsi: not a battery, a USB supply with a 9 V contract. pps: the same with a
meaningless voltage. vanishes: no battery in the bay after 3 s. energy_only: no charge figures. idle_unsigned: no
minus, and the status says "Not charging"."""

_FULL_AH: Final = 10.0


class PowerSupplyEmulator:
    """The kernel's side of the attribute folder of a battery (or a USB supply)."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._begun_ns = now_ns
        self._got = b""
        self._out: deque[bytes] = deque()
        self._reads = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Attribute names, one a line."""
        *names, self._got = (self._got + data).split(b"\n")
        tree = self._tree(self._source.at(now_ns), now_ns)
        lines = []
        for name in (n.decode("ascii") for n in names):
            self._reads += name == "current_now"
            if self._oddity == "busy" and name == "current_now" and self._reads % 3 == 0:
                lines.append(f"{name} !EAGAIN\n")
            else:
                lines.append(f"{name} {tree.get(name, '!ENOENT')}\n")
        self._out.append("".join(lines).encode())

    def next(self, now_ns: int) -> Action:
        """The answer is there at once."""
        return Send(self._out.popleft()) if self._out else Wait(now_ns + 1_000_000_000)

    def _tree(self, scene: Scene, now_ns: int) -> dict[str, str]:
        if self._oddity in ("ucsi", "pps"):
            volts = 1_200_000 if self._oddity == "pps" else 9_000_000
            return {
                "type": "USB",
                "online": "1",
                "usb_type": "C [PD] PD_PPS",
                "voltage_now": str(volts),
                "current_now": "3000000",
            }
        tree = {
            "type": "Battery",
            "present": "1",
            "manufacturer": "denchi",
            "model_name": "emulated battery",
            "serial_number": "0042",
            "technology": "Li-ion",
            "health": "Overheat" if self._oddity == "overheat" else "Good",
            "cycle_count": "42",
        }
        if self._oddity == "vanishes" and now_ns - self._begun_ns > 3_000_000_000:
            return tree | {"present": "0", "voltage_now": "!ENODEV", "current_now": "!ENODEV"}
        out_a = scene.pack_a or 0.0
        amps_ua = round(-out_a * 1e6)  # discharging is negative
        tree["status"] = "Charging" if out_a < 0 else "Discharging" if out_a > 0 else "Full"
        if self._oddity in ("unsigned", "idle_unsigned"):
            amps_ua = abs(amps_ua)
        if self._oddity == "idle_unsigned":
            tree["status"] = "Not charging"
        tree["current_now"] = str(amps_ua)
        if scene.pack_v is not None:
            tree["voltage_now"] = str(round(scene.pack_v * 1e6))
        if scene.cell_temps_c:
            tree["temp"] = str(round(scene.cell_temps_c[0] * 10))
        left = max(0.0, 1 - (scene.capacity_ah or 0.0) / _FULL_AH)
        tree["capacity"] = str(round(100 * left))
        kind, full = ("energy", 37e6) if self._oddity == "energy_only" else ("charge", 10e6)
        for name, share in (("now", left), ("full", 0.9), ("full_design", 1.0)):
            tree[f"{kind}_{name}"] = str(round(full * share))
        return tree
