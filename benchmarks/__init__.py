"""What the proxy costs, beside other proxies on the same machine in the same minutes: ``python -m benchmarks --help``.

`__main__` reads the options, `run` goes through the `cases` and lets every proxy in `peers` carry the same load in
turn; `results` keeps what came of it, `tables` shows it, and `page` writes ``docs/performance.md``. Timings are never
part of a test: machines are noisy.
"""
