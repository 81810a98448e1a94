"""MLflow as the registry."""
