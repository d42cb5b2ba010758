"""A dataset for others to use: WebDataset shards, a table, a datasheet and checksums, in a folder or a bucket."""

from crawler.publish.release import PublishOptions, PublishReport, publish, republish
from crawler.publish.shard import row_json, row_of_json
from crawler.publish.state import PublishError

__all__ = ["PublishError", "PublishOptions", "PublishReport", "publish", "republish", "row_json", "row_of_json"]
