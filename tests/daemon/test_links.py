"""A bench's instruments by role: which of them watches the unit, where they measure, how the link is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from denchi.config import BenchConfig
from denchi.daemon.links import Links, LinkView
from denchi.drivers import registry
from denchi_protocol.codec import DeviceInfo


def made(**roles: str) -> Links:
    return Links({role: LinkView(registry.get(key), "port") for role, key in roles.items()})


@pytest.mark.parametrize(
    ("roles", "main", "probes"),
    [
        ({"case": "w1", "battery": "jbd", "meter": "fnb58"}, "meter", {"case", "battery"}),
        ({"battery": "jbd", "ambient": "w1"}, "battery", {"ambient"}),
        ({"case": "w1"}, None, {"case"}),
        ({}, None, set()),
    ],
)
def test_the_meter_watches_the_unit_else_its_battery(roles, main, probes):
    links = made(**roles)
    assert links.main_role == main
    assert links.main is (links[main] if main else None)
    assert set(links.probes()) == probes


def test_a_probe_measures_where_it_was_put_and_a_meter_where_it_is():
    assert made(meter="fnb58", case="w1").places() == {"meter", "case"}
    assert made(meter="fnb58", ambient="temper").places() == {"meter", "ambient"}
    assert made(battery="power-supply").places() == {"cell"}
    links = made(meter="fnb58", case="w1")
    assert links.gate("case", BenchConfig())[1] == "case"
    assert links.gate("meter", BenchConfig())[1] == ""


@pytest.mark.parametrize("key", ["fnb58", "jbd"])
def test_a_main_instrument_settles_after_a_connect(key):
    links = made(**{"meter" if key == "fnb58" else "battery": key})
    main = links.main
    assert main is not None
    assert links.state(settling=True)["state"] == "searching", "nothing streams yet"
    main.state = "streaming"
    assert links.state(settling=True)["state"] == "settling"
    assert links.state(settling=False)["state"] == "streaming"
    assert made().state(settling=True)["state"] == "searching"


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ("streaming", "gone", True),
        ("stale", "searching", True),
        ("streaming", "stale", False),
        ("opening", "gone", False),
        ("settling", "streaming", False),
    ],
)
def test_a_loss_is_from_working_to_away(before, after, lost):
    (view,) = made(meter="fnb58").values()
    view.state = before
    told: Any = SimpleNamespace(state=after, message="gone\x1b[2J", cure="plug it in")
    assert view.changed(told, 7) is lost
    assert (view.state, view.since_ns, view.cure) == (after, 7, "plug it in")
    assert "\x1b" not in view.message


def test_what_an_instrument_says_of_itself_is_untrusted_and_keeps_what_it_leaves_out():
    (view,) = made(meter="fnb58").values()
    view.told(DeviceInfo(1, model="FNB\x1b58", serial="S" * 200, firmware="1.0"))
    view.told(DeviceInfo(2, firmware="1.1"))
    assert (view.model, view.firmware) == ("FNB58", "1.1")
    assert len(view.serial) <= 60
    assert view.instrument("case")["channels"] == ("temp_mc.case",)
    assert "vbus_uv" in view.instrument("")["channels"]
