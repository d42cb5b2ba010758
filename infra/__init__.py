"""Floor 1: storage, database, safe image opening, params files and the command-line frame."""
