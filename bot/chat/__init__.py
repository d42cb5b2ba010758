"""Talking to people, whatever the platform: what is said, and the decisions that every platform shares."""
