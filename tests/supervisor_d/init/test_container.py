"""Images, compose files, manifests and nginx configurations, as far as they can be read without an engine."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from supervisor_d.cli.program import cli
from supervisor_d.control.commands import OPEN_COMMANDS
from supervisor_d.control.metrics import exposition
from supervisor_d.errors import ConfigurationError
from supervisor_d.init import kubernetes
from supervisor_d.init.container import Image, compose, dockerfile, image_of
from supervisor_d.init.plan import Plan, plan_of
from supervisor_d.settings.resolve import resolve
from tests.helpers.daemon import environment
from tests.helpers.views import a_view

yaml = pytest.importorskip("yaml")
CONTRIB = Path(__file__).parents[3] / "contrib"


def plan(**flags: object) -> Plan:
    return plan_of(resolve({"app": "main:app", "name": "Shop_1", **flags}, {}))


def with_tls(made: Plan, **server: str) -> Plan:
    """The plan with settings of the server whose files need not be there."""
    settings = dataclasses.replace(made.settings, server=dataclasses.replace(made.settings.server, **server))  # type: ignore[arg-type]  # texts all
    return dataclasses.replace(made, settings=settings)


def image(**flags: object) -> Image:
    return image_of(plan(**flags))


def deployment() -> Mapping[str, object]:
    found: object = yaml.safe_load((CONTRIB / "kubernetes/base/deployment.yaml").read_text())
    assert isinstance(found, dict)
    return found


def test_a_container_serves_to_the_outside_and_is_probed_there() -> None:
    made = image(workers=2)
    assert made.arguments == (
        *("run", "main:app", "--workers", "2", "--name", "Shop_1"),
        *("--bind", "0.0.0.0:8000", "--admin-bind", "0.0.0.0:9000"),
    )
    made = image(bind=["unix:/run/x.sock", "[::]:80"], admin_bind=":81")
    assert (made.port, made.admin_port) == (80, 81)


def test_what_only_a_host_can_give_is_refused_by_name() -> None:
    given = {"user": "root", "group": "root", "bind": ["0.0.0.0:80", "fd://3"]}
    with pytest.raises(ConfigurationError) as refused, Path("/dev/null").open("w") as null:
        image(**given, ready_fd=str(null.fileno()))
    assert [line.partition(":")[0] for line in refused.value.problems] == ["bind", "group", "ready-fd", "user"]


def test_the_health_check_of_an_image_asks_where_the_daemon_is_asked() -> None:
    assert '"ctl", "health"' in dockerfile(image())
    assert '"ctl", "--socket", "@shop", "health"' in dockerfile(image(control_socket="@shop"))
    with pytest.raises(ConfigurationError, match="control-socket: must not be off in an image"):
        dockerfile(image(control_socket="off"))


@pytest.mark.parametrize("bind", ["127.0.0.1:80", "unix:/run/x.sock", "0.0.0.0:0"])
def test_a_container_that_nobody_could_reach_is_refused(bind: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"reached from outside the container, not .*; give --bind 0.0.0.0:8000"
    ):
        image(bind=[bind])


def test_paths_below_the_directory_are_below_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "app.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    arguments = image(app_dir="src", config="app.toml", root_path="/elsewhere").arguments
    assert "/app/src" in arguments
    assert "/app/app.toml" in arguments
    assert "/elsewhere" in arguments


def test_the_dockerfile_leaves_the_tools_in_the_first_stage_and_the_command_as_it_is() -> None:
    lines = dockerfile(image(root_path='/a"b')).splitlines()
    assert [line for line in lines if line.startswith("FROM")] == [
        f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim AS build",
        f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim",
    ]
    last = lines[-1].removeprefix("CMD ")
    assert tuple(json.loads(last)) == image(root_path='/a"b').arguments
    assert not any("pip install" in line for line in lines[lines.index("USER 65534:65534") - 6 :])


def test_the_compose_file_gives_a_stop_its_time() -> None:
    told = yaml.safe_load(compose(image(graceful_timeout="60")))
    assert told["services"]["app"]["stop_grace_period"] == "68s"
    assert told["services"]["app"]["read_only"] is True


def test_every_manifest_is_what_kubernetes_takes() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    found = list(yaml.safe_load_all(kubernetes.stream(plan())))
    kinds = [one["kind"] for one in found]
    assert kinds == [
        "Deployment",
        "Service",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
        "ServiceMonitor",
        "Ingress",
    ]
    for one in found:
        if one["kind"] != "ServiceMonitor":  # a resource of its own, whose schema is not Kubernetes'
            validate.validate(one, validate.latest_version(), strict=True)
        assert one["metadata"]["name"] == "shop-1"


def test_the_manifests_fit_each_other() -> None:
    """What the schemas cannot say: labels that select, ports by their names, names that are referred to."""
    found = {one["kind"]: one for one in yaml.safe_load_all(kubernetes.stream(plan()))}
    pod = found["Deployment"]["spec"]["template"]
    assert pod["spec"]["enableServiceLinks"] is False
    labels = pod["metadata"]["labels"].items()
    assert found["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert found["Service"]["spec"]["selector"].items() <= labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels
    of_the_service = found["Service"]["metadata"]["labels"].items()
    assert found["ServiceMonitor"]["spec"]["selector"]["matchLabels"].items() <= of_the_service
    ports = {port["name"]: port["targetPort"] for port in found["Service"]["spec"]["ports"]}
    in_the_pod = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
    assert set(ports.values()) <= in_the_pod
    assert {endpoint["port"] for endpoint in found["ServiceMonitor"]["spec"]["endpoints"]} <= set(ports)
    (rule,) = found["Ingress"]["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert (backend["name"], backend["port"]["name"] in ports) == (found["Service"]["metadata"]["name"], True)
    target = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": found["Deployment"]["metadata"]["name"]}


@pytest.mark.parametrize(("flags", "scheme"), [({}, "http"), ({"ssl_certfile": "cert.pem"}, "https")])
def test_an_ingress_speaks_to_the_pods_as_they_are_set(flags: dict[str, str], scheme: str) -> None:
    text = kubernetes.stream(with_tls(plan(limit_body="3M", request_timeout="200s", ws_ping_interval="0"), **flags))
    found = {one["kind"]: one for one in yaml.safe_load_all(text)}
    assert found["Service"]["spec"]["ports"][0]["appProtocol"] == scheme
    told = found["Ingress"]["metadata"]["annotations"]
    assert {name.rpartition("/")[2]: value for name, value in told.items()} == {
        "backend-protocol": scheme.upper(),
        "proxy-body-size": "3145728",
        "proxy-read-timeout": "3600",
    }
    assert "believes none of these fields until --forwarded-allow-ips names the address of the Ingress" in text
    assert "believes none" not in kubernetes.stream(plan(forwarded_allow_ips="*"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"proxy_protocol": "on"}, "proxy-protocol: must be off behind this Ingress"),
        ({"root_path": "/shop"}, "root-path: must be left out behind an Ingress, which takes no prefix off a path"),
    ],
)
def test_what_an_ingress_cannot_do_is_refused_by_name(flags: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        kubernetes.stream(plan(**flags))


def test_client_certificates_are_no_ingress_to_ask_for() -> None:
    with pytest.raises(ConfigurationError, match="ssl-cert-reqs: must be none behind the Ingress controller"):
        kubernetes.stream(with_tls(plan(), ssl_certfile="cert.pem", ssl_cert_reqs="required"))


def test_the_autoscaler_follows_a_figure_that_there_is_where_the_monitor_looks() -> None:
    found = {one["kind"]: one for one in yaml.safe_load_all(kubernetes.stream(plan()))}
    (metric,) = found["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f"# TYPE {metric['pods']['metric']['name']} gauge" in exposition(a_view())
    (endpoint,) = found["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["path"] in {command.path for command in OPEN_COMMANDS}


def test_the_service_monitor_has_what_its_definition_asks_for_and_nothing_else() -> None:
    """Its schema is the Prometheus operator's (monitoring.coreos.com/v1); these are the fields of it that we use."""
    (monitor,) = [one for one in yaml.safe_load_all(kubernetes.stream(plan())) if one["kind"] == "ServiceMonitor"]
    assert set(monitor) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(monitor["spec"]) == {"selector", "endpoints"}, "both are required, all else is optional"
    assert set(monitor["spec"]["endpoints"][0]) <= {"port", "path", "interval"}


def test_the_compose_file_is_what_compose_takes(tmp_path: Path) -> None:
    compose_program = shutil.which("docker-compose")
    if compose_program is None:
        pytest.skip("docker-compose is not installed")
    (tmp_path / "compose.yaml").write_text(compose(image()))
    told = subprocess.run(
        [compose_program, "-f", str(tmp_path / "compose.yaml"), "config"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert yaml.safe_load(told.stdout)["services"]["app"]["environment"] == {"FORWARDED_ALLOW_IPS": "*"}


def test_a_nomad_job_waits_as_long_as_the_daemon_takes_and_asks_where_it_answers(tmp_path: Path) -> None:
    hcl2 = pytest.importorskip("hcl2")
    text = (CONTRIB / "nomad/app.nomad.hcl").read_text()
    assert hcl2.loads(text)["job"], "it is HCL"
    (grace_s,) = re.findall(r'kill_timeout = "(\d+)s"', text)
    (listed,) = re.findall(r"args += (\[.*\])", text)
    (tmp_path / "main.py").write_text("async def app(scope, receive, send): ...\n")
    flags = json.loads(listed)
    assert flags[0] == "run"
    command = [sys.executable, "-m", "supervisor_d", "check", *flags[1:], "--lifespan", "off", "--grace", grace_s]
    told = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert set(re.findall(r'path += "(.*)"', text)) == {"/readyz", "/healthz"}
    ports = dict(re.findall(r'port "(\w+)" { to = (\d+) }', text))
    assert f"0.0.0.0:{ports['http']}" in flags
    assert f"0.0.0.0:{ports['admin']}" in flags


def test_a_wrong_manifest_is_found_out() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    wrong = yaml.safe_load(kubernetes.manifests(plan())["deployment.yaml"])
    wrong["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = "soon"
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, validate.latest_version(), strict=True)


def test_the_pods_grace_period_agrees_with_the_budget(tmp_path: Path) -> None:
    spec = deployment()["spec"]["template"]["spec"]  # type: ignore[index]  # as YAML has it
    (container,) = spec["containers"]
    (tmp_path / "main.py").write_text("async def app(scope, receive, send): ...\n")
    flags = container["args"][1:]

    def check(grace_s: int) -> int:
        command = [sys.executable, "-m", "supervisor_d", "check", *flags, "--lifespan", "off", "--grace", str(grace_s)]
        return subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=False).returncode

    assert check(spec["terminationGracePeriodSeconds"]) == 0
    assert check(spec["terminationGracePeriodSeconds"] - 6) == 2, "the margin is five seconds, not more"


def test_the_pod_is_probed_where_it_answers() -> None:
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]  # type: ignore[index]  # as YAML has it
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert f"0.0.0.0:{ports['admin']}" in container["args"]
    assert f"0.0.0.0:{ports['http']}" in container["args"]
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {probe["port"] for probe in probes.values()} == {"admin"}
    assert [probe["path"] for probe in probes.values()] == ["/readyz", "/readyz", "/healthz"]


def test_the_overlay_is_built_upon_the_base() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    overlay = CONTRIB / "kubernetes/overlays/production"
    built = subprocess.run([kubectl, "kustomize", str(overlay)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    found = {one["kind"]: one for one in yaml.safe_load_all(built.stdout)}
    assert found["Deployment"]["spec"]["replicas"] == 4
    assert found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.com/app:1.0.0"
    assert found["HorizontalPodAutoscaler"]["spec"]["maxReplicas"] == 40
    validate = pytest.importorskip("kubernetes_validate")
    for kind, one in found.items():
        assert one["metadata"]["namespace"] == "production"
        if kind != "ServiceMonitor":
            validate.validate(one, validate.latest_version(), strict=True)


def test_figures_are_for_prometheus_alone_and_requests_for_everybody() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    policy = yaml.safe_load((CONTRIB / "kubernetes/overlays/production/networkpolicy.yaml").read_text())
    validate.validate(policy, validate.latest_version(), strict=True)
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]  # type: ignore[index]  # as YAML has it
    named = {port["name"] for port in container["ports"]}
    allowed = {port["port"]: rule.get("from") for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert set(allowed) == named
    assert allowed["http"] is None
    assert allowed["admin"] is not None


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (["docker"], "# syntax=docker/dockerfile:1"),
        (["compose"], "# Printed by `supervisor-d init compose`"),
        (["compose", "--nginx"], "# Printed by `supervisor-d init nginx`"),
        (["kubernetes"], "apiVersion: apps/v1"),
        (["nginx"], "# Printed by `supervisor-d init nginx`"),
        (["haproxy"], "# Printed by `supervisor-d init haproxy`"),
        (["caddy"], "# Printed by `supervisor-d init caddy`"),
    ],
)
def test_init_prints_each_on_the_command_line(arguments: list[str], first: str) -> None:
    command, *options = arguments
    told = CliRunner().invoke(cli, ["init", command, "main:app", "--workers", "2", *options])
    assert told.exit_code == 0, told.output
    assert told.output.startswith(first)


def test_what_the_nginx_of_a_compose_file_cannot_do_is_refused_with_the_file() -> None:
    for options in ([], ["--nginx"]):
        told = CliRunner().invoke(cli, ["init", "compose", "main:app", "--proxy-protocol", *options])
        assert told.exit_code == 2
        assert told.output.startswith("supervisor-d: proxy-protocol: must be off behind this nginx")


def test_the_nginx_of_a_compose_file_is_believed_and_no_client_is() -> None:
    """The compose file believes every peer, so that of a list the leftmost address would count, the client's own."""
    told = CliRunner().invoke(cli, ["init", "compose", "main:app", "--nginx"])
    assert "proxy_set_header X-Forwarded-For $remote_addr;\n" in told.output
    assert "believes none" not in told.output
    flags = ["--forwarded-allow-ips", "10.0.0.0/8"]
    told = CliRunner().invoke(cli, ["init", "compose", "main:app", "--nginx", *flags])
    assert "believes none of these fields until --forwarded-allow-ips names the address of nginx." in told.output


def test_a_pod_that_ends_is_given_time_to_be_forgotten_unless_it_was_said_how_much() -> None:
    told = CliRunner().invoke(cli, ["init", "kubernetes", "main:app"])
    assert '"--shutdown-delay", "5s"' in told.output
    told = CliRunner().invoke(cli, ["init", "kubernetes", "main:app", "--shutdown-delay", "9"])
    assert '"--shutdown-delay", "9s"' in told.output
