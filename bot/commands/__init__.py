"""The commands of `python -m bot`: one module each, with `add(commands)`."""
