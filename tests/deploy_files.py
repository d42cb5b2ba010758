"""The deployment files as the tests read them: their YAML, the command lines in them, the containers they start."""

from __future__ import annotations

import copy
import functools
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "infra" / "deploy"
PAGE = ROOT / "docs" / "deploying.md"

_CONTINUED = re.compile(r"\\\n\s*")
_OURS = re.compile(r"(?:^|/)(python3?|ray|serve)$")


def all_files() -> list[Path]:
    """Every deployment file that is the project's: none that a script of theirs wrote."""
    written = (".env", ".pyc")
    return sorted(
        path
        for path in DEPLOY.rglob("*")
        if path.is_file() and not path.name.endswith((*written, ".local.yaml")) and "secrets" not in path.parts
    )


def documents(*names: str) -> list[dict[str, Any]]:
    """The YAML documents of files below infra/deploy; without names, of all of kuberay/."""
    paths = [DEPLOY / name for name in names] if names else sorted((DEPLOY / "kuberay").glob("*.yaml"))
    return [document for path in paths for document in copy.deepcopy(_parsed(path))]


def pod_templates(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, template) of every pod that a Kubernetes object starts."""
    spec, name = document.get("spec", {}), f"{document['kind']} {document['metadata']['name']}"
    if document["kind"] == "RayJob":
        yield f"{name} submitter", spec["submitterPodTemplate"]
        spec = spec["rayClusterSpec"]
    if document["kind"] in ("RayJob", "RayCluster"):
        yield f"{name} head", spec["headGroupSpec"]["template"]
        for group in spec["workerGroupSpecs"]:
            yield f"{name} {group['groupName']}", group["template"]
    elif "template" in spec:
        yield name, spec["template"]


def containers() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(where, pod spec, container) of every container on Kubernetes."""
    return [
        (f"{where}: {container['name']}", template["spec"], container)
        for document in documents()
        for where, template in pod_templates(document)
        for container in template["spec"]["containers"]
    ]


@functools.cache
def command_lines() -> list[tuple[str, list[str]]]:
    """(where, words) of every command of ours or of Ray's in the deployment files and on their page."""
    found = [(f"{path.relative_to(ROOT)}", words) for path in [*all_files(), PAGE] for words in _in_text(path)]
    for where, _, container in containers():
        if "args" in container and "faces-bot" in container["image"]:
            found.append((where, ["python", "-m", "bot", *container["args"]]))
        if "command" in container:
            found.append((where, container["command"]))
    compose = documents("compose.yaml")[0]
    for name, service in compose["services"].items():
        command = _with_defaults(service.get("command", []))
        if isinstance(command, str):
            found.append((f"compose {name}", shlex.split(command)))
        elif service.get("image", "").find("faces-bot") >= 0:
            found.append((f"compose {name}", ["python", "-m", "bot", *command]))
        elif command[:1] == ["bash"]:
            found += [(f"compose {name}", words) for words in _commands(command[-1].replace("$$", "$"))]
        elif command[:1] == ["python"]:
            found.append((f"compose {name}", command))
    return found


def program(name: str) -> str | None:
    """A program of requirements-dev.txt, beside this Python or on the PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)


@functools.cache
def _parsed(path: Path) -> list[dict[str, Any]]:
    return list(yaml.load_all(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _with_defaults(command: Any) -> Any:
    """A command of compose.yaml in which ${NAME:-default} is its default."""
    if isinstance(command, list):
        return [_with_defaults(word) for word in command]
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", command)


def _in_text(path: Path) -> Iterator[list[str]]:
    text = _CONTINUED.sub(" ", path.read_text())
    if path.suffix == ".md":
        lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    elif path.suffix == ".service":
        lines = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStart")]
    elif path.name == "cluster.yaml":
        content = _parsed(path)[0]
        lines = [line for key in content if key.endswith("_commands") for line in content[key]]
        lines += [line.lstrip("# ") for line in text.splitlines() if line.startswith("#   ")]
    elif path.name == "rayjob.yaml":
        lines = [_parsed(path)[0]["spec"]["entrypoint"]]
    else:
        lines = [line.lstrip("# ") for line in text.splitlines() if re.match(r"#\s+(python|ray|serve) ", line)]
    for line in lines:
        yield from _commands(line)


def _commands(line: str) -> Iterator[list[str]]:
    """The commands of a shell's line that start Python or Ray, also those that another hands to a cluster."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return
    rest: list[str] = []
    for word in [*words, "&&"]:
        if word not in ("&&", ";", "|", "||", "&", ">") and not word.endswith(";"):
            rest.append(word)
            continue
        if word.endswith(";") and word != ";":
            rest.append(word[:-1])
        yield from _ours(rest)
        rest = []


def _ours(words: list[str]) -> Iterator[list[str]]:
    while words and (re.match(r"[A-Z_]+=", words[0]) or words[0] in ("exec", "sudo", "env")):
        words = words[1:]
    if words[:2] == ["docker", "compose"] and "head" in words:  # docker compose … run … head COMMAND
        words = words[words.index("head") + 1 :]
    if words[:2] == ["kubectl", "exec"] and "--" in words:
        words = words[words.index("--") + 1 :]
    if not words or not _OURS.search(words[0]):
        return
    words = [_OURS.search(words[0])[1], *words[1:]]  # type: ignore[index]
    yield words
    if words[:2] == ["ray", "exec"]:
        for word in words[2:]:
            if " " in word:
                yield from _commands(word)
    elif words[:3] == ["ray", "job", "submit"] and "--" in words:
        yield words[words.index("--") + 1 :]
