"""Sans-io HTTP/1.1: bytes in, heads and body pieces out; no socket, no clock, no Twisted.

It stands between ``net`` (which owns the sockets) and ``proxy`` (which decides): ``net`` hands in what it
received, and gets back a checked head, body pieces, or an exception that names what was wrong. Everything
here is strict where RFC 9112 leaves a recipient room, because two parsers that disagree are a way to smuggle
requests.

============== =====================================================================================
``request``    a whole request head in one go          ``response``  the same for a back-end's response
``partial``    a head that comes in pieces             ``scanner``   the incremental reader behind it
``framing``    how long the body is                    ``chunked``   a body that says so as it goes
``trailers``   what may go on after a chunked body     ``fields``    field lines, off the hot path
``target``     request targets and ``Host``            ``proxy_protocol``  what comes before HTTP
``picking``    takes the known fields out of a head    ``grammar``   the byte classes that all share
============== =====================================================================================
"""
