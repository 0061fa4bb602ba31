"""The architecture, held by tests where no tool can hold it."""
