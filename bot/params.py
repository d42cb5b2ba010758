"""BotParams: the validated params file of everything that answers."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from infra.params import StrictModel

AUTO = "auto"


class CheckParams(StrictModel):
    """How `check` works. threads: CPU threads of the network, null lets torch choose. max_mb: of one file.

    out: the folder, or storage URL, for panels.
    """

    threads: int | None = Field(default=None, ge=1, le=1024)
    max_mb: float = Field(default=32, gt=0, le=1024)
    out: str = Field(default="checks", min_length=1)


class WorkerParams(StrictModel):
    """The process that looks at pictures for the chat clients, and the queue before it.

    queue: pictures that may wait in all. per_user, per_server: of them for one person, for one server. batch: pictures
    in one pass. timeout_s: for one batch, after which the process is replaced. reload_s: how often it is asked whether
    there is a new champion.
    """

    queue: int = Field(default=200, ge=1, le=10_000)
    per_user: int = Field(default=64, ge=1, le=1000)
    per_server: int = Field(default=128, ge=1, le=10_000)
    batch: int = Field(default=8, ge=1, le=64)
    timeout_s: float = Field(default=60, gt=0, le=3600)
    reload_s: float = Field(default=5, gt=0, le=3600)


class QuizParams(StrictModel):
    """deck: the quiz deck's URL, made with `python -m bot deck`. answer_s: the timer of a round for a whole channel.

    daily: faces in the daily set. min_answers: below this nobody is on a leaderboard. stumbles: how often, of the faces
    shown, one on which the machine is wrong is chosen on purpose, in [0, 1].
    """

    deck: str = Field(default="file://./data/deck", min_length=1)
    answer_s: float = Field(default=30, ge=5, le=600)
    daily: int = Field(default=10, ge=3, le=50)
    min_answers: int = Field(default=20, ge=1, le=10_000)
    stumbles: float = Field(default=0.15, ge=0, le=1)


class NetworkParams(StrictModel):
    """Links in messages are fetched only from public addresses. allow: hosts, host:port or networks of the operator
    besides. max_mb: of one file. timeout_s: for one file, redirects and all.
    """

    allow: tuple[str, ...] = ()
    max_mb: float = Field(default=25, gt=0, le=1024)
    timeout_s: float = Field(default=20, gt=0, le=600)


class DiscordParams(StrictModel):
    """token_file: a file that holds the bot's token; else it comes from DISCORD_TOKEN in the environment.

    api_url, gateway_url: where a REST or gateway proxy of the operator's stands in for Discord's own.
    message_content: whether the application has that privileged intent; without it pictures arrive only in direct
    messages, mentions and commands. max_images: pictures answered in one message. stop_s: how long what is under way
    may take when the bot is told to end.
    """

    token_file: str | None = None
    api_url: str | None = None
    gateway_url: str | None = None
    message_content: bool = True
    max_images: int = Field(default=10, ge=1, le=10)
    stop_s: float = Field(default=30, gt=0, le=600)

    @field_validator("api_url", "gateway_url")
    @classmethod
    def _is_url(cls, value: str | None, info: object) -> str | None:
        schemes = ("http", "https") if getattr(info, "field_name", "") == "api_url" else ("ws", "wss")
        if value is not None and (urlsplit(value).scheme not in schemes or not urlsplit(value).hostname):
            raise ValueError(f"must be a {schemes[0]}:// or {schemes[1]}:// URL")
        return value


class MonitorParams(StrictModel):
    """Where /healthz and /metrics are served, on loopback. port: 0 takes a free one; null serves none."""

    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: int | None = Field(default=9108, ge=0, le=65_535)


class WebParams(StrictModel):
    """Where the page and the HTTP API are served. port: 0 takes a free one. stop_s: how long what is under way may take
    when the server is told to end. A picture may be as large as check.max_mb and network.max_mb both allow.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8000, ge=0, le=65_535)
    stop_s: float = Field(default=30, gt=0, le=600)


class BotParams(StrictModel):
    """store: the result store that knows the champion. bundle: a checkpoint bundle's URL, an alias of the store, or
    auto for its champion. database: scores, settings and results. keep_days: how long the result for a picture is kept.
    """

    store: str = "sqlite:///runs/results.db"
    bundle: str = Field(default=AUTO, min_length=1)
    database: str = Field(default="sqlite:///runs/bot.db", min_length=1)
    keep_days: float = Field(default=30, gt=0, le=3650)
    check: CheckParams = CheckParams()
    worker: WorkerParams = WorkerParams()
    quiz: QuizParams = QuizParams()
    network: NetworkParams = NetworkParams()
    discord: DiscordParams = DiscordParams()
    web: WebParams = WebParams()
    monitor: MonitorParams = MonitorParams()
