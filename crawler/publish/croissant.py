"""`croissant.json`: the publication in MLCommons Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html),
so that catalogues and loaders understand it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from crawler.publish.licences import UNKNOWN, LicenceFigures

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TABLE = "metadata.parquet"


def croissant_json(
    figures: Mapping[str, Any], licences: Sequence[LicenceFigures], schema: pa.Schema, table_sha256: str
) -> str:
    """figures: the datasheet's. schema, table_sha256: of `metadata.parquet`."""
    shards = [
        _file(name, "application/x-tar", shard["sha256"], shard["bytes"]) for name, shard in figures["shards"].items()
    ]
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "".join(c if c.isalnum() or c in "-_. " else "-" for c in figures["title"]),
        "description": f"{figures['images']} images of real and generated faces; see datasheet.md. "
        f"Dataset hash {figures['hash']}.",
        "version": f"{figures['version']}.0.0",
        "license": [entry.url or entry.licence for entry in licences if entry.licence != UNKNOWN],
        "datePublished": figures["fetched"]["last"],
        "distribution": [_file(_TABLE, "application/x-parquet", table_sha256, None), *shards],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "images",
                "name": "images",
                "description": "One record an image; the bytes lie in the archive that `shard` names.",
                "key": {"@id": "images/sha256"},
                "field": [_field(field) for field in schema],
            }
        ],
    }
    given = {key: value for key, value in content.items() if value not in (None, [])}
    return json.dumps(given, indent=1, ensure_ascii=False) + "\n"


def _file(name: str, encoding: str, sha256: str, length: int | None) -> dict[str, Any]:
    size = {} if length is None else {"contentSize": f"{length} B"}
    return {
        "@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "encodingFormat": encoding,
        "sha256": sha256, **size,
    }  # fmt: skip


def _field(field: pa.Field) -> dict[str, Any]:
    is_list = pa.types.is_list(field.type)
    return {
        "@type": "cr:Field",
        "@id": f"images/{field.name}",
        "name": field.name,
        "dataType": _data_type(field.type.value_type if is_list else field.type),
        **({"repeated": True} if is_list else {}),
        "source": {"fileObject": {"@id": _TABLE}, "extract": {"column": field.name}},
    }


def _data_type(of: pa.DataType) -> str:
    if pa.types.is_integer(of):
        return "sc:Integer"
    return "sc:DateTime" if pa.types.is_timestamp(of) else "sc:Text"
