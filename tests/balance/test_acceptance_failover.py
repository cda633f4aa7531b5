"""Replicas that die and come back, under load: what clients see of it."""

from __future__ import annotations

from acceptance_case import AcceptanceCase, Clients, RudeReplica, until

from vegurtx.testing import BlockingClient


def service(*urls: str, rest: str) -> str:
    """A file of one service with these replicas."""
    replicas = ", ".join(f'{{url: "{url}"}}' for url in urls)
    return f"services: [{{name: web, matcher: /, replicas: [{replicas}], {rest}}}]\n"


class Failover(AcceptanceCase):
    """Demo back-ends in processes that are killed."""

    def test_one_dies(self) -> None:
        """No client sees it; traffic is back after `rise` good probes."""
        first, second = self.demo_replicas(2)
        proxy = self.start(
            service(first.url, second.url, rest="health_check: {interval: 0.05, fall: 2, rise: 2}")
        )
        with Clients(proxy.port, 8) as clients:
            clients.until_answer(first.greeting)
            first.kill()
            proxy.wait_for("is down: connection refused (2 failures in a row)")
            clients.go_on()
            first.start()
            proxy.wait_for("is up (2 successes in a row)")
            clients.until_answer(first.greeting)
        self.assertEqual(clients.failures, [])

    def test_one_dies_and_the_file_says_nothing_of_it(self) -> None:
        """The same with the defaults, as Vestri's file has them: the next probe of a dead replica is not awaited."""
        first, second = self.demo_replicas(2)
        proxy = self.start(service(first.url, second.url, rest="strategy: WeightedRoundRobin"))
        with Clients(proxy.port, 8) as clients:
            clients.until_answer(first.greeting)
            first.kill()
            proxy.wait_for("is down: connection refused (3 failures in a row)")
            clients.go_on()
        self.assertEqual(clients.failures, [])

    def test_all_die(self) -> None:
        """Requests wait in the queue, and are served when one is back."""
        replicas = self.demo_replicas(2)
        rest = "health_check: {interval: 0.05, fall: 1, rise: 1}, queue: {length: 8, timeout: 25}"
        proxy = self.start(service(*(replica.url for replica in replicas), rest=rest))
        for replica in replicas:
            replica.kill()
            proxy.wait_for(f"{replica.url} is down")
        before = proxy.fds()
        with Clients(proxy.port, 8) as clients:
            until(lambda: proxy.fds() >= before + 8, "eight clients")
            self.assertEqual(clients.answers, [])
            replicas[1].start()
            clients.go_on()
        self.assertEqual(clients.failures, [])
        self.assertTrue(all(answer.startswith(replicas[1].greeting) for answer in clients.answers))

    def test_all_are_dead(self) -> None:
        """Past the queue's timeout they get 503; beyond its length, at once. Each page says which it was."""
        (replica,) = self.demo_replicas(1)
        rest = "health_check: {interval: 0.05, fall: 1}, queue: {length: 1, timeout: 1}"
        proxy = self.start(service(replica.url, rest=rest))
        replica.kill()
        proxy.wait_for("is down")
        clients = [BlockingClient(proxy.port) for _ in range(3)]
        for client in clients:
            self.addCleanup(client.close)
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answers = [client.receive_response() for client in clients]
        self.assertEqual([answer.status for answer in answers], [503] * 3)
        deep = b"The service has all the requests that it can take.\n"
        late = b"No replica of the service became free in time.\n"
        self.assertEqual(sorted(answer.body for answer in answers), [late, deep, deep])

    def test_what_must_not_be_repeated(self) -> None:
        """A POST whose replica breaks off is the client's to repeat; a GET is not."""
        (sound,) = self.backends("sound")
        broken = RudeReplica()
        self.addCleanup(broken.stop)
        proxy = self.start(service(broken.url, sound.url, rest="health_check: false"))
        with BlockingClient(proxy.port) as client:
            gets = [client.request("GET", "/").status for _ in range(6)]
        posts = []
        for _ in range(6):
            with BlockingClient(proxy.port) as client:
                posts.append(client.request("POST", "/", body=b"x").status)
        self.assertEqual((gets, sorted(posts)), ([200] * 6, [200] * 3 + [503] * 3))
