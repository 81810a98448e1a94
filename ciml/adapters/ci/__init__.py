"""The CI services: what their jobs are told, and what they tell."""
