"""The reference: img2dataset in a virtual environment of its own, since its pins are not ours."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

VERSION = "1.47.0"
PACKAGES = (f"img2dataset=={VERSION}", "s3fs==2026.9.0")  # s3fs: its way to S3
FOLDER = Path(__file__).resolve().parent.parent.parent / ".venv-img2dataset"
SETTINGS = [(processes, threads) for processes in (1, 2) for threads in (32, 64)]
QUIET = {"NO_ALBUMENTATIONS_UPDATE": "1"}  # otherwise it looks for a newer version of a dependency at every start

_RUN = "import json, sys; from img2dataset import download; download(**json.loads(sys.argv[1]))"


def find_python(given: Path | None) -> Path | str:
    """The interpreter that has img2dataset, made when there is none; otherwise why there cannot be one."""
    python = given or FOLDER / "bin" / "python"
    if given is None and not python.exists():
        print(f"making {FOLDER.name}/ for img2dataset {VERSION}, once …", flush=True)
        reason = _install(python)
        if reason:
            return f"img2dataset could not be installed: {reason}"
    probe = [str(python), "-c", "import importlib.metadata as m; print(m.version('img2dataset'))"]
    try:
        answer = subprocess.run(probe, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{python} cannot be run: {error.strerror}"
    if answer.returncode:
        return f"{python} has no img2dataset"
    if answer.stdout.strip() != VERSION:
        return f"{python} has img2dataset {answer.stdout.strip()}, not {VERSION}"
    return python


def _install(python: Path) -> str:
    venv = [sys.executable, "-m", "venv", str(FOLDER)]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
    for command in (venv, pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(FOLDER, ignore_errors=True)
            said = (done.stderr or done.stdout).strip().splitlines()
            return said[-1] if said else f"{command[0]} ended with {done.returncode}"
    return ""


def command(
    python: Path, url_list: Path, output: str, processes: int, threads: int, form: str, originals: bool, count: int
) -> list[str]:
    """Its command line; `form`: files or webdataset; `originals`: without its re-encoding.

    Its shards are what its processes share out: so many that each process has several.
    """
    arguments = {
        "url_list": str(url_list),
        "output_folder": output,
        "processes_count": processes,
        "thread_count": threads,
        "resize_mode": "no",
        "output_format": form,
        "number_sample_per_shard": max(1, -(-count // 4)),
        "enable_wandb": False,
        "disable_all_reencoding": originals,
    }
    return [str(python), "-c", _RUN, json.dumps(arguments)]


def stored(output: Path) -> int:
    """How many pictures lie in its output folder, in files or in tar shards."""
    count = sum(1 for _ in output.rglob("*.jpg"))
    for shard in output.rglob("*.tar"):
        with tarfile.open(shard) as tar:
            count += sum(name.endswith(".jpg") for name in tar.getnames())
    return count


def stored_in_s3(url: str) -> int:
    """How many pictures lie below `url`, in files or in tar shards."""
    from infra.storage import open_storage

    storage = open_storage(url)
    count = 0
    for key in storage.list():
        if key.endswith(".jpg"):
            count += 1
        elif key.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(storage.get(key))) as tar:
                count += sum(name.endswith(".jpg") for name in tar.getnames())
    return count
