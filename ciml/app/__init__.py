"""Use-cases, one file each: read, decide, act."""
