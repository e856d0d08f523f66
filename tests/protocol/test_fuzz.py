"""A bounded run of the fuzzer (`make fuzz` runs for as long as SECONDS says)."""

from __future__ import annotations

import pytest

from protocol.fuzz import WIRED, fuzz, one_round


@pytest.mark.slow
def test_a_minute_of_noise():
    assert fuzz(60.0, WIRED, 1) == 0


def test_the_fuzzer_can_fail():
    """A codec that believes a spoiled frame is found out, or the fuzzer proves nothing."""
    from dataclasses import replace

    from denchi.drivers import registry
    from denchi_protocol.meters.yzx import codec as yzx

    class Trusting(yzx.YzxCodec):
        def __init__(self):
            super().__init__()
            self._framer = yzx.Framer(
                lambda view: (28, "") if len(view) >= 28 else yzx.MORE, b"\xab", longest=28
            )

    spec = replace(registry.get("yzx"), codec=Trusting)
    with pytest.raises(AssertionError, match="never said"):
        for seed in range(20):
            one_round(spec, seed)
