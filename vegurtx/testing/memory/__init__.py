"""A proxy between peers in memory: the network that `vegurtx.testing.MemoryProxy` stands on.

Everything of the proxy is real but what lies below its protocols: `network` has the clock and what is on its way,
`transport` the proxy's end of a connection, `connection` the test's end, `backend` what listens, `proxy` puts them
together, and `transcript` writes down what happens.
"""
