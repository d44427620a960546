"""Kubernetes manifests: schema validation and least privilege of the containers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "workers" / "kubernetes"
VERSIONS = ("1.30.0", "1.37.0")


def documents(*kinds: str) -> list[Any]:
    parameters = [
        pytest.param(document, id=f"{file.name}:{document['metadata']['name']}")
        for file in sorted(FOLDER.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if not kinds or document["kind"] in kinds
    ]
    assert parameters
    return parameters


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", documents())
def test_a_manifest_follows_the_schema(document: dict[str, Any], version: str):
    kubernetes_validate.validate(document, version, strict=True)


def test_an_unknown_field_is_rejected():
    job = next(parameter.values[0] for parameter in documents("Job"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**job, "spec": {**job["spec"], "paralelism": 4}}, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("document", documents("Job"))
def test_a_pod_is_confined(document: dict[str, Any]):
    pod = document["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
        # Secrets are passed as files only: environment variables are visible to all users who may describe the pod.
        assert {variable["name"] for variable in container["env"]} == {"NAS_STORAGE_FILE", "NAS_THREADS"}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("document", documents("Job"))
def test_every_claim_and_secret_of_a_pod_has_a_manifest(document: dict[str, Any]):
    volumes = document["spec"]["template"]["spec"]["volumes"]
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}
    secrets = {volume["secret"]["secretName"] for volume in volumes if "secret" in volume}
    assert claims == {p.values[0]["metadata"]["name"] for p in documents("PersistentVolumeClaim")}
    assert secrets == {p.values[0]["metadata"]["name"] for p in documents("Secret")}
