"""The API's routes (docs/api.md): JSON over a Unix socket, or over loopback with a token."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from denchi.daemon.lines import UNIT_FIELDS, both, finding_line, session_line, unit_dict
from denchi.errors import ConfigError, DenchiError, InputError
from denchi.model import SessionMeta, Unit
from denchi.text import clean

if TYPE_CHECKING:
    from denchi.daemon.bench import Bench
    from denchi.daemon.pd import PdPages
    from denchi.daemon.supervisor import Supervisor
    from denchi.store.reader import JournalReader

MAX_BODY = 64 * 1024
GATHERED_S = 0.1
"""At most this long the stream's messages wait for one another; less for who asks for more than 10 Hz."""
_TEXTS = ("brand", "model", "serial", "colour", "bought", "country", "chemistry", "label_text")
_FIGURES = ("rated_mah", "rated_wh", "max_w")


class Problem(HTTPException):
    """An error answer with its cure."""

    def __init__(self, status: int, error: str, cure: str = "") -> None:
        super().__init__(status, error)
        self.cure = cure


async def _json(request: Request) -> dict[str, Any]:
    body = await request.body()
    if len(body) > MAX_BODY:
        raise Problem(413, "the request is too large", f"at most {MAX_BODY} bytes")
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        raise Problem(400, "the request is not JSON", "see docs/api.md") from None
    if not isinstance(value, dict):
        raise Problem(400, "the request is not a JSON object", "see docs/api.md")
    return value


def unit_from(data: dict[str, Any]) -> Unit:
    """A unit from untrusted fields: texts cleaned and bounded, figures positive or refused."""
    if unknown := set(data) - set(UNIT_FIELDS):
        raise Problem(
            400, f"no unit field {clean(min(unknown), 40)!r}", f"known: {', '.join(UNIT_FIELDS)}"
        )
    texts = {n: clean(data.get(n) or "", 2000 if n == "label_text" else 120) for n in _TEXTS}
    figures: dict[str, float | None] = {}
    for name in _FIGURES:
        value = data.get(name)
        if value is None or value == "":
            figures[name] = None
            continue
        try:
            figures[name] = float(value)
        except (TypeError, ValueError):
            raise Problem(
                400, f"{name} is not a number", "leave it out when it is not known"
            ) from None
        if not 0 < figures[name] < 1e7:  # type: ignore[operator]
            raise Problem(400, f"{name} is out of range", "leave it out when it is not known")
    return Unit(**texts, **figures)  # type: ignore[arg-type]


def meta_from(data: dict[str, Any]) -> SessionMeta:
    """Session meta from untrusted fields."""
    known = {
        "rated_mah",
        "rated_wh",
        "max_w",
        "chemistry",
        "meter_position",
        "started_full",
        "ambient_c",
    }
    if unknown := set(data) - known:
        raise Problem(
            400, f"no meta field {clean(min(unknown), 40)!r}", f"known: {', '.join(sorted(known))}"
        )
    position = data.get("meter_position", "output")
    if position not in ("output", "input", "cell"):
        raise Problem(400, "meter_position is not output, input or cell")
    try:
        return SessionMeta(
            rated_mah=_number(data.get("rated_mah")),
            rated_wh=_number(data.get("rated_wh")),
            max_w=_number(data.get("max_w")),
            chemistry=clean(data.get("chemistry") or "", 40),
            meter_position=position,
            started_full=None if data.get("started_full") is None else bool(data["started_full"]),
            ambient_c=_number(data.get("ambient_c")),
        )
    except (TypeError, ValueError):
        raise Problem(400, "a meta figure is not a number") from None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _int(request: Request, name: str, default: int | None = None) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise Problem(400, f"{name} is not a whole number") from None


class Api:
    """The handlers. Blocking work goes to threads; the loop only moves bytes."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.sup = supervisor
        self._reader: JournalReader | None = None
        self._pd_pages: PdPages | None = None

    @property
    def pd_pages(self) -> PdPages:
        """Where the readers of PD messages stand."""
        if self._pd_pages is None:
            from denchi.daemon.pd import PdPages

            self._pd_pages = PdPages()
        return self._pd_pages

    @property
    def reader(self) -> JournalReader:
        """The journal's reader, beside the writer (one query at a time; shared by the threads)."""
        if self._reader is None:
            journal = getattr(self.sup, "journal", None)
            if journal is not None:
                self._reader = journal.reader()  # sees also what is not on disk yet
            else:
                from denchi.store.reader import JournalReader

                self._reader = JournalReader(self.sup.data_dir)
        return self._reader

    # -- reading -----------------------------------------------------------------------------

    async def ping(self, request: Request) -> Response:
        """Answer at all."""
        return JSONResponse({"denchi": 1})

    async def state(self, request: Request) -> Response:
        """The whole present state."""
        return JSONResponse(await run_in_threadpool(self.sup.state))

    async def stream(self, request: Request) -> Response:
        """Newline-delimited JSON for as long as one listens."""
        try:
            max_hz = min(50.0, max(0.1, float(request.query_params.get("max_hz", 20))))
        except ValueError:
            raise Problem(400, "max_hz is not a number") from None
        return StreamingResponse(self._lines(max_hz), media_type="application/x-ndjson")

    async def _lines(self, max_hz: float) -> AsyncIterator[bytes]:
        listener = self.sup.hub.listen(max_hz)
        try:
            state = await run_in_threadpool(self.sup.state)
            yield json.dumps({"type": "state"} | state, ensure_ascii=False).encode() + b"\n"
            while (line := await listener.get()) is not None:
                yield line
                # What comes meanwhile is written at once: a write for each message of many meters costs
                # both ends more than the messages.
                await asyncio.sleep(min(GATHERED_S, 1 / max_hz))
        finally:
            self.sup.hub.leave(listener)

    async def sessions(self, request: Request) -> Response:
        """Recorded sessions, newest first."""
        limit = max(1, min(1000, _int(request, "limit", 100) or 100))
        before, search = request.query_params.get("before"), request.query_params.get("search")
        return JSONResponse(await run_in_threadpool(self._sessions, limit, before, search))

    def _sessions(self, limit: int, before: str | None, search: str | None) -> dict[str, Any]:
        stored = self.reader.sessions(limit + 1, before, search or "")
        lines = [
            session_line(s.session, samples=s.samples, gaps=s.gaps)
            | {"started_ns": s.session.started_ns}
            for s in stored[:limit]
        ]
        return {"sessions": lines, "more": len(stored) > limit}

    async def session(self, request: Request) -> Response:
        """One session."""
        return JSONResponse(await run_in_threadpool(self._session, request.path_params["id"]))

    def _session(self, id_: str) -> dict[str, Any]:
        stored = self._stored(id_)
        report = stored.report or {}
        return session_line(stored.session, samples=stored.samples, gaps=stored.gaps) | {
            "started_ns": stored.session.started_ns,
            "ended_ns": stored.session.ended_ns,
            "unit_label": unit_dict(stored.session.unit),
            "operator": stored.session.operator,
            "pinned": stored.pinned,
            "meta": {
                name: getattr(stored.session.meta, name)
                for name in (
                    "rated_mah",
                    "rated_wh",
                    "max_w",
                    "meter_position",
                    "started_full",
                    "ambient_c",
                )
            },
            "instruments": [_plain(i) for i in self.reader.instruments(id_)],
            "verdict_report": {k: v for k, v in report.items() if k not in ("recall", "screening")}
            or None,
            "recall": report.get("recall"),
            "screening": report.get("screening"),
        }

    def _stored(self, id_: str) -> Any:
        stored = self.reader.session(id_)
        if stored is None:
            raise Problem(404, f"no session {clean(id_, 60)!r}", "see /v1/sessions")
        return stored

    async def series(self, request: Request) -> Response:
        """A session's channels from roll-ups."""
        query = request.query_params
        channels = [c for c in query.get("channels", "vbus_uv,ibus_ua").split(",") if c]
        points = max(2, min(20_000, _int(request, "points", 400) or 400))
        id_ = request.path_params["id"]
        role = query.get("role", "meter")
        from_ns, to_ns = _int(request, "from_ns"), _int(request, "to_ns")

        def work() -> dict[str, Any]:
            self._stored(id_)
            return dict(self.reader.series(id_, role, channels, from_ns, to_ns, points).to_json())

        return JSONResponse(await run_in_threadpool(work))

    async def findings(self, request: Request) -> Response:
        """A session's findings."""
        id_ = request.path_params["id"]

        def work() -> dict[str, Any]:
            stored = self._stored(id_)
            start = stored.session.started_ns
            return {
                "findings": [
                    finding_line(
                        f.finding,
                        start,
                        id_=f.id,
                        bench=stored.session.bench,
                        session=id_,
                        acknowledged=f.acknowledged,
                    )
                    for f in self.reader.findings(id_)
                ]
            }

        return JSONResponse(await run_in_threadpool(work))

    async def gaps(self, request: Request) -> Response:
        """A session's gaps."""
        id_ = request.path_params["id"]

        def work() -> dict[str, Any]:
            self._stored(id_)
            return {
                "gaps": [
                    {
                        "start_ns": g.gap.start_ns,
                        "end_ns": g.gap.end_ns,
                        "cause": g.gap.cause,
                        "lost": g.gap.lost,
                    }
                    for g in self.reader.gaps(id_)
                ]
            }

        return JSONResponse(await run_in_threadpool(work))

    async def pd(self, request: Request) -> Response:
        """A session's PD messages, paged."""
        id_ = request.path_params["id"]
        after = _int(request, "after", 0) or 0
        limit = max(1, min(5000, _int(request, "limit", 500) or 500))

        def work() -> dict[str, Any]:
            self._stored(id_)
            return self.pd_pages.page(self.reader, id_, after, limit)

        return JSONResponse(await run_in_threadpool(work))

    async def pd_summary(self, request: Request) -> Response:
        """What a session's PD messages said: contract, capabilities, identity, batteries."""
        id_ = request.path_params["id"]

        def work() -> dict[str, Any]:
            from denchi.daemon.pd import stored_summary

            position = self._stored(id_).session.meta.meter_position
            return {"pd": stored_summary(self.reader, id_, position)}

        return JSONResponse(await run_in_threadpool(work))

    async def recall(self, request: Request) -> Response:
        """Ask the recall lists."""
        query = {k: clean(v, 2000) for k, v in request.query_params.items()}
        unit = unit_from({k: v for k, v in query.items() if k in _TEXTS})

        def work() -> dict[str, Any]:
            answer = self.sup.check_recall(
                unit, query.get("text", ""), unit.country, query.get("symptom", "").split(",")
            )
            if answer is None:
                raise Problem(400, "nothing to look for", "give text, brand, model or serial")
            return answer.to_json()

        return JSONResponse(await run_in_threadpool(work))

    async def meters(self, request: Request) -> Response:
        """Meters present."""
        return JSONResponse(await run_in_threadpool(self.sup.meters))

    async def doctor(self, request: Request) -> Response:
        """The doctor's checks."""

        def work() -> dict[str, Any]:
            from denchi.doctor import checks

            return {"checks": [c.to_json() for c in checks(self.sup.data_dir, self.sup.settings)]}

        return JSONResponse(await run_in_threadpool(work))

    async def logs(self, request: Request) -> Response:
        """The daemon's last log lines."""
        from denchi.daemon.logs import MEMORY

        lines, nxt = MEMORY.after(_int(request, "after", 0) or 0)
        return JSONResponse({"lines": lines, "next": nxt})

    async def profiles(self, request: Request) -> Response:
        """The profiles there are."""

        def work() -> dict[str, Any]:
            from denchi.health import profiles

            rows, problems = [], []
            for name in profiles.names(self.sup.settings.profiles_dir):
                try:
                    p = self.sup.profile(name)
                except ConfigError as error:  # one bad file of the shop's hides no other profile
                    problems.append(str(error))
                    continue
                rows.append(
                    {
                        "name": p.name,
                        "title": both(p.title),
                        "description": both(p.description),
                        "minutes": p.minutes,
                        "guided": bool(p.steps),
                    }
                )
            return {"profiles": rows, "problems": problems}

        return JSONResponse(await run_in_threadpool(work))

    # -- acting ------------------------------------------------------------------------------

    def _bench(self, request: Request) -> Bench:
        name = request.path_params["bench"]
        bench = self.sup.benches.get(name)
        if bench is None:
            raise Problem(
                404,
                f"no bench {clean(name, 40)!r}",
                f"there are: {', '.join(self.sup.benches) or 'none'}",
            )
        return bench

    async def begin(self, request: Request) -> Response:
        """Begin a new session on a bench."""
        bench, body = self._bench(request), await _json(request)
        unit = unit_from(body["unit"]) if "unit" in body else None
        meta = meta_from(body["meta"]) if "meta" in body else None

        def work() -> dict[str, Any]:
            bench.begin_session(
                unit,
                profile=body.get("profile"),
                operator=clean(body.get("operator", ""), 80),
                meta=meta,
            )
            return bench.state()

        return JSONResponse(await run_in_threadpool(work))

    async def put_unit(self, request: Request) -> Response:
        """Say which unit is on the bench."""
        bench, unit = self._bench(request), unit_from(await _json(request))
        await run_in_threadpool(bench.set_unit, unit)
        return JSONResponse(await run_in_threadpool(bench.state))

    async def answers(self, request: Request) -> Response:
        """Answer questions."""
        bench, body = self._bench(request), await _json(request)
        if not body or not all(isinstance(v, bool) for v in body.values()):
            raise Problem(400, "answers are true or false", '{"in_sun": true}')
        await run_in_threadpool(bench.answer, {clean(k, 40): v for k, v in body.items()})
        return JSONResponse({"answers": bench.answers})

    async def acknowledge(self, request: Request) -> Response:
        """Acknowledge an alarm."""
        id_ = request.path_params["id"]

        if not await run_in_threadpool(self.sup.acknowledge, id_):
            raise Problem(404, f"no alarm {clean(id_, 40)!r} waits to be acknowledged")
        return JSONResponse({"acknowledged": id_})

    async def delete(self, request: Request) -> Response:
        """Delete an ended session."""
        id_ = request.path_params["id"]

        def work() -> None:
            if any(b.session and b.session.id == id_ for b in self.sup.benches.values()):
                raise Problem(409, "that session is running", "end it first")
            self._stored(id_)
            self.sup.delete_session(id_)

        await run_in_threadpool(work)
        return JSONResponse({"deleted": id_})

    async def pin(self, request: Request) -> Response:
        """Keep a session's raw samples out of retention, or let them go again."""
        id_, body = request.path_params["id"], await _json(request)
        pinned = body.get("pinned")
        if not isinstance(pinned, bool) or len(body) != 1:
            raise Problem(400, "pinned is true or false", '{"pinned": true}')

        def work() -> None:
            self._stored(id_)
            self.sup.journal.pin_session(id_, pinned)

        await run_in_threadpool(work)
        return JSONResponse({"id": id_, "pinned": pinned})

    async def screening(self, request: Request) -> Response:
        """Begin or steer a guided screening."""
        from denchi.daemon import screening

        bench, body = self._bench(request), await _json(request)
        action = request.path_params.get("action", "begin")
        unit = unit_from(body.pop("unit")) if "unit" in body else None
        await run_in_threadpool(screening.act, bench, self.sup, action, body, unit)
        return JSONResponse(await run_in_threadpool(bench.state))

    # -- the application ---------------------------------------------------------------------

    def routes(self) -> list[Route]:
        """All routes."""

        def get(path: str, to: Callable[[Request], Awaitable[Response]]) -> Route:
            return Route(path, to, methods=["GET"])

        def post(path: str, to: Callable[[Request], Awaitable[Response]]) -> Route:
            return Route(path, to, methods=["POST"])

        return [
            get("/v1/ping", self.ping),
            get("/v1/state", self.state),
            get("/v1/stream", self.stream),
            get("/v1/sessions", self.sessions),
            get("/v1/sessions/{id}", self.session),
            get("/v1/sessions/{id}/series", self.series),
            get("/v1/sessions/{id}/findings", self.findings),
            get("/v1/sessions/{id}/gaps", self.gaps),
            get("/v1/sessions/{id}/pd", self.pd),
            get("/v1/sessions/{id}/pd/summary", self.pd_summary),
            get("/v1/recall", self.recall),
            get("/v1/meters", self.meters),
            get("/v1/doctor", self.doctor),
            get("/v1/logs", self.logs),
            get("/v1/profiles", self.profiles),
            post("/v1/benches/{bench}/session", self.begin),
            Route("/v1/benches/{bench}/unit", self.put_unit, methods=["PUT"]),
            post("/v1/benches/{bench}/answers", self.answers),
            post("/v1/benches/{bench}/screening", self.screening),
            post("/v1/benches/{bench}/screening/{action}", self.screening),
            post("/v1/alarms/{id}/ack", self.acknowledge),
            Route("/v1/sessions/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/sessions/{id}/pin", self.pin, methods=["PUT"]),
        ]


class TokenGate:
    """ASGI middleware: every request must carry the bearer token (compared in constant time)."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, or answer 401."""
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                answer = JSONResponse(
                    {"error": "a token is needed", "cure": "Authorization: Bearer TOKEN"},
                    status_code=401,
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _plain(value: Any) -> Any:
    from dataclasses import asdict, is_dataclass

    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return dict(value)


def application(supervisor: Supervisor, *, token: str | None = None) -> ASGIApp:
    """The ASGI application; with ``token`` every request must carry it."""

    async def problem(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            body = {"error": error.detail, "cure": getattr(error, "cure", "")}
            return JSONResponse(body, status_code=error.status_code)
        assert isinstance(error, DenchiError)
        status = 400 if isinstance(error, InputError) or error.exit_code == 2 else 503
        return JSONResponse(
            {"error": clean(error.message, 300), "cure": clean(error.cure, 300)}, status_code=status
        )

    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        supervisor.hub.attach(asyncio.get_running_loop())
        yield

    from contextlib import asynccontextmanager

    app: ASGIApp = Starlette(
        routes=Api(supervisor).routes(),
        lifespan=asynccontextmanager(lifespan),
        exception_handlers={HTTPException: problem, DenchiError: problem},
    )
    return TokenGate(app, token) if token else app
