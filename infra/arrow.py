"""Arrow in a process that counts its megabytes."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from typing import Any

# Arrow's clients of object stores: infra.storage reads and writes for us.
_STORES = ("pyarrow._s3fs", "pyarrow._gcsfs", "pyarrow._azurefs", "pyarrow._hdfs")


def use_lean_arrow() -> None:
    """Have pyarrow do without pandas, its clients of object stores, and a pool of its own; call it before the first
    import of anything that uses Arrow.

    pyarrow looks for pandas when it makes its first array out of Python objects, and imports it where it is installed:
    28 MB and 0.6 s for nothing, measured. (To leave pandas out of `sys.modules` breaks it; not finding it does not.)
    `to_pandas` is not to be had afterwards. Its own pool keeps the pages of what it has freed.
    """
    finder = _Without("pandas", *_STORES)
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa
        import pyarrow.parquet

        pa.array([0])  # and here for pandas, and remembers
    finally:
        sys.meta_path.remove(finder)
    pa.set_memory_pool(pa.system_memory_pool())


class _Without:
    def __init__(self, *names: str) -> None:
        self._names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name in self._names and name not in sys.modules:
            raise ModuleNotFoundError(f"{name} is not looked for here", name=name)
        return None
