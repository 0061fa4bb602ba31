"""Real client libraries in their default settings: they connect, work and see what they expect."""
