"""A pipeline of DVC as one of ciml: what `dvc.yaml` says, in ciml's words, and what has no word there."""
