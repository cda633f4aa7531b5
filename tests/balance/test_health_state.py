"""Rise and fall, and what is kept of whom: no socket, no clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.balance.health_fakes import BAD, GOOD, check
from vegurtx.balance.health.state import PARKED, HealthState, Key, ProbeRecord, Standing, check_name


class Records(TestCase):
    """A row of outcomes, and the standing that follows."""

    @given(st.lists(st.booleans()), st.integers(1, 5), st.integers(1, 5))
    def test_against_the_definition(self, outcomes: list[bool], rise: int, fall: int) -> None:
        """Down is whoever is up and has failed the last `fall` times; up, whoever is down and was well `rise` times."""
        record = ProbeRecord()
        up, changed_at = True, -1
        for now, ok in enumerate(outcomes):
            changed = record.add(GOOD if ok else BAD, now, 0.5, rise=rise, fall=fall)
            row = len(outcomes[: now + 1]) - max(
                (place + 1 for place in range(now + 1) if outcomes[place] is not ok), default=0
            )
            long_enough = row >= (rise if ok else fall)
            expected = long_enough and up is not ok
            if expected:
                up, changed_at = ok, now
            self.assertEqual(changed, expected)
            self.assertEqual(record.in_a_row, row)
            self.assertIs(record.standing, Standing.UP if up else Standing.DOWN)
            self.assertEqual(record.since, None if changed_at < 0 else changed_at)
        self.assertEqual((record.successes, record.failures), (outcomes.count(True), outcomes.count(False)))

    def test_new(self) -> None:
        """A replica that nobody has probed is up, and says so without inventing results."""
        report = ProbeRecord().report(100.0)
        self.assertEqual(report["state"], "up")
        self.assertEqual({report[key] for key in report if key.startswith("last")}, {None})

    def test_report(self) -> None:
        """Ages, not times: the reactor's zero means nothing to people."""
        record = ProbeRecord()
        record.add(BAD, 10.0, 0.25, rise=1, fall=1)
        report = record.report(14.0)
        self.assertEqual((report["last_age"], report["state_age"], report["last_duration"]), (4.0, 4.0, 0.25))
        self.assertEqual((report["state"], report["last_ok"]), ("down", False))

    def test_repr(self) -> None:
        """It tells the truth."""
        record = ProbeRecord()
        record.add(BAD, 0, 0, rise=2, fall=1)
        record.add(GOOD, 0, 0, rise=2, fall=1)
        self.assertEqual(repr(record), "<ProbeRecord down +1 -1, 1 in a row>")


class Keeping(TestCase):
    """Records are kept as long as they may be of use, and not without a bound."""

    def test_bound(self) -> None:
        """Of those that are not watched any more, the oldest go."""
        state = HealthState()
        for number in range(PARKED + 10):
            key = Key("s", str(number), "tcp")
            state.open(key, 0).add(BAD, 0, 0, rise=1, fall=1)
            state.park(key, 0)
        self.assertEqual(repr(state), f"<HealthState 0 watched, 0 down, {PARKED} parked>")
        self.assertEqual(state.open(Key("s", "0", "tcp"), 1).failures, 0)
        self.assertEqual(state.open(Key("s", str(PARKED), "tcp"), 1).failures, 1)

    def test_forgotten_in_time(self) -> None:
        """They do not stay until their number is full either."""
        state = HealthState()
        for now, name in ((0, "a"), (61, "b")):
            state.open(Key("s", name, "tcp"), now)
            state.park(Key("s", name, "tcp"), now)
        self.assertEqual(repr(state), "<HealthState 0 watched, 0 down, 1 parked>")

    def test_watched_ones_stay(self) -> None:
        """Whatever their number and age."""
        state = HealthState()
        record = state.open(Key("s", "a", "tcp"), 0)
        self.assertIs(state.open(Key("s", "a", "tcp"), 10_000), record)
        self.assertEqual(state.get("s", "a"), {"tcp": record})
        self.assertEqual(state.get("s", "b"), {})


class Names(TestCase):
    """What a check is called: the same for checks that ask the same."""

    def test_what_counts(self) -> None:
        """Everything that is asked; nothing of how often."""
        plain = check()
        for same in (check(interval=3, timeout=1, rise=9, fall=9, jitter=0), check(type="tcp")):
            self.assertEqual(check_name(same), check_name(plain))
        others = [
            plain,
            check(port=81),
            check(type="http"),
            check(type="http", path="/x"),
            check(type="http", method="HEAD"),
            check(type="http", host="x.example"),
            check(type="http", port=81),
            check(type="http", expect={"status": 200}),
            check(type="http", expect={"body": "x"}),
        ]
        self.assertEqual(len({check_name(other) for other in others}), len(others))

    def test_for_people(self) -> None:
        """It reads well in the admin API."""
        self.assertEqual(check_name(check(port=81)), "tcp at port 81")
        self.assertEqual(
            check_name(
                check(type="http", path="/h", host="x", expect={"status": ["200-204", 404], "body": "ok"})
            ),
            "http GET /h of x expects 200-204, 404 and 'ok'",
        )
