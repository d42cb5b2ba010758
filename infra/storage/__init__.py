"""One interface over a folder (`file://`) and an S3 bucket (`s3://`): whole objects under plain keys.

`open_storage` is the door; what every backend promises stands in `infra.storage.contract`. `open_bulk_writer` is the
quick way in for thousands of objects named by their content.
"""

from infra.storage.bulk import BulkWriter, open_bulk_writer
from infra.storage.contract import ObjectNotFound, Storage, StorageError, StorageUnavailable, UnsafeKey, check_key
from infra.storage.urls import absolute_url, join_url, open_storage

__all__ = [
    "BulkWriter",
    "ObjectNotFound",
    "Storage",
    "StorageError",
    "StorageUnavailable",
    "UnsafeKey",
    "absolute_url",
    "check_key",
    "join_url",
    "open_bulk_writer",
    "open_storage",
]
