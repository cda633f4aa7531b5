"""One connection through a `FaultProxy`: two sockets, and a direction each way."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from vegurtx.testing.faults.stage import HELD, Fault, Lane
from vegurtx.testing.faults.wire import Wire, connecting_socket


class Link:
    """Joins whoever connected with the target. Tests find it in `FaultProxy.links`.

    :param reactor: watches the sockets and has the clock.
    :param sock: the accepted one.
    :param target: where it leads, a numeric host and a port.
    :param request: faults from whoever connected to the target.
    :param response: faults the other way.
    """

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        target: tuple[str, int],
        request: Sequence[Fault],
        response: Sequence[Fault],
    ) -> None:
        #: whether any of it is left
        self.open = True
        self._cutting = False
        self._ends = 0  # peers that have said their last byte
        self._near: Wire | None = None
        self._far: Wire | None = None
        self._request: Any = None
        self._response: Any = None
        try:
            far, connecting = connecting_socket(target)
        except OSError:
            Wire(reactor, sock, lambda data: None, lambda: None).reset()
            self._over()
            return
        near = self._near = Wire(reactor, sock, self._from_near, self._regulate)
        away = self._far = Wire(reactor, far, self._from_far, self._regulate, connecting)
        self._request = Lane(
            reactor, request, away.send, lambda: self._finish(away), self.cut, self._regulate
        )
        self._response = Lane(
            reactor, response, near.send, lambda: self._finish(near), self.cut, self._regulate
        )

    @property
    def request_bytes(self) -> int:
        """Bytes that have come from whoever connected, passed on or not."""
        return 0 if self._request is None else self._request.taken

    @property
    def response_bytes(self) -> int:
        """Bytes that have come from the target, passed on or not."""
        return 0 if self._response is None else self._response.taken

    def cut(self, end: str = "reset") -> None:
        """End the connection now: ``"fin"`` in order, ``"reset"`` with a RST to both sides.

        Behind a FIN what the peers still say is read and dropped, so that no RST follows it.
        """
        near, far = self._near, self._far
        if self._cutting or near is None or far is None:
            return
        self._cutting = True
        self._request.stop()
        self._response.stop()
        if end == "fin":
            for wire in (near, far):
                wire.read(True)
                wire.finish()
        else:
            near.reset()
            far.reset()
            self._over()

    def stop(self) -> None:
        """Close what is left, without a word about how."""
        self._cutting = True
        for wire in (self._near, self._far):
            if wire is not None:
                wire.close()
        self._over()

    # -- from the wires --------------------------------------------------------------------------------------------

    def _from_near(self, data: bytes | None) -> None:
        self._take(data, self._request)

    def _from_far(self, data: bytes | None) -> None:
        self._take(data, self._response)

    def _take(self, data: bytes | None, lane: Lane) -> None:
        if data is None:
            self.cut("reset")  # what is broken on one side is on the other
            self.stop()
        elif not data:
            self._ends += 1
            if not self._cutting:
                lane.end()
            self._regulate()
        elif not self._cutting:
            lane.feed(data)
            self._regulate()

    def _finish(self, wire: Wire) -> None:
        wire.finish()
        self._regulate()

    def _regulate(self) -> None:
        """Read each side as far as there is room on the other; close when both have said all, and it is sent."""
        near, far = self._near, self._far
        if near is None or far is None or not self.open:
            return
        if self._ends == 2 and near.finished and far.finished:
            self.stop()
        elif not self._cutting:
            near.read(not self._request.full and far.queued <= HELD)
            far.read(not self._response.full and near.queued <= HELD)

    def _over(self) -> None:
        self.open = False
        for lane in (self._request, self._response):
            if lane is not None:
                lane.stop()
