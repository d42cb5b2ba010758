"""The small files of a publication, all of them functions of the manifest and the finished shards."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from crawler.fingerprint import sha256_hex
from crawler.manifest import Manifest
from crawler.publish.croissant import croissant_json
from crawler.publish.datasheet import datasheet_figures, datasheet_json, datasheet_md, read_audit
from crawler.publish.licences import licence_figures, licences_md
from crawler.publish.place import CHECKSUMS
from crawler.publish.state import STATE_KEY, State
from infra.storage import Storage


def documents(
    storage: Storage, manifest: Manifest, table: pa.Table, shard_of: Sequence[str], state: State, taken_down: int
) -> dict[str, bytes]:
    """Name ▶ content, in the order in which they are to be written; the checksums of everything come last.

    table: the manifest's, in the order of the shards; shard_of: for each of its rows the name of its shard.
    """
    with_shards = table.append_column("shard", pa.array(shard_of, pa.string()))
    sink = pa.BufferOutputStream()
    pq.write_table(with_shards, sink, compression="zstd")
    metadata = sink.getvalue().to_pybytes()
    licences = licence_figures(table)
    figures = datasheet_figures(manifest, state, licences, read_audit(storage, manifest.version), taken_down)
    texts = {
        "LICENSES.md": licences_md(state.title, licences),
        "croissant.json": croissant_json(figures, licences, with_shards.schema, sha256_hex(metadata)),
        "datasheet.json": datasheet_json(figures),
        "datasheet.md": datasheet_md(figures),
    }
    files = {
        STATE_KEY: state.to_json(),
        "metadata.parquet": metadata,
        **{name: text.encode() for name, text in texts.items()},
    }
    sums = {name: shard.sha256 for name, shard in state.shards.items()}
    sums |= {name: sha256_hex(data) for name, data in files.items()}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
    return {**files, CHECKSUMS: "".join(lines).encode()}
