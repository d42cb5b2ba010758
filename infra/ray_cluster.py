"""Joining a Ray cluster, or starting Ray on this machine alone: one door for sweeps and crawls."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from infra.errors import UserError

# Read by Ray when it is imported, so this module must come first, and imports Ray only when asked to connect.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unless the user turns it on
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Idle torch threads sleep instead of spinning: beside other trials, spinning can cost 30 times the work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Else Ray's client for S3 sends checksums behind a body without Content-Length, which radosgw, for one, refuses (411).
os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Cluster:
    """What Ray offers. dashboard: its address, None where there is none."""

    cpus: float
    gpus: float
    dashboard: str | None


def connect() -> Cluster:
    """Join the cluster of RAY_ADDRESS, or start Ray on this machine alone. Raises UserError."""
    import ray

    address = os.environ.get("RAY_ADDRESS")
    inherited = ("OMP_WAIT_POLICY", "AWS_REQUEST_CHECKSUM_CALCULATION")
    for_workers = {"PYTHONPATH": str(ROOT)} | {name: os.environ[name] for name in inherited}
    if not address:
        # What Ray starts here inherits it. In a runtime environment, which a cluster needs, it would cost seconds: the
        # workers that Ray starts in advance have none, and are left idle while others start.
        os.environ |= for_workers
    try:
        context = ray.init(
            address=address or "local",  # without it Ray would try a cluster that an earlier run left recorded
            include_dashboard=None if address else True,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": for_workers} if address else None,
        )
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        raise UserError(f"{where} did not start: {str(error).splitlines()[0]}") from None
    resources = ray.cluster_resources()
    url = context.dashboard_url
    return Cluster(resources.get("CPU", 0), resources.get("GPU", 0), f"http://{url}" if url else None)
