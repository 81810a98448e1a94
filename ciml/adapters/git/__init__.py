"""A Git repository, read through Git's plumbing."""
