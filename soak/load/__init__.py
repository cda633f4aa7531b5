"""The load: a process that makes the planned conversations with the proxy, and looks at every byte that comes back.

`connection` speaks HTTP bare, so that it can also speak half of it. `exchange` judges one request. The kinds of
conversations are in `plain`, `uploads`, `faults`, `aborts` and `websockets`; `generator` starts them.
"""
