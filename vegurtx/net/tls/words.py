"""What OpenSSL says went wrong, in the words of a log line.

Between `ssl.SSLError` and whoever tells an operator. Nothing here is a peer's text: alerts are numbers on the wire.
"""

from __future__ import annotations

import ssl

#: in front of an alert's name in the reasons of OpenSSL: ``SSLV3_ALERT_BAD_CERTIFICATE``, ``TLSV13_ALERT_…``
_ALERT = "_ALERT_"
#: alerts that go by another name here than at OpenSSL's (RFC 8446, section 6)
_ALERTS = {"unknown ca": "unknown authority"}


def alert_of(error: ssl.SSLError) -> str | None:
    """The alert with which the other side has ended TLS (RFC 8446, section 6.2), in words; None: it was not that."""
    name = (getattr(error, "reason", None) or "").partition(_ALERT)[2].replace("_", " ").lower()
    return _ALERTS.get(name, name) or None


def in_words(error: ssl.SSLError) -> str:
    """Why OpenSSL failed, in its own words: ``wrong version number``, ``tlsv1 alert protocol version``."""
    reason = getattr(error, "reason", None)
    return reason.replace("_", " ").lower() if reason else "it broke, and OpenSSL does not say why"
