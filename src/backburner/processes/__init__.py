"""Child processes for CPU-bound tasks."""
