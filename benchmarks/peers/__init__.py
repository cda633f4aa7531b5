"""The proxies that are compared, each in a file of its own: how it is configured and started, and what it cannot do."""
