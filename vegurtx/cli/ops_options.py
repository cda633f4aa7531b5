"""The options of the access log and the admin API: a user's words become an `OpsSpec`, and that the running parts."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.python import usage

from vegurtx.cli.misuse import port_number
from vegurtx.ops.access_log import FORMATS, AccessLog, LineWriter
from vegurtx.ops.access_log.file import STANDARD_OUTPUT

if TYPE_CHECKING:
    from vegurtx.ops.admin import AdminService, Bound, LocalProgram

DEFAULT_FORMAT = "router"
NO_LOG = "none"
_UNIX = "unix:"
_LOOPBACK = "127.0.0.1"

PARAMETERS: list[list[Any]] = [
    [
        "access-log",
        None,
        None,
        "Write a line for each request to this file; - is standard output. SIGUSR1 opens the file again.",
    ],
    [
        "log-format",
        None,
        None,
        f"The access log's format: {', '.join(FORMATS)} or {NO_LOG}. [default: {DEFAULT_FORMAT}]",
    ],
    [
        "admin-port",
        None,
        None,
        "Serve metrics and the admin API on this port, or on unix:PATH; 0: the kernel chooses, and the log says "
        "which. [default: nowhere]",
    ],
    [
        "admin-interface",
        None,
        None,
        f"The IP address of --admin-port. All but loopback addresses need a token. [default: {_LOOPBACK}]",
    ],
    [
        "admin-token-file",
        None,
        None,
        "A file with the token that the admin API's users must send: Authorization: Bearer TOKEN.",
    ],
]


@dataclass(frozen=True)
class OpsSpec:
    """What the options ask for. Plain data, which another process can have, too."""

    log_path: str | None = None
    log_format: str = DEFAULT_FORMAT
    admin_interface: str = _LOOPBACK
    admin_port: int | None = None
    admin_path: str | None = None
    token: bytes | None = None
    #: whether the numbers are for a supervisor, who has the admin API
    reporting: bool = False

    @property
    def administered(self) -> bool:
        """Whether there is an admin API."""
        return self.admin_port is not None or self.admin_path is not None

    @property
    def admin_key(self) -> list[Any]:
        """What tells one address of the admin API from another; empty: there is none."""
        return [self.admin_interface, self.admin_port, self.admin_path] if self.administered else []

    def of_worker(self) -> OpsSpec:
        """What a worker makes of it: it tells the supervisor what the supervisor tells others."""
        return replace(self, admin_port=None, admin_path=None, token=None, reporting=self.administered)


def ops_spec(options: Any) -> OpsSpec:
    """What the parsed `options` ask for.

    :raises usage.UsageError: something cannot be used, or does not go together.
    """
    format = options["log-format"]
    if format is not None and format not in (*FORMATS, NO_LOG):
        raise usage.UsageError(
            f"--log-format: {format!r} is not allowed; it must be {', '.join(FORMATS)} or {NO_LOG}"
        )
    path = options["access-log"]
    if path is None and format not in (None, NO_LOG):
        raise usage.UsageError("--log-format needs --access-log FILE")
    if path == "":
        raise usage.UsageError("--access-log: the file has no name")
    if format == NO_LOG:
        path = None
    elif path is not None and path != STANDARD_OUTPUT:
        path = os.path.abspath(path)  # a daemon may go elsewhere before it opens the file again
    return OpsSpec(path, format or DEFAULT_FORMAT, *_admin(options))


def log_file_can_be_had(spec: OpsSpec) -> None:
    """With workers it is they who open the access log; that they could not is told now, while somebody looks.

    :raises usage.UsageError: they could not.
    """
    path = spec.log_path
    if path is None or path == STANDARD_OUTPUT:
        return
    problem = 0
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        problem = errno.EISDIR
    elif not os.path.isdir(folder):
        problem = errno.ENOENT
    elif not os.access(path if os.path.exists(path) else folder, os.W_OK):
        problem = errno.EACCES
    if problem:
        raise usage.UsageError(f"--access-log: {path}: {os.strerror(problem)}")


def _admin(options: Any) -> tuple[str, int | None, str | None, bytes | None]:
    where, interface, token_file = (
        options["admin-port"],
        options["admin-interface"],
        options["admin-token-file"],
    )
    if where is None:
        for name in ("admin-interface", "admin-token-file"):
            if options[name] is not None:
                raise usage.UsageError(f"--{name} needs --admin-port")
        return _LOOPBACK, None, None, None
    token = None
    if token_file is not None:
        from vegurtx.ops.admin import TokenError, read_token

        try:
            token = read_token(token_file)
        except TokenError as problem:
            raise usage.UsageError(f"--admin-token-file: {problem}") from None
    if where.startswith(_UNIX):
        path = where.removeprefix(_UNIX)
        if not path or interface is not None:
            raise usage.UsageError(
                "--admin-port unix:PATH needs a path" if not path else "--admin-interface is for a port"
            )
        return _LOOPBACK, None, os.path.abspath(path), token
    port = port_number("--admin-port", where)
    interface = interface or _LOOPBACK
    try:
        local = ip_address(interface).is_loopback
    except ValueError:
        raise usage.UsageError(f"--admin-interface: {interface!r} is not an IP address") from None
    if not local and token is None:
        raise usage.UsageError(
            f"--admin-interface {interface} is open to others: it needs --admin-token-file"
        )
    return interface, port, None, token


class Operations(Service):
    """The access log and the admin API while a program runs. To be started before its proxy, and stopped after it.

    :param writer: the access log's.
    :param admin: the admin API's.
    :param program: what the admin API, or a supervisor, asks.
    """

    name = "vegurtx operations"

    def __init__(
        self,
        writer: LineWriter | None,
        admin: AdminService | None = None,
        program: LocalProgram | None = None,
    ) -> None:
        self.writer = writer
        self.admin = admin
        self.program = program

    def startService(self) -> None:
        """Serve the admin API."""
        super().startService()  # type: ignore[no-untyped-call]
        if self.admin is not None:
            self.admin.startService()

    def stopService(self) -> Deferred[Any]:
        """End the admin API, and write what is left of the access log."""
        super().stopService()  # type: ignore[no-untyped-call]
        stopping = []
        if self.admin is not None:
            stopping.append(self.admin.stopService())
        if self.writer is not None:
            stopping.append(self.writer.stop())
        return maybeDeferred(DeferredList, stopping)

    def reopen(self) -> None:
        """Open the access log's file again (SIGUSR1, SIGHUP)."""
        if self.writer is not None:
            self.writer.reopen()


def build_operations(
    spec: OpsSpec,
    factory: Any,
    reactor: Any,
    *,
    balancer: Any = None,
    reloader: Any = None,
    reload: Callable[[], list[str]] | None = None,
    listening: Callable[[], bool] = lambda: True,
) -> Operations:
    """Make what `spec` asks for, and let it observe `factory`, a `ProxyFactory`. Files and sockets are opened here.

    :param balancer: the router, where it is a `Balancer`; `reloader` keeps it to its file.
    :param reload: what ``POST /api/reload`` does; it returns what was wrong, a line each. Without it, the reloader's.
    :param listening: whether the proxy listens by now.
    :raises CannotListenError: of the admin API's address. :raises OSError: of the access log's file.
    """
    writer = log = None
    bound = None
    if spec.administered:
        bound = bind_admin_of(spec)
    try:
        if spec.log_path is not None:
            writer = LineWriter(spec.log_path, reactor)
            log = AccessLog(spec.log_format, writer, factory.wall)
    except OSError:
        if bound is not None:
            bound.close()
        raise
    if bound is None and not spec.reporting:
        factory.observer = log
        return Operations(writer)

    # A web server and a metrics library: who has no use for them need not load them.
    from vegurtx.ops.admin.program import LocalProgram
    from vegurtx.ops.metrics import Metrics, Traffic
    from vegurtx.ops.recorder import Recorder

    traffic = Traffic()
    factory.observer = Recorder(log, traffic)
    metrics = Metrics(factory, traffic, balancer=balancer, reloader=reloader, log_writer=writer)
    if reload is None and reloader is not None:
        reload = reloader.reload
    program = LocalProgram(factory, metrics, balancer=balancer, reload=reload, listening=listening)
    admin = None if bound is None else admin_service(program, spec, bound, reactor)
    return Operations(writer, admin, program)


def bind_admin_of(spec: OpsSpec) -> Bound:
    """The socket of the admin API that `spec` asks for.

    :raises CannotListenError: its address is in use, not ours, or not an address.
    """
    from vegurtx.ops.admin import bind_admin

    return bind_admin(spec.admin_interface, spec.admin_port or 0, spec.admin_path)


def admin_service(program: Any, spec: OpsSpec, bound: Bound, reactor: Any) -> AdminService:
    """The admin API about `program`, for whom `spec` lets in, on `bound`."""
    from vegurtx.ops.admin import Access, AdminApi, AdminService

    return AdminService(AdminApi(program, Access(spec.token)), bound, reactor)
