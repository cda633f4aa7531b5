"""What a transport costs: CPU microseconds of one process for an echo, an accepted and a made connection.

It stands beside the proxy, not in it: the bytes go from a load process through one echo process and back.
Each kind of transport has its own echo process; the rounds alternate between the kinds, and medians are
printed, because machines are noisy. Compare the ratios, not the numbers.

    python benchmarks/bench_transport.py [--rounds 3] [--seconds 1.0] [--case echo] [--size 64]

Kinds: ``uvloop`` and ``plain`` are `vegurtx.net.endpoints` in its two flavours, ``twisted`` is Twisted's own
transport on its epoll reactor, ``asyncio`` a bare asyncio protocol on uvloop: the floor for anything in
Python.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KINDS = ("uvloop", "plain", "twisted", "asyncio")
CASES = ("echo", "accept", "connect")
CONNECTIONS = 32


# -- the measured process: an echo server ("serve"), or a client that connects again and again ("connect")
# -------------


def _measured(kind: str, case: str, port: int, size: int) -> None:
    if kind == "asyncio":
        _measured_asyncio(case, port, size)
    else:
        _measured_twisted(kind, case, port, size)


def _measured_asyncio(case: str, port: int, size: int) -> None:
    import uvloop

    loop = uvloop.new_event_loop()

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    class Client(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            transport.write(b"x" * size)

        def data_received(self, data: bytes) -> None:
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            loop.create_task(loop.create_connection(Client, "127.0.0.1", port))

    async def start() -> int:
        if case == "connect":
            for _ in range(CONNECTIONS):
                await loop.create_connection(Client, "127.0.0.1", port)
            return 0
        server: Any = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
        return int(server.sockets[0].getsockname()[1])

    print(loop.run_until_complete(start()), flush=True)
    loop.run_forever()


def _measured_twisted(kind: str, case: str, port: int, size: int) -> None:
    if kind == "uvloop":
        import uvloop
        from twisted.internet import asyncioreactor

        asyncioreactor.install(uvloop.new_event_loop())
    else:
        from twisted.internet import epollreactor

        epollreactor.install()
    from twisted.internet import endpoints as stock
    from twisted.internet import reactor as _reactor
    from twisted.internet.protocol import Factory, Protocol, connectionDone
    from twisted.python.failure import Failure

    from vegurtx.net.endpoints import runs_on_uvloop, tcp_client, tcp_server

    reactor: Any = _reactor
    if runs_on_uvloop(reactor) != (kind == "uvloop"):
        raise SystemExit(f"the reactor is not the one for {kind}")

    class Echo(Protocol):
        def connectionMade(self) -> None:
            transport: Any = self.transport
            self.write = transport.write

        def dataReceived(self, data: bytes) -> None:
            self.write(data)

    class Client(Protocol):
        def connectionMade(self) -> None:
            transport: Any = self.transport
            transport.write(b"x" * size)

        def dataReceived(self, data: bytes) -> None:
            transport: Any = self.transport
            transport.loseConnection()

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            endpoint.connect(clients)

    clients = Factory.forProtocol(Client)
    if case == "connect":
        endpoint: Any = (stock.TCP4ClientEndpoint if kind == "twisted" else tcp_client)(
            reactor, "127.0.0.1", port
        )
        for _ in range(CONNECTIONS):
            endpoint.connect(clients)
        reactor.callWhenRunning(lambda: print(0, flush=True))
    else:
        if kind == "twisted":
            server: Any = stock.TCP4ServerEndpoint(reactor, 0, 1024, "127.0.0.1")
        else:
            server = tcp_server(reactor, 0)
        server.listen(Factory.forProtocol(Echo)).addCallback(
            lambda port: print(port.getHost().port, flush=True)
        )
    reactor.run()


# -- the load
# ----------------------------------------------------------------------------------------------------------


class _Load:
    """Counts the echoes that it gets from, or gives to, the measured process."""

    def __init__(self, size: int) -> None:
        import uvloop

        self.loop = uvloop.new_event_loop()
        self.size = size
        self.count = 0
        self.stopped = False

    def run(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def listen(self) -> int:
        load = self

        class Echo(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def data_received(self, data: bytes) -> None:
                load.count += 1
                self.transport.write(data)

        server: Any = self.loop.run_until_complete(
            self.loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
        )
        return int(server.sockets[0].getsockname()[1])

    def dial(self, port: int, again: bool) -> None:
        load = self

        class Client(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport
                self.message = b"x" * load.size
                self.missing = load.size
                transport.write(self.message)

            def data_received(self, data: bytes) -> None:
                self.missing -= len(data)
                if self.missing:
                    return
                load.count += 1
                self.missing = load.size
                if again:
                    self.transport.close()
                else:
                    self.transport.write(self.message)

            def connection_lost(self, exc: Exception | None) -> None:
                if again and not load.stopped:
                    load.loop.create_task(load.loop.create_connection(Client, "127.0.0.1", port))

        for _ in range(CONNECTIONS):
            self.loop.run_until_complete(self.loop.create_connection(Client, "127.0.0.1", port))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _round(kind: str, case: str, size: int, seconds: float, cores: list[int]) -> tuple[float, float]:
    """One round: echoes (or connections) a second, and CPU microseconds of the measured process for each."""
    load = _Load(size)
    port = load.listen() if case == "connect" else 0
    command = [
        sys.executable,
        __file__,
        "--measured",
        kind,
        "--case",
        case,
        "--port",
        str(port),
        "--size",
        str(size),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            os.sched_setaffinity(process.pid, {cores[0]})
            os.sched_setaffinity(0, {cores[-1]})
            assert process.stdout is not None
            if case != "connect":
                load.dial(int(process.stdout.readline()), again=case == "accept")
            load.run(0.6 if case == "connect" else 0.2)
            count, cpu, start = load.count, _cpu_seconds(process.pid), time.perf_counter()
            load.run(seconds)
            count, cpu, elapsed = (
                load.count - count,
                _cpu_seconds(process.pid) - cpu,
                time.perf_counter() - start,
            )
        finally:
            load.stopped = True
            process.kill()
    return count / elapsed, cpu / count * 1e6 if count else float("nan")


def _main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round")
    parser.add_argument("--size", type=int, default=64, help="of a message, in bytes")
    parser.add_argument("--case", choices=CASES, help="only this one")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only these")
    parser.add_argument("--measured", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measured:
        _measured(options.measured, options.case, options.port, options.size)
        return
    cores = sorted(os.sched_getaffinity(0))
    kinds = options.kind or KINDS
    print(f"{'case':8} {'kind':8} {'per second':>11} {'CPU us each':>12} {'to the first':>13}")
    for case in [options.case] if options.case else CASES:
        results: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind in kinds:
                results[kind].append(_round(kind, case, options.size, options.seconds, cores))
        base = statistics.median(cpu for _, cpu in results[kinds[0]])
        for kind in kinds:
            rate = statistics.median(rate for rate, _ in results[kind])
            cpu = statistics.median(cpu for _, cpu in results[kind])
            print(f"{case:8} {kind:8} {rate:11,.0f} {cpu:12.1f} {cpu / base:13.2f}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    _main()
