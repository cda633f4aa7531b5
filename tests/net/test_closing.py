"""Back-end connections that close in order have a deadline (rules 23, 24), on a clock that is turned by hand."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from vegurtx.net.client import CLOSE_LIMIT, BackendClient


class Closing(TestCase):
    """A back-end that does not answer our good-bye is cut off."""

    def setUp(self) -> None:
        """A client on a clock."""
        self.clock = Clock()
        self.client = BackendClient(self.clock)

    def connection(self) -> Any:
        """A connection that an exchange has used."""
        connection = self.client._connection()
        connection.makeConnection(StringTransport())
        return connection

    def test_cut_off(self) -> None:
        """Rule 24: after `CLOSE_LIMIT` seconds, each by its own time, and once."""
        first, second = self.connection(), self.connection()
        first.close()
        self.clock.advance(2)
        second.close()
        self.clock.advance(CLOSE_LIMIT - 2)
        self.assertEqual((first.transport.disconnected, second.transport.disconnected), (True, False))
        first.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(2)
        self.assertTrue(second.transport.disconnected)
        second.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_in_time(self) -> None:
        """Rule 24: closed in time, it leaves no delayed call."""
        connection = self.connection()
        connection.close()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """Stopped, the client cuts off what is closing, and leaves no delayed call."""
        connection = self.connection()
        connection.close()
        self.client.stop()
        self.assertTrue(connection.transport.disconnected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_full_is_not_pooled(self) -> None:
        """Rule 23: a connection whose last request is not read yet serves no other."""
        connection = self.connection()
        connection.key = "k"
        connection.pauseProducing()
        self.client.release(connection, 0.0)
        self.assertEqual(len(self.client.pool), 0)
