"""The trials of a store as one file: Parquet, CSV or JSON."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.errors import UserError
from tune.store import report

FORMATS = ("parquet", "csv", "json")


def write_export(rows: Sequence[Mapping[str, Any]], path: Path, file_format: str) -> None:
    """Write `rows` under a temporary name, then rename. Raises UserError when the place cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            os.close(handle)
            _write(rows, temporary, file_format)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None


def _write(rows: Sequence[Mapping[str, Any]], path: Path, file_format: str) -> None:
    if file_format == "parquet":
        _write_parquet(rows, path)
    elif file_format == "csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            report.write_csv(rows, file)
    else:
        path.write_text(json.dumps(report.jsonable(rows), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_parquet(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for row in rows for name in row))
    pq.write_table(pa.table({name: _column([row.get(name) for row in rows]) for name in names}), path)


def _column(values: list[Any]) -> Any:
    """One type a column, as Parquet wants it; a param that is now a number and now a word is written as text."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if len(kinds) == 1 and kinds <= {int, bool, str}:
        return pa.array(values)
    if not kinds:
        return pa.array(values, pa.string())
    return pa.array(
        [value if value is None or isinstance(value, str) else json.dumps(report.jsonable(value)) for value in values]
    )
