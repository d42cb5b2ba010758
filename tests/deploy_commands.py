"""Whether a command line of the deployment files would be understood by whoever it calls; nothing is run."""

from __future__ import annotations

import argparse
import re
from typing import Any


def check_command(where: str, words: list[str]) -> None:
    """Raises, or ends as argparse does, unless `words` parse and their params files and settings are valid."""
    match words:
        case ["python" | "python3", "-c", code]:
            compile(code, where, "exec")
        case ["python" | "python3", "tune/run.py", *rest]:
            _check_sweep(rest)
        case ["python" | "python3", "-m", module, *rest]:
            _check_module(module, rest)
        case ["ray" | "serve", *rest]:
            _check_click(words[0], rest)
        case _:
            raise AssertionError(f"{where}: what is {words}?")


def _check_sweep(arguments: list[str]) -> None:
    from tune.params import load_sweep_params
    from tune.run import _parser

    parsed = _parser().parse_args([re.sub(r"^\$GPU_PER_TRIAL$|(?<==)\$\w+$", "0", word) for word in arguments])
    where = parsed.params.replace("/home/faces/params/", "params/")
    load_sweep_params(where, parsed.sets)


def _check_module(module: str, arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    commands = parser.add_subparsers(required=True)
    if module == "bot":
        from bot.__main__ import _COMMANDS
        from bot.params import BotParams
        from infra.params import load_params

        for command in _COMMANDS:
            command.add(commands)
        parsed = parser.parse_args(arguments)
        if getattr(parsed, "params", None):
            load_params(parsed.params, [entry.replace("%d", "/run") for entry in parsed.sets], BotParams)
    elif module == "crawler":
        from crawler.__main__ import _COMMANDS as CRAWLER_COMMANDS

        for crawler_command in CRAWLER_COMMANDS:
            crawler_command.add(commands)
        parser.parse_args(arguments)
    elif module == "tune.store":
        from tune.store.__main__ import COMMANDS

        for add in COMMANDS:
            add(commands)
        parser.parse_args(arguments)
    elif module in ("infra.deploy.make_bucket", "infra.deploy.fetch_pgpass"):
        assert len(arguments) == 1
        assert not arguments[0].startswith("-")
    else:
        assert module in ("venv", "pip"), f"no module {module}"


def _check_click(name: str, arguments: list[str]) -> None:
    import click

    if name == "ray":
        from ray.scripts.scripts import cli
    else:
        from ray.serve.scripts import cli
    command: Any = cli
    while isinstance(command, click.Group):
        assert arguments[0] in command.commands, f"{name} {arguments[0]}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    command.make_context(name, list(arguments))
