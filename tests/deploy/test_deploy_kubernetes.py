"""The Kubernetes example: judged by Kubernetes' own schemas, and its container's command run as its user would."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy_case import DEPLOY, PATIENCE, ROOT, UID, Running, get, missing, run, tool
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Settings

pytestmark = pytest.mark.once

FOLDER = DEPLOY / "kubernetes"
#: the oldest and the newest version that the example is checked for
VERSIONS = ("1.27", "1.34")


def objects() -> dict[str, Any]:
    """The example's objects by their kind."""
    found = [yaml.safe_load(path.read_text("utf-8")) for path in FOLDER.glob("*.yaml")]
    return {each["kind"]: each for each in found}


class Text(SynchronousTestCase):
    """What stands in the files."""

    def setUp(self) -> None:
        """Read them."""
        self.objects = objects()
        self.pod = self.objects["Deployment"]["spec"]["template"]
        (self.container,) = self.pod["spec"]["containers"]

    def test_schemas(self) -> None:
        """Each object keeps Kubernetes' schema of its kind; no key is there that it does not know."""
        if importlib.util.find_spec("kubernetes_validate") is None:
            raise missing(
                "kubernetes-validate is missing: pip install kubernetes-validate", "kubernetes-validate"
            )
        import kubernetes_validate

        for kind, each in self.objects.items():
            for version in VERSIONS:
                if kind != "Kustomization":
                    kubernetes_validate.validate(each, version, strict=True)

    def test_kustomize(self) -> None:
        """``kubectl kustomize`` puts all files together, and leaves none out."""
        built = list(yaml.safe_load_all(run(tool("kubectl"), "kustomize", FOLDER)))
        self.assertEqual({each["kind"] for each in built}, set(self.objects) - {"Kustomization"})

    def test_names_agree(self) -> None:
        """Selectors, labels, ports, volumes and the configuration's name fit together."""
        labels = self.pod["metadata"]["labels"]
        for kind in ("Deployment", "PodDisruptionBudget"):
            self.assertEqual(self.objects[kind]["spec"]["selector"]["matchLabels"], labels)
        self.assertEqual(self.objects["Service"]["spec"]["selector"], labels)
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertIn(self.container[probe]["httpGet"]["port"], ports)
        self.assertIn(self.objects["Service"]["spec"]["ports"][0]["targetPort"], ports)
        arguments = " ".join(self.container["args"])
        self.assertIn(f"--port={ports['http']}", arguments)
        self.assertIn(f"--admin-port={ports['admin']}", arguments)
        mounted = {mount["name"] for mount in self.container["volumeMounts"]}
        self.assertEqual(mounted, {volume["name"] for volume in self.pod["spec"]["volumes"]})
        name = self.objects["ConfigMap"]["metadata"]["name"]
        self.assertIn(name, [each.get("configMap", {}).get("name") for each in self.pod["spec"]["volumes"]])
        self.assertIn("config.yaml", self.objects["ConfigMap"]["data"])

    def test_probes(self) -> None:
        """Ready says ``/readyz``, which a drain turns off; alive says ``/healthz``, which it does not."""
        self.assertEqual(self.container["readinessProbe"]["httpGet"]["path"], "/readyz")
        self.assertEqual(self.container["livenessProbe"]["httpGet"]["path"], "/healthz")

    def test_drain_has_time(self) -> None:
        """The pod may take preStop's time and the drain's to end, and some more."""
        command = self.container["lifecycle"]["preStop"]["exec"]["command"]
        self.assertEqual(command[0], "sleep")
        environment = {each["name"]: each["value"] for each in self.container["env"]}
        drain = float(environment.get("VEGURTX_HARD_STOP_AFTER", Settings().hard_stop_after))
        self.assertGreater(self.pod["spec"]["terminationGracePeriodSeconds"], float(command[1]) + drain)

    def test_security(self) -> None:
        """Nobody, nothing to write to, no capability: what the "restricted" standard asks for, and more."""
        pod, container = self.pod["spec"]["securityContext"], self.container["securityContext"]
        self.assertTrue(pod["runAsNonRoot"])
        self.assertEqual(pod["runAsUser"], UID)
        self.assertEqual(pod["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertFalse(container["allowPrivilegeEscalation"])
        self.assertTrue(container["readOnlyRootFilesystem"])
        self.assertEqual(container["capabilities"], {"drop": ["ALL"]})
        self.assertFalse(self.pod["spec"]["enableServiceLinks"])  # they would look like settings
        self.assertFalse(self.pod["spec"]["automountServiceAccountToken"])

    def test_configuration(self) -> None:
        """The files are good: ``--check-config``, as the program itself reads them."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.yaml"
            path.write_text(self.objects["ConfigMap"]["data"]["config.yaml"], "utf-8")
            for each in (path, DEPLOY / "config.yaml"):
                said = run(sys.executable, "-m", "vegurtx", "--config", each, "--check-config")
                self.assertIn("no problems", said)


class Container(SynchronousTestCase):
    """The container's command, on this machine, with a volume as the kubelet makes it."""

    def setUp(self) -> None:
        """A folder whose content is swapped by a link, as the kubelet swaps a ConfigMap's."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.versions = 0
        self.publish(404)
        (self.folder / "config.yaml").symlink_to("..data/config.yaml")
        (self.folder / "token").write_text("a-token-of-sixteen-or-more", "utf-8")

    def publish(self, status: int) -> None:
        """A new version of the file: a service at /`status` alone, without a replica that listens."""
        self.versions += 1
        made = self.folder / f"..version-{self.versions}"
        made.mkdir()
        file = f"services: [{{name: web, matcher: /{status}, replicas: [{{url: 'http://127.0.0.1:9'}}]}}]\n"
        (made / "config.yaml").write_text(file, "utf-8")
        link = self.folder / "..data_tmp"
        link.symlink_to(made.name)
        os.replace(link, self.folder / "..data")

    def test_probes_and_change(self) -> None:
        """The kubelet's probes need no token, all else does; and a changed ConfigMap comes into force."""
        (container,) = objects()["Deployment"]["spec"]["template"]["spec"]["containers"]
        words = [
            word.replace("/etc/vegurtx", str(self.folder))
            .replace("/run/secrets/vegurtx", str(self.folder))
            .replace("port=8080", "port=0")
            .replace("port=9900", "port=0")
            for word in container["args"]
        ]
        self.assertEqual(len(words), len(container["args"]))
        path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
        environment = {**os.environ, "PYTHONPATH": path}
        environment |= {each["name"]: each["value"] for each in container["env"]}
        program = Running(
            [sys.executable, "-m", "vegurtx", "--interface=127.0.0.1", *words],
            self.folder / "output",
            environment,
        )
        self.addCleanup(program.kill)
        port = int(program.said(r"vegurtx listening on 127\.0\.0\.1:(\d+)")[1])
        admin = int(program.said(r"(?i)admin API.* \S*:(\d+)")[1])
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            # from the pod's address, as the kubelet asks
            self.assertEqual(get(admin, container[probe]["httpGet"]["path"], "10.1.2.3")[0], 200, probe)
        self.assertEqual(get(admin, "/metrics", "10.1.2.3")[0], 401)
        token = (self.folder / "token").read_text("utf-8")
        self.assertEqual(get(admin, "/metrics", "10.1.2.3", Authorization=f"Bearer {token}")[0], 200)
        self.assertEqual(get(port, "/changed")[0], 404)
        self.publish(0)
        self._until(lambda: get(port, "/404")[0] == 404)
        self.assertEqual(program.stop(), 0)

    def _until(self, condition: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)


class Release(SynchronousTestCase):
    """The image's name."""

    def test_version(self) -> None:
        """It is this version's."""
        import vegurtx

        (container,) = objects()["Deployment"]["spec"]["template"]["spec"]["containers"]
        self.assertEqual(re.split(":", container["image"])[-1], vegurtx.__version__)
