"""The outside world: each adapter raises the core's errors only."""
