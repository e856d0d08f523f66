"""The way in: help loads nothing heavy, unknown words are answered with the nearest, errors are one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from denchi.cli.main import COMMANDS, PLUGIN_HELP, help_text


def denchi(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "denchi.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


HEAVY = ("numpy", "pydantic", "httpx", "textual", "starlette", "jinja2", "serial", "usb")


@pytest.mark.parametrize("arguments", [["--help"], ["recall", "A1263"], ["recall", "--help"]])
def test_help_and_recall_load_nothing_heavy(arguments):
    code = (
        "import sys\nfrom denchi.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print(sorted(m for m in {HEAVY!r} if m in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_help_names_every_command_with_a_line():
    text = help_text()
    for name in [*COMMANDS, *PLUGIN_HELP]:
        assert f"\n  {name} " in text
    assert denchi("--help").stdout.strip() == text
    assert denchi("sessions", "--help").returncode == 0


@pytest.mark.parametrize("name", sorted(COMMANDS) + sorted(PLUGIN_HELP))
def test_every_command_loads_and_has_help(name):
    done = denchi(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    _before, _, commands = done.stdout.partition("\nCommands:\n")
    assert "..." not in commands, "a subcommand's line is cut off: say it shorter"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dem"], "'demo'"),
        (["sessions", "--limt", "3"], "--limit"),
        (["demo", "--scenario", "demoo"], "'demo'"),
        (["demo", "--meter", "fnb59"], "fnb5"),
        (["demo", "--for", "soon"], "duration"),
        (["replay", "none.csv"], "none.csv"),
        (["replay"], "FILES"),
        (["decode", "--meter", "fnb59", "-"], "fnb5"),
        (["run", "--bench", "nonsense"], "NAME=LOCATOR"),
    ],
)
def test_wrong_use_is_one_line_with_the_nearest_name_and_exit_2(arguments, said, tmp_path):
    done = denchi(*arguments, cwd=tmp_path, input="")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_reader_that_leaves_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m denchi.cli.main config schema | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
