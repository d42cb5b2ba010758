"""A real browser for tests: Chromium without a window, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_S = 30.0


def chromium() -> str:
    """The browser's path; skips the test where there is none."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: the page is not tried in a browser (apt-get install chromium)")
    return found


class Page:
    """One page. errors: what its console said that no good page says, refusals by its policy among it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: dict[str, asyncio.Event] = {}

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol; its result. Raises RuntimeError for one that fails."""
        number = next(self._numbers)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        answer = await asyncio.wait_for(future, _PATIENCE_S)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str) -> None:
        """Go there, and wait until all is loaded."""
        loaded = self._events["Page.loadEventFired"] = asyncio.Event()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(loaded.wait(), _PATIENCE_S)

    async def run(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise. Raises RuntimeError for one that throws."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, script: str) -> Any:
        """The value of an expression as soon as it is true; looked at whenever the page is drawn."""
        return await self.run(
            f"new Promise((done) => {{ const look = () => {{ const is = {script}; "
            "if (is) done(is); else requestAnimationFrame(look); }; look(); })"
        )

    async def press(self, key: str, code: int) -> None:
        """A key, such as "ArrowRight" with its virtual code 39."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            params: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            await self.call("Input.dispatchKeyEvent", type=kind, **params, **({"text": text} if text else {}))

    async def choose(self, selector: str, file: Path) -> None:
        """Give a file to an input, as if it was chosen."""
        root = (await self.call("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.call("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        await self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    async def save(self, script: str, folder: Path) -> Path:
        """The file that is downloaded into `folder` because of an expression."""
        saved = self._events["Browser.downloadProgress"] = asyncio.Event()
        await self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), eventsEnabled=True)
        await self.run(script)
        await asyncio.wait_for(saved.wait(), _PATIENCE_S)
        (file,) = folder.iterdir()
        return file

    async def offline(self, is_offline: bool) -> None:
        """Cut the page off from every network, or connect it again."""
        await self.call("Network.enable")
        await self.call(
            "Network.emulateNetworkConditions",
            offline=is_offline,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    async def resize(self, width: int, height: int, is_dark: bool = False) -> None:
        """The window's size in CSS pixels, and its colours."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self) -> bytes:
        """The whole page, as a PNG file."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def read(self) -> None:
        """Take in what the browser says, until it is closed."""
        async for message in self._socket:
            said = json.loads(message.data)
            if (future := self._answers.pop(said.get("id", 0), None)) and not future.done():
                future.set_result(said)
            method, params = said.get("method", ""), said.get("params", {})
            if method in self._events and params.get("state", "completed") == "completed":
                self._events[method].set()
            if method == "Runtime.exceptionThrown":
                self.errors.append(str(params["exceptionDetails"]))
            if method == "Log.entryAdded" and params["entry"]["level"] == "error":
                self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")


@asynccontextmanager
async def browser_page(language: str = "en") -> AsyncIterator[Page]:
    """An empty page of a browser of its own, which ends with it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--lang={language}", f"--accept-lang={language}", f"--user-data-dir={profile}",
            "--remote-debugging-port=0", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            port = await asyncio.wait_for(_port(process), _PATIENCE_S)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    targets = json.loads(await answer.text())
                url = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    page = Page(socket)
                    reading = asyncio.create_task(page.read())
                    for domain in ("Page", "Runtime", "Log", "DOM"):
                        await page.call(f"{domain}.enable")
                    yield page
            await reading
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def _port(process: asyncio.subprocess.Process) -> int:
    """Where the browser listens, which it says on its standard error."""
    assert process.stderr is not None
    async for line in process.stderr:
        if b"DevTools listening on ws://" in line:
            return int(line.split(b"ws://")[1].split(b"/")[0].rsplit(b":")[-1])
    raise RuntimeError("the browser ended before it listened")
