"""What the benchmark reads: ``/proc``, wrk's output, the paced load's, command lines. No test here takes a time."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import pytest
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import procfs, wrk
from benchmarks.__main__ import names, options
from benchmarks.cases import CASES
from benchmarks.children import Cores
from benchmarks.loads import paced
from benchmarks.peers.registry import PEERS
from benchmarks.wrk import LoadFailed, WrkReport

pytestmark = pytest.mark.once

REPORT = """\
Running 2s test @ http://127.0.0.1:9090/small
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.97ms    3.44ms  21.63ms   82.28%
    Req/Sec    18.17k    15.26k   34.78k    57.50%
  Latency Distribution
     50%  780.00us
     75%    1.10ms
     90%    2.20ms
     99%    1.25s
  144603 requests in 2.10s, 25.93MB read
Requests/sec:  18071.32
Transfer/sec:      3.24MB
"""


class ProcfsTests(SynchronousTestCase):
    """`benchmarks.procfs`."""

    def test_stat_behind_a_strange_name(self) -> None:
        """User and system time are found also where the program's name looks like fields."""
        ticks = os.sysconf("SC_CLK_TCK")
        text = f"17 (a b) R 1 2) S 1 17 17 0 -1 4194560 1 2 3 4 {3 * ticks} {ticks // 2} 9 9 20 0 1 0\n"
        self.assertEqual(procfs.stat_cpu(text), 3.5)

    def test_schedstat(self) -> None:
        """Nanoseconds on the CPU and on the queue become seconds."""
        self.assertEqual(procfs.schedstat("2500000000 750000000 42\n"), procfs.Usage(2.5, 0.75))

    def test_memory_that_is_no_files(self) -> None:
        """Only anonymous and shared memory counts."""
        text = (
            "5600-7fff ---p 00000000 00:00 0  [rollup]\nRss: 9000 kB\nPss: 800 kB\n"
            "Pss_Anon: 112 kB\nPss_File: 680 kB\nPss_Shmem: 8 kB\n"
        )
        self.assertEqual(procfs.held(text), 120 * 1024)

    def test_this_process(self) -> None:
        """It has used time and memory, and its child belongs to it."""
        self.assertGreater(procfs.usage(os.getpid()).cpu, 0)
        self.assertGreater(procfs.memory(os.getpid()), 1 << 20)
        command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            self.assertIn(child.pid, procfs.descendants(os.getpid()))

    def test_nobody(self) -> None:
        """A process that is gone is no process that has used nothing."""
        with subprocess.Popen([sys.executable, "-c", ""]) as child:
            child.wait()
        self.assertRaises(ProcessLookupError, procfs.usage, child.pid)


class WrkTests(SynchronousTestCase):
    """`benchmarks.wrk`."""

    def test_report(self) -> None:
        """Requests, time and percentiles, in whatever unit."""
        self.assertEqual(wrk.parse(REPORT), WrkReport(144603, 2.1, 0.00078, 1.25, 0, 0))

    def test_failures(self) -> None:
        """Broken connections and refused requests are counted."""
        report = wrk.parse(
            f"{REPORT}  Socket errors: connect 1, read 2, write 3, timeout 4\n"
            "  Non-2xx or 3xx responses: 17\n"
        )
        self.assertEqual((report.errors, report.refused), (10, 17))

    def test_no_report(self) -> None:
        """Anything else is refused."""
        self.assertRaises(LoadFailed, wrk.parse, "unable to connect to 127.0.0.1:1 Connection refused\n")

    def test_command(self) -> None:
        """wrk counts whole seconds, one at least."""
        line = wrk.command("http://x/", 0.2, 8, headers=["A: b"], script="upload.lua")
        self.assertIn("-d1s", line)
        self.assertEqual(line[-5:-3], ["-H", "A: b"])
        self.assertTrue(os.path.exists(line[-2]))


class PacedTests(SynchronousTestCase):
    """`benchmarks.loads.paced`."""

    def test_report(self) -> None:
        """JSON becomes numbers."""
        report = paced.parse('{"p50":0.001,"p99":0.002,"requests":10,"seconds":2,"waiting":0}\n')
        self.assertEqual(report["p99"], 0.002)
        self.assertEqual(report["requests"], 10.0)

    def test_no_report(self) -> None:
        """Anything else is refused."""
        for text in ("", "{}", "[]", '{"requests": null}', "read: connection reset"):
            self.assertRaises(LoadFailed, paced.parse, text)


class OptionsTests(SynchronousTestCase):
    """The command line."""

    def test_everything(self) -> None:
        """Empty lists, as make passes them, are all."""
        chosen = options(["--cases", "", "--peers", ""])
        self.assertEqual((chosen.cases, chosen.peers), (list(CASES), list(PEERS)))

    def test_chosen(self) -> None:
        """Names come with blanks or commas; their order is ours."""
        self.assertEqual(names("tls, small", list(CASES)), ["small", "tls"])

    def test_unknown(self) -> None:
        """A name that is none is refused, with those that are."""
        error = self.assertRaises(argparse.ArgumentTypeError, names, "smal", list(CASES))
        self.assertIn("browser", str(error))

    def test_cores(self) -> None:
        """The proxy has the first core alone, where there are two."""
        self.assertEqual(Cores.divide([5, 3, 4]), Cores((3,), (4, 5)))
        self.assertEqual(Cores.divide([0, 1, 2], workers=2), Cores((0, 1), (2,)))
        self.assertFalse(Cores.divide([0, 1]).shared)
        self.assertTrue(Cores.divide([0]).shared)
        self.assertTrue(Cores.divide([0, 1], workers=2).shared)
