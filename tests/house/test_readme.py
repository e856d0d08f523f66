"""The README's table of meters is what the specs say, and its commands exist."""

from __future__ import annotations

import re

import pytest

from denchi.cli.main import COMMANDS, PLUGIN_HELP
from house.readme_table import README, rewritten

ROOT = README.parent


def test_the_table_of_meters_is_current():
    text = README.read_text(encoding="utf-8")
    assert text == rewritten(text), "python tests/house/readme_table.py rewrites it"


def test_every_denchi_command_in_the_readme_exists():
    text = README.read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:sudo )?denchi ([a-z]+)", text)) | {
        # In code only: prose lines begin with "denchi watches".
        name
        for block in re.findall(r"^```sh$(.*?)^```$", text, re.M | re.S)
        for name in re.findall(r"^(?:sudo )?denchi ([a-z]+)", block, re.M)
    }
    assert named, "the README names no command"
    assert named <= set(COMMANDS) | set(PLUGIN_HELP)


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name
)
def test_every_local_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing
