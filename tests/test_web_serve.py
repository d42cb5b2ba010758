"""The server on Ray Serve: really started, asked by many at once, and one of its replicas killed meanwhile."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from starlette.responses import Response

from infra.params import ParamsError
from tests.bot_bundles import photo, write_small_bundle

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "infra" / "deploy" / "serve.yaml"
PATIENCE_S = 120.0


def test_the_deploy_file_is_one_that_serve_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.serve.schema import ServeDeploySchema

    from bot.web.deployment import app

    content = yaml.safe_load(FILE.read_text())
    schema = ServeDeploySchema.model_validate(content)
    (application,) = schema.applications
    assert application.import_path == "bot.web.deployment:app"
    monkeypatch.chdir(ROOT)
    built = app(application.args)
    names = {built._bound_deployment.name, *(each._bound_deployment.name for each in _bound(built))}
    assert {deployment.name for deployment in application.deployments} == names == {"Web", "Looker"}


@pytest.mark.parametrize(
    ("given", "said"),
    [({"parms": "x"}, "parms"), ({"set": ["worker.batch=0"]}, "worker.batch"), ({"params": "nowhere.yaml"}, "nowhere")],
)
def test_wrong_arguments_are_a_line(given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.web.deployment import app

    monkeypatch.chdir(ROOT)
    with pytest.raises(ParamsError, match=said):
        app(given)


@pytest.mark.parametrize(("peer", "status"), [("127.0.0.1", 204), ("::1", 204), ("192.0.2.7", 421), (None, 421)])
def test_without_keys_others_than_this_machine_are_refused_wherever_it_listens(peer: str | None, status: int) -> None:
    from bot.web.deployment import OnlyHere

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")],
             "client": (peer, 4000) if peer else None}  # fmt: skip
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(OnlyHere(Response(status_code=204))(scope, lambda: asyncio.sleep(0, {}), send))
    assert sent[0]["status"] == status


def _bound(application: Any) -> list[Any]:
    return [each for each in application._bound_deployment.init_args if hasattr(each, "_bound_deployment")]


@pytest.mark.slow
def test_on_two_cores_many_are_answered_in_batches_and_a_killed_replica_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from ray import serve

    from bot.web.deployment import app

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "bot.yaml").write_text(yaml.safe_dump({
        "bundle": write_small_bundle(tmp_path / "bundle"), "database": f"sqlite:///{tmp_path}/bot.db",
        "check": {"threads": 1},
    }))  # fmt: skip
    for name, value in {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)  # Ray's processes inherit it
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        built = app({"params": str(tmp_path / "bot.yaml"), "set": ["worker.per_user=200"]})
        serve.run(built, name="faces", route_prefix="/")
        asyncio.run(_under_load(f"http://127.0.0.1:{port}", serve.get_deployment_handle("Looker", "faces")))
    finally:
        serve.shutdown()
        ray.shutdown()


async def _under_load(url: str, looker: Any) -> None:
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession(base_url=url) as session:
        pictures = [_jpeg(seed) for seed in range(8)]

        async def ask(number: int) -> Any:
            async with session.post(
                "/api/v1/check", data=pictures[number % 8], headers={"Content-Type": "image/jpeg"}
            ) as answer:
                return answer.status, await answer.json()

        async with session.get("/healthz") as health:
            assert (health.status, (await health.json())["checks"]) == (200, {"detector": True, "records": True})
        answers = [asyncio.create_task(ask(number)) for number in range(64)]
        await asyncio.wait(answers[:32])
        pid, batches = await looker.batches.remote()
        assert max(batches) > 1, batches
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        found = await asyncio.gather(*answers)
        assert [status for status, _ in found] == [200] * 64, [body for status, body in found if status != 200][:1]
        assert len({(body["sha256"], body["p_fake"]) for _, body in found}) == 8
        assert (await looker.batches.remote())[0] != pid
        assert time.monotonic() - began < PATIENCE_S


def _jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    photo(640, 480, seed).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
