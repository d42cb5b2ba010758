"""BotParams: the validated params file of everything that answers."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from infra.params import StrictModel

AUTO = "auto"
LOCAL = "local"


def _url(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if urlsplit(value).scheme not in schemes or not urlsplit(value).hostname:
            raise ValueError(f"must be a {' or '.join(f'{scheme}://' for scheme in schemes)} URL")
        return value

    return AfterValidator(check)


HttpUrl: TypeAlias = Annotated[str, _url("http", "https")]
HttpsUrl: TypeAlias = Annotated[str, _url("https")]
SocketUrl: TypeAlias = Annotated[str, _url("ws", "wss")]


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
    api_url: HttpUrl | None = None
    gateway_url: SocketUrl | None = None
    message_content: bool = True
    max_images: int = Field(default=10, ge=1, le=10)
    stop_s: float = Field(default=30, gt=0, le=600)


class TelegramParams(StrictModel):
    """token_file: a file that holds the bot's token; else it comes from TELEGRAM_TOKEN in the environment.

    api_url: a Bot API server of the operator's instead of Telegram's own. webhook_url: the public https address that
    Telegram is to send updates to, served at webhook_host:webhook_port; null asks for them (long polling).
    max_images: pictures answered in one message. stop_s: how long what is under way may take when the bot is told to
    end.
    """

    token_file: str | None = None
    api_url: HttpUrl | None = None
    webhook_url: HttpsUrl | None = None  # Telegram sends nothing to an address without TLS
    webhook_host: str = Field(default="127.0.0.1", min_length=1)
    webhook_port: int = Field(default=8443, ge=0, le=65_535)
    max_images: int = Field(default=10, ge=1, le=10)
    stop_s: float = Field(default=30, gt=0, le=600)


class MonitorParams(StrictModel):
    """Where /healthz and /metrics are served, on loopback. port: 0 takes a free one; null serves none."""

    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: int | None = Field(default=9108, ge=0, le=65_535)


class LimitParams(StrictModel):
    """Requests a minute where others than this machine may come; unused ones gather up to a minute's. checks: pictures
    to look at. reads: all else. key_…: for one API key. address_…: for one address without a key, of IPv6 for its /64.
    """

    key_checks: int = Field(default=300, ge=1, le=1_000_000)
    key_reads: int = Field(default=3000, ge=1, le=1_000_000)
    address_checks: int = Field(default=20, ge=1, le=1_000_000)
    address_reads: int = Field(default=600, ge=1, le=1_000_000)


class WebParams(StrictModel):
    """Where the page and the HTTP API are served. port: 0 takes a free one. stop_s: how long what is under way may take
    when the server is told to end. A picture may be as large as check.max_mb and network.max_mb both allow.

    hosts: names by which the server is called, besides localhost. proxies: addresses or networks of proxies that are
    believed about who asks. keys_file: the API keys, made with `python -m bot key`. public_page: whether people without
    a key may use the pages. limits: how much each may ask.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8000, ge=0, le=65_535)
    stop_s: float = Field(default=30, gt=0, le=600)
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    keys_file: str | None = None
    public_page: bool = True
    limits: LimitParams = LimitParams()

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", host):
                raise ValueError(f"'{host}' is not a name such as faces.example.org, without scheme, port and *")
        return tuple(host.lower() for host in hosts)

    @field_validator("proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError:
                raise ValueError(f"'{proxy}' is not an address or a network such as 10.0.0.0/8") from None
        return proxies

    @property
    def is_open(self) -> bool:
        """Whether others than this machine may come: any of the three settings that only then make sense says so."""
        try:
            is_here = ip_address(self.host).is_loopback
        except ValueError:
            is_here = self.host == "localhost"
        return not is_here or bool(self.hosts) or bool(self.proxies)


class BotParams(StrictModel):
    """store: the result store that knows the champion. bundle: a checkpoint bundle's URL, an alias of the store, or
    auto for its champion. detector: local for a worker process of its own, or the URL of a `python -m bot web` or its
    Ray Serve deployment that looks at the pictures instead. database: scores, settings and results. keep_days: how long
    the result for a picture is kept.
    """

    store: str = "sqlite:///runs/results.db"
    bundle: str = Field(default=AUTO, min_length=1)
    detector: str = LOCAL
    database: str = Field(default="sqlite:///runs/bot.db", min_length=1)
    keep_days: float = Field(default=30, gt=0, le=3650)
    check: CheckParams = CheckParams()
    worker: WorkerParams = WorkerParams()
    quiz: QuizParams = QuizParams()
    network: NetworkParams = NetworkParams()
    discord: DiscordParams = DiscordParams()
    telegram: TelegramParams = TelegramParams()
    web: WebParams = WebParams()
    monitor: MonitorParams = MonitorParams()

    @field_validator("detector")
    @classmethod
    def _is_local_or_url(cls, detector: str) -> str:
        parts = urlsplit(detector)
        is_url = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
        if detector != LOCAL and (not is_url or "@" in parts.netloc):
            raise ValueError(f"must be {LOCAL}, or a http:// or https:// URL such as http://127.0.0.1:8000")
        return detector
