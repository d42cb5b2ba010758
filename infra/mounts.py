"""Which file system a path lies on, read from the kernel's mount table."""

from __future__ import annotations

import os
import re
from pathlib import Path

# 9p and virtiofs are not here: containers and virtual machines put whole local disks behind them.
NETWORK_FILE_SYSTEMS = frozenset({
    "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs",
})  # fmt: skip
# A FUSE mount names its program after the dot. Those that only wrap local disks are not here.
NETWORK_FUSE = frozenset({
    "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "curlftpfs", "cvmfs2", "davfs", "davfs2", "gcsfuse", "geesefs",
    "glusterfs", "goofys", "hdfs", "juicefs", "lizardfs", "mfsmount", "moosefs", "mountpoint-s3", "rclone", "s3fs",
    "seaweedfs", "smbnetfs", "sshfs",
})  # fmt: skip

_OCTAL = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path) -> str | None:
    """The type of the network file system that `path` lies on, such as "nfs4"; None when it is a local one.

    `path` need not exist yet. Where there is no mount table (not Linux) the answer is None.
    """
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = file_system_of(os.path.realpath(path), table)
    return kind if kind and is_network(kind) else None


def file_system_of(path: str, mountinfo: str) -> str | None:
    """The file system type of the mount that an absolute, resolved `path` lies on, given /proc/self/mountinfo's text.

    The longest mount point wins; of two mounts on one point the later one, which covers the other. Format: proc(5).
    """
    best, best_length = None, -1
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields, types = before.split(" "), after.split(" ")
        if not separator or len(fields) < 5 or not types[0]:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best_length:
            best, best_length = types[0], len(point)
    return best


def is_network(kind: str) -> bool:
    """Whether a file system of this type (as the mount table spells it) is reached over a network."""
    name, _, program = kind.lower().partition(".")
    return name in NETWORK_FILE_SYSTEMS or (name in ("fuse", "fuseblk") and program in NETWORK_FUSE)
