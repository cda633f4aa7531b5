"""Sockets and what carries bytes over them: between the kernel and the protocols of `vegurtx.net`.

Two flavours behave alike: `adapter` gives a Twisted protocol one of uvloop's transports, `plain` one of
Twisted's own. `flavour` knows which a reactor can have, `accepting` and `connecting` make sockets for both,
`names` finds addresses. Only `vegurtx.net.endpoints` is meant for use from outside.
"""
