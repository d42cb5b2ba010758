"""The HTTP API and the pages for a browser: FastAPI over the same core as the chats."""
