"""The options that say where the proxy listens: a user's words become `ListenerSpec` objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.python import usage

from vegurtx.cli.misuse import port_number
from vegurtx.listeners import Kind, ListenerSpec

DEFAULT_PORT = 8080

PARAMETERS: list[list[Any]] = [
    [
        "port",
        "p",
        None,
        f"Listen for HTTP on this port; 0: the kernel chooses, and the log says which. [default: {DEFAULT_PORT}, "
        "unless another listener is given]",
    ],
    ["https-port", None, None, "Listen for HTTPS on this port; with --certificate."],
    [
        "certificate",
        "c",
        None,
        "For --https-port: a PEM file with the certificate and its chain; or a folder of NAME.crt and NAME.key "
        "pairs, of which the one is sent whose names the client asks for (SNI).",
    ],
    ["private-key", "k", None, "The PEM file with the key, unless it is in the certificate's file."],
    ["proxy-port", None, None, "Listen for HTTP behind a PROXY header (version 1 or 2) on this port."],
    [
        "interface",
        "i",
        "0.0.0.0",
        'The IP address that all these ports are opened on; "::" for all, IPv6 too.',
    ],
]

_PORTS = (("port", Kind.HTTP), ("https-port", Kind.HTTPS), ("proxy-port", Kind.PROXY))


def listener_specs(options: Any, descriptions: Sequence[str]) -> list[ListenerSpec]:
    """What the parsed `options` and the values of ``--listen`` ask for; plain HTTP on 8080 where that is nothing.

    :raises usage.UsageError: something cannot be used, or does not go together.
    """
    ports = {name: port_number(f"--{name}", options[name]) for name, _ in _PORTS if options[name] is not None}
    if not ports and not descriptions:
        ports["port"] = DEFAULT_PORT
    _check_tls(options, "https-port" in ports)
    _check_distinct(ports)
    specs = []
    for name, kind in _PORTS:
        if name in ports:
            tls = kind is Kind.HTTPS
            specs.append(
                ListenerSpec(
                    kind,
                    options["interface"],
                    ports[name],
                    certificate=options["certificate"] if tls else "",
                    private_key=options["private-key"] if tls else None,
                )
            )
    return specs + [ListenerSpec(Kind.ENDPOINT, "", description=each) for each in descriptions]


def _check_tls(options: Any, https: bool) -> None:
    if https and options["certificate"] is None:
        raise usage.UsageError("--https-port needs --certificate")
    for name in ("certificate", "private-key"):
        if options[name] is not None and not https:
            raise usage.UsageError(f"--{name} is for --https-port, which is not given")


def _check_distinct(ports: dict[str, int]) -> None:
    first: dict[int, str] = {}
    for name, port in ports.items():
        other = first.setdefault(port, name)
        if port and other != name:
            raise usage.UsageError(f"--{other} and --{name} are both {port}; each needs a port of its own")
