"""The workflow of a pipeline on GitHub."""
