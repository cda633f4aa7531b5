"""Times the codec alone: microseconds of CPU for each head, and for chunked bodies. Run it as a script.

Each line is the best of several timings, because no machine is ever quiet: compare ratios within one run. The
goals are parts of a request's budget of 50 us: a browser's head 9 us, curl's 3, a response head 3.5.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from vegurtx.wire.chunked import ChunkedDecoder, encode_chunks
from vegurtx.wire.framing import request_framing, response_framing
from vegurtx.wire.partial import RequestHeadBuffer
from vegurtx.wire.request import RequestParser
from vegurtx.wire.response import ResponseParser
from vegurtx.wire.target import parse_host

CURL = b"GET / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"

BROWSER = (
    b"GET /products/list?page=2&sort=price HTTP/1.1\r\n"
    b"Host: www.example.com\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Referer: https://www.example.com/products/list?page=1&sort=price\r\n"
    b"Connection: keep-alive\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=analytics%3Dfalse%26ads%3Dfalse; "
    b"_ga=GA1.1.1234567890.1700000000; lang=en; cart=9f8e7d6c5b4a39281706f5e4d3c2b1a0\r\n"
    b"Upgrade-Insecure-Requests: 1\r\n"
    b"Priority: u=0, i\r\n"
    b"\r\n"
)

UPLOAD = (
    CURL[:-2] + b"Content-Type: application/json\r\nContent-Length: 1234\r\nConnection: keep-alive\r\n\r\n"
)

RESPONSE = (
    b"HTTP/1.1 200 OK\r\n"
    b"Server: demo\r\n"
    b"Date: Tue, 01 Jul 2025 12:00:00 GMT\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n"
    b"Content-Length: 13\r\n"
    b"Connection: keep-alive\r\n"
    b"\r\n"
    b"Hello, world!"
)

TAKE = (
    b"connection,content-length,expect,keep-alive,proxy-authorization,proxy-connection,te,transfer-encoding,upgrade,"
    b"via,x-forwarded-for,x-forwarded-port,x-forwarded-proto,x-forwarded-peer-port,x-request-id,x-request-start,"
    b"connect-time,total-route-time"
).split(b",")
"""What a proxy that writes all of rule 12's headers takes out of a request."""


def measure(label: str, act: Callable[[], object], goal: float | None = None, number: int = 5000) -> None:
    """Print the microseconds that one `act` takes, the best of nine rounds, beside its goal."""
    best = min(timeit.repeat(act, number=number, repeat=9)) / number * 1e6
    print(f"{label:<46} {best:8.2f} us" + (f"   goal {goal} us" if goal else ""))


def byte_by_byte(head: bytes) -> None:
    """Feed a head as the slowest client does."""
    buffer = RequestHeadBuffer()
    for at in range(len(head)):
        buffer.feed(head[at : at + 1])


def main() -> None:
    """Print one line for each kind of message."""
    requests = RequestParser(take=TAKE, read=(b"host",))
    responses = ResponseParser()
    measure(f"request head, curl ({len(CURL)} bytes)", lambda: requests.parse(CURL), 3)
    measure(f"request head, upload ({len(UPLOAD)} bytes)", lambda: requests.parse(UPLOAD))
    measure(f"request head, browser ({len(BROWSER)} bytes)", lambda: requests.parse(BROWSER), 9)
    measure(f"response head ({len(RESPONSE)} bytes)", lambda: responses.parse(RESPONSE), 3.5)
    big_cookie = BROWSER[:-2] + b"X-Token: " + b"a" * 6000 + b"\r\n\r\n"
    measure(f"request head with a big token ({len(big_cookie)} bytes)", lambda: requests.parse(big_cookie))
    request, response = requests.parse(UPLOAD), responses.parse(RESPONSE)
    assert request is not None and response is not None
    measure("request framing", lambda: request_framing(request))
    measure("response framing", lambda: response_framing(response, b"GET"))
    measure("host, remembered", lambda: parse_host(b"www.example.com:8080"))
    measure("request head, browser, one incomplete half", lambda: RequestHeadBuffer().feed(BROWSER[:300]))
    measure("request head, browser, byte by byte", lambda: byte_by_byte(BROWSER), number=50)

    small = b"d\r\nHello, world!\r\n0\r\n\r\n"
    measure("chunked, whole small body", lambda: ChunkedDecoder().feed(small))
    segment = (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 15
    measure("chunked, 60 KiB segment of 4 KiB chunks", lambda: ChunkedDecoder().feed(segment), number=1000)
    big = b"ffff\r\n" + b"x" * 65535 + b"\r\n"
    measure("chunked, one 64 KiB chunk", lambda: ChunkedDecoder().feed(big))
    measure("chunked, encoding a segment", lambda: encode_chunks([b"x" * 65536]))


if __name__ == "__main__":
    main()
