"""The one place that knows how files are kept: atomic writes, caches, locks, JSON lines, the hub."""

from runtime.files.atomic import atomic_path, fsync, sha256_file, write_json, write_text
from runtime.files.cache import cache_folder, home_folder
from runtime.files.hub import HubFile, download, fetch, prefer_the_cache_where_the_hub_is_out_of_reach, published
from runtime.files.jsonl import BadLine, Line, bounded_lines, json_line, parse_line, read_lines, read_objects
from runtime.files.locks import lock, locked

__all__ = [
    "BadLine",
    "HubFile",
    "Line",
    "atomic_path",
    "bounded_lines",
    "cache_folder",
    "download",
    "fetch",
    "fsync",
    "home_folder",
    "json_line",
    "lock",
    "locked",
    "parse_line",
    "prefer_the_cache_where_the_hub_is_out_of_reach",
    "published",
    "read_lines",
    "read_objects",
    "sha256_file",
    "write_json",
    "write_text",
]
