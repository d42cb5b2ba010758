"""The crawler beside img2dataset and a bare aiohttp loop: pictures a second, memory and processor time, in one run.

python benchmarks/crawl_speed.py [--s3] [--side 256] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.crawl import img2dataset, stopwatch
from benchmarks.crawl.pictures import name_of, picture_folder
from benchmarks.crawl.server import Server, serving
from infra.cli import run_cli
from infra.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
S3_SHARE = 4  # of the pictures one in so many goes to S3: the development server keeps all in memory


class NoS3Error(UserError):
    """There is no S3 server to measure with."""


@dataclass
class Series:
    """The runs of one crawler under one set of settings."""

    name: str
    images: int
    stored: int = -1  # of the last run; -1: it stores nothing
    runs: list[dict[str, float]] = field(default_factory=list)

    def best(self, figure: str) -> float:
        """The best of the runs: the highest rate, the least of everything else."""
        values = [run[figure] for run in self.runs]
        return max(values) if figure.endswith("_per_s") else min(values)

    def median(self, figure: str) -> float:
        """The median of the runs."""
        return statistics.median(run[figure] for run in self.runs)


class Bench:
    """The server, its pictures and the folder for what the crawlers write."""

    def __init__(self, server: Server, folder: Path, count: int, reference: Path | None) -> None:
        self.server, self.folder, self.count, self.reference = server, folder, count, reference
        self.best = img2dataset.SETTINGS[0]  # of img2dataset, found by `local`

    def url_list(self, count: int) -> Path:
        """A text file with the addresses of the first `count` pictures."""
        path = self.folder / f"urls-{count}.txt"
        path.write_text("".join(f"{self.server.url}/{name_of(number)}\n" for number in range(count)))
        return path

    def run(
        self, series: Series, command: Sequence[str], environment: Mapping[str, str], stored: Callable[[], int] | None
    ) -> None:
        """One measured run, added to `series`; `stored` counts what it has left. Raises UserError if it failed."""
        self.server.forget()
        usage = stopwatch.run(command, environment, ROOT)
        first, last, sent = self.server.first_and_last()
        series.stored = stored() if stored else -1
        if usage.returncode or sent < series.images or (stored and series.stored != series.images):
            said = "\n".join(usage.output.splitlines()[-15:])
            raise UserError(
                f"{series.name}: exit {usage.returncode}, {sent} of {series.images} pictures asked for, "
                f"{series.stored} stored\n{said}"
            )
        series.runs.append(
            {
                "images_per_s": series.images / usage.wall_s,
                "fetched_per_s": series.images / max(last - first, 1e-3),
                "start_s": first - usage.began,
                "wall_s": usage.wall_s,
                "peak_mb": usage.peak_bytes / 2**20,
                "cpu_ms": 1000 * usage.cpu_s / series.images,
            }
        )
        print(f"  {series.name}: {series.runs[-1]['images_per_s']:.0f} images/s", file=sys.stderr, flush=True)

    def bare(self, series: Series) -> None:
        """The bare loop, once."""
        script = ROOT / "benchmarks" / "crawl" / "bare_loop.py"
        self.run(series, [sys.executable, str(script), str(self.url_list(series.images))], {}, None)

    def ours(self, series: Series, s3: Mapping[str, str] | None = None) -> None:
        """Our crawler, once: full decode, both hashes, near-duplicates, manifest."""
        with self.target(s3) as into, tempfile.TemporaryDirectory(dir=self.folder) as work:
            params = Path(work) / "crawl.yaml"
            params.write_text(json.dumps(self.params(into, work, series.images)))
            command = [sys.executable, "-m", "crawler", "run", "--params", str(params)]
            self.run(series, command, s3 or {}, lambda: _in_dataset(into))

    def params(self, into: str, work: str, count: int) -> dict[str, Any]:
        """The crawl of the list into `into`. One host serves everything here, so it may be asked by all at once."""
        source = {"type": "urllist", "name": "benchmark", "label": "real", "list": str(self.url_list(count))}
        network = {"allow": ["127.0.0.1"], "concurrency": 64, "per_host": 64}
        return {
            "name": "benchmark", "into": into, "contact": "benchmark@example.org", "work": f"{work}/work",
            "sources": [source], "network": network,
        }  # fmt: skip

    def theirs(
        self,
        series: Series,
        settings: tuple[int, int],
        form: str = "files",
        originals: bool = False,
        s3: Mapping[str, str] | None = None,
    ) -> None:
        """img2dataset with `settings` = (processes, threads), once."""
        assert self.reference is not None
        with self.target(s3) as into:
            output = into.removeprefix("file://")
            command = img2dataset.command(
                self.reference, self.url_list(series.images), output, *settings, form, originals, series.images
            )
            environment = {**img2dataset.QUIET, **(s3 or {})}
            count = (lambda: img2dataset.stored_in_s3(into)) if s3 else (lambda: img2dataset.stored(Path(output)))
            self.run(series, command, environment, count)

    @contextlib.contextmanager
    def target(self, s3: Mapping[str, str] | None) -> Iterator[str]:
        """The URL of an empty place to store in, emptied afterwards."""
        if s3:
            url = f"{s3['S3_URL']}/{uuid.uuid4().hex[:12]}"
            yield url
            _empty(url)
        else:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                yield f"file://{folder}/out"


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see `--help`."""
    parser = argparse.ArgumentParser(
        description="Measure the crawler beside img2dataset and a bare aiohttp loop, all from one server on loopback.",
        epilog="example: python benchmarks/crawl_speed.py --s3 --repeats 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", metavar="N", type=int, default=4000, help="default: %(default)s")
    parser.add_argument("--side", metavar="N", type=int, default=512, help="pixels; default: %(default)s")
    parser.add_argument("--repeats", metavar="N", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--s3", action="store_true", help="also upload to an S3 server (Debian: radosgw ceph-mon ceph-osd)"
    )
    parser.add_argument(
        "--img2dataset", metavar="PYTHON", type=Path, help="an interpreter that has it; default: our own"
    )
    parser.add_argument("--folder", metavar="DIR", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    args = parser.parse_args(argv)

    reference = img2dataset.find_python(args.img2dataset)
    if isinstance(reference, str):
        print(f"without img2dataset: {reference}", file=sys.stderr)
    print(f"{args.images} pictures of {args.side}×{args.side} …", file=sys.stderr, flush=True)
    pictures = picture_folder(args.images, args.side)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder, serving(pictures, Path(folder)) as server:
        bench = Bench(server, Path(folder), args.images, reference if isinstance(reference, Path) else None)
        report = {"server": server.kind, "images": args.images, "side": args.side, "local": local(bench, args.repeats)}
        if args.s3:
            try:
                report["s3"] = to_s3(bench, args.repeats)
            except NoS3Error as error:
                print(f"without S3: {error}", file=sys.stderr)
    if args.json:
        print(json.dumps(report, indent=2, default=vars))
        return
    print(f"{args.images} JPEGs of {args.side}×{args.side}, {server.kind} on loopback, best (median) of {args.repeats}")
    for title in ("local", "s3"):
        if title in report:
            print(table("to a local folder" if title == "local" else "to S3", report[title]))


def local(bench: Bench, repeats: int) -> list[Series]:
    """All crawlers to a local folder: ours first, then img2dataset as it is best, then the bare loop."""
    ours, bare = Series("ours", bench.count), Series("bare aiohttp loop", bench.count)
    series = [ours, bare]
    best = None
    if bench.reference:
        tried = {settings: Series(_named("files", settings), bench.count) for settings in img2dataset.SETTINGS}
        for settings, one in tried.items():
            bench.theirs(one, settings)
        best = max(tried, key=lambda settings: tried[settings].best("images_per_s"))
        tars = Series(_named("webdataset", best), bench.count)
        originals = Series(_named("files, originals kept", best), bench.count)
        series[1:1] = [tried[best], tars, originals]
        bench.best = best
    for repeat in range(repeats):  # in turns, so that a noisy minute hits all
        bench.ours(ours)
        bench.bare(bare)
        if best:
            if repeat:
                bench.theirs(tried[best], best)
            bench.theirs(tars, best, "webdataset")
            bench.theirs(originals, best, originals=True)
    return series


def to_s3(bench: Bench, repeats: int) -> list[Series]:
    """Ours and img2dataset to an S3 server that is started for it."""
    count = max(1, bench.count // S3_SHARE)
    ours = Series("ours", count)
    series = [ours]
    settings = bench.best
    with radosgw() as environment:
        if bench.reference:
            series += [Series(_named(form, settings), count) for form in ("files", "webdataset")]
        for _ in range(repeats):
            bench.ours(ours, environment)
            for one, form in zip(series[1:], ("files", "webdataset"), strict=False):
                bench.theirs(one, settings, form, s3=environment)
    return series


def table(title: str, series: list[Series]) -> str:
    """The figures; the last columns say how fast ours is, and how much memory it takes, for 1 of this crawler."""
    ours = series[0]
    lines = [
        f"\n{title} ({ours.images} pictures)",
        f"{'':<44}{'images/s':>16}{'start':>8}{'fetching':>11}{'peak memory':>14}{'CPU':>14}"
        f"{'ours: speed':>13}{'memory':>9}",
    ]
    for one in series:
        faster = ours.best("images_per_s") / one.best("images_per_s")
        memory = ours.best("peak_mb") / one.best("peak_mb")
        lines.append(
            f"{one.name:<44}{one.best('images_per_s'):>8,.0f} ({one.median('images_per_s'):>4,.0f})"
            f"{one.median('start_s'):>6.1f} s{one.best('fetched_per_s'):>9,.0f}/s{one.median('peak_mb'):>11,.0f} MB"
            f"{one.median('cpu_ms'):>8.2f} ms/im{faster:>12.2f}×{memory:>8.2f}×"
        )
    return "\n".join(lines)


def _named(form: str, settings: tuple[int, int]) -> str:
    return f"img2dataset, {form}, {settings[0]} × {settings[1]}"


def _in_dataset(url: str) -> int:
    # In another process: this one would share Arrow's pages with the crawler, which would then count half of them.
    script = ROOT / "benchmarks" / "crawl" / "count_images.py"
    counted = subprocess.run([sys.executable, str(script), url], cwd=ROOT, capture_output=True, text=True, check=False)
    if counted.returncode:
        raise UserError(f"the images in {url} cannot be counted: {counted.stderr.strip()[-300:]}")
    return int(counted.stdout)


def _empty(url: str) -> None:
    from infra.storage import open_storage

    storage = open_storage(url)
    for key in list(storage.list()):
        storage.delete(key)


@contextlib.contextmanager
def radosgw() -> Iterator[dict[str, str]]:
    """The variables of a running S3 server, which are also set in this process. Raises NoS3Error."""
    script = ROOT / "infra" / "dev" / "radosgw.sh"
    with tempfile.TemporaryDirectory(prefix="faces-s3-") as folder:
        try:
            up = subprocess.run([script, "up", folder], capture_output=True, text=True, check=False)
            if up.returncode:
                raise NoS3Error((up.stderr.strip().splitlines() or ["radosgw.sh said nothing"])[-1])
            environment = dict(word.split("=", 1) for word in shlex.split(up.stdout) if "=" in word)
            environment["AWS_DEFAULT_REGION"] = environment["AWS_REGION"]
            os.environ.update({name: value for name, value in environment.items() if name.startswith("AWS_")})
            yield environment
        finally:
            subprocess.run([script, "down", folder], check=False)


if __name__ == "__main__":
    run_cli(main)
