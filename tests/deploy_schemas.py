"""What KubeRay 1.7 takes of RayCluster and RayJob, kept by hand and strict: a field that is not here is a mistake.

After the reference of the custom resources (KubeRay CRD API reference). Pods are left to Kubernetes' own schemas.
"""

from __future__ import annotations

from typing import Any

# As Kubernetes writes it: sign, number, suffix.
QUANTITY = r"^\d+(\.\d+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

_LABEL = r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_QUANTITIES = {
    "type": "object",
    "propertyNames": {"enum": ["cpu", "memory", "ephemeral-storage", "nvidia.com/gpu"]},
    "additionalProperties": {"type": "string", "pattern": QUANTITY},
}
_POD = {"type": "object", "required": ["metadata", "spec"]}


def _strict(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


RESOURCES = _strict(["requests", "limits"], requests=_QUANTITIES, limits=_QUANTITIES)

_METADATA = _strict(
    ["name"],
    name={"type": "string", "pattern": "^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$"},
    namespace={"type": "string"},
    labels={**_TEXTS, "propertyNames": {"pattern": _LABEL}},
)
_CLUSTER = _strict(
    ["rayVersion", "headGroupSpec", "workerGroupSpecs"],
    rayVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
    authOptions=_strict(["mode"], mode={"enum": ["disabled", "token"]}, secretName={"type": "string"}),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=_strict(
        [],
        version={"enum": ["v1", "v2"]},
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        idleTimeoutSeconds=_COUNT,
        resources=RESOURCES,
        securityContext={"type": "object"},
        volumeMounts={"type": "array", "items": _strict(["name", "mountPath"], name=_TEXT, mountPath=_TEXT)},
    ),
    headGroupSpec=_strict(
        ["rayStartParams", "template"],
        serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
        rayStartParams=_TEXTS,
        template=_POD,
    ),
    workerGroupSpecs={
        "type": "array",
        "minItems": 1,
        "items": _strict(
            ["groupName", "rayStartParams", "template"],
            groupName={"type": "string", "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$"},
            replicas=_COUNT,
            minReplicas=_COUNT,
            maxReplicas={"type": "integer", "minimum": 1},
            numOfHosts={"type": "integer", "minimum": 1},
            idleTimeoutSeconds=_COUNT,
            rayStartParams=_TEXTS,
            template=_POD,
        ),
    },
)


def _object(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return _strict(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=_METADATA,
        spec=spec,
    )


KUBERAY = {
    "RayCluster": _object("RayCluster", _CLUSTER),
    "RayJob": _object(
        "RayJob",
        _strict(
            ["entrypoint", "rayClusterSpec"],
            entrypoint={"type": "string", "minLength": 1},
            submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
            backoffLimit=_COUNT,
            submitterConfig=_strict([], backoffLimit=_COUNT),
            submitterPodTemplate=_POD,
            shutdownAfterJobFinishes={"type": "boolean"},
            ttlSecondsAfterFinished=_COUNT,
            activeDeadlineSeconds={"type": "integer", "minimum": 1},
            rayClusterSpec=_CLUSTER,
        ),
    ),
}
