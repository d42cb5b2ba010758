"""Runs a command and measures it with all its descendants: wall and processor time, peak memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.1


@dataclass(frozen=True)
class Usage:
    """What a command took. `began`: seconds since 1970. `peak_bytes`: proportional set size of the whole tree.

    PSS counts a page that several processes share once among them, so a forked pool is not charged twice.
    """

    began: float
    wall_s: float
    cpu_s: float
    peak_bytes: int
    returncode: int
    output: str


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path, timeout_s: float = 600) -> Usage:
    """Run `command` in `folder` to its end."""
    with tempfile.TemporaryFile() as output:
        began, started = time.time(), time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=output)
        sampler = _Sampler(process.pid)
        sampler.start()
        killer = threading.Timer(timeout_s, process.kill)
        killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.stop()
        output.seek(0)
        said = output.read().decode(errors="replace")
    # Daemons that nobody waits for, as fork servers are, are not in rusage; the sampler has seen them all.
    cpu = max(usage.ru_utime + usage.ru_stime, sampler.cpu_s)
    return Usage(began, wall, cpu, sampler.peak, process.returncode, said)


class _Sampler(threading.Thread):
    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._cpu_s: dict[int, float] = {}
        self._root = root
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(SAMPLE_S):
            tree = _tree(self._root)
            self.peak = max(self.peak, sum(_pss_bytes(pid) for pid in tree))
            self._cpu_s |= {pid: _cpu_s(pid) or self._cpu_s.get(pid, 0.0) for pid in tree}

    @property
    def cpu_s(self) -> float:
        """Processor time of all processes that were seen, up to when each was seen last."""
        return sum(self._cpu_s.values())

    def stop(self) -> None:
        self._done.set()
        self.join()


def _tree(pid: int) -> list[int]:
    """`pid` and its descendants."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:  # it has ended meanwhile
            continue
    return found


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pss_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
