"""What the keys and the command palette do: requests to the daemon, with the person told the outcome."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand

from denchi_dashboards.tui import themes, words
from denchi_dashboards.tui.layout import said
from denchi_dashboards.tui.modals import Confirm, UnitForm
from denchi_dashboards.tui.words import _

if TYPE_CHECKING:
    from denchi_dashboards.tui.app import DenchiApp


def ask_unit(app: DenchiApp) -> None:
    """The unit's label, then ``PUT unit``, which re-checks the recall lists."""
    bench = app.bench
    if bench is None:
        return

    async def take(unit: dict[str, Any] | None) -> None:
        if unit is None:
            return
        answer = await app.ask("put", f"/v1/benches/{bench.name}/unit", unit)
        if answer is not None:
            app.tell(
                _("The unit on {bench} is noted; the recall lists were asked.").format(
                    bench=bench.name
                )
            )

    app.push_screen(UnitForm(bench.part("unit"), f"{_('Unit on')} {said(bench.name, 20)}"), take)


def ask_session(app: DenchiApp) -> None:
    """End the bench's session and begin a new one, after a question."""
    bench = app.bench
    if bench is None:
        return
    text = _(
        "End the session on {bench} and begin a new one? The old one stays in the list."
    ).format(bench=said(bench.name, 20))

    async def take(yes: bool | None) -> None:
        if yes:
            answer = await app.ask(
                "post", f"/v1/benches/{bench.name}/session", {"unit": bench.part("unit")}
            )
            if answer is not None:
                app.tell(_("A new session has begun on {bench}.").format(bench=bench.name))

    app.push_screen(Confirm(_("New session"), text, _("begin anew"), _("go on as is")), take)


def answer(app: DenchiApp, bench: str, question: str, yes: bool) -> None:
    """``POST answers``."""

    async def send() -> None:
        if await app.ask("post", f"/v1/benches/{bench}/answers", {question: yes}) is not None:
            app.tell(_("Answer noted: {answer}").format(answer=_("yes") if yes else _("no")))

    app.run_worker(send(), group="acts", exit_on_error=False)


def start_demo(app: DenchiApp) -> None:
    """Start the demo daemon in a thread, then attach to it."""
    starter = app.demo_starter
    if starter is None:
        return
    app.tell(_("Starting the demo: an emulated meter with a simulated power bank behind it."))

    async def begin() -> None:
        try:
            factory = await asyncio.to_thread(starter)
        except Exception as error:
            app.tell(str(error), "error")
            return
        app.demo_starter = None
        app.factory = factory
        app.present.state.clear()
        app.present.benches.clear()
        app.attend()

    app.run_worker(begin(), group="demo", exit_on_error=False)


def desktop_notice(app: DenchiApp, alarm: dict[str, Any]) -> None:
    """A notice of the desktop, where the person has switched it on and the system has ``notify-send``."""
    if not getattr(app, "desktop_notices", bool(os.environ.get("DENCHI_DESKTOP_NOTICE"))):
        return
    program = shutil.which("notify-send")
    if program is None:
        return
    title = f"denchi {words.shape(alarm.get('severity'))} {words.severity(alarm.get('severity'))}"
    text = f"{said(alarm.get('bench'), 20)}: {words.message(alarm)}"
    if app.present.simulated:
        text = f"[{words.origin('simulated')}] {text}"

    async def send() -> None:
        process = await asyncio.create_subprocess_exec(
            program, "--urgency=critical", "--app-name=denchi", "--", title, text,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await process.wait()

    app.run_worker(send(), group="notice", exit_on_error=False)


def toggle_desktop_notices(app: DenchiApp) -> None:
    """Desktop notices on or off for this run."""
    on = not getattr(app, "desktop_notices", bool(os.environ.get("DENCHI_DESKTOP_NOTICE")))
    app.desktop_notices = on  # type: ignore[attr-defined]
    if on and shutil.which("notify-send") is None:
        app.tell(_("This system has no notify-send; there will be no desktop notices."), "warning")
        return
    app.tell(_("Desktop notices are on.") if on else _("Desktop notices are off."))


def commands(app: DenchiApp) -> Iterator[SystemCommand]:
    """Entries of the command palette."""
    for n, name, title in app.pages_listed():
        yield SystemCommand(
            _("Page: {title}").format(title=title),
            _("key {n}").format(n=n),
            lambda name=name: app.action_page(name),
        )
    yield SystemCommand("日本語で表示", "Japanese", lambda: app.set_lang("ja"))
    yield SystemCommand("Show in English", "英語", lambda: app.set_lang("en"))
    labels = {"dark": _("dark"), "light": _("light"), "contrast": _("high contrast")}
    for theme in themes.NAMES:
        yield SystemCommand(
            _("Theme: {name}").format(name=labels[theme]),
            _("colours of the screen"),
            lambda theme=theme: setattr(app, "theme", theme),
        )
    if app.bench is not None:
        yield SystemCommand(_("Name the unit"), _("type or scan its label"), app.ask_unit)
        yield SystemCommand(_("New session"), _("end this one and begin anew"), app.ask_session)
        yield SystemCommand(
            _("All findings"), _("with figures, limits and sources"), app.show_findings
        )
    if app.present.alarms:
        yield SystemCommand(_("Acknowledge the alarm"), _("key a"), app.action_acknowledge)
    yield SystemCommand(
        _("Desktop notices"), _("on or off, for alarms"), lambda: toggle_desktop_notices(app)
    )
    yield SystemCommand(_("Leave"), _("the daemon goes on"), app.action_leave)
