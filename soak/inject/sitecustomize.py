"""Counts objects inside the proxy's processes, without anything in the product that knows of it.

Python imports this by itself where the folder is on ``PYTHONPATH``. A thread waits at a UNIX socket,
``$SOAK_CENSUS/PID``; who connects gets JSON: how many objects of each of the product's classes live, after a full
collection.
"""

import os


def _counts() -> dict[str, object]:
    import gc

    gc.collect()
    everything = 0
    counts: dict[str, int] = {}
    for each in gc.get_objects():
        everything += 1
        kind = type(each)
        module = getattr(kind, "__module__", "")
        if isinstance(module, str) and module.startswith(("vegurtx", "twisted.internet", "uvloop")):
            name = f"{module}.{kind.__qualname__}"
            counts[name] = counts.get(name, 0) + 1
    return {"objects": counts, "everything": everything, "garbage": len(gc.garbage)}


def _listen(folder: str) -> None:
    import atexit
    import contextlib
    import json
    import signal
    import socket
    import threading
    import time

    path = os.path.join(folder, str(os.getpid()))
    with contextlib.suppress(OSError):
        os.unlink(path)  # this process was another program before
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen(8)
    born = time.monotonic()

    def answer() -> None:
        while True:
            client, _ = sock.accept()
            with contextlib.suppress(OSError), client:
                client.sendall(json.dumps({"born": born, **_counts()}).encode())

    # Signals are for the program's own thread: it waits for them, and blocks them when it must.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Thread(target=answer, daemon=True, name="census").start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    pid = os.getpid()

    def leave() -> None:
        if os.getpid() == pid:
            with contextlib.suppress(OSError):
                os.unlink(path)

    atexit.register(leave)


if os.environ.get("SOAK_CENSUS"):
    _listen(os.environ["SOAK_CENSUS"])
