"""A plan as Kubernetes manifests: each a file of a kustomize base, or all of them as one stream. Pure.

Nothing of Kubernetes' own is redone: it adds pods (HorizontalPodAutoscaler), replaces them (Deployment) and keeps
enough of them (PodDisruptionBudget). What is ours is that a pod says truly whether it is alive and ready, and ends
within the time that it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from supervisor_d.errors import ConfigurationError
from supervisor_d.init import upstream
from supervisor_d.init.container import IMAGE_USER, Image, image_of
from supervisor_d.init.plan import Plan
from supervisor_d.init.upstream import Front, Upstream, refuse_proxy_protocol, words_of
from supervisor_d.settings.values.address import TcpAddress

DEPLOYMENT: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  labels: {app.kubernetes.io/name: NAME}
spec:
  replicas: 2
  strategy:
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels: {app.kubernetes.io/name: NAME}
  template:
    metadata:
      labels: {app.kubernetes.io/name: NAME}
    spec:
      # The longest that a stop can take, and a margin; `supervisor-d check --grace` refuses settings that take longer.
      terminationGracePeriodSeconds: GRACE
      # Variables for each Service of the namespace: the daemon ignores them, and a namespace may have hundreds.
      enableServiceLinks: false
      securityContext:
        runAsNonRoot: true
        runAsUser: UID
        runAsGroup: UID
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: app
          image: NAME:latest
          args: ARGS
          ports:
            - {name: http, containerPort: PORT}
            - {name: admin, containerPort: ADMIN}
          # Ready: a worker serves, and no stop was asked for. Alive: the master answers; it looks after the workers.
          startupProbe:
            httpGet: {path: /readyz, port: admin}
            periodSeconds: 1
            failureThreshold: START
          readinessProbe:
            httpGet: {path: /readyz, port: admin}
            periodSeconds: 2
            failureThreshold: 1
          livenessProbe:
            httpGet: {path: /healthz, port: admin}
            periodSeconds: 10
            timeoutSeconds: 5
          # No preStop is needed: after SIGTERM it is not ready at once, and accepts for shutdown-delay.
          resources:
            requests: {cpu: "CPUS", memory: 256Mi}
            limits: {cpu: "CPUS", memory: 512Mi}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
"""

SERVICE: Final = """\
apiVersion: v1
kind: Service
metadata:
  name: NAME
  labels: {app.kubernetes.io/name: NAME}
spec:
  selector: {app.kubernetes.io/name: NAME}
  ports:
    - {name: http, port: 80, targetPort: http, appProtocol: SCHEME}
    - {name: admin, port: ADMIN, targetPort: admin}
"""

DISRUPTION: Final = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: NAME
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {app.kubernetes.io/name: NAME}
"""

AUTOSCALER: Final = """\
# The pods' metric needs an adapter that serves it from Prometheus: supervisor_d_in_flight_requests, summed by pod.
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: NAME
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAME}
  minReplicas: 2
  maxReplicas: 10
  metrics:
    - type: Pods
      pods:
        metric: {name: supervisor_d_in_flight_requests}
        target: {type: AverageValue, averageValue: "16"}
  behavior:
    scaleDown: {stabilizationWindowSeconds: 300}
"""

MONITOR: Final = """\
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: NAME
  labels: {app.kubernetes.io/name: NAME}
spec:
  selector:
    matchLabels: {app.kubernetes.io/name: NAME}
  endpoints:
    - {port: admin, path: /metrics, interval: 15s}
"""

INGRESS: Final = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: NAME
  annotations:
    # What ingress-nginx has to know of the pods; another controller has words of its own for it.
    nginx.ingress.kubernetes.io/backend-protocol: BACKEND
    nginx.ingress.kubernetes.io/proxy-body-size: "BODY"
    nginx.ingress.kubernetes.io/proxy-read-timeout: "SILENCE"
spec:
  rules:
    - host: NAME.example.com
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service: {name: NAME, port: {name: http}}
"""

FILES: Final[Mapping[str, str]] = {
    "deployment.yaml": DEPLOYMENT,
    "service.yaml": SERVICE,
    "poddisruptionbudget.yaml": DISRUPTION,
    "horizontalpodautoscaler.yaml": AUTOSCALER,
    "servicemonitor.yaml": MONITOR,
    "ingress.yaml": INGRESS,
}

CPUS: Final = 2
"""What a pod is given where `workers` is auto, which counts it. Chosen: two workers survive the loss of one."""


def upstream_of(plan: Plan, image: Image) -> Upstream:
    """The pods as the Ingress's controller meets them; ConfigurationError, with its name, for what it cannot do.

    An Ingress has no field that takes a prefix off a path, none for a PROXY header, and none for client certificates.
    """
    server = plan.settings.server
    refuse_proxy_protocol(server, "Ingress")
    if server.root_path:
        raise ConfigurationError(
            f"root-path: must be left out behind an Ingress, which takes no prefix off a path, not {server.root_path}"
        )
    servers = (TcpAddress(object_name(image.name), image.port),)
    return upstream.upstream_of(plan.settings, servers, Front("the Ingress controller"))


def manifests(plan: Plan) -> Mapping[str, str]:
    """Every manifest by its file name. Raises ConfigurationError for what a pod, or an Ingress before it, cannot do."""
    image = image_of(plan)
    pods = upstream_of(plan, image)
    words = {
        "SCHEME": "https" if pods.tls else "http",
        "BACKEND": "HTTPS" if pods.tls else "HTTP",
        "BODY": str(pods.body_bytes),
        "SILENCE": str(max(pods.silence_s, pods.tunnel_s)),
        "NAME": object_name(image.name),
        "GRACE": str(image.grace_s),
        "ARGS": json.dumps(list(image.arguments)),
        "PORT": str(image.port),
        "ADMIN": str(image.admin_port),
        "START": str(int(-(-image.boot_s // 1))),
        "CPUS": str(image.workers or CPUS),
        "UID": str(IMAGE_USER),
    }
    told = ("# X-Forwarded-For and its like come from the controller.", *(f"# {doubt}" for doubt in pods.doubts))
    doubts = words_of(*told, indent="") if pods.doubts else ""
    found = {name: filled(text, words) for name, text in FILES.items()}
    return {**found, "ingress.yaml": doubts + found["ingress.yaml"]}


def filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub(rf"\b({'|'.join(words)})\b", lambda match: words[match[1]], text)


def stream(plan: Plan) -> str:
    """All manifests as `kubectl apply -f -` reads them."""
    return "---\n".join(manifests(plan).values())


def kustomization() -> str:
    return "\n".join(
        [
            "apiVersion: kustomize.config.k8s.io/v1beta1",
            "kind: Kustomization",
            "resources:",
            *(f"  - {name}" for name in FILES),
            "",
        ]
    )


def object_name(name: str) -> str:
    """The name as a label of DNS (RFC 1123), as objects' names have to be."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:63].strip("-") or "app"
