"""What a plot draws, read off its rows: gaps, limits, onsets, spikes, the cursor, the zoom."""

from __future__ import annotations

import numpy as np
import pytest
from textual.app import App, ComposeResult

from denchi_dashboards.tui import raster, themes
from denchi_dashboards.tui.plot import AXIS, Limit, Line, Mark, Picture, Plot
from denchi_dashboards.tui.traces import SPANS_S, limit_value, read_at, span_name

WIDTH, HEIGHT = 60, 12


class Alone(App[None]):
    """One plot on a screen."""

    def __init__(self) -> None:
        super().__init__()
        for one in themes.THEMES:
            self.register_theme(one)
        self.theme = themes.DARK.name

    def compose(self) -> ComposeResult:
        yield Plot()


async def rows(picture: Picture) -> list[str]:
    """The plotting area, row by row, without the axis."""
    app = Alone()
    async with app.run_test(size=(WIDTH + AXIS, HEIGHT + 1)) as pilot:
        plot = app.query_one(Plot)
        await pilot.pause()
        plot.show(picture)
        await pilot.pause()
        return ["".join(s.text for s in plot.render_line(y)).ljust(1)[AXIS:] for y in range(HEIGHT)]


def wave(t: np.ndarray, y: object, **options: object) -> Line:
    values = np.broadcast_to(np.asarray(y, float), t.shape).copy()
    return Line(t, values, values, values, "line-v", **options)  # type: ignore[arg-type]


def dotted(column: str) -> bool:
    return any(0x2801 <= ord(c) <= 0x28FF for c in column)


T = np.arange(0, 60, 0.5)


async def test_a_gap_is_hatched_and_no_line_crosses_it():
    t = T[(T < 20) | (T > 40)]
    drawn = await rows(Picture((wave(t, 5.0),), 0, 60, gaps=((20.0, 40.0),)))
    columns = ["".join(c) for c in zip(*drawn, strict=True)]
    for column in columns[22:38]:
        assert set(column) == {"░"}
    for column in (*columns[1:18], *columns[43:58]):
        assert dotted(column)
        assert "░" not in column


async def test_without_a_told_gap_a_silence_is_still_no_line():
    t = T[(T < 20) | (T > 40)]
    columns = ["".join(c) for c in zip(*await rows(Picture((wave(t, 5.0),), 0, 60)), strict=True)]
    assert not any(dotted(c) for c in columns[22:38])


async def test_missing_is_never_drawn_as_zero():
    drawn = await rows(Picture((wave(T, np.nan),), 0, 60, empty="not measured"))
    assert "not measured" in "".join(drawn)
    assert not any(dotted(row) for row in drawn)


async def test_a_spike_between_two_dots_is_seen():
    t = np.arange(0, 3600, 0.1)
    y = np.full(len(t), 5.0)
    y[18_000] = 0.0
    drawn = await rows(Picture((wave(t, y),), 0, 3600))
    assert sum(dotted("".join(c)) for c in zip(*drawn[-4:], strict=True)) in (1, 2)


async def test_a_limit_is_dashed_and_named_even_where_the_line_runs_on_it():
    for level in (4.75, 4.9, 5.0):
        drawn = await rows(
            Picture((wave(T, 5.0),), 0, 60, limits=(Limit(level, "quiet", "contract min X", "X"),))
        )
        text = "\n".join(drawn)
        assert "╌" in text, text
        assert text.count("contract min X") == 1, text


async def test_a_line_over_the_words_of_a_limit_leaves_no_letters_behind():
    """A drop to the limit at the right end, where the words would stand."""
    y = np.where((T > 50) & (T < 55), 0.0, 5.0)
    limit = Limit(2.5, "quiet", "contract min 2.50 V", "2.50 V")
    text = "\n".join(await rows(Picture((wave(T, y),), 0, 60, limits=(limit,), near=9.0)))
    letters = text.replace("contract min 2.50 V", "").replace("2.50 V", "")
    assert not any(c.isalnum() and c.isascii() for c in letters), text
    assert "contract min 2.50 V" in text  # at the left end there is room


async def test_onset_and_cursor():
    drawn = await rows(
        Picture((wave(T, 5.0),), 0, 60, marks=(Mark(30.2, "▲", "caution"),), cursor_t=45.0)
    )
    assert drawn[0][30] == "▲"
    assert sum(row[45] == "│" for row in drawn) >= HEIGHT - 2
    assert read_at(wave(T, np.linspace(0, 10, len(T))), 30.0, 1.0) == pytest.approx(5.04, abs=0.1)
    assert read_at(wave(T[:10], 5.0), 30.0, 3.0) is None, "nothing was measured there"


def test_zoom_reaches_from_one_minute_to_thirty_days():
    assert (SPANS_S[0], SPANS_S[-1]) == (60, 30 * 86_400)
    assert [span_name(s) for s in (SPANS_S[0], SPANS_S[-1])] == ["1 min", "30 d"]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("4.75 V at the output", "v", 4.75),
        ("60 degC", "t", 60.0),
        ("2 in 20 min above 0.15 A", "a", None),
        ("0.5 °C/min", "t", None),
    ],
)
def test_a_finding_limit_is_drawn_only_where_it_is_a_value_of_the_plot(text, kind, value):
    assert limit_value(text, kind) == value


def test_axis_holds_all_values():
    for low, high in ((4.9, 5.1), (0.0, 0.0), (-3.0, 20.0), (19.99, 20.01)):
        bottom, top = raster.nice_range(low, high, 0.2)
        assert bottom <= low <= high <= top
