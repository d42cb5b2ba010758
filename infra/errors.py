"""The one error every command turns into a single line."""


class UserError(Exception):
    """Something the person at the keyboard can act on: the message says what was wrong, where, and what to do.

    Raised anywhere, shown by :func:`infra.cli.run_cli` as one line without a traceback. The message holds no
    secret and no line break.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
