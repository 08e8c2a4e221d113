"""The files of deploy/: Kubernetes' own schemas, and what they promise of users, limits, probes and ways out."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from clincode import __version__
from gateway.front import FrontSettings
from gateway.metrics import Metrics
from gateway.serving.routing import Routing
from gateway.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
RENDERED = ("base", "overlays/govcloud", "overlays/on-premise", "with canary and monitors")
VERSIONS = ("1.30", "1.37")
"""The oldest that is meant to do, and the newest whose schemas there are."""
FOREIGN = {"ServiceMonitor"}
"""Kinds of the Prometheus operator, of which Kubernetes knows nothing."""
NO_SETTING = {
    "AWS_REGION", "AWS_STS_REGIONAL_ENDPOINTS", "AWS_USE_FIPS_ENDPOINT", "FORWARDED_ALLOW_IPS",
    "CLINCODE_SECRETS_DIR", "CLINCODE_PROBE_KEY_FILE", "CLINCODE_PROBE_SECONDS", "CLINCODE_RUN_DIR", "CLINCODE_CONFIG",
    "CLINCODE_MODEL_STORE", "CLINCODE_MODEL_STORE_URL", "CLINCODE_MODEL_VERSION", "TS_CONFIG_FILE",
}  # fmt: skip
Manifest = dict[str, Any]


def kustomized(folder: Path) -> list[Manifest]:
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl to render the overlays with")
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=RENDERED)
def manifests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    if not request.param.startswith("with"):
        return kustomized(KUBERNETES / request.param)
    copy = tmp_path_factory.mktemp("deploy") / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    file = copy / "overlays" / "govcloud" / "kustomization.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["resources"].append("../../canary")
    content["components"].append("../../components/service-monitor")
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return kustomized(file.parent)


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def names(manifests: list[Manifest], kind: str) -> set[str]:
    return {manifest["metadata"]["name"] for manifest in of_kind(manifests, kind)}


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for manifest in of_kind(manifests, "Deployment"):
        yield manifest["metadata"]["name"], manifest["spec"]["template"]


def containers(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for name, pod in pods(manifests):
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            yield f"{name}/{container['name']}", container


def served(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    for name, pod in pods(manifests):
        for container in pod["spec"]["containers"]:
            yield f"{name}/{container['name']}", container, pod["spec"]


def selects(selector: Manifest, labels: Manifest) -> bool:
    return selector.items() <= labels.items()


# --- Kubernetes' schemas and references


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_fit_the_schemas(manifests: list[Manifest], version: str) -> None:
    known = [manifest for manifest in manifests if manifest["kind"] not in FOREIGN]
    assert len(known) >= 17
    for manifest in known:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_every_file_of_the_base_fits_the_schemas() -> None:
    """Without kubectl too."""
    files = [
        file
        for folder in ("base", "inference", "overlays")
        for file in (KUBERNETES / folder).rglob("*.yaml")
        if file.name not in ("kustomization.yaml", "routing.yaml")
    ]
    assert len(files) >= 15
    for file in [*files, KUBERNETES / "secrets.example.yaml"]:
        for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_a_slip_of_the_pen_would_be_found() -> None:
    manifest = yaml.safe_load((KUBERNETES / "inference" / "deployment.yaml").read_text(encoding="utf-8"))
    manifest["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_every_resource_is_in_the_namespace_and_there_once(manifests: list[Manifest]) -> None:
    keys = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(keys) == len(set(keys))
    spaces = {manifest["metadata"].get("namespace") for manifest in manifests if manifest["kind"] != "Namespace"}
    assert spaces == {"clincode"}


def test_references_lead_somewhere(manifests: list[Manifest]) -> None:
    secrets = {
        secret["metadata"]["name"]: set(secret["stringData"])
        for secret in yaml.safe_load_all((KUBERNETES / "secrets.example.yaml").read_text(encoding="utf-8"))
    }
    for name, pod in pods(manifests):
        spec = pod["spec"]
        assert spec["serviceAccountName"] in names(manifests, "ServiceAccount"), name
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in names(manifests, "ConfigMap"), name
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets, name
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in names(manifests, "PersistentVolumeClaim"), name
        there = {volume["name"] for volume in spec["volumes"]}
        for container in [*spec["initContainers"], *spec["containers"]]:
            mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(mounts) == len(set(mounts))
            assert {mount["name"] for mount in container["volumeMounts"]} <= there, container["name"]
            for source in container.get("envFrom", []):
                assert source["configMapRef"]["name"] in names(manifests, "ConfigMap"), container["name"]
    for autoscaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        assert autoscaler["spec"]["scaleTargetRef"]["name"] in names(manifests, "Deployment")
    for ingress in of_kind(manifests, "Ingress"):
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        [service] = [s for s in of_kind(manifests, "Service") if s["metadata"]["name"] == backend["name"]]
        assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
        assert {entry["secretName"] for entry in ingress["spec"].get("tls", [])} <= secrets.keys()
    for monitor in of_kind(manifests, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        found = [s for s in of_kind(manifests, "Service") if selects(wanted, s["metadata"]["labels"])]
        assert found
        for endpoint in monitor["spec"]["endpoints"]:
            assert all(endpoint["port"] in {port["name"] for port in s["spec"]["ports"]} for s in found)
            if credentials := endpoint.get("authorization", {}).get("credentials"):
                assert credentials["key"] in secrets[credentials["name"]]


def test_each_service_budget_and_spread_is_of_one_deployment(manifests: list[Manifest]) -> None:
    """A canary's pods get no note that is meant for the stable ones, and the other way round."""
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(manifests)}
    for manifest in of_kind(manifests, "Service", "PodDisruptionBudget", "Deployment"):
        selector = manifest["spec"]["selector"]
        chosen = [name for name, own in labels.items() if selects(selector.get("matchLabels", selector), own)]
        assert chosen == [manifest["metadata"]["name"]], manifest["kind"]
    for name, pod in pods(manifests):
        for spread in pod["spec"]["topologySpreadConstraints"]:
            assert [o for o, own in labels.items() if selects(spread["labelSelector"]["matchLabels"], own)] == [name]


def test_services_name_ports_that_containers_have(manifests: list[Manifest]) -> None:
    for service in of_kind(manifests, "Service"):
        [spec] = [pod["spec"] for name, pod in pods(manifests) if name == service["metadata"]["name"]]
        open_ports = {port["name"]: port["containerPort"] for c in spec["containers"] for port in c["ports"]}
        for port in service["spec"]["ports"]:
            assert open_ports[port["targetPort"]] == port["port"]


# --- policy


def test_nobody_is_root_and_nothing_can_become_it(manifests: list[Manifest]) -> None:
    for name, pod in pods(manifests):
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] >= 10000, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        for host in ("hostNetwork", "hostPID", "hostIPC"):
            assert not pod["spec"].get(host), name
        assert not [volume for volume in pod["spec"]["volumes"] if "hostPath" in volume], name
    for name, container in containers(manifests):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
    [namespace] = of_kind(manifests, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_everything_has_requests_and_limits(manifests: list[Manifest]) -> None:
    for name, container in containers(manifests):
        for side in ("requests", "limits"):
            assert {"cpu", "memory"} <= container["resources"][side].keys(), name
    for name, pod in pods(manifests):
        assert all("sizeLimit" in v["emptyDir"] for v in pod["spec"]["volumes"] if "emptyDir" in v), name


def test_a_replica_of_inference_fits_a_g4dn_xlarge(manifests: list[Manifest]) -> None:
    """Of 4 vCPU and 16 GB a pod can have about 3.9 and 14.5; a core and a GB of that are for the node's daemons."""
    millicores = {"500m": 500, "250m": 250, "2500m": 2500}
    for name, pod in pods(manifests):
        if name.startswith("inference"):
            requests = [container["resources"]["requests"] for container in pod["spec"]["containers"]]
            assert sum(millicores[request["cpu"]] for request in requests) <= 2900
            assert [request["memory"] for request in requests] == ["4Gi", "256Mi"]


def test_images_have_a_version(manifests: list[Manifest]) -> None:
    for name, container in containers(manifests):
        assert re.fullmatch(rf"(\S+/)?clincode-(serve|gateway):{re.escape(__version__)}", container["image"]), name


def test_every_container_that_serves_is_probed_and_drained(manifests: list[Manifest]) -> None:
    for name, container, spec in served(manifests):
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys(), name
        assert container["lifecycle"]["preStop"]["exec"]["command"], name
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            http = container[probe].get("httpGet")
            assert http is None or http["port"] in {port["name"] for port in container["ports"]}
            if command := container[probe].get("exec", {}).get("command"):
                assert (ROOT / "deploy" / "probes" / Path(command[1]).name).is_file()
                assert f'"{command[2]}": {command[2]}' in (DEPLOY / "probes" / "ready.py").read_text(encoding="utf-8")
        assert spec["topologySpreadConstraints"], name


def test_torchserve_is_ready_when_a_worker_is(manifests: list[Manifest]) -> None:
    for name, container, _ in served(manifests):
        if name.endswith("/torchserve"):
            for probe in ("startupProbe", "readinessProbe"):
                assert container[probe]["exec"]["command"][1:] == ["/opt/clincode/probes/ready.py", "model"]


def test_what_is_under_way_can_end_before_the_pod_does(manifests: list[Manifest]) -> None:
    config = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text(encoding="utf-8"))
    for name, pod in pods(manifests):
        if not name.startswith("inference"):
            continue
        parts = {container["name"]: container for container in pod["spec"]["containers"]}
        sleep = int(parts["front"]["lifecycle"]["preStop"]["exec"]["command"][1])
        environment = {entry["name"]: entry["value"] for entry in parts["front"]["env"]}
        drain = int(environment["CLINCODE_FRONT_DRAIN_SECONDS"])
        _, _, file, wait = parts["torchserve"]["lifecycle"]["preStop"]["exec"]["command"]
        assert drain > config["responseTimeout"]
        assert sleep + drain < int(wait) < pod["spec"]["terminationGracePeriodSeconds"]
        assert file == environment["CLINCODE_FRONT_ALIVE_FILE"]
        shared = [mount for part in parts.values() for mount in part["volumeMounts"] if mount["name"] == "run"]
        assert {Path(mount["mountPath"]) for mount in shared} == {Path(file).parent}
        assert len(shared) == 2


def test_autoscaler_and_budgets(manifests: list[Manifest]) -> None:
    budgets = {m["metadata"]["name"]: m["spec"]["minAvailable"] for m in of_kind(manifests, "PodDisruptionBudget")}
    assert budgets == {name: 1 for name, _ in pods(manifests)}
    for autoscaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        assert (autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]) == (2, 8)
    for deployment in of_kind(manifests, "Deployment"):
        scaled = deployment["metadata"]["name"] in names(manifests, "HorizontalPodAutoscaler")
        assert scaled or deployment["spec"]["replicas"] >= 2
        assert not (scaled and "replicas" in deployment["spec"]), "an apply would set it back at the peak"


def test_the_autoscalers_metrics_are_the_adapters_and_those_are_the_gateways(manifests: list[Manifest]) -> None:
    rules = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text(encoding="utf-8"))["rules"]
    made = {part: {rule["name"]["as"] for rule in rules[part]} for part in ("custom", "external")}
    for autoscaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        for metric in autoscaler["spec"]["metrics"]:
            kind = metric["type"]
            name = metric[kind.lower()]["metric"]["name"]
            assert name in made["external" if kind == "External" else "custom"]
    [rule] = rules["external"]
    assert f"{Metrics().request_seconds._name}_bucket" in rule["metricsQuery"]
    assert Metrics().request_seconds._name == "clincode_gateway_request_seconds"


def test_overlays_with_gpus_ask_for_one_and_scale_by_it() -> None:
    for overlay in ("govcloud", "on-premise"):
        manifests = kustomized(KUBERNETES / "overlays" / overlay)
        [inference] = [pod["spec"] for name, pod in pods(manifests) if name == "inference"]
        [torchserve] = [c for c in inference["containers"] if c["name"] == "torchserve"]
        assert torchserve["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert torchserve["resources"]["limits"]["memory"] == "8Gi"
        assert inference["nodeSelector"]
        [autoscaler] = of_kind(manifests, "HorizontalPodAutoscaler")
        assert [metric["type"] for metric in autoscaler["spec"]["metrics"]] == ["Pods", "External"]
        assert autoscaler["spec"]["metrics"][0]["pods"]["target"] == {"type": "AverageValue", "averageValue": "70"}


# --- ways out


def test_nothing_goes_out_but_to_what_is_named(manifests: list[Manifest]) -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(manifests, "NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        if name == "default-deny":
            continue
        assert "Egress" in policy["policyTypes"]
        for rule in policy.get("egress", []):
            assert rule["to"], f"{name} lets everything out"
            assert rule["ports"], f"{name} opens every port"
            for peer in rule["to"]:
                assert set(peer) <= {"podSelector", "namespaceSelector", "ipBlock"}
                block = peer.get("ipBlock", {}).get("cidr", "10.0.0.0/24")
                assert block.startswith("10."), f"{name}: {block} is no address inside"
                assert int(block.partition("/")[2]) >= 20, f"{name}: {block} is more than a subnet"
                for selector in ("podSelector", "namespaceSelector"):
                    assert peer.get(selector, {"x": 1}), f"{name} lets out to every pod"
        for rule in policy.get("ingress", []):
            assert rule["from"], f"{name} lets everybody in"
            assert rule["ports"], name
    assert policies["inference"]["egress"] == []
    ports = {port["port"] for rule in policies["gateway"]["egress"] for port in rule["ports"]}
    assert ports == {8090, 5432, 53}


def test_policies_open_the_ports_that_there_are(manifests: list[Manifest]) -> None:
    labels = dict(pods(manifests))
    for policy in of_kind(manifests, "NetworkPolicy"):
        selector = policy["spec"]["podSelector"].get("matchLabels")
        if selector is None:
            continue
        chosen = [pod for pod in labels.values() if selects(selector, pod["metadata"]["labels"])]
        assert chosen, policy["metadata"]["name"]
        open_ports = {p["containerPort"] for pod in chosen for c in pod["spec"]["containers"] for p in c["ports"]}
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= open_ports


# --- settings


def settings_of(manifests: list[Manifest], container: Manifest) -> dict[str, str]:
    maps = {manifest["metadata"]["name"]: manifest["data"] for manifest in of_kind(manifests, "ConfigMap")}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]
    return found | {entry["name"]: entry["value"] for entry in container.get("env", [])}


def test_variables_are_settings_that_exist(manifests: list[Manifest]) -> None:
    known = {f"CLINCODE_{field.upper()}" for field in Settings.model_fields}
    known |= {f"CLINCODE_FRONT_{field.upper()}" for field in FrontSettings.model_fields}
    for name, container in containers(manifests):
        assert settings_of(manifests, container).keys() - known - NO_SETTING == set(), name


def test_the_gateways_settings_are_taken(manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the Secret's two values beside them, as a pod has them."""
    [container] = [container for name, container in containers(manifests) if name == "gateway/gateway"]
    for name in [name for name in os.environ if name.startswith("CLINCODE_")]:
        monkeypatch.delenv(name)
    for name, value in settings_of(manifests, container).items():
        if name != "CLINCODE_SECRETS_DIR":
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLINCODE_SECRET_KEY", "x" * 64)
    monkeypatch.setenv("CLINCODE_DATABASE_URL", "postgresql://clincode@db/clincode")
    settings = Settings.load()
    assert settings.auth == "required"
    assert settings.url.startswith("https://")
    assert settings.gateway_host == "0.0.0.0"
    assert {"secret_key", "database_url"} <= Settings.model_fields.keys()


def test_the_routing_file_is_one_and_leads_to_services(manifests: list[Manifest]) -> None:
    [content] = [
        manifest["data"]["routing.yaml"]
        for manifest in of_kind(manifests, "ConfigMap")
        if manifest["metadata"]["name"] == "clincode-routing"
    ]
    routing = Routing.model_validate(yaml.safe_load(content))
    ports = {s["metadata"]["name"]: {p["port"] for p in s["spec"]["ports"]} for s in of_kind(manifests, "Service")}
    for target in routing.targets.values():
        host, _, port = target.url.removeprefix("http://").partition("/")[0].partition(":")
        assert int(port) in ports[host]
        assert target.key_file == Path("/run/secrets/inference/key_file.json")


def test_torchserves_configuration_in_a_pod_differs_in_two_settings() -> None:
    def lines(path: Path) -> set[str]:
        return {line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")}

    usual, pod = lines(ROOT / "config/config.properties"), lines(KUBERNETES / "inference/config.properties")
    assert usual - pod == {"metrics_address=http://127.0.0.1:8082", "token_expiration_min=43200"}
    assert pod - usual == {"metrics_address=http://0.0.0.0:8082", "token_expiration_min=5256000"}


# --- images and compose


def stages(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return re.split(r"^(?=FROM )", "\n".join(lines), flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["serve", "gateway"])
def test_an_image_is_built_from_pinned_parts_and_runs_as_nobody(name: str) -> None:
    head, *builds = stages(DEPLOY / f"Containerfile.{name}")
    assert re.search(r"^ARG PYTHON_IMAGE=docker\.io/library/python:3\.11\.\d+-slim-bookworm$", head, re.MULTILINE)
    known = {"${PYTHON_IMAGE}"}
    for build in builds:
        _, base, _, own = build.split()[:4]
        assert base in known
        known.add(own)
    [final] = [build for build in builds if build.split()[3] == name]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "HEALTHCHECK" in final
    assert "/opt/clincode/probes/ready.py" in final
    text = "".join(builds)
    assert text.count("--require-hashes") >= 1
    for install in re.findall(r"pip install (.*)", text):
        assert "--no-deps" in install or "requirements/torch.txt" in install
    assert "ADD " not in text
    assert ":latest" not in text
    for source in re.findall(r"^COPY (?!--from|\. )(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / path).exists() for path in source.split())


def test_what_an_image_is_built_from_holds_the_project_and_no_secret() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    taken = {rule[1:] for rule in rules if rule.startswith("!")}
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    packages = {line.partition(".")[0] for line in config["options"]["packages"].split()}
    assert {"handler" if package == "clincode" else package for package in packages} <= taken
    assert not taken & {".run", ".git", "deploy/secrets", "tests", "runs", "build"}
    assert {"**/key_file.json", "model_store/*.mar", "deploy/*"} <= set(rules)


def test_the_gateway_and_its_command_line_need_no_torch() -> None:
    """In a process that cannot import what requirements/gateway.lock leaves out."""
    program = """
import sys
sys.modules |= dict.fromkeys(("torch", "transformers", "tokenizers", "huggingface_hub", "ts", "matplotlib"))
import cli.main, gateway.app, gateway.front, gateway.run, cli.gateway, cli.feedback
import gateway.feedback.export, gateway.fhir.bundle, gateway.hl7.mdm
from gateway.codes import CodePicker
assert CodePicker().describe("E11.9")
from typer.testing import CliRunner
for arguments in (["--help"], ["gateway", "--help"], ["feedback", "--help"], ["codes", "E11.21"]):
    done = CliRunner().invoke(cli.main.app, arguments)
    assert done.exit_code == 0, done.output
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=120)


@pytest.fixture(scope="module")
def compose() -> Manifest:
    content: Manifest = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return content


def test_compose_services_are_confined(compose: Manifest) -> None:
    assert compose["services"].keys() == {"gateway", "torchserve", "postgres", "prometheus", "grafana"}
    for name, service in compose["services"].items():
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-bookworm)?$", service["image"]), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "mem_limit" in service, name
        assert not service.get("privileged"), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_compose_has_no_way_out(compose: Manifest) -> None:
    assert compose["networks"]["inside"] == {"internal": True}
    edge = compose["networks"]["edge"]["driver_opts"]
    assert edge == {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    for name, service in compose["services"].items():
        assert set(service["networks"]) <= {"inside", "edge"}
        assert ("edge" in service["networks"]) == bool(service.get("ports")), name


def test_compose_refers_to_what_there_is(compose: Manifest) -> None:
    made = (DEPLOY / "compose-secrets.sh").read_text(encoding="utf-8")
    known = {f"CLINCODE_{field.upper()}" for field in Settings.model_fields} | NO_SETTING
    for name, service in compose["services"].items():
        for secret in service.get("secrets", []):
            assert secret in compose["secrets"], name
            assert f"make {secret}" in made, name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or source.startswith("../monitoring/"), name
        if build := service.get("build"):
            assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
        variables = {name for name in service.get("environment", {}) if name.startswith("CLINCODE_")}
        assert variables <= known, name
        assert set(service.get("depends_on", {})) <= compose["services"].keys()
    gpu = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text(encoding="utf-8"))
    assert gpu["services"].keys() <= compose["services"].keys()


def test_compose_secrets_are_made_once(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "compose-secrets.sh", tmp_path)
    runs = []
    for _ in range(2):
        subprocess.run([tmp_path / "compose-secrets.sh"], check=True, capture_output=True)
        runs.append({file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "secrets").iterdir()})
    made, again = runs
    assert again == made
    assert len(made["clincode_secret_key"]) == 64
    assert made["postgres_password"] in made["clincode_database_url"]
    assert made["prometheus_key"] == ""
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
