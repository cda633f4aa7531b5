"""`AdminApi`: which request asks for what. Paths, methods, bodies; no socket and no HTTP server.

GET  / and its files (see `vegurtx.ops.admin.page`)    the admin page; no token is asked for
GET  /healthz /readyz                                  for probes; no token is asked for
GET  /metrics                                          Prometheus' text
GET  /api/services /api/config /api/process            state
GET  /api/live /api/history                            what the admin page shows
POST /api/reload                                       read the files again
POST /api/drain                                        end, once all clients are served
POST /api/services/NAME/replicas/KEY/state             {"state": "ready" | "drain" | "maint"}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from vegurtx.ops.admin.access import Access, FieldOf
from vegurtx.ops.admin.answers import Answer, Refusal, json_answer
from vegurtx.ops.admin.page import page_files
from vegurtx.ops.admin.program import Program
from vegurtx.ops.live import History
from vegurtx.ops.metrics.exposition import exposition

_log = Logger()

_REPLICA_STATES = ("ready", "drain", "maint")
_PROBES = frozenset({("healthz",), ("readyz",)})


class Asked:
    """One request to the admin API.

    :param method: as sent.
    :param path: without the query, raw.
    :param field: gives a field's value.
    :param body: all of it.
    """

    __slots__ = ("body", "field", "method", "segments")

    def __init__(self, method: bytes, path: bytes, field: FieldOf, body: bytes = b"") -> None:
        self.method = method
        self.field = field
        self.body = body
        root, *parts = path.split(b"/")
        try:  # after the split: a slash in a replica's key is written %2F
            self.segments = [] if root else [unquote_to_bytes(part).decode("utf-8") for part in parts]
        except UnicodeDecodeError:
            self.segments = []


Handler = Callable[[Asked], Any]


class AdminApi:
    """Answers requests.

    :param program: what it is about.
    :param access: who may ask.
    """

    def __init__(self, program: Program, access: Access) -> None:
        self._program = program
        self._access = access
        #: for the page's plots; whoever serves this API starts and stops it
        self.history = History(program.live)
        self._gets: dict[tuple[str, ...], Handler] = {
            ("healthz",): self._healthz,
            ("readyz",): self._readyz,
            ("metrics",): self._metrics,
            ("api", "services"): lambda asked: _as_json(program.services),
            ("api", "config"): lambda asked: _as_json(program.config),
            ("api", "process"): lambda asked: _as_json(program.process),
            ("api", "live"): lambda asked: _as_json(program.live),
            ("api", "history"): lambda asked: json_answer(self.history.report()),
        }
        self._posts: dict[tuple[str, ...], Handler] = {
            ("api", "reload"): self._reload,
            ("api", "drain"): self._drain,
        }
        files = page_files()
        self._gets.update({path: partial(_file, file) for path, file in files.items()})
        self._public = _PROBES | files.keys()

    def answer(self, asked: Asked) -> Deferred[Answer]:
        """The response to `asked`; it never fails."""
        answering: Deferred[Answer] = maybeDeferred(self._answer, asked)
        return answering.addErrback(_refused)

    def _answer(self, asked: Asked) -> Any:
        public = tuple(asked.segments) in self._public
        # access first: who has none learns nothing of what there is
        self._access.check(asked.field, changes=asked.method not in (b"GET", b"HEAD"), public=public)
        allowed, handler = self._found(asked)
        if asked.method not in allowed:
            methods = b", ".join(allowed).decode("ascii")
            raise Refusal(405, f"only {methods} can be done here", headers=(("Allow", methods),))
        return handler(asked)

    def _found(self, asked: Asked) -> tuple[tuple[bytes, ...], Handler]:
        path = tuple(asked.segments)
        if path in self._gets:
            return (b"GET", b"HEAD"), self._gets[path]
        if path in self._posts:
            return (b"POST",), self._posts[path]
        match path:
            case ("api", "services", _, "replicas", _, "state"):
                return (b"POST",), self._state
        raise Refusal(404, "there is no such resource")

    # -- for probes and scrapers ------------------------------------------------------------------------------------

    def _healthz(self, asked: Asked) -> Answer:
        return json_answer({"status": "ok"})

    def _readyz(self, asked: Asked) -> Any:
        def said(reason: str) -> Answer:
            if reason:
                return json_answer({"ready": False, "reason": reason}, 503)
            return json_answer({"ready": True})

        return maybeDeferred(self._program.ready).addCallback(said)

    def _metrics(self, asked: Asked) -> Any:
        accept = (asked.field(b"accept") or b"").decode("latin-1")

        def shown(snapshot: Any) -> Answer:
            text, content_type = exposition(snapshot, accept)
            return Answer(200, text, content_type)

        return maybeDeferred(self._program.snapshot).addCallback(shown)

    # -- what changes something ---------------------------------------------------------------------------------------

    def _reload(self, asked: Asked) -> Any:
        _no_body(asked)

        def done(problems: list[str]) -> Answer:
            return json_answer({"reloaded": not problems, "problems": problems}, 422 if problems else 200)

        return maybeDeferred(self._program.reload).addCallbacks(done, _cannot)

    def _drain(self, asked: Asked) -> Any:
        _no_body(asked)

        def begun(_: object) -> Answer:
            return json_answer({"draining": True}, 202)

        return maybeDeferred(self._program.drain).addCallbacks(begun, _cannot)

    def _state(self, asked: Asked) -> Any:
        service, key = asked.segments[2], asked.segments[4]
        state = _wanted_state(asked)

        def done(_: object) -> Answer:
            return json_answer({"service": service, "replica": key, "state": state})

        def failed(failure: Failure) -> Answer:
            if failure.check(KeyError):
                raise Refusal(404, "there is no such service, or no such replica in it")
            failure.raiseException()

        return maybeDeferred(self._program.set_replica_state, service, key, state).addCallbacks(done, failed)


def _file(file: Answer, asked: Asked) -> Answer:
    return file


def _no_body(asked: Asked) -> None:
    if asked.body:
        raise Refusal(400, "this needs no body")


def _cannot(failure: Failure) -> Answer:
    failure.trap(LookupError)
    raise Refusal(409, str(failure.value))


def _as_json(ask: Callable[[], Any]) -> Deferred[Answer]:
    asking: Deferred[Any] = maybeDeferred(ask)
    return asking.addCallback(json_answer)


def _wanted_state(asked: Asked) -> str:
    content_type = (asked.field(b"content-type") or b"").partition(b";")[0].strip().lower()
    if content_type != b"application/json":
        raise Refusal(415, "Content-Type must be application/json")
    try:
        value = json.loads(asked.body)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is no JSON") from None
    if not isinstance(value, dict) or set(value) != {"state"} or value["state"] not in _REPLICA_STATES:
        raise Refusal(400, 'the body must be {"state": "ready"}, {"state": "drain"} or {"state": "maint"}')
    return str(value["state"])


def _refused(failure: Failure) -> Answer:
    if isinstance(failure.value, Refusal):
        return failure.value.answer
    _log.failure("the admin API cannot answer", failure)
    return Refusal(500, "something went wrong; see the log").answer
