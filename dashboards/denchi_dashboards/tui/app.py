"""The Textual app: pages over one connection to a daemon's API, which it can lose and find again.

The TUI only ever talks to the API. It opens no device, no journal and no output, and closing it costs the
daemon nothing.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from textual import work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input

from denchi import i18n
from denchi.clock import NS, SYSTEM, Clock
from denchi.errors import ApiError, DenchiError
from denchi_dashboards.tui import actions, panels, themes, words
from denchi_dashboards.tui.client import Client, ClientFactory, DemoStarter
from denchi_dashboards.tui.layout import said
from denchi_dashboards.tui.modals import Confirm, Reader
from denchi_dashboards.tui.pages import PAGES
from denchi_dashboards.tui.present import BenchView, Present
from denchi_dashboards.tui.traces import POINTS, Series, Trace
from denchi_dashboards.tui.widgets import Banner, KeyBar, Page, Pane, StatusLine, TopBar
from denchi_dashboards.tui.words import _
from denchi_dashboards.tui.writing import Writing

log = logging.getLogger(__name__)
FRAMES_HZ: Final = 10.0
RETRY_S: Final = 1.0
_TYPED: Final = ("slash", "space", "question_mark", "plus", "minus", "left", "right", "home", "end")
"""Keys that a field takes for itself."""
BELL_EVERY_S: Final = 10.0


class DenchiApp(App[int]):
    """denchi in a terminal."""

    CSS_PATH = "denchi.tcss"
    TITLE = "denchi"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(i + 1), f"page('{name}')", show=False)
            for i, (name, _t, _c) in enumerate(PAGES)
        ),
        Binding("a", "acknowledge", "acknowledge", show=True),
        Binding("A", "acknowledge_all", "acknowledge all", show=True),
        Binding("question_mark", "page('help')", "help", key_display="?", show=True),
        Binding("f1", "page('help')", "help", key_display="F1", show=True),
        Binding(
            "ctrl+p", "command_palette", "commands", key_display="^p", show=True, priority=True
        ),
        Binding("l", "language", "日本語/English", show=True),
        Binding("t", "theme", "theme", show=True),
        Binding("q", "leave", "leave", show=True),
        Binding("ctrl+q,ctrl+c", "leave", show=False, priority=True),
    ]
    _ALWAYS: Final = ("page('help')", "command_palette", "language", "theme", "leave")

    def __init__(
        self,
        client_factory: ClientFactory,
        *,
        lang: str | None = None,
        theme: str | None = None,
        screening: bool = False,
        demo_starter: DemoStarter | None = None,
        on_screened: Callable[[dict[str, Any]], None] = lambda _line: None,
        clock: Clock = SYSTEM,
        frames_hz: float = FRAMES_HZ,
        stream_hz: float = FRAMES_HZ,
    ) -> None:
        super().__init__()
        # Taken once: each word asks for the language, and the environment is slow to ask.
        i18n.set_language(lang or i18n.language())
        self.factory = client_factory
        self.demo_starter = demo_starter
        self.on_screened = on_screened
        self.present = Present(clock)
        self.writing = Writing(self)
        self.client: Client | None = None
        self.page = "screening" if screening else "live"
        self.chosen = ""
        self.worst_verdict = 0
        """Exit code of the gravest verdict of the screenings done here."""
        self._frames_hz, self._stream_hz = frames_hz, stream_hz
        self._frame_version = -1
        self._bell_at = 0.0
        self._rung: set[str] = set()
        self._told: set[str] = set()
        for one in themes.THEMES:
            self.register_theme(one)
        self.theme = theme if theme in themes.NAMES else themes.DARK.name

    # -- screen --------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Bar, alarm, page, state, keys."""
        yield TopBar(id="top")
        yield Banner(id="banner")
        with Container(id="pages"):
            for _name, _title, make in PAGES:
                yield make()
        yield StatusLine(id="status")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Begin to listen and to draw."""
        self._show_page(self.page)
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self._draw_keys())
        self.set_interval(1 / self._frames_hz, self.frame, name="frames")
        self.attend()

    def pages_listed(self) -> list[tuple[int, str, str]]:
        """Number, key and title of each page."""
        return [(i + 1, name, _(title)) for i, (name, title, _make) in enumerate(PAGES)]

    def current_page(self) -> Page:
        """The page shown."""
        return self.query_one(f"#{self.page}", Page)

    def _show_page(self, name: str) -> None:
        self.page = name
        for one in self.query(Page):
            one.display = one.id == name
        page = self.current_page()
        page.opened()
        page.focus_first()
        self.call_after_refresh(self.frame, True)

    @property
    def bench(self) -> BenchView | None:
        """The bench looked at."""
        benches = self.present.benches
        return benches.get(self.chosen) or next(iter(benches.values()), None)

    whole_frame = True
    """Whether the frame being drawn is of everything; else tiles may take turns."""
    words_at = -1, -1, 0
    """What words rest on: all that is told besides samples, the half second (for ages), the forced frames.

    Who draws words keeps it, with what else they rest on, and draws them again when it is another; figures
    and plots are drawn at each frame.
    """

    def frame(self, force: bool = False) -> None:
        """Draw what has changed; at most ten times a second, and little when nothing is new."""
        present = self.present
        busy = present.version != self._frame_version
        half = int(present.clock.monotonic_ns() / NS * 2)
        words_at = present.told, half, self.words_at[2] + force
        worded = words_at != self.words_at
        if not worded and not busy:
            return
        self.words_at = words_at
        self._frame_version = present.version
        self.whole_frame = force or not busy
        if not self.is_running or not self.screen_stack:
            return
        main = self.screen_stack[0]
        if worded:
            for kind in (TopBar, Banner, StatusLine):
                main.query_one(kind).sync()
        main.query_one(f"#{self.page}", Page).sync()
        if len(self.screen_stack) > 1:
            for pane in self.screen.query(Pane):
                pane.sync()
        self._alarm()

    def refresh_keys(self) -> None:
        """The keys that work have changed."""
        if self.screen_stack:
            self.refresh_bindings()
            self.call_after_refresh(self._draw_keys)

    def _draw_keys(self) -> None:
        if self.screen_stack:
            for bar in self.screen_stack[0].query(KeyBar):
                bar.sync()

    def keys_shown(
        self, *, short: bool = False
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """(keys of the page, keys that always work), as (key, label)."""
        here: list[tuple[str, str]] = []
        always: list[tuple[str, str]] = []
        typing = isinstance(self.focused, Input)
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.show or not binding.description or not active.enabled:
                continue
            if typing and (len(binding.key) == 1 or binding.key in _TYPED):
                continue
            shown = (self.get_key_display(binding), _(binding.description))
            if short and binding.action in ("language", "theme"):
                continue
            kept = always if binding.action in self._ALWAYS else here
            if not any(shown[1] == label for _k, label in kept):
                kept.append(shown)
        return here, always

    def get_key_display(self, binding: Binding) -> str:
        """A key as it stands on a keyboard."""
        return binding.key_display or {
            "escape": "esc",
            "enter": "⏎",
            "slash": "/",
            "space": "␣",
        }.get(binding.key, binding.key)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer a key only where it does something."""
        if action == "acknowledge":
            return bool(self.present.alarms)
        if action == "acknowledge_all":
            return len(self.present.alarms) > 1
        return True

    # -- the connection ------------------------------------------------------------------------

    @work(exclusive=True, group="attend")
    async def attend(self) -> None:
        """Listen to the daemon for ever; when it goes, look for it again each second."""
        while True:
            client: Client | None = None
            try:
                made = self.factory()
                client = await made if inspect.isawaitable(made) else made
                self.present.take_state(await client.state())
                self.client = client
                self.refresh_keys()
                async for message in client.stream(max_hz=self._stream_hz):
                    self.present.take(message)
                    if message.get("type") == "bye":
                        break
                self.present.away("", "")
            except ApiError as error:
                self.present.away(error.message, error.cure)
            except (DenchiError, OSError, ValueError) as error:
                self.present.away(str(error), "")
            finally:
                self.client = None
                if client is not None:
                    await _closed(client)
            self.refresh_keys()
            await asyncio.sleep(RETRY_S)

    async def ask(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """One request; None when the daemon is away or refuses, and the person is told why."""
        client = self.client
        if client is None:
            self.tell(_("The daemon is away."), "warning")
            return None
        try:
            if method == "get":
                return await client.get(path, **params)
            if method == "put":
                return await client.put(path, body)
            if method == "delete":
                return await client.delete(path)
            return await client.post(path, body)
        except ApiError as error:
            self.tell(str(error), "warning")
            return None

    def tell(self, text: str, kind: str = "information") -> None:
        """A short notice in the corner; text is data."""
        severity: Any = kind if kind in ("information", "warning", "error") else "information"
        self.notify(said(text, 400), severity=severity, markup=False, timeout=8)

    def fetch_history(self, bench: BenchView, trace: Trace) -> None:
        """Ask for the roll-ups that the picture lacks."""
        if self.client is None:
            return
        now_s = self.present.clock.monotonic_ns() / NS
        for role, start, end in trace.due(self.present, bench, now_s):
            self.run_worker(
                self._fetch(bench.session_id, role, trace, start, end),
                group="history",
                exit_on_error=False,
            )

    async def _fetch(self, session: str, role: str, trace: Trace, start: int, end: int) -> None:
        client, span = self.client, trace.span
        if client is None:
            return
        try:
            answer = await client.get(
                f"/v1/sessions/{session}/series", role=role, from_ns=start, to_ns=end, points=POINTS
            )
            trace.store(session, role, span, Series.parse(answer))
        except (ApiError, TypeError, ValueError, AttributeError) as error:
            log.info("roll-ups of %s not shown: %s", role, error)
            return
        self.present.version += 1

    # -- alarms --------------------------------------------------------------------------------

    def _alarm(self) -> None:
        """The bell, once for each episode and again while a danger stands unacknowledged."""
        alarms = self.present.alarms
        ids = {str(a.get("id")) for a in alarms}
        fresh = ids - self._rung
        now = self.present.clock.monotonic_ns() / NS
        danger = any(a.get("severity") == "danger" for a in alarms)
        if fresh or (danger and now - self._bell_at >= BELL_EVERY_S):
            self._bell_at = now
            self.bell()
            if fresh:
                actions.desktop_notice(self, alarms[0])
                self.refresh_keys()
                if len(self.screen_stack) > 1:  # a window covers the banner
                    word = f"{words.shape(alarms[0].get('severity'))} {words.severity(alarms[0].get('severity'))}"
                    self.tell(f"{word} {words.message(alarms[0])}", "error")
        self._rung = ids
        for one in self.present.new_findings:
            self._tell_finding(one)
        self.present.new_findings = []

    def _tell_finding(self, one: dict[str, Any]) -> None:
        """What ended ("cooled down") is told in the corner as well as in the list."""
        name = str(one.get("id"))
        if not one.get("ends") or name in self._told:
            return
        self._told = {*list(self._told)[-200:], name}
        self.tell(f"{words.shape('info')} {said(one.get('bench'), 20)}: {words.message(one)}")

    def ended(self, alarm: dict[str, Any]) -> str:
        """ "ended 12:05:10" when a later finding tells the end of this episode."""
        bench = self.present.benches.get(str(alarm.get("bench")))
        if bench is None:
            return ""
        since = words.number(alarm.get("t_ns")) or 0
        for one in reversed(bench.findings()):
            if (
                one.get("ends") == alarm.get("code")
                and (words.number(one.get("t_ns")) or 0) >= since
            ):
                return _("ended {t}, still to be acknowledged").format(
                    t=words.clock_time(one.get("t_ns"))
                )
        return ""

    @work(group="acts", exit_on_error=False)
    async def acknowledge(self, alarms: Sequence[Mapping[str, Any]]) -> None:
        """A person has seen these alarms."""
        for one in alarms:
            name = str(one.get("id"))
            if await self.ask("post", f"/v1/alarms/{name}/ack") is None:
                return
            held = [a for a in self.present.state.get("alarms") or [] if str(a.get("id")) != name]
            self.present.state["alarms"] = held
            self.present.changed()
        self.refresh_keys()

    def action_acknowledge(self) -> None:
        """Acknowledge the alarm of the banner."""
        self.acknowledge(self.present.alarms[:1])

    def action_acknowledge_all(self) -> None:
        """Acknowledge every alarm that stands, after a question."""
        alarms = self.present.alarms
        text = _("Acknowledge all {n} alarms? They stay in their sessions.").format(n=len(alarms))

        def answered(yes: bool | None) -> None:
            if yes:
                self.acknowledge(alarms)

        self.push_screen(Confirm(_("Alarms"), text, _("acknowledge"), _("leave them")), answered)

    # -- keys of every page --------------------------------------------------------------------

    def action_page(self, name: str) -> None:
        """Show a page."""
        self._show_page(name)

    def action_language(self) -> None:
        """Between English and Japanese."""
        self.set_lang("ja" if i18n.language() == "en" else "en")

    def set_lang(self, code: str) -> None:
        """Take a language; every page says itself anew."""
        i18n.set_language(code)
        for page in self.query(Page):
            page.relabel()
        self.frame(True)
        self.refresh_keys()

    def action_theme(self) -> None:
        """The next of our themes."""
        names = list(themes.NAMES)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]

    def action_leave(self) -> None:
        """Leave, once what is being written is there; the daemon goes on."""
        if self.writing.may_leave():
            self.exit(self.worst_verdict)

    async def action_quit(self) -> None:
        """Textual's own ^q is no other way out."""
        self.action_leave()

    def next_bench(self, step: int, *, wrap: bool = True) -> None:
        """Another bench."""
        names = list(self.present.benches)
        if not names:
            return
        at = names.index(self.bench.name) if self.bench else 0
        to = at + step
        if not wrap and not 0 <= to < len(names):
            return
        self.chosen = names[to % len(names)]
        self.frame(True)
        self.refresh_keys()

    def show_findings(self) -> None:
        """All findings of the bench in full."""
        bench = self.bench
        if bench is None:
            return
        mark = f" [{words.origin('simulated')}]" if bench.simulated else ""
        self.push_screen(
            Reader(
                f"{_('Findings')} · {bench.name}{mark}",
                lambda width: panels.findings(self.present, bench, width, detail=2),
            )
        )

    def ask_unit(self) -> None:
        """The unit's label."""
        actions.ask_unit(self)

    def ask_session(self) -> None:
        """A new session on the bench."""
        actions.ask_session(self)

    def start_demo(self) -> None:
        """Start the demo and go to it."""
        actions.start_demo(self)

    def answer(self, bench: str, question: str, yes: bool) -> None:
        """Answer a finding's question."""
        actions.answer(self, bench, question, yes)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The command palette: pages, languages, themes, acts."""
        yield from actions.commands(self)


async def _closed(client: Client) -> None:
    try:
        await client.close()
    except (ApiError, OSError, RuntimeError) as error:
        log.debug("closing the connection: %s", error)


def run(
    client_factory: ClientFactory,
    *,
    lang: str | None = None,
    theme: str | None = None,
    screening: bool = False,
    demo_starter: DemoStarter | None = None,
    on_screened: Callable[[dict[str, Any]], None] = lambda _line: None,
) -> int:
    """Open the terminal interface and return the exit code.

    ``client_factory`` gives a client for each (re)connection and raises ``ApiError`` while no
    daemon answers. With ``screening`` the code is that of the gravest verdict reached, and each
    unit's verdict is told to ``on_screened``.
    """
    app = DenchiApp(
        client_factory,
        lang=lang,
        theme=theme,
        screening=screening,
        demo_starter=demo_starter,
        on_screened=on_screened,
    )
    code = app.run()
    return int(code or 0) or int(app.return_code or 0)


def titles() -> Sequence[Content]:
    """Titles of the pages (for the pictures)."""
    return [Content(_(title)) for _name, title, _make in PAGES]
