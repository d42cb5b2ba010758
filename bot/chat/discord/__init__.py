"""Discord: a thin adapter between its gateway and REST API and what every platform shares."""
