"""Arrow in a process that counts its megabytes."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from typing import Any


def use_lean_arrow() -> None:
    """Have pyarrow do without pandas and without a pool of its own in this process; call it before the first array.

    pyarrow looks for pandas when it makes its first array out of Python objects, and imports it where it is installed:
    28 MB and 0.6 s for nothing, measured. (To leave pandas out of `sys.modules` breaks it; not finding it does not.)
    `to_pandas` is not to be had afterwards. Its own pool keeps the pages of what it has freed.
    """
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])  # here it looks, and remembers
    finally:
        sys.meta_path.remove(finder)
    pa.set_memory_pool(pa.system_memory_pool())


class _NoPandas:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name == "pandas" and "pandas" not in sys.modules:
            raise ModuleNotFoundError("pandas is not looked for here", name=name)
        return None
