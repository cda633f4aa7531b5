"""Worker processes: a supervisor holds the listening sockets, and workers serve them.

    supervisor: sockets.py (bound, one a worker), slots (slot.py) → workers (worker.py) in processes (process.py)
         ↕ channel.py: orders, sockets and news                              ↑ relay.py: what they log
    worker: orders.py

A worker is a fresh Python, never a fork of a running reactor. The supervisor serves no request and knows no router.
"""

#: the variable with the number of the descriptor that is a worker's end of its line
WORKER_VARIABLE = "VEGURTX_WORKER"
