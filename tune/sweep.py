"""A sweep from its plan to its champion: dataset, Ray, trials, folders, result store."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from crawler.labels import LABELS, SPLITS
from crawler.manifest import Manifest, read_manifest
from infra.cli import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TERMINATED
from infra.database import DatabaseError, redact
from infra.errors import UserError
from infra.storage import absolute_url
from model_defs.checkpoint import Card, DatasetRef, read_card
from tune import folder
from tune.data import check_trainable, load_split_shown
from tune.folder import SweepRecord
from tune.params import DataParams
from tune.plan import Plan
from tune.store.reader import DEFAULT_URL
from tune.store.writer import ResultStore
from tune.trial_folder import TrialSummary

ROOT = Path(__file__).resolve().parent.parent


def open_dataset(plan: Plan) -> Manifest:
    """The sweep's dataset, with both classes in train and val. Raises ManifestError or DataError."""
    data = plan.sample.data
    manifest = read_manifest(data.manifest, data.version)
    check_trainable(manifest)
    counts = ", ".join(f"{manifest.count(split):,} {split}" for split in ("train", "val", "test"))
    print(f"dataset {data.manifest} v{manifest.version} ({manifest.hash[:12]}): {counts}", flush=True)
    if data.manifest == DataParams().manifest:
        print(
            "  these are the demo faces, good to see the machine run and for nothing else;\n"
            "  real data: python -m crawler import FOLDER --into file://./data/faces, then add here\n"
            "  --set data.manifest=file://./data/faces --set name=faces",
            flush=True,
        )
    return manifest


class LeakyDatasetError(UserError):
    """A dataset whose labels a network could learn without looking at a face."""


def check_audit(plan: Plan, manifest: Manifest) -> None:
    """Say whether anything but the picture predicts the label, before a sweep is begun on it.

    The audit is kept in the dataset, so only the first sweep pays for it. Generators that are held out (`ood`) do not
    count: nothing is trained on them. Raises LeakyDatasetError where a family of features is surely above the limit.
    """
    from crawler.audit import one_line, read_or_run_audit

    wanted = plan.params.audit
    if wanted.on_leak == "skip":
        return
    audit = read_or_run_audit(plan.sample.data.manifest, manifest.version)
    found = one_line(audit, wanted.limit, held_out=False)
    print(found, flush=True)
    if audit.verdict(wanted.limit, held_out=False) != "leaks":
        return
    url = manifest.url
    if wanted.on_leak == "warn" or _is_a_try(manifest):
        print(f"warning: a network may learn that instead of the faces; look with: python -m crawler audit {url}")
        return
    raise LeakyDatasetError(
        f"{url} is not trained on: {found.removeprefix('audit: leaks: ')}; a network would learn that instead of the "
        f"faces. Make an even copy with: python -m crawler audit {url} --equalise; or go on with --set "
        "audit.on_leak=warn, or a higher --set audit.limit"
    )


def _is_a_try(manifest: Manifest) -> bool:
    """Fewer images of a label are a set to try the machine with; what is trained on them is nothing to believe."""
    return any(sum(manifest.count(split, label) for split in SPLITS) < _TRY_BELOW for label in LABELS)


_TRY_BELOW = 30


def run(plan: Plan, manifest: Manifest, record: SweepRecord, *, retry_failed: bool) -> int:
    """Run or go on, promote the best, say what to do next. Returns the exit code."""
    ledger = _Ledger(plan, manifest, record)
    ledger.check()
    print("starting Ray …", flush=True)
    from tune import ray_sweep
    from tune.progress import ProgressCallback, clock
    from tune.store.callback import StoreCallback

    cluster = ray_sweep.connect()
    dashboard = f" · dashboard {cluster.dashboard}" if cluster.dashboard else ""
    print(f"Ray is up: {cluster.cpus:g} CPUs, {cluster.gpus:g} GPUs{dashboard}", flush=True)
    search = plan.params.search
    resources = ray_sweep.trial_resources(plan.params.resources, cluster)
    setup = _trial_setup(plan, manifest, record, ledger.git_commit)
    _fill_cache(plan, manifest)
    folder.write_record(plan.params, record)  # from here on the sweep has begun
    ledger.write(status="running")
    callbacks = [
        StoreCallback(ResultStore(plan.params.store), ledger.sweep_id, setup.folder, search.metric),
        ray_sweep.TrialFolders(setup.folder, search.metric),
        ProgressCallback(search.metric, search.direction, plan.num_trials),
    ]
    started = time.monotonic()
    signum = ray_sweep.run_tuner(plan, setup, cluster, resources, record.run, callbacks, retry_failed=retry_failed)
    if signum is not None:
        ledger.write(status="interrupted")
        print("stopped; everything is kept. Go on with the same command.", flush=True)
        return EXIT_TERMINATED if signum == signal.SIGTERM else EXIT_INTERRUPTED
    summaries = ray_sweep.finish_folders(setup.folder, search.metric)
    print(f"sweep '{plan.params.name}' ended after {clock(time.monotonic() - started)}", flush=True)
    champion = _promote(plan, setup.manifest, summaries)
    ledger.write(status="finished")
    folder.write_record(plan.params, record.model_copy(update={"status": "finished", "champion": champion}))
    if champion is None:
        print("no trial reached a first epoch; the lines above say why", file=sys.stderr)
        return EXIT_FAILED
    _say_next(plan)
    return 0


def say_finished(plan: Plan, record: SweepRecord) -> int:
    """The sweep was already run to its end: what it found, and how to run something else. Returns the exit code."""
    print(f"sweep '{plan.params.name}' is finished (run of {record.run}); nothing was trained.")
    print("another search: change the params and --set name=…; the same again: --fresh; failed trials: --retry-failed")
    if not record.champion:
        print("no trial of it reached a first epoch", file=sys.stderr)
        return EXIT_FAILED
    print(f"its champion: {record.champion}")
    _say_next(plan)
    return 0


class _Ledger:
    """The sweep's own row in the result store. Opened for a moment at a time: while trials run, the callback writes."""

    def __init__(self, plan: Plan, manifest: Manifest, record: SweepRecord) -> None:
        self.plan, self.manifest = plan, manifest
        self.sweep_id = f"{plan.params.name}/{record.run}"
        self.git_commit = _git_commit()

    def check(self) -> None:
        """Raise DatabaseError where the store cannot be opened, while nothing has begun."""
        store = ResultStore(self.plan.params.store)
        store.open()
        store.close()

    def write(self, status: str) -> None:
        """Write the row; where the store is away, it is kept for when it is back."""
        params = self.plan.params
        store = ResultStore(params.store)
        store.open(must_connect=False)
        store.sweep(
            self.sweep_id, params.name, params.model_dump(mode="json"),
            dataset_hash=self.manifest.hash, git_commit=self.git_commit, status=status,
        )  # fmt: skip
        store.close()


def _trial_setup(plan: Plan, manifest: Manifest, record: SweepRecord, git_commit: str | None) -> Any:
    from tune.trial import TrialSetup

    data, search = plan.sample.data, plan.params.search
    return TrialSetup(
        sweep=plan.params.name,
        folder=absolute_url(folder.run_url(plan.params, record)),
        manifest=absolute_url(data.manifest),
        dataset=DatasetRef(url=data.manifest, version=manifest.version, hash=manifest.hash),
        cache=str(Path(data.cache).resolve()),
        metric=search.metric,
        mode=search.direction,
        cpus=plan.params.resources.cpu,
        git_commit=git_commit,
        population_based=plan.params.scheduler.type == "pbt",
    )


def _fill_cache(plan: Plan, manifest: Manifest) -> None:
    """Decode before the first trial starts, where a person can see it; what Optuna may choose later decodes then."""
    trials = [point.params for point in plan.points] or [plan.sample]
    wanted = {trial.preprocess.model_dump_json(): trial for trial in trials}
    for trial in wanted.values():
        for split in ("train", "val"):
            load_split_shown(manifest, split, trial.preprocess, Path(trial.data.cache).resolve())


def _promote(plan: Plan, manifest_url: str, summaries: list[TrialSummary]) -> str | None:
    """Make the best trial the champion; the bundle's URL, None when no trial has a checkpoint."""
    from tune.champion import crown, describe_test, make_champion, objection_to
    from tune.store.query import champion_url

    search, params = plan.params.search, plan.params
    ranked = [s for s in summaries if s.best_value is not None]
    if not ranked:
        return None
    sign = 1 if search.direction == "max" else -1
    best = max(ranked, key=lambda s: sign * (s.best_value or 0.0))
    print(
        f"best on validation: {search.metric} {best.best_value:.4f} by trial {best.trial_id}, epoch {best.best_epoch}"
    )
    print("calibrating it on validation and judging it on the test split …", flush=True)
    champion = make_champion(best.folder, params.storage, Path(plan.sample.data.cache), manifest_url=manifest_url)
    try:
        current = champion_url(params.store)
    except DatabaseError as error:  # a sweep does not fail of its store: the promotion is written when it is back
        print(f"warning: {error}", file=sys.stderr)
        current = None
    reigning = _card_or_none(current)
    objection = objection_to(champion.card, reigning, search.metric, search.direction)
    if objection is None:
        crown(params.store, champion, best.trial_id)
        print(f"champion: {champion.url}")
        if reigning is not None and reigning.id != champion.card.id:
            print(f"  instead of {reigning.id}, trained on {reigning.dataset.url}; to go back:")
            print(f"  {_python()} -m tune.store promote {reigning.origin.trial}{_store_option(plan)}")
    else:
        print(f"the champion stays {current}: {objection}")
        print("  to promote this one all the same:")
        print(f"  {_python()} -m tune.store promote {best.trial_id}{_store_option(plan)}")
    for line in describe_test(champion.card):
        print(line)
    return champion.url


def _card_or_none(url: str | None) -> Card | None:
    try:
        return read_card(url) if url else None
    except UserError:
        return None


def _say_next(plan: Plan) -> None:
    store = "" if plan.params.store == DEFAULT_URL else f" --set store={redact(plan.params.store)}"
    print("next:")
    print(f"  {_python()} -m tune.store top --sweep {plan.params.name}{_store_option(plan)}")
    print(f"  {_python()} -m bot check PHOTO.jpg{store}")


def _store_option(plan: Plan) -> str:
    return "" if plan.params.store == DEFAULT_URL else f" --store {redact(plan.params.store)}"


def _python() -> str:
    """How the person called Python: by the environment's path where it lies in the current folder."""
    executable = Path(sys.executable)
    return str(executable.relative_to(Path.cwd())) if executable.is_relative_to(Path.cwd()) else "python"


def _git_commit() -> str | None:
    """The commit of the code, with '-dirty' when files differ from it; None outside a git checkout."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        changes = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("-dirty" if changes else "")
