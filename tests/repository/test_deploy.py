"""The deployment files agree with the service.

Ports, paths, names, limits and timeouts are repeated in each of these files, and no tool compares them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chainrule import __version__
from service.app import create_app
from service.configuration.settings import SETTINGS, default_workers
from service.middleware.metrics import REJECTIONS, Metrics
from service.pages.troubleshooting import ENTRIES
from service.resources.shared import Shared
from service.server.admin import create_admin_app
from tests.repository.test_docs import ROOT

yaml = pytest.importorskip("yaml", reason="there is no PyYAML here")

DEFAULTS = {f"CHAINRULE_{setting.name}": setting.default for setting in SETTINGS}
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
HAPROXY = (DEPLOY / "haproxy" / "haproxy.cfg").read_text("utf-8")
ALERTS = yaml.safe_load((DEPLOY / "observe" / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "observe" / "grafana" / "chainrule.json").read_text("utf-8"))
KUBECTL = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
VALIDATE = shutil.which("kubernetes-validate", path=str(Path(sys.executable).parent))
OVERLAYS = ("base", "everything")
CUSTOM = {"ScaledObject", "ServiceMonitor"}  # their schemas belong to operators, which may not be installed
KINDS = {
    "base": {
        *("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"),
    },
    "everything": {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", *CUSTOM},
}


def _texts() -> dict[str, str]:
    files = [ROOT / "Dockerfile", ROOT / "docker-compose.yml", *(path for path in DEPLOY.rglob("*") if path.is_file())]
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in files}


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def _bytes(text: str) -> int:
    """The bytes of "512m" (Docker) or "512Mi" (Kubernetes): both count in powers of 1024."""
    number, unit = re.fullmatch(r"(\d+)([kmg]|[KMG]i)", text).groups()
    return int(number) * 1024 ** ("kmg".index(unit[0].lower()) + 1)


def _port(setting: str) -> int:
    return int(re.search(rf"{setting}=0\.0\.0\.0:(\d+)", DOCKERFILE)[1])


STOP = DEFAULTS["CHAINRULE_DRAIN_SECONDS"] + DEFAULTS["CHAINRULE_STOP_SECONDS"]
PORT, ADMIN_PORT = _port("CHAINRULE_BIND"), _port("CHAINRULE_ADMIN_BIND")


@pytest.mark.parametrize("name", _texts())
def test_a_setting_that_is_named_exists(name: str) -> None:
    """An unknown setting would stop the service from starting."""
    assert set(re.findall(r"CHAINRULE_[A-Z_]*[A-Z]", _texts()[name])) <= DEFAULTS.keys()


def test_the_image_agrees_with_the_service() -> None:
    """The version, the ports, a numeric user, and no package index."""
    assert f"ARG VERSION={__version__}\n" in DOCKERFILE
    assert f"EXPOSE {PORT} {ADMIN_PORT}\n" in DOCKERFILE
    assert re.search(r"^USER [1-9]\d*:0$", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.count("--require-hashes") == 2
    assert "://" not in DOCKERFILE
    assert not re.search(r"index.url|find.links", DOCKERFILE, re.IGNORECASE)


def test_the_image_is_built_from_files_that_are_sent() -> None:
    """.dockerignore allows the files that are copied, and no others."""
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {name for line in lines for name in line.split()} == sent
    assert all((ROOT / name).exists() for name in sent)


@pytest.mark.parametrize("name", ["service", "replica"])
def test_compose_gives_the_service_time_and_no_privileges(name: str) -> None:
    """It may stop before it is killed. Its root is read-only, and it has no capability."""
    service = COMPOSE["services"][name]
    assert _seconds(service["stop_grace_period"]) > STOP
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["image"] == f"chainrule:{__version__}"
    assert service["networks"]["default"]["aliases"] == ["chainrule"]


# The memory of the processes, in addition to the budget for requests.
MASTER_BYTES, WORKER_BYTES = 64 * 2**20, 32 * 2**20
BUDGET = 0.6


def _fits(memory: int, cpus: float, environment: dict[str, str]) -> bool:
    """Whether the processes and the budget fit into a container with this memory."""
    workers = int(environment["CHAINRULE_WORKERS"])
    budget = int(environment.get("CHAINRULE_MEMORY_BYTES", BUDGET * memory))
    assert workers == cpus == default_workers(int(cpus), memory)
    assert DEFAULTS["CHAINRULE_MAX_BODY_BYTES"] <= budget / 4  # bodies that arrive may take a quarter of the budget
    return MASTER_BYTES + workers * WORKER_BYTES + budget <= memory


@pytest.mark.parametrize("name", ["service", "replica"])
def test_compose_gives_the_service_the_memory_that_it_takes(name: str) -> None:
    """Processes and budget fit, without swap. There are far fewer processes and threads than the limit."""
    service = COMPOSE["services"][name]
    memory = _bytes(service["mem_limit"])
    assert memory == 512 * 2**20  # as in the documents
    assert service["memswap_limit"] == service["mem_limit"]
    assert _fits(memory, service["cpus"], service["environment"])
    processes = 2 + int(service["environment"]["CHAINRULE_WORKERS"])
    assert 2 * processes * DEFAULTS["CHAINRULE_CONCURRENCY"] < service["pids_limit"] <= 256


def test_the_example_for_one_container_has_the_memory_of_compose() -> None:
    """So a reader who copies it gets the tested limit."""
    text = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    service = COMPOSE["services"]["service"]
    [(memory, cpus, stop)] = re.findall(r"--memory (\S+) --cpus (\S+) --stop-timeout (\d+)", text)
    assert (memory, int(cpus)) == (service["mem_limit"], service["cpus"])
    assert int(stop) == _seconds(service["stop_grace_period"])


def test_the_table_of_containers_has_the_numbers_of_the_service() -> None:
    """The budget, the rest and the workers in docs/capacity.md, for each size."""
    text = (ROOT / "docs" / "capacity.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) (MiB|GiB) \| (\d+) MiB \| (\d+) MiB \| (\d+) \|$", text, re.MULTILINE)
    assert len(rows) >= 3
    for number, unit, budget, rest, workers in rows:
        mib = int(number) * {"MiB": 1, "GiB": 1024}[unit]
        assert (int(budget), int(rest)) == (round(BUDGET * mib), mib - round(BUDGET * mib))
        assert int(workers) == default_workers(1000, mib * 2**20)


def test_compose_starts_the_service_alone_by_default() -> None:
    """All other services have a profile. Mounted files exist, and every port is bound to the loopback."""
    services = COMPOSE["services"]
    profiles = {name: service.get("profiles") for name, service in services.items()}
    scale, observe = ["scale"], ["observe"]
    assert profiles == {"service": None, "replica": scale, "front": scale, "prometheus": observe, "grafana": observe}
    assert services["service"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        sources = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        assert [source for source in sources if source.startswith(".") and not (ROOT / source).is_file()] == []


def test_the_proxy_has_the_limits_and_timeouts_of_the_service() -> None:
    """Its body limit is the same.

    Its timeout is longer than all the work, and shorter than the service's keep-alive.
    """
    limit = str(DEFAULTS["CHAINRULE_MAX_BODY_BYTES"])
    assert re.findall(r"\b\d{8,}\b", HAPROXY) == [limit] * 3
    timeouts = {name: _seconds(value) for name, value in re.findall(r"timeout (\S+) +(\S+)", HAPROXY)}
    assert timeouts["http-request"] == DEFAULTS["CHAINRULE_READ_SECONDS"]
    assert timeouts["client"] >= DEFAULTS["CHAINRULE_WRITE_SECONDS"]
    assert timeouts["server"] > DEFAULTS["CHAINRULE_QUEUE_SECONDS"] + DEFAULTS["CHAINRULE_WORK_SECONDS"]
    assert timeouts["http-keep-alive"] < DEFAULTS["CHAINRULE_KEEPALIVE_SECONDS"]


def test_the_proxy_opens_fewer_connections_than_a_replica_keeps() -> None:
    """Otherwise the replica would close some of them. All replicas together accept as many as the proxy."""
    most, of_replica = map(int, re.findall(r"\bmaxconn (\d+)", HAPROXY))
    assert of_replica < DEFAULTS["CHAINRULE_CONNECTIONS"]
    (replicas,) = map(int, re.findall(r"server-template replica (\d+)", HAPROXY))
    assert most < of_replica * replicas


def test_the_proxy_finds_the_replicas_and_polls_them_often_enough() -> None:
    """By alias and ports, and often enough to notice a draining replica."""
    assert re.search(rf"server-template replica \d+ chainrule:{PORT}$", HAPROXY, re.MULTILINE)
    assert "httpchk GET /readyz\n" in HAPROXY
    every, fall = re.search(rf"check port {ADMIN_PORT} inter (\S+) fall (\d+)", HAPROXY).groups()
    assert 4 * int(fall) * _seconds(every) < DEFAULTS["CHAINRULE_DRAIN_SECONDS"]


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="there is no HAProxy here")
def test_haproxy_accepts_its_configuration() -> None:
    """It prints no warning."""
    command = ["haproxy", "-c", "-f", str(DEPLOY / "haproxy" / "haproxy.cfg")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "WARNING" not in ran.stderr


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The names and labels of all series of a service that has answered requests."""
    from_app, shared = create_app(), Shared()
    metrics = Metrics()
    from_app.extensions["chainrule.observers"].append(metrics.observe)
    from_app.test_client().get("/v1")
    state = create_admin_app(shared, tmp_path_factory.mktemp("metrics")).test_client().get("/metrics").text
    families = list(metrics.registry.collect())
    names = {f"{f.name}{end}" for f in families for end in ENDINGS[f.type]}
    labels = {name: set(collector._labelnames) for name, collector in _collectors(metrics).items()}
    found = {name: labels.get(re.sub(r"_(total|bucket|sum|count)$", "", name), set()) | {"le"} for name in names}
    return found | {name: {"version"} for name in re.findall(r"^# TYPE (\S+)", state, re.MULTILINE)}


ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def _collectors(metrics: Metrics) -> dict[str, Any]:
    return {c._name: c for c in vars(metrics).values() if hasattr(c, "_labelnames")}


def _expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in ALERTS)
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    yield from (entry["query"] for entry in DASHBOARD["templating"]["list"] if entry["type"] == "query")
    scaled = yaml.safe_load((DEPLOY / "kubernetes/components/keda/scaledobject.yaml").read_text("utf-8"))
    yield from (t["metadata"]["query"] for t in scaled["spec"]["triggers"] if "query" in t["metadata"])


@pytest.mark.parametrize("expression", list(_expressions()))
def test_every_metric_of_the_dashboards_is_exposed(expression: str, exposed: dict[str, set[str]]) -> None:
    """With a misspelt name or label a graph stays empty, and an alert never fires."""
    names = set(re.findall(r"\bchainrule_\w+", expression))
    assert names or "up{" in expression
    assert names <= exposed.keys()
    of_all = {"job", "instance"} | {label for name in names for label in exposed[name]}
    asked = re.findall(r'(\w+)=~?"', expression)
    asked += [label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")]
    assert set(asked) <= of_all


@pytest.mark.parametrize("expression", list(_expressions()))
def test_every_reason_of_the_alerts_is_counted(expression: str) -> None:
    """With a misspelt reason an alert never fires."""
    assert set(re.findall(r'reason="([^"]*)"', expression)) <= REJECTIONS


def test_the_memory_budget_is_watched() -> None:
    """Its use and the refusals for lack of memory have an alert and a panel each."""
    alerts = {rule["alert"]: rule["expr"] for rule in ALERTS}
    graphs = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    for text, alert in (
        ("chainrule_memory_claimed_bytes", "ChainruleMemoryBudgetNearlyFull"),
        ("chainrule_memory_budget_bytes", "ChainruleMemoryBudgetNearlyFull"),
        ('reason="memory"', "ChainruleOutOfMemoryBudget"),
    ):
        assert text in alerts[alert]
        assert text in graphs


def test_panels_do_not_overlap() -> None:
    """Grafana would move them."""
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_an_alert_leads_to_an_entry() -> None:
    """An entry of the troubleshooting page."""
    pages = {f"/troubleshooting#{entry.name}" for entry in ENTRIES}
    assert {rule["annotations"]["page"] for rule in ALERTS} <= pages


def test_prometheus_scrapes_the_admin_port_of_every_replica() -> None:
    """It finds them by the alias in compose."""
    config = yaml.safe_load((DEPLOY / "observe" / "prometheus.yml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert (job["job_name"], found["names"], found["port"]) == ("chainrule", ["chainrule"], ADMIN_PORT)


@pytest.fixture(scope="module", params=OVERLAYS)
def rendered(request: pytest.FixtureRequest) -> tuple[str, list[dict[str, Any]]]:
    """The manifests that kustomize renders from an overlay."""
    if KUBECTL is None:
        pytest.skip("there is no kubectl here")
    command = [KUBECTL, "kustomize", str(DEPLOY / "kubernetes" / request.param)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return request.param, list(yaml.safe_load_all(ran.stdout))


def _of(rendered: tuple[str, list[dict[str, Any]]], kind: str) -> dict[str, dict[str, Any]]:
    return {object_["metadata"]["name"]: object_ for object_ in rendered[1] if object_["kind"] == kind}


def test_kustomize_makes_every_kind(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    """A validator accepts an empty file and unknown kinds."""
    overlay, objects = rendered
    assert {object_["kind"] for object_ in objects} == KINDS[overlay]


@pytest.mark.skipif(VALIDATE is None, reason="there is no kubernetes-validate here")
def test_the_manifests_are_valid(rendered: tuple[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    """By the strict schema, which knows every field."""
    known = [object_ for object_ in rendered[1] if object_["kind"] not in CUSTOM]
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(known))
    ran = subprocess.run([VALIDATE, "--strict", str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (ran.stdout + ran.stderr).count("passed") == len(known)


def test_the_pod_agrees_with_the_service(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    """Ports, probes, timeouts and version are those of the service; the pod has no privileges."""
    pod = _of(rendered, "Deployment")["chainrule"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == f"chainrule:{__version__}"
    assert {p["name"]: p["containerPort"] for p in container["ports"]} == {"http": PORT, "admin": ADMIN_PORT}
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {probe["port"] for probe in probes.values()} == {"admin"}
    assert [probe["path"] for probe in probes.values()] == ["/readyz", "/readyz", "/livez"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > pause + STOP
    readiness = container["readinessProbe"]
    assert readiness["periodSeconds"] * readiness["failureThreshold"] < DEFAULTS["CHAINRULE_DRAIN_SECONDS"]
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"USER {pod['securityContext']['runAsUser']}:0" in DOCKERFILE
    rights = container["securityContext"]
    assert (rights["readOnlyRootFilesystem"], rights["allowPrivilegeEscalation"]) == (True, False)
    assert rights["capabilities"] == {"drop": ["ALL"]}


def test_the_pod_has_the_memory_that_the_service_takes(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    """The same limit as in compose, and an equal request, because under load the service fills its budget."""
    (container,) = _of(rendered, "Deployment")["chainrule"]["spec"]["template"]["spec"]["containers"]
    asked, most = container["resources"]["requests"], container["resources"]["limits"]
    assert asked["memory"] == most["memory"]
    assert _bytes(most["memory"]) == _bytes(COMPOSE["services"]["service"]["mem_limit"])
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert _fits(_bytes(most["memory"]), float(most["cpu"]), environment)


def test_every_selector_finds_the_pods(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    """The labels in service, disruption budget, network policy and monitor are those of their targets."""
    template = _of(rendered, "Deployment")["chainrule"]["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    selectors = [_of(rendered, "Deployment")["chainrule"]["spec"]["selector"]["matchLabels"]]
    selectors += [service["spec"]["selector"] for service in _of(rendered, "Service").values()]
    selectors += [b["spec"]["selector"]["matchLabels"] for b in _of(rendered, "PodDisruptionBudget").values()]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in _of(rendered, "NetworkPolicy").values()]
    assert all(selector and selector.items() <= labels for selector in selectors)
    services = _of(rendered, "Service").values()
    for monitor in _of(rendered, "ServiceMonitor").values():
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [service for service in services if wanted <= service["metadata"]["labels"].items()]
        assert {e["port"] for e in monitor["spec"]["endpoints"]} <= {port["name"] for port in service["spec"]["ports"]}


def test_every_named_port_and_target_exists(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    """Named ports exist in the pod, and the scaled deployment exists. Outgoing traffic is not allowed."""
    deployment = _of(rendered, "Deployment")["chainrule"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    assert {p["targetPort"] for s in _of(rendered, "Service").values() for p in s["spec"]["ports"]} == ports
    policy = _of(rendered, "NetworkPolicy")["chainrule"]["spec"]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == ports
    assert (policy["egress"], policy["policyTypes"]) == ([], ["Ingress", "Egress"])
    scalers = [*_of(rendered, "HorizontalPodAutoscaler").values(), *_of(rendered, "ScaledObject").values()]
    (scaler,) = scalers
    assert scaler["spec"]["scaleTargetRef"]["name"] == "chainrule"
    fewest = scaler["spec"].get("minReplicas", scaler["spec"].get("minReplicaCount"))
    assert fewest == deployment["spec"]["replicas"] == 2
