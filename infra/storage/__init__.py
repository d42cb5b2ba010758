"""One interface over a folder (`file://`) and an S3 bucket (`s3://`): whole objects under plain keys.

`open_storage` is the door; what every backend promises stands in `infra.storage.contract`.
"""

from infra.storage.contract import ObjectNotFound, Storage, StorageError, UnsafeKey, check_key
from infra.storage.urls import absolute_url, join_url, open_storage

__all__ = [
    "ObjectNotFound",
    "Storage",
    "StorageError",
    "UnsafeKey",
    "absolute_url",
    "check_key",
    "join_url",
    "open_storage",
]
