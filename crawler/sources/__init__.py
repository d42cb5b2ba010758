"""Where images come from: one module a kind of source."""

from crawler.sources.labelled_folder import FolderDefaults, read_labelled_folder
from crawler.sources.origin import Origin, SourceError, SourceImage

__all__ = ["FolderDefaults", "Origin", "SourceError", "SourceImage", "read_labelled_folder"]
