"""The SQL database: the only truth."""
