"""The soak: the real program under mixed load and planned faults for as long as one likes; see docs/soak.md.

`run` puts the parts together. `program` is the proxy under test, `backends` are what it balances between, `load` makes
the requests, `disturbances` reload, drain, kill and upgrade, `measure` and `quiet` take numbers, `flatness`
judges them, `audit` reads the access log, and `report` tells what came of it.
"""
