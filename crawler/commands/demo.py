"""The command `demo`: the demo faces."""

from __future__ import annotations

import argparse
from pathlib import Path

from crawler.commands.frame import add_command, print_dataset
from infra.cli import Subparsers

DEMO_URL = "file://./data/demo"


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        _run,
        "demo",
        "make the demo faces: 400 portraits and 400 drawn by a small GAN",
        "A set to try the plumbing with: what a network learns on it tells nothing about today's generators.",
        "python -m crawler demo --into file://./data/demo",
    )
    parser.add_argument("--into", metavar="URL", default=DEMO_URL, help="default %(default)s")
    parser.add_argument("--archives", metavar="FOLDER", type=Path, help="where the two packages lie already")
    parser.add_argument("--samples", metavar="FOLDER", type=Path, help="also write real.jpg and fake.jpg of test here")


def _run(args: argparse.Namespace) -> int:
    from crawler.demo import make_demo_faces
    from crawler.sample import write_sample

    faces = make_demo_faces(args.into, args.archives)
    print("demo faces " + ("made" if faces.made else "are there already") + ": a set to try the plumbing with")
    print_dataset(faces.manifest)
    if args.samples is not None:
        for label in ("real", "fake"):
            print(write_sample(args.into, "test", label, 0, args.samples / f"{label}.jpg"))
    return 0
