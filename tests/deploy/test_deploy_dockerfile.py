"""The Dockerfile: judged by a linter, and its commands done by hand, since no container engine is needed for that."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from deploy_case import DEPLOY, ROOT, UID, Running, as_user, free_port, get, needs_root, read_only, run, tool
from dockerfile import moved, stages, the
from twisted.trial.unittest import SynchronousTestCase

pytestmark = pytest.mark.once

DOCKERFILE = DEPLOY / "Dockerfile"
FILE = "services: [{name: web, matcher: /, replicas: [{url: 'http://127.0.0.1:9'}]}]\n"


class Text(SynchronousTestCase):
    """What stands in it."""

    def setUp(self) -> None:
        """Read it."""
        self.build, self.image = stages(DOCKERFILE)

    def test_linter(self) -> None:
        """hadolint finds nothing."""
        self.assertEqual(run(tool("hadolint"), DOCKERFILE), "")

    def test_user(self) -> None:
        """A number that is not root's, which Kubernetes can tell from root; nothing is run as root behind it."""
        self.assertEqual(the(self.image, "USER").text, f"{UID}:{UID}")
        self.assertEqual([each for each in self.image if each.name == "RUN"], [])

    def test_process(self) -> None:
        """The program is process 1 itself, so that signals reach it; SIGTERM drains."""
        for name in ("ENTRYPOINT", "CMD"):
            self.assertTrue(the(self.image, name).exec_form, name)
        self.assertEqual(the(self.image, "ENTRYPOINT").words, ["python", "-m", "vegurtx"])
        self.assertEqual(the(self.image, "STOPSIGNAL").text, "SIGTERM")

    def test_context(self) -> None:
        """All that is copied is there, and the context lets it in; the rest stays out."""
        lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]

        def sent(name: str) -> bool:
            inside = True
            for rule in rules:
                if fnmatch.fnmatch(name, rule.removeprefix("!")):
                    inside = rule.startswith("!")
            return inside

        copied = [name for each in self.build if each.name == "COPY" for name in each.words[:-1]]
        for name in copied:
            self.assertTrue((ROOT / name).exists(), name)
            self.assertTrue(sent(name), name)
        for name in (".git", ".venv", "tests", "docs", "benchmarks"):
            self.assertFalse(sent(name), name)


@pytest.mark.slow
class ByHand(SynchronousTestCase):
    """What an engine would do, done in a folder. The image's command runs as its user, with nothing to write to."""

    root: ClassVar[Path]
    site: ClassVar[str] = sysconfig.get_path("purelib")

    @classmethod
    def setUpClass(cls) -> None:
        """Build: the first stage's instructions in their order. Packages come from this environment."""
        needs_root()
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.root = Path(made.name)
        cls.root.chmod(0o755)
        build, _ = stages(DOCKERFILE)
        here = cls.root
        for each in build[1:]:
            if each.name == "WORKDIR":
                here = Path(moved(each.text, cls.root))
                here.mkdir(parents=True)
            elif each.name == "COPY":
                *names, last = each.words
                for name in names:
                    _copy(ROOT / name, here / last / ("" if (ROOT / name).is_dir() else name))
            elif each.name == "RUN":
                run("sh", "-ec", moved(each.text, cls.root), cwd=here, environment=cls.offline())
            else:
                raise AssertionError(f"what is {each.name}?")

    @classmethod
    def offline(cls) -> dict[str, str]:
        """No index is asked: what is needed is here, in this environment."""
        return {
            "PYTHONPATH": cls.site,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def setUp(self) -> None:
        """The image's own part: its variables, and the file that a user mounts."""
        _, self.image = stages(DOCKERFILE)
        self.ports = {"8080": free_port(), "9900": free_port()}
        (self.root / "etc/vegurtx").mkdir(parents=True, exist_ok=True)
        (self.root / "etc/vegurtx/config.yaml").write_text(FILE, "utf-8")
        (self.root / "srv").mkdir(exist_ok=True)
        self.environment = {"PYTHONPATH": self.site}
        for word in the(self.image, "ENV").words:
            name, _, value = word.partition("=")
            self.environment[name] = moved(value, self.root).replace("$PATH", os.environ["PATH"])

    def words(self, *names: str) -> list[str]:
        """The words of these instructions, with this test's paths and ports."""
        words = [word for name in names for word in the(self.image, name).words]
        python = str(self.root / "opt/vegurtx/bin/python")
        words = [python if word == "python" else moved(word, self.root) for word in words]
        for port, mine in self.ports.items():
            words = [word.replace(port, str(mine)) for word in words]
        return words

    def start(self, *more: str) -> Running:
        """The image's command, as its user, in its directory, where nothing can be written to."""
        program = Running(
            read_only(*as_user(UID, *self.words("ENTRYPOINT", "CMD"), *more)),
            Path(tempfile.mkdtemp()) / "log",
            self.environment,
            Path(moved(the(self.image, "WORKDIR").text, self.root)),
        )
        self.addCleanup(shutil.rmtree, program.log.parent)
        self.addCleanup(program.kill)
        return program

    def test_runs(self) -> None:
        """It serves, its health check says so, and SIGTERM ends it with status 0."""
        for more in ((), ("--workers", "2")):
            program = self.start(*more)
            program.said("vegurtx listening on" if not more else "2 workers serve")
            self.assertEqual(get(self.ports["8080"])[0], 503)  # nobody listens on the back-end's port
            command = self.health()
            run(*command, environment=self.environment)
            self.assertEqual(program.stop(), 0)
            self.assertNotIn("Traceback", program.log.read_text("utf-8"))
            run(*command, environment=self.environment, status=1)

    def health(self) -> list[str]:
        """The health check's command."""
        check = the(self.image, "HEALTHCHECK").text.partition("CMD ")[2]
        python = str(self.root / "opt/vegurtx/bin/python")
        words: list[str] = json.loads(check)
        return [
            python if word == "python" else word.replace("9900", str(self.ports["9900"])) for word in words
        ]

    def test_extra(self) -> None:
        """OpenTelemetry is in it."""
        python = self.root / "opt/vegurtx/bin/python"
        self.assertIn("vegurtx", run(python, "-m", "pip", "list", environment=self.offline()))
        run(python, "-c", "import vegurtx.tracing.otel.environment", environment=self.environment)

    def test_without_a_file(self) -> None:
        """Without a configuration it ends at once, with a line that says what is missing."""
        (self.root / "etc/vegurtx/config.yaml").unlink()
        said = run(*self.words("ENTRYPOINT", "CMD"), environment=self.environment, status=1)
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertIn("config.yaml", said)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "dropin.cache"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
