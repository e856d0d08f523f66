"""``denchi``: the table of commands and the way in. Nothing is imported before it is asked for.

Click itself costs seven interpreter starts (measured: 63 ms beside 9 ms), so the help of the whole
program is written from the table here, and click comes with the first command.
"""

from __future__ import annotations

import sys

# name -> (where it is, one line for the help). The line stands here so that `denchi --help` imports
# no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("denchi.cli.demo:demo", "The whole path with an emulated meter."),
    "run": ("denchi.cli.run:run", "The daemon, in the foreground."),
    "list": ("denchi.cli.list_meters:list_", "Meters present, and those that cannot be opened."),
    "doctor": ("denchi.cli.doctor:doctor", "Permissions, drivers, clock, disk, outputs, lists."),
    "recall": ("denchi.cli.recall:recall", "Check a label against the recall lists."),
    "replay": ("denchi.cli.replay:replay", "Recordings through ingest and health."),
    "decode": ("denchi.cli.decode:decode", "Raw frames to samples and messages."),
    "capture": ("denchi.cli.capture:capture", "Record a device's raw bytes."),
    "emulate": ("denchi.cli.emulate:emulate", "Play a device, for other programs."),
    "sessions": ("denchi.cli.sessions:sessions", "List and look after recorded sessions."),
    "compare": ("denchi.cli.sessions:compare", "Two sessions side by side."),
    "export": ("denchi.cli.export:export", "A session as CSV, Parquet or JSON lines."),
    "install": ("denchi.cli.install:install", "udev rules, systemd unit, compose file."),
    "config": ("denchi.cli.config:config", "Show, validate, describe the configuration."),
    "output": ("denchi.cli.output:output", "State of the outputs."),
    "alarm": ("denchi.cli.output:alarm", "Test the alarms."),
}

# Commands of other packages, by the entry-point group `denchi.commands`; one line for the help of
# those that come in the same wheel, so that help need not import them.
PLUGIN_HELP = {
    "tui": "Attach the terminal interface to a running daemon.",
    "screen": "Units through a guided screening.",
    "report": "A session's report, for print.",
}


OPTIONS: tuple[tuple[str, str], ...] = (
    ("--version", "Show the version and exit."),
    ("--data-dir DIRECTORY", "Where denchi keeps its data (DENCHI_DATA_DIR)."),
    ("--config FILE", "Configuration file (DENCHI_CONFIG)."),
    ("-h, --help", "Show this message and exit."),
)
ABOUT = (
    "Watch a USB power bank through a USB power meter and say, with reasons, what looks wrong.",
    "Without a command: find the meter, open the terminal interface.",
)


def plugins() -> dict[str, str]:
    """Commands of other packages, by the entry-point group ``denchi.commands``."""
    from denchi.cli.plugins import points

    return points("denchi.commands")


def names() -> list[str]:
    """Every command: the built-in ones, then those of other packages."""
    return [*COMMANDS, *sorted(set(plugins()) - set(COMMANDS))]


def help_text() -> str:
    """The help of the whole program, the same with and without click."""
    rows = [
        (name, COMMANDS[name][1] if name in COMMANDS else PLUGIN_HELP.get(name, ""))
        for name in names()
    ]
    wide = max(len(name) for name, _ in (*rows, *OPTIONS)) + 2
    lines = ["Usage: denchi [OPTIONS] [COMMAND] [ARGS]...", ""]
    lines += [f"  {line}" for line in ABOUT]
    lines += ["", "Options:", *(f"  {name:{wide}}{line}" for name, line in OPTIONS)]
    lines += ["", "Commands:", *(f"  {name:{wide}}{line}" for name, line in rows)]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Run the command line; every known error is one line with its cure, never a traceback."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        if arguments in (["--help"], ["-h"]):
            print(help_text(), flush=True)
            return
        from denchi.cli.group import run

        code = run(arguments)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): not an error worth a word.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
