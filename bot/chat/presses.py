"""What a press of a button below an answer leads to, alike on every platform that shows buttons."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.chat.answers import layer_caption
from bot.chat.app import App, Request
from bot.chat.buttons import LayerButton, WrongButton, model_mark
from bot.wording import short_name
from bot.words import Words
from bot.worker import LayerGone, Want


@dataclass(frozen=True)
class Layer:
    """One layer, large. title: its name. picture: PNG or JPEG."""

    title: str
    caption: str
    picture: bytes | None


async def layer_of(
    app: App, button: LayerButton, data: bytes, request: Request, max_bytes: int, t: Words
) -> Layer | None:
    """The layer of `data` that a button means; None where another model has come since. Raises what looking raises."""
    if button.model != model_mark(app.desk.card.id):
        return None
    name = app.layer_name(app.desk.card.id, button.layer)
    if name is None:  # nobody has asked for anything since the start
        layers = (await app.look_again(data, request, Want(panel=False))).verdict.layers
        name = layers[button.layer].name if button.layer < len(layers) else ""
    want = Want(panel=False, layer=name, max_bytes=max_bytes, language=t.language)
    try:
        checked = await app.look_again(data, request, want)
    except LayerGone:  # the champion changed between two lines
        return None
    if button.model != model_mark(checked.verdict.model):
        return None
    layers = checked.verdict.layers
    return Layer(
        short_name(layers, layers[button.layer]), layer_caption(checked.verdict, button.layer, t), checked.layer
    )


async def claim(app: App, button: WrongButton, request: Request, seen: Callable[[], Awaitable[bytes]]) -> None:
    """Keep that somebody disagrees, for review. seen: gets the picture, where what was said about it has expired.

    Raises what that and looking raise, and the records' errors.
    """
    result = await asyncio.to_thread(app.records.result, button.sha256)
    if result is not None:
        model, p_fake = result.model, result.p_fake
    else:
        verdict = (await app.look_again(await seen(), request, Want(heatmaps=False, panel=False))).verdict
        model, p_fake = verdict.model, verdict.p_fake
    await asyncio.to_thread(
        app.records.add_claim,
        request.account, button.sha256,
        claimed=button.claimed, verdict=button.said, p_fake=p_fake, model=model,
        server=f"{request.account.platform}:{request.place}" if request.place else None,
    )  # fmt: skip
