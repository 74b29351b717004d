"""How the log reaches those who watch it."""
