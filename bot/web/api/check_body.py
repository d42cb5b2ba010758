"""An answer as JSON: the verdict, its words in the reader's language, and its pictures as data URLs.

All that is rounded, named or explained is so here, so that pages and programs repeat no rule.
"""

from __future__ import annotations

import base64
from typing import Any

from bot.chat.answers import answer
from bot.verdict import LayerHeatmap, Side, Variant, Verdict
from bot.web.bodies import ThresholdsBody, WordsBody
from bot.web.heat import heat_pictures
from bot.wording import label_word, percent, share_percent, short_names, silence
from bot.words import Words, later
from bot.worker import Checked

_TITLES = {"half size": later("at half size")}  # that stand alone: elsewhere the names are in a sentence
_PNG_SIGN = b"\x89PNG"


def check_body(checked: Checked, t: Words, pictures: bool) -> dict[str, Any]:
    """What `CheckBody` describes. pictures: with layers, heat and thumbnails: a core works for up to a second."""
    verdict = checked.verdict
    body = verdict.to_json() | {
        "sha256": checked.sha256,
        "thresholds": ThresholdsBody.of(verdict.thresholds).model_dump(),
        "words": _words(verdict, t, pictures).model_dump(exclude_none=True),
    }
    variants = zip(body["stability"]["variants"], verdict.stability.variants, strict=True)
    body["stability"]["variants"] = [given | _variant_words(each, t) for given, each in variants]
    if pictures:
        _add_pictures(body, checked, t)
    else:
        body["layers"] = []
    if checked.panel is not None:
        body["panel"] = _data_url(checked.panel)
    return body


def _add_pictures(body: dict[str, Any], checked: Checked, t: Words) -> None:
    verdict = checked.verdict
    each = zip(body["layers"], verdict.layers, short_names(verdict.layers), heat_pictures(verdict), strict=True)
    body["layers"] = [
        given | _layer_words(layer, verdict.explains, t) | {"short": short, "heatmap": _data_url(heat)}
        for given, layer, short, heat in each
    ]
    for variant, thumbnail in zip(body["stability"]["variants"], checked.variants, strict=True):
        variant["thumbnail"] = _data_url(thumbnail)
    body["seen"] = _data_url(checked.seen or b"")


def _variant_words(variant: Variant, t: Words) -> dict[str, str]:
    return {
        "title": t(_TITLES.get(variant.name, variant.name)),
        "label": label_word(variant.verdict, t),
        "percent": percent(variant.p_fake, t),
    }


def _layer_words(layer: LayerHeatmap, side: Side, t: Words) -> dict[str, Any]:
    silent, share = silence(layer, side, t), share_percent(layer.share, t)
    height, width = layer.size
    evidence = t(
        "{share} of the evidence for “{side}”, on a map of {width}×{height} spots.",
        share=share, side=label_word(side, t), width=width, height=height,
    )  # fmt: skip
    return {"live": silent is None, "percent": share, "caption": silent or evidence}


def _words(verdict: Verdict, t: Words, pictures: bool) -> WordsBody:
    said, thresholds, p_fake = answer(verdict, t), verdict.thresholds, percent(verdict.p_fake, t)
    side = verdict.picture.seen.shape[0]
    low, high = percent(thresholds.unsure_low, t), percent(thresholds.unsure_high, t)
    return WordsBody(
        language=t.language,
        title=said.title,
        label=label_word(verdict.verdict, t),
        percent=p_fake,
        bar=t("{percent} likely to be generated; unsure from {low} to {high}.", percent=p_fake, low=low, high=high),
        band=t("unsure: {low} to {high}", low=low, high=high),
        lines=list(said.lines),
        alt=said.alt,
        caution=said.caution,
        thumbnails=t("The small pictures are what the network was given, {side}×{side} pixels each.", side=side)
        if pictures
        else None,
    )


def _data_url(picture: bytes) -> str:
    kind = "png" if picture.startswith(_PNG_SIGN) else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
