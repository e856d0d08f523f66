"""The trade-off as a picture: false alarms across, detected faults upwards, one point a factor on the limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 56


@dataclass(frozen=True)
class Point:
    """Limits times ``factor``: false alarms per 1000 h, and the share of faults with heat that were found."""

    factor: float
    false_per_1000_h: float
    found_share: float


def svg(points: Sequence[Point], title: str) -> str:
    """One self-contained SVG; the point of factor 1 is the one in use."""
    most_x = max(20.0, max(p.false_per_1000_h for p in points)) * 1.08
    least_y = min(0.5, min(p.found_share for p in points))

    def at(p: Point) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * p.false_per_1000_h / most_x
        y = TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - p.found_share) / (1.0 - least_y)
        return round(x, 1), round(y, 1)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{title}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15" fill="#222222">{title}</text>',
    ]
    for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        if share < least_y:
            continue
        _, y = at(Point(1, 0, share))
        out.append(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        out.append(
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end" fill="#444444">{share:.0%}</text>'
        )
    step = 10 if most_x <= 80 else 20
    for per in range(0, int(most_x) + 1, step):
        x, _ = at(Point(1, per, 1.0))
        out.append(
            f'<text x="{x}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle" fill="#444444">{per}</text>'
        )
    out.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle" fill="#222222">'
        "false cautions and dangers per 1000 h of sound use</text>"
    )
    ordered = sorted(points, key=lambda p: p.factor)
    path = "L".join(f"{x} {y}" for x, y in map(at, ordered))
    out.append(f'<path d="M{path}" fill="none" stroke="#4477aa" stroke-width="2"/>')
    for p in ordered:
        x, y = at(p)
        chosen = p.factor == 1.0
        out.append(
            f'<rect x="{x - 5}" y="{y - 5}" width="10" height="10" fill="#222222"/>'
            if chosen
            else f'<circle cx="{x}" cy="{y}" r="4" fill="#4477aa"/>'
        )
        label = f"{p.factor:g} in use" if chosen else f"{p.factor:g}"
        out.append(f'<text x="{x + 9}" y="{y + 16}" fill="#222222">{label}</text>')
    out.append("</svg>\n")
    return "\n".join(out)
