from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.store import rollup
from denchi.store.journal import Journal
from denchi_protocol.samples import Quality, SampleBlock
from store.helpers import NS, T0, begin, fnirsi_like


def _plain(block: SampleBlock, width_ns: int, name: str) -> dict[int, tuple[float, float, float]]:
    """The same by a loop over samples."""
    groups: dict[int, list[float]] = {}
    for t, v in zip(block.t_ns.tolist(), block.si(name).tolist(), strict=True):
        if v == v:
            groups.setdefault(t // width_ns, []).append(v)
    return {k: (min(v), sum(v) / len(v), max(v)) for k, v in groups.items()}


@given(st.integers(0, 1000), st.lists(st.integers(1, 400), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_pieces_merge_to_the_whole(seed: int, cuts: list[int]) -> None:
    block = fnirsi_like(1500, rate_hz=37.0, seed=seed)
    for width_ns in (NS, 60 * NS):
        parts, at, before = [], 0, None
        for cut in [*cuts, len(block)]:
            piece = block[at : at + cut]
            if len(piece):
                part = rollup.of_block(piece, width_ns, before)
                parts.append(rollup.decode(rollup.encode(part)))
                before = rollup.last_of(piece)
            at += cut
        merged = rollup.merge(parts)
        whole = rollup.of_block(block, width_ns)
        plain = _plain(block, width_ns, "vbus_uv")
        assert merged.bucket.tolist() == whole.bucket.tolist() == sorted(plain)
        band = merged.bands["vbus_uv"]
        for i, number in enumerate(merged.bucket.tolist()):
            low, mean, high = plain[number]
            assert band.low[i] == pytest.approx(low, abs=1e-9)
            assert band.mean[i] == pytest.approx(mean, abs=2e-6)
            assert band.high[i] == pytest.approx(high, abs=1e-9)
        assert merged.energy["out_wh"].sum() == pytest.approx(whole.energy["out_wh"].sum())


@given(st.integers(0, 1000), st.sampled_from((0.4, 3.0, 37.0)), st.sampled_from((0.0, 0.3, 0.97)))
@settings(max_examples=40, deadline=None)
def test_minutes_and_hours_come_of_seconds_as_of_the_samples(seed, rate_hz, absent) -> None:
    block = fnirsi_like(900, rate_hz=rate_hz, seed=seed)
    rng = np.random.default_rng(seed)
    for name in ("ibus_ua", "temp_mc.meter"):
        block = block.without(name, rng.random(len(block)) < absent, Quality.OUT_OF_RANGE)
    finer = rollup.of_block(block, NS)
    for width_s, factor in ((60, 60), (3600, 60)):
        finer = rollup.coarser(finer, factor)
        direct = rollup.of_block(block, width_s * NS)
        assert finer.width_ns == direct.width_ns
        assert finer.bucket.tolist() == direct.bucket.tolist()
        assert finer.bands.keys() == direct.bands.keys()
        for name, band in direct.bands.items():
            got = finer.bands[name]
            assert got.count.tolist() == band.count.tolist()
            np.testing.assert_array_equal(got.low, band.low)
            np.testing.assert_array_equal(got.high, band.high)
            np.testing.assert_allclose(got.mean, band.mean, rtol=1e-9)
        for kind, values in direct.energy.items():
            np.testing.assert_allclose(finer.energy[kind], values, rtol=1e-9, atol=1e-12)


def test_energy_of_a_known_load_and_none_over_a_gap() -> None:
    t = T0 + np.arange(0, 3601) * NS
    block = SampleBlock.from_si(t, {"vbus_uv": np.full(3601, 5.0), "ibus_ua": np.full(3601, 2.0)})
    rolled = rollup.of_block(block, 3600 * NS)
    assert rolled.energy["out_wh"].sum() == pytest.approx(10.0)
    assert rolled.energy["out_ah"].sum() == pytest.approx(2.0)
    quality = block.quality.copy()
    quality[1800] |= Quality.AFTER_GAP
    gap = block.replace(quality=quality)
    assert rollup.of_block(gap, 3600 * NS).energy["out_wh"].sum() == pytest.approx(
        10.0 * 3599 / 3600
    )
    reverse = SampleBlock.from_si(
        t, {"vbus_uv": np.full(3601, 5.0), "ibus_ua": np.full(3601, -2.0)}
    )
    energy = rollup.of_block(reverse, 3600 * NS).energy
    assert energy["in_wh"].sum() == pytest.approx(10.0)
    assert energy["out_wh"].sum() == 0.0


def test_stored_rollups_equal_those_of_the_raw_samples(tmp_path: Path) -> None:
    whole = fnirsi_like(40_000, rate_hz=20.0)
    with Journal.open(tmp_path, commit_ms=10, seal_s=0.02) as journal:
        instrument = begin(journal)
        for k, block in enumerate(whole.split(1111)):
            journal.append(instrument, block)
            if k % 3 == 0:
                journal.flush()
        journal.flush()
        with journal.reader() as reader:
            from denchi.store.series import stored

            for res_s in rollup.RESOLUTIONS_S:
                found = stored(
                    reader, instrument, res_s, int(whole.t_ns[0]), int(whole.t_ns[-1]) + 1
                )
                plain = rollup.of_block(whole, res_s * NS)
                assert found.bucket.tolist() == plain.bucket.tolist()
                for name, band in plain.bands.items():
                    assert np.allclose(found.bands[name].low, band.low, atol=1e-6)
                    assert np.allclose(found.bands[name].high, band.high, atol=1e-6)
                    # A mean is stored to one count of its channel (a bucket cut by a seal: of two).
                    count = 1 / rollup._per_si(name)
                    assert np.allclose(found.bands[name].mean, band.mean, rtol=0, atol=1.01 * count)
                    assert found.bands[name].count.tolist() == band.count.tolist()
                assert found.energy["out_wh"].sum() == pytest.approx(
                    plain.energy["out_wh"].sum(), rel=1e-6
                )


def test_series_picks_a_resolution_and_keeps_extremes(tmp_path: Path) -> None:
    whole = fnirsi_like(30_000, rate_hz=10.0)
    spike = whole.columns["vbus_uv"].copy()
    spike[12_345] = 9_999_000
    whole = whole.replace(columns={**whole.columns, "vbus_uv": spike})
    with Journal.open(tmp_path, commit_ms=10) as journal:
        instrument = begin(journal)
        for block in whole.split(5000):
            journal.append(instrument, block)
        journal.flush()
        with journal.reader() as reader:
            for points in (1, 10, 100, 400, 3000):
                series = reader.series("s1", "meter", ("vbus_uv", "power_w"), points=points)
                assert len(series.rollup) <= 2 * points + 2
                assert series.rollup.bands["vbus_uv"].high.max() == pytest.approx(9.999)
                told = series.to_json()
                assert set(told["channels"]) == {"vbus_uv", "power_w"}
                assert len(told["t_ns"]) == len(told["channels"]["power_w"]["mean"])
            near = reader.series(
                "s1", from_ns=int(whole.t_ns[100]), to_ns=int(whole.t_ns[140]), points=400
            )
            assert len(near.rollup) == 40
            nothing = reader.series("none")
            assert nothing.to_json()["t_ns"] == []
