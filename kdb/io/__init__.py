"""Files: records in and out, outputs, the cache on disk, hashes, packaged models."""
