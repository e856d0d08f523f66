"""The Screening page: label in, recall answer, checklist, guided steps, verdict, next unit.

It draws the API's ``screening`` state and sends what the operator answers; the engine is the daemon's.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Label

from denchi import i18n
from denchi.text import csv_cell, file_stem
from denchi_dashboards.tui import guided, panels, words
from denchi_dashboards.tui.layout import cut, line, said, styled_lines
from denchi_dashboards.tui.modals import Choose, Confirm
from denchi_dashboards.tui.plot import Plot
from denchi_dashboards.tui.present import BenchView
from denchi_dashboards.tui.traces import Trace, picture
from denchi_dashboards.tui.widgets import Page, Pane, Reading, ScrollPane, key, set_title
from denchi_dashboards.tui.words import _

CODES: Final = {"stop_using": 3, "caution": 4, "inconclusive": 5, "no_anomaly_seen": 0}
_GRAVER: Final = (0, 5, 4, 3)
DAY_COLUMNS: Final = (
    *("started", "ended", "bench", "meter", "unit", "serial", "operator", "profile"),
    *("verdict", "origin", "id"),
)


class Screening(Page):
    """A unit's way through a profile."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("y", "choose(True)", "yes"),
        key("n", "choose(False)", "no"),
        key("s", "not_asked", "not asked"),
        key("enter", "next", "go on", "⏎"),
        key("f2,p", "profile", "profile", "F2"),
        key("f3,b", "bench", "next bench", "F3"),
        key("f4", "operator", "operator", "F4"),
        key("w", "symptom", "symptom seen"),
        key("x", "cancel", "end"),
        key("r", "report", "report"),
        key("e", "day_list", "day's list as CSV"),
        key("slash", "type", "label", "/"),
        key("escape", "leave", "leave the field", "esc"),
    ]

    def __init__(self) -> None:
        super().__init__(id="screening")
        self.profiles: list[Mapping[str, Any]] = []
        self.problems: list[str] = []
        """Profiles that cannot be used, each with the cure."""
        self.profile = 0
        self.operator = ""
        self.dismissed: dict[str, str] = {}
        self.today: list[Mapping[str, Any]] = []
        self.maker_choice: bool | None = None
        self.trace = Trace()
        self._stage = ""
        self._counted: set[str] = set()
        self._asked_s = -1e9

    def compose(self) -> ComposeResult:
        """Way left; fields, words, figures and plot right."""
        with Horizontal():
            with Vertical(id="screening-left"):
                yield Pane(self._benches, id="screening-benches", classes="section")
                yield Pane(self._path, id="screening-path", classes="section")
                yield Pane(self._today, id="screening-today", classes="section")
            with Vertical(id="screening-right"):
                with Horizontal(id="screening-fields"):
                    yield Label(Content(""), id="screening-label-name", classes="field-name")
                    yield Input(id="screening-label", compact=True)
                    yield Label(Content(""), id="screening-serial-name", classes="field-name")
                    yield Input(id="screening-serial", compact=True)
                yield ScrollPane(self._main, id="screening-main", classes="section")
                with Horizontal(id="screening-figures"):
                    for kind in ("v", "a", "w", "t"):
                        yield SmallReading(kind)
                yield Plot(id="screening-plot", classes="section plot")

    def on_mount(self) -> None:
        """Labels."""
        self.relabel()

    def relabel(self) -> None:
        """Labels in the language in force."""
        maker = self._stage == "maker_answer"
        self.query_one("#screening-label-name", Label).update(
            Content(_("reference") if maker else _("label / model"))
        )
        self.query_one("#screening-serial-name", Label).update(Content(_("serial")))

    def opened(self) -> None:
        """Ask for profiles and the day's list."""
        self._asked_s = -1e9

    def focus_first(self) -> None:
        """Where the stage's keys work."""
        stage = self.stage()
        if stage == "label":
            self.query_one("#screening-label", Input).focus()
        else:
            self.query_one("#screening-main", ScrollPane).focus()

    # -- state ---------------------------------------------------------------------------------

    def screening(self) -> Mapping[str, Any] | None:
        """The screening shown."""
        bench = self.denchi.bench
        return guided.current(bench, self.dismissed) if bench else None

    def stage(self) -> str:
        """Where the unit stands."""
        return guided.stage_of(self.screening())

    def sync(self) -> None:
        """One frame."""
        stage = self.stage()
        if stage != self._stage:
            self._entered(stage)
        self._note_done()
        small = self.size.width < 100 or self.size.height < 26
        self.set_class(small, "-small")
        for name in guided.STAGES:
            self.set_class(stage == name, f"-{name}")
        self.set_class(stage == "maker_answer" and self.maker_choice is not None, "-reference")
        mark = words.origin("simulated") if self.present.simulated else ""
        self._titles(stage, mark)
        for name in ("benches", "path", "today"):
            pane = self.query_one(f"#screening-{name}", Pane)
            if pane.display:
                pane.sync()
        self.query_one("#screening-main", ScrollPane).sync()
        self._figures()
        self._ask()

    def _titles(self, stage: str, mark: str) -> None:
        bench = self.denchi.bench
        name = said(bench.name, 20) if bench else "–"
        unit = panels.unit_name(self._unit(bench)) if bench and stage != "label" else ""
        title = " · ".join(p for p in (name, unit, guided.stage_name(stage)) if p)
        self.query_one("#screening-main", ScrollPane).title(title, mark)
        self.query_one("#screening-benches", Pane).title(_("Benches"))
        self.query_one("#screening-path", Pane).title(_("Way of a unit"))
        self.query_one("#screening-today", Pane).title(_("Day's list"))

    def _unit(self, bench: BenchView) -> Mapping[str, Any]:
        told = self.screening()
        unit = told.get("unit") if told else None
        return unit if isinstance(unit, Mapping) else bench.part("unit")

    def _entered(self, stage: str) -> None:
        """A new stage: focus where its keys are, and a bell that calls the operator back."""
        first = self._stage == ""
        self._stage = stage
        self.maker_choice = None
        self.relabel()
        if stage == "label":
            for name in ("#screening-label", "#screening-serial"):
                self.query_one(name, Input).value = ""
        if self.denchi.page == "screening":
            self.call_after_refresh(self.focus_first)
            if not first and stage in ("running", "done"):
                self.app.bell()
        self.denchi.refresh_keys()

    def _note_done(self) -> None:
        """The exit code is that of the gravest verdict reached while this page looked on."""
        for bench in self.present.benches.values():
            told = guided.current(bench, {})
            if (
                not told
                or told.get("state") != "done"
                or not isinstance(told.get("verdict"), Mapping)
            ):
                continue
            session = str(told.get("session"))
            if session not in self._counted:
                self._counted.add(session)
                code = CODES.get(str(told["verdict"].get("verdict")), 0)
                held = self.denchi.worst_verdict
                self.denchi.worst_verdict = max((held, code), key=_GRAVER.index)
                self.denchi.on_screened(guided.result_line(bench, told))

    def _figures(self) -> None:
        bench = self.denchi.bench
        if bench is None or self._stage not in ("running", "done"):
            return
        volts, amps, watts = panels.volts_amps_watts(self.present, bench)
        temps = bench.temperatures()
        self._put("v", "VBUS", words.fixed(volts.value, 3), "V", volts.stale)
        self._put("a", _("current"), words.fixed(amps.value, 3), "A", amps.stale)
        self._put("w", _("power"), words.fixed(watts.value, 2), "W", watts.stale)
        if temps:
            value = self.present.value(bench, temps[0])
            place = words.place(temps[0].split(".", 1)[1])
            self._put("t", place, words.fixed(value.value, 1), "°C", value.stale)
        plot = self.query_one("#screening-plot", Plot)
        if plot.display and plot.content_size.height > 1:
            self.trace.span = 1
            self.denchi.fetch_history(bench, self.trace)
            plot.show(picture(self.present, bench, self.trace, "v"))
            mark = f" · {_('SIMULATED')}" if bench.simulated else ""
            set_title(plot, Content(f"{_('voltage')} V{mark}"))

    def _put(self, kind: str, name: str, figure: str, unit: str, stale: bool) -> None:
        reading = self.query_one(f"#small-{kind}", SmallReading)
        reading.put(
            name, figure, unit, _("stale") if stale else "", "quiet" if stale else f"line-{kind}"
        )

    def _ask(self) -> None:
        now_s = self.present.clock.monotonic_ns() / 1e9
        if self.denchi.client is not None and now_s - self._asked_s > 15:
            self._asked_s = now_s
            self.fetch()

    @work(exclusive=True, group="screening-lists", exit_on_error=False)
    async def fetch(self) -> None:
        """Profiles and today's screenings."""
        answer = await self.denchi.ask("get", "/v1/profiles")
        if isinstance(answer, Mapping):
            listed = [p for p in answer.get("profiles") or [] if isinstance(p, Mapping)]
            self.problems = [said(p, 300) for p in answer.get("problems") or []]
            first = not self.profiles
            self.profiles = [p for p in listed if p.get("guided", True)]
            names = [str(p.get("name")) for p in self.profiles]
            if first and "quick" in names:  # not the first of the alphabet, which sees no heat
                self.profile = names.index("quick")
        answer = await self.denchi.ask("get", "/v1/sessions", limit=500)
        if isinstance(answer, Mapping):
            guided_names = {str(p.get("name")) for p in self.profiles}
            day = words.local(self.present.clock.wall_ns()).date()
            self.today = [
                s
                for s in answer.get("sessions") or []
                if isinstance(s, Mapping)
                and str(s.get("profile")) in guided_names
                and s.get("ended")
                and words.local(words.parse_iso(s.get("started")) or 0).date() == day
            ]

    # -- text ----------------------------------------------------------------------------------

    def _profile(self) -> Mapping[str, Any]:
        return self.profiles[self.profile % len(self.profiles)] if self.profiles else {}

    def _main(self, width: int) -> list[Content]:
        bench, told = self.denchi.bench, self.screening()
        width = min(width, 100)
        if bench is None:
            return panels.waiting(self.present, width)
        stage = guided.stage_of(told)
        if told is None:
            chosen = self._profile()
            title = words.both(chosen.get("title")) or said(chosen.get("name"), 30) or _("quick")
            minutes = words.number(chosen.get("minutes"))
            rows = guided.label(title, minutes, self.operator, self.today, width)
            for problem in self.problems:
                rows += styled_lines(f"▲ {problem}", "$caution", width)
            return rows
        if stage == "checklist":
            return guided.checklist(told, width)
        if stage == "maker_answer":
            return guided.maker(bench, told, width)
        if stage == "running":
            return guided.running(self.present, bench, told, width)
        if stage == "done":
            return guided.done(bench, told, width)
        return panels.recall_lines(bench.state.get("recall"), width, short=False)

    def _benches(self, width: int) -> list[Content]:
        bench = self.denchi.bench
        return guided.benches(self.present, bench.name if bench else "", self.dismissed, width)

    def _path(self, width: int) -> list[Content]:
        return guided.path(self.stage(), self.screening(), width)

    def _today(self, width: int) -> list[Content]:
        return guided.day_counts(self.today, width)

    # -- keys ----------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what the stage takes."""
        stage = self.stage() if self.is_attached else "label"
        if action == "choose":
            return stage in ("checklist", "maker_answer")
        if action == "not_asked":
            return stage == "maker_answer"
        if action == "next":
            return stage == "done"
        if action in ("profile", "type", "operator", "day_list", "leave"):
            return stage == "label" or (action == "leave" and stage == "maker_answer")
        if action == "cancel":
            return stage in ("recall", "checklist", "maker_answer", "running")
        if action == "symptom":
            return stage in ("running", "maker_answer")
        if action == "report":
            return stage == "done"
        if action == "bench":
            return len(self.present.benches) > 1
        return True

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Enter, typed or from the scanner."""
        event.stop()
        if self.stage() == "maker_answer":
            self._send_maker(self.maker_choice, event.value.strip())
        elif event.input.id == "screening-label" and event.value.strip():
            self.query_one("#screening-serial", Input).focus()
        else:
            self.begin()

    @work(exclusive=True, group="screening", exit_on_error=False)
    async def begin(self) -> None:
        """Begin with the label given."""
        bench = self.denchi.bench
        text = self.query_one("#screening-label", Input).value.strip()
        serial = self.query_one("#screening-serial", Input).value.strip()
        if bench is None:
            return
        if not text and not serial:
            self.denchi.tell(_("Scan or type the label first."))
            self.query_one("#screening-label", Input).focus()
            return
        profile = str(self._profile().get("name") or "quick")
        body = {
            "profile": profile,
            "unit": {"label_text": text, "serial": serial},
            "operator": self.operator,
        }
        self._take(
            bench, await self.denchi.ask("post", f"/v1/benches/{bench.name}/screening", body)
        )

    def _take(self, bench: BenchView, answer: object) -> None:
        """The answer may carry the new state already; else the stream brings it within a second."""
        told = answer.get("screening", answer) if isinstance(answer, Mapping) else None
        if isinstance(told, Mapping) and told.get("state") in (*guided.STAGES, "recall"):
            bench.state["screening"] = dict(told)
            self.present.changed()
            self.denchi.frame(True)

    def action_choose(self, yes: bool) -> None:
        """y or n."""
        bench, told = self.denchi.bench, self.screening()
        if bench is None or told is None:
            return
        if self.stage() == "maker_answer":
            self.maker_choice = yes
            self.sync()
            self.query_one("#screening-label", Input).value = ""
            self.query_one("#screening-label", Input).focus()
            return
        asked = guided.question(told)[2]
        if asked is not None:
            name = str(asked.get("key"))
            answers = told.get("answers")
            held = dict(answers) if isinstance(answers, Mapping) else {}
            bench.state["screening"] = {**told, "answers": {**held, name: yes}}
            self.send(bench, "checklist", {name: yes})
            self.denchi.frame(True)

    def action_not_asked(self) -> None:
        """The maker was not asked."""
        self._send_maker(None, "")

    def _send_maker(self, affected: bool | None, reference: str) -> None:
        bench = self.denchi.bench
        if bench is not None:
            self.send(bench, "maker_answer", {"affected": affected, "reference": reference})
            self.query_one("#screening-main", ScrollPane).focus()

    @work(group="screening-answers", exit_on_error=False)
    async def send(self, bench: BenchView, action: str, body: Mapping[str, Any]) -> None:
        """One answer to the daemon."""
        path = f"/v1/benches/{bench.name}/screening/{action}"
        self._take(bench, await self.denchi.ask("post", path, dict(body)))

    def action_next(self) -> None:
        """The verdict is read: the next unit."""
        bench, told = self.denchi.bench, self.screening()
        if bench is not None and told is not None:
            session = str(told.get("session"))
            self.dismissed[bench.name] = session
            # The verdict that was read says all that its alarms said.
            seen = [a for a in self.present.alarms if str(a.get("session")) == session]
            self.denchi.acknowledge(seen)
            self._asked_s = -1e9
            self.denchi.frame(True)

    def action_cancel(self) -> None:
        """End it as inconclusive, after a question."""
        bench = self.denchi.bench
        if bench is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.send(bench, "cancel", {})

        text = _("End this screening? It ends as inconclusive.")
        self.app.push_screen(
            Confirm(_("End the screening"), text, _("end it"), _("go on")), answered
        )

    def action_symptom(self) -> None:
        """Something shows with the load on: which question would be a yes now."""
        bench, told = self.denchi.bench, self.screening()
        if bench is None or told is None:
            return
        asked = [q for q in told.get("checklist") or [] if isinstance(q, Mapping)]
        text = _("What is seen, smelt or felt? It ends the test as STOP USING; take the load off.")

        def chosen(name: str | None) -> None:
            if name:
                self.send(bench, "checklist", {name: True})

        choices = [(str(q.get("key")), words.both(q.get("text"))) for q in asked]
        self.app.push_screen(Choose(_("Symptom"), text, choices), chosen)

    def action_profile(self) -> None:
        """The next profile."""
        self.profile += 1
        self.denchi.frame(True)

    def action_bench(self) -> None:
        """The next bench."""
        self.denchi.next_bench(1)

    def action_operator(self) -> None:
        """The operator's name, taken from the label field."""
        field = self.query_one("#screening-label", Input)
        self.operator, field.value = said(field.value, 60), ""
        self.denchi.frame(True)

    def action_type(self) -> None:
        """Into the label field."""
        self.query_one("#screening-label", Input).focus()

    def action_leave(self) -> None:
        """Out of the field, so that single keys work."""
        self.query_one("#screening-main", ScrollPane).focus()

    def action_report(self) -> None:
        """Choose a form, then let ``denchi report`` write it."""
        told = self.screening()
        if told is None:
            return
        session = str(told.get("session"))

        def chosen(form: str | None) -> None:
            if form:
                self.write_report(session, form)

        folder = said(Path.cwd(), 120)
        text = _("The report is written into {folder}").format(folder=folder)
        self.app.push_screen(
            Choose(_("Report"), text, [("html", "HTML"), ("pdf", "PDF"), ("json", "JSON")]), chosen
        )

    @work(group="report", exit_on_error=False)
    async def write_report(self, session: str, form: str) -> None:
        """Let ``denchi report`` write it."""
        target = Path.cwd() / f"denchi-{file_stem(session)}.{form}"
        await self.denchi.writing.run(
            ["report", session, "-o", str(target), "--lang", i18n.language()],
            target,
            good=(0, 3, 4, 5),  # 3, 4 and 5 tell the verdict, not a failure
            failed=_("The report failed."),
            simulated=self.present.simulated,
        )

    @work(exclusive=True, group="day-list", exit_on_error=False)
    async def action_day_list(self) -> None:
        """The day's list as CSV in the present folder; serial and operator stand in each session."""
        day = words.local(self.present.clock.wall_ns())
        target = Path.cwd() / f"denchi-screenings-{day:%Y-%m-%d}.csv"
        rows = []
        for one in self.today:
            detail = await self.denchi.ask("get", f"/v1/sessions/{one.get('id')}")
            detail = detail if isinstance(detail, Mapping) else {}
            label = detail.get("unit_label")
            serial = label.get("serial") if isinstance(label, Mapping) else ""
            rows.append({**one, "serial": serial, "operator": detail.get("operator")})
        try:
            with target.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(DAY_COLUMNS)
                writer.writerows([csv_cell(r.get(n) or "") for n in DAY_COLUMNS] for r in rows)
        except OSError as error:
            self.denchi.tell(str(error), "error")
            return
        self.denchi.tell(_("Written: {path}").format(path=said(target, 300)))

    def on_key(self, event: events.Key) -> None:
        """Enter on the read verdict, wherever the focus is."""
        if event.key == "enter" and self.stage() == "done":
            event.stop()
            self.action_next()


class SmallReading(Reading):
    """One figure in large digits, for the screening's strip."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind, "small")

    def lines(self, width: int) -> Sequence[Content]:
        """Where there is no height for digits: name, then the figure in plain letters."""
        if self.content_size.height >= 4:
            return super().lines(width)
        name, figure, unit, note, colour = self.shown
        value = (f"{figure} {unit}", f"bold ${colour}")
        return [line((cut(name, width), "$quiet")), line(value, (f" {note}", "$caution"))]
