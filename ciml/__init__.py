"""ciml: a Git repository as the control plane of a machine-learning model."""

__version__ = "0.1.0"
