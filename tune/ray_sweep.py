"""The plan as a Ray Tune experiment: started, interrupted, and taken up again where it stopped."""

from __future__ import annotations

import functools
import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from infra import ray_cluster  # sets what Ray reads when it is imported

# Read by Ray when it is imported.
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # the result store is the record
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # `stop_on_signals` below
# The experiment snapshot at most this many seconds old: what a hard kill can make Ray forget.
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "2")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")

import ray
from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig, Tuner

from infra.errors import UserError
from infra.ray_cluster import Cluster
from infra.storage import absolute_url, join_url, open_storage
from tune.folder import sweep_url
from tune.params import ResourceParams, SweepParams
from tune.plan import Plan
from tune.points import Point
from tune.schedulers import build_scheduler, with_scheduler
from tune.seeds import derive_seed
from tune.trial import TrialSetup, run_trial, trial_folder_name
from tune.trial_folder import FolderWriter, TrialSummary

if TYPE_CHECKING:
    from ray.tune.search.optuna import OptunaSearch

# A trial that goes on after a crash reports its epochs again.
warnings.filterwarnings("ignore", message=r".*step.*already reported")


def connect() -> Cluster:
    """Join the cluster of RAY_ADDRESS, or start Ray on this machine alone."""
    cluster = ray_cluster.connect()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are told in a line each by `tune.progress`
    return cluster


def trial_resources(params: ResourceParams, cluster: Cluster) -> dict[str, float]:
    """Ray's resources of one trial. Raises UserError when the cluster can never grant them."""
    gpu = (1.0 if cluster.gpus else 0.0) if params.gpu == "auto" else float(params.gpu)
    autoscales = bool(os.environ.get("RAY_ADDRESS"))
    for name, asked, offered in (("cpu", params.cpu, cluster.cpus), ("gpu", gpu, cluster.gpus)):
        if asked > offered and not autoscales:
            raise UserError(f"resources.{name}: a trial asks for {asked:g}, this machine has {offered:g}")
    return {"cpu": params.cpu, "gpu": gpu}


def run_tuner(
    plan: Plan,
    setup: TrialSetup,
    cluster: Cluster,
    resources: dict[str, float],
    run: str,
    callbacks: list[tune.Callback],
    *,
    retry_failed: bool,
) -> int | None:
    """Run the experiment `run` of the sweep, from the start or from where it stopped.

    resources: of one trial (`trial_resources`). Returns the signal that interrupted it, None when it ended.
    """
    params = plan.params
    if not plan.points:  # a searcher is made, or comes from the snapshot
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
    trainable = tune.with_resources(tune.with_parameters(run_trial, setup=setup), resources)
    storage_path = ray_storage_path(sweep_url(params))
    experiment = ray_storage_path(join_url(sweep_url(params), run))
    if Tuner.can_restore(experiment):
        tuner = Tuner.restore(experiment, trainable=trainable, resume_unfinished=True, resume_errored=retry_failed)
        # Its callbacks come from a pickle: they write where the first start wrote and know no password. Tune has no
        # public way to replace them; their saved states are handed to the new ones by position.
        restored = tuner._local_tuner
        restored._run_config.callbacks = with_scheduler(callbacks, restored._tune_config.scheduler)
    else:
        scheduler = build_scheduler(plan)
        tuner = Tuner(
            trainable,
            param_space=_param_space(plan),
            tune_config=TuneConfig(
                metric=params.search.metric,
                mode=params.search.direction,
                num_samples=plan.num_trials if not plan.points else 1,
                max_concurrent_trials=_max_concurrent(params, resources, cluster),
                reuse_actors=True,
                scheduler=scheduler,
                search_alg=_searcher(plan),
                trial_dirname_creator=_dirname,
                trial_name_creator=_dirname,
            ),
            run_config=RunConfig(
                name=run,
                storage_path=storage_path,
                verbose=0,
                callbacks=with_scheduler(callbacks, scheduler),
                # Only population based training stores its checkpoints through Ray: enough of them that those
                # an old snapshot names are still there.
                checkpoint_config=CheckpointConfig(num_to_keep=10),
                failure_config=FailureConfig(max_failures=params.resources.max_failures),
            ),
        )
    with stop_on_signals() as received:
        tuner.fit()
    return received[0] if received else None


class TrialFolders(tune.Callback):  # type: ignore[misc]
    """Lays out a trial's folder as soon as it ends, in another process: drawing must not hold up the sweep."""

    def __init__(self, folder: str, metric: str) -> None:
        self.folder, self.metric = folder, metric

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended."""
        _folder_writer().finish.remote(join_url(self.folder, _dirname(trial)), self.metric)


def finish_folders(folder: str, metric: str) -> list[TrialSummary]:
    """Lay out every trial folder of a run that is not laid out yet; their summaries. Raises StorageError."""
    names = sorted({key.split("/")[0] for key in open_storage(folder).list("trial-")})
    writer = _folder_writer()
    try:
        found = ray.get([writer.finish.remote(join_url(folder, name), metric) for name in names])
    except ray.exceptions.RayTaskError as error:  # its text is a whole traceback; what went wrong there is its cause
        if isinstance(error.cause, UserError):
            raise error.cause from None
        raise
    return [summary for summary in found if summary is not None]


def _folder_writer() -> Any:
    actor: Any = ray.remote(FolderWriter)
    options = {"name": "trial-folders", "get_if_exists": True, "num_cpus": 0, "max_restarts": 3, "max_task_retries": 3}
    return actor.options(**options).remote()


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """SIGINT or SIGTERM once: Tune saves the experiment, `fit` returns, the signal is in the list. Twice: at once."""
    received: list[int] = []

    def stop(signum: int, _frame: object) -> None:
        received.append(signum)
        if len(received) > 1:
            print("\nstopping at once; the same command goes on from the last checkpoints", flush=True)
            raise KeyboardInterrupt
        print("\nstopping: saving what the trials have reached (once more to stop at once)", flush=True)
        signal.raise_signal(signal.SIGUSR1)  # Tune's own request to stop gracefully, installed by `fit`

    # SIGUSR1 before `fit` has installed its handler would end the process silently.
    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        yield received
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def ray_storage_path(url: str) -> str:
    """A storage URL as Ray's `storage_path`: an absolute path, or `s3://bucket/prefix` with the server's address."""
    if not url.startswith("s3://"):
        return absolute_url(url).removeprefix("file://")
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return url
    server = urlparse(endpoint)
    return f"{url}?endpoint_override={server.netloc}&scheme={server.scheme}"


def _param_space(plan: Plan) -> dict[str, Any]:
    if not plan.points:
        return {}
    return {"trial": tune.grid_search([_config(plan, number, point) for number, point in enumerate(plan.points)])}


def _config(plan: Plan, number: int, point: Point) -> dict[str, Any]:
    return {
        "number": number,
        "seed": derive_seed(plan.params.seed, number),
        "choices": point.choices,
        "params": point.params.model_dump(),
    }


def _searcher(plan: Plan) -> OptunaSearch | None:
    if plan.points:
        return None
    from ray.tune.search.optuna import OptunaSearch

    search = plan.params.search
    return OptunaSearch(
        space=functools.partial(_suggest, plan), metric=search.metric, mode=search.direction, seed=plan.params.seed
    )


def _suggest(plan: Plan, optuna_trial: Any) -> dict[str, Any]:
    return {"trial": _config(plan, optuna_trial.number, plan.suggest(optuna_trial))}


def _max_concurrent(params: SweepParams, resources: dict[str, float], cluster: Cluster) -> int | None:
    if params.resources.max_concurrent != "auto":
        return params.resources.max_concurrent
    if params.search.algorithm != "optuna":
        return None
    # A searcher without a limit is asked for one trial at a time.
    fits = [
        offered / asked
        for asked, offered in ((resources["cpu"], cluster.cpus), (resources["gpu"], cluster.gpus))
        if asked
    ]
    return max(1, int(min(fits)))


def _dirname(trial: Any) -> str:
    return trial_folder_name(trial.config["trial"]["number"], trial.trial_id)
