"""The result store: every trial, metric, checkpoint and event of every sweep, in SQLite or PostgreSQL."""
