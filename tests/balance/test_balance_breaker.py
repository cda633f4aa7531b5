"""The circuit breaker's states, and what leads from one to the other."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from vegurtx.balance.breaker import CircuitBreaker, CircuitState


def breaker(
    errors: int = 3, window: float = 10.0, open_for: float = 5.0, half_open: int = 1
) -> CircuitBreaker:
    """A circuit that is closed."""
    return CircuitBreaker(errors, window, open_for, half_open)


def attempt(circuit: CircuitBreaker, good: bool | None, now: float) -> None:
    """A try that begins and ends at `now`."""
    circuit.ended(circuit.began(), good, now)


def opened(**options: float) -> CircuitBreaker:
    """A circuit that has opened at 2.0."""
    circuit = breaker(**options)  # type: ignore[arg-type]
    for now in (0.0, 1.0, 2.0):
        attempt(circuit, False, now)
    return circuit


class Closed(TestCase):
    """Errors within the window open it."""

    def test_opens(self) -> None:
        """As many errors as configured, within the window, and no request is admitted."""
        circuit = breaker()
        for now in (0.0, 4.0, 10.0):
            self.assertTrue(circuit.admits(now))
            attempt(circuit, False, now)
        self.assertIs(circuit.state, CircuitState.OPEN)
        self.assertFalse(circuit.admits(14.9))

    def test_errors_grow_old(self) -> None:
        """Errors that are spread wider than the window never open it."""
        circuit = breaker()
        for step in range(50):
            attempt(circuit, False, step * 5.1)
        self.assertIs(circuit.state, CircuitState.CLOSED)

    def test_successes_do_not_matter(self) -> None:
        """The number of errors counts; successes between them, and tries that say nothing, change nothing."""
        circuit = breaker()
        for good in (False, True, None, False, True, None):
            attempt(circuit, good, 1.0)
        self.assertIs(circuit.state, CircuitState.CLOSED)
        attempt(circuit, False, 1.0)
        self.assertIs(circuit.state, CircuitState.OPEN)


class Open(TestCase):
    """It waits."""

    def test_half_open(self) -> None:
        """When its time is over, as many requests are let through as configured, and no more."""
        circuit = opened(half_open=2)
        self.assertFalse(circuit.admits(6.9))
        for _ in range(2):
            self.assertTrue(circuit.admits(7.0))
            circuit.began()
        self.assertIs(circuit.state, CircuitState.HALF_OPEN)
        self.assertFalse(circuit.admits(7.0))

    def test_late_errors(self) -> None:
        """Tries that began before it opened do not keep it open, nor close it, nor spoil the trial."""
        circuit = breaker()
        early = [circuit.began() for _ in range(6)]
        for term in early[:3]:
            circuit.ended(term, False, 2.0)
        circuit.ended(early[3], False, 6.0)
        self.assertTrue(circuit.admits(7.0))
        trial = circuit.began()
        circuit.ended(early[4], False, 7.5)
        circuit.ended(early[5], True, 7.5)
        self.assertIs(circuit.state, CircuitState.HALF_OPEN)
        circuit.ended(trial, True, 8.0)
        self.assertIs(circuit.state, CircuitState.CLOSED)


class HalfOpen(TestCase):
    """The trial."""

    def test_good(self) -> None:
        """When all trials are good it closes, and its errors are forgotten."""
        circuit = opened(half_open=2)
        self.assertTrue(circuit.admits(7.0))
        attempt(circuit, True, 7.0)
        self.assertIs(circuit.state, CircuitState.HALF_OPEN)
        self.assertTrue(circuit.admits(7.0))
        attempt(circuit, True, 7.0)
        self.assertIs(circuit.state, CircuitState.CLOSED)
        attempt(circuit, False, 7.0)
        self.assertIs(circuit.state, CircuitState.CLOSED)

    def test_only_as_many_as_needed(self) -> None:
        """Trials that were good count: with one of two good, one more is let through, and not two."""
        circuit = opened(half_open=2)
        self.assertTrue(circuit.admits(7.0))
        attempt(circuit, True, 7.0)
        self.assertTrue(circuit.admits(7.0))
        circuit.began()
        self.assertFalse(circuit.admits(7.0))

    def test_bad(self) -> None:
        """One bad trial, and it is open for the whole time again."""
        circuit = opened()
        self.assertTrue(circuit.admits(7.0))
        attempt(circuit, False, 9.0)
        self.assertFalse(circuit.admits(13.9))
        self.assertTrue(circuit.admits(14.0))

    def test_a_trial_that_says_nothing(self) -> None:
        """When the client leaves, its trial is another's to have."""
        circuit = opened()
        self.assertTrue(circuit.admits(7.0))
        trial = circuit.began()
        self.assertFalse(circuit.admits(7.0))
        circuit.ended(trial, None, 8.0)
        self.assertTrue(circuit.admits(8.0))

    def test_another_circuits_tries(self) -> None:
        """A reload may replace a circuit: what began under the old one does not count for the new one."""
        old, new = breaker(errors=1), breaker(errors=1)
        new.ended(old.began(), False, 1.0)
        new.ended(0, False, 1.0)
        self.assertIs(new.state, CircuitState.CLOSED)
