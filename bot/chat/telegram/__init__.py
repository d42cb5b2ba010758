"""Telegram: the same bot as everywhere, behind python-telegram-bot."""
