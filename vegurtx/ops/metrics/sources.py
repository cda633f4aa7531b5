"""All numbers of one process: who has them, and their snapshot."""

from __future__ import annotations

from typing import Any

from vegurtx import __version__
from vegurtx.ops.metrics.balancer import balancer_families
from vegurtx.ops.metrics.census import census
from vegurtx.ops.metrics.families import Family
from vegurtx.ops.metrics.traffic import Traffic


class Metrics:
    """The numbers of one process.

    :param factory: its `ProxyFactory`.
    :param traffic: what observes that.
    :param balancer: the router, where it is a `Balancer`.
    :param reloader: keeps the balancer to its file.
    :param log_writer: the access log's `LineWriter`.
    """

    def __init__(
        self,
        factory: Any,
        traffic: Traffic,
        *,
        balancer: Any = None,
        reloader: Any = None,
        log_writer: Any = None,
    ) -> None:
        self.traffic = traffic
        self._factory = factory
        self._balancer = balancer
        self._reloader = reloader
        self._log_writer = log_writer
        self._started = factory.wall()

    def snapshot(self) -> list[Family]:
        """All of them as they stand now."""
        version = Family("vegurtx_build_info", "gauge", "1, and the version.", ("version",), "max")
        version.add(1, __version__)
        draining = Family(
            "vegurtx_draining", "gauge", "1: no more clients are taken, and the program ends.", (), "max"
        )
        draining.add(int(self._factory.draining))
        made = [version, draining, *self.traffic.families(), *census(self._factory).families()]
        if self._balancer is not None:
            made += balancer_families(self._balancer.status())
        if self._reloader is not None:
            made += self._reloads()
        if self._log_writer is not None:
            made += self._lines()
        return made

    def _reloads(self) -> list[Family]:
        reloader, factory = self._reloader, self._factory
        reloads = Family(
            "vegurtx_config_reloads_total", "counter", "Reloads of the configuration file.", ("result",)
        )
        reloads.add(reloader.reloads, "success")
        reloads.add(reloader.failures, "failure")
        good = Family(
            "vegurtx_config_last_reload_successful",
            "gauge",
            "0: the file could not be used the last time.",
            (),
            "min",
        )
        good.add(int(not reloader.problems))
        last = Family(
            "vegurtx_config_last_reload_success_timestamp_seconds",
            "gauge",
            "When the configuration in force was loaded, in seconds since the epoch.",
            (),
            "min",
        )
        at = reloader.last_success
        last.add(self._started if at is None else factory.wall() - (factory.seconds() - at))
        return [reloads, good, last]

    def _lines(self) -> list[Family]:
        writer = self._log_writer
        lines = Family("vegurtx_access_log_lines_total", "counter", "Lines that were handed to the writer.")
        lines.add(writer.lines)
        dropped = Family(
            "vegurtx_access_log_dropped_lines_total",
            "counter",
            "Lines that are lost: the queue was full, or the file did not take them.",
            ("cause",),
        )
        dropped.add(writer.dropped_queue, "queue")
        dropped.add(writer.dropped_file, "file")
        return [lines, dropped]
