"""A verdict as people read it in a chat: title, sentences, alt text, and the layers worth a button."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.palette import VERDICTS
from bot.verdict import Label, Side, Verdict
from bot.wording import alt_text, evidence_words, flips, label_word, percent, share_percent, short_name, short_names
from bot.words import Words, later

SMALL_SIDE = 256  # pixels of the shorter side; below it a face has lost the traces that give a generator away
LABEL_CHARS = 60  # of a layer's name on a button: Discord takes 80 in all, and a phone shows fewer

_TITLES: dict[Label, str] = {
    "fake": later("Probably generated"),
    "real": later("Probably a real photo"),
    "unsure": later("I can't tell (unsure)"),
}
# Always the same side, so that two answers can be compared. The bounds between likely, very likely and their opposites
# are the IPCC's calibrated language (Mastrandrea et al. 2010, table 1), with its middle third divided.
_SCALE = (
    (0.99, later("extremely likely to be generated")),
    (0.90, later("very likely to be generated")),
    (0.66, later("likely to be generated")),
    (0.55, later("a little more likely generated than not")),
    (0.45, later("about as likely generated as not")),
    (0.34, later("a little less likely generated than not")),
    (0.10, later("unlikely to be generated")),
    (0.01, later("very unlikely to be generated")),
    (0.00, later("extremely unlikely to be generated")),
)


@dataclass(frozen=True)
class Answer:
    """What is said about one picture, in plain text: a platform that reads marks in it has to escape it.

    lines: sentences, the probability first. caution: goes below everything. alt: for people who do not see the
    panel; the sentence of it that is in no line, for platforms without alt texts, is evidence, which may be empty.
    colour: 0xRRGGBB, and never the only sign of the verdict.
    """

    label: Label
    title: str
    lines: tuple[str, ...]
    caution: str
    alt: str
    evidence: str
    colour: int
    model: str

    @property
    def text(self) -> str:
        """Title, sentences and caution, a line each, for platforms without cards."""
        return "\n".join((self.title, *self.lines, self.caution))


@dataclass(frozen=True)
class LayerChoice:
    """A layer worth a button. index: in `Verdict.layers`. name: the layer's own."""

    index: int
    name: str
    label: str


def answer(verdict: Verdict, t: Words, recompressed: bool = False) -> Answer:
    """What is said about a verdict. recompressed: what was looked at is the platform's own copy, not the original."""
    red, green, blue = VERDICTS[verdict.verdict]
    lines = [
        probability_words(verdict.p_fake, t),
        _stability_line(verdict, t),
        *_hints(verdict, t, recompressed),
        t("Answered by the model {model}.", model=verdict.model),
    ]
    return Answer(
        label=verdict.verdict,
        title=t(_TITLES[verdict.verdict]),
        lines=tuple(lines),
        caution=t("I can be wrong. A verdict is no evidence against anybody, and a heatmap is no proof."),
        alt=alt_text(verdict, t),
        evidence=evidence_words(verdict, t),
        colour=red << 16 | green << 8 | blue,
        model=verdict.model,
    )


def probability_words(p_fake: float, t: Words) -> str:
    """ "93%: very likely to be generated."; p_fake: calibrated, in [0, 1]."""
    words = next(words for least, words in _SCALE if p_fake >= least)
    return t("{percent}: {words}.", percent=percent(p_fake, t), words=t(words))


def numbered(one: Answer, number: int) -> Answer:
    """The answer on the picture `number`, counted from 1, among several."""
    return replace(one, title=f"{number}. {one.title}")


def summary(labels: Sequence[Label | None], t: Words) -> str:
    """ "4 pictures: 2 probably generated, 1 probably real, 1 not answered"; None stands for a refused picture."""
    counts = Counter(labels)
    kinds = (
        t.n("{count} probably generated", "{count} probably generated", counts["fake"]),
        t.n("{count} probably real", "{count} probably real", counts["real"]),
        t.n("{count} unsure", "{count} unsure", counts["unsure"]),
        t.n("{count} not answered", "{count} not answered", counts[None]),
    )
    order: tuple[Label | None, ...] = ("fake", "real", "unsure", None)
    said = ", ".join(words for label, words in zip(order, kinds, strict=True) if counts[label])
    return t.n("One picture: {kinds}.", "{count} pictures: {kinds}.", len(labels), kinds=said)


def layer_choices(verdict: Verdict, most: int, t: Words) -> list[LayerChoice]:
    """The layers that have heat to show; of more than `most` those with the largest shares. In the network's order."""
    names = short_names(verdict.layers)
    live = [i for i, layer in enumerate(verdict.layers) if not layer.dead and not layer.placeless]
    kept = sorted(sorted(live, key=lambda i: -verdict.layers[i].share)[:most])
    return [
        LayerChoice(i, verdict.layers[i].name, f"{_elided(names[i])} · {share_percent(verdict.layers[i].share, t)}")
        for i in kept
    ]


def layer_caption(verdict: Verdict, index: int, t: Words) -> str:
    """What is said with the large picture of one layer, `index` in `Verdict.layers`."""
    layer = verdict.layers[index]
    height, width = layer.size
    return t(
        "The layer {layer} ({width}×{height} spots, {share} of the evidence). Yellow: where it found most that speaks "
        "for “{side}”. Colours cannot be compared between layers.",
        layer=short_name(verdict.layers, layer),
        width=width,
        height=height,
        share=share_percent(layer.share, t),
        side=label_word(verdict.explains, t),
    )


def wrong_label(said: Label, claimed: Side, t: Words) -> str:
    """What stands on the button that says so."""
    if said == "unsure":
        return t("It is real") if claimed == "real" else t("It is generated")
    return t("That's wrong")


def thanks_for_claim(t: Words) -> str:
    """Acknowledges a press of "that's wrong"."""
    return t(
        "Thank you. I keep the picture's fingerprint (never the picture) and what was said about it, so that those who "
        "run me can look into it. My answer stays as it is until then."
    )


def _stability_line(verdict: Verdict, t: Words) -> str:
    low, high = percent(verdict.stability.p_min, t), percent(verdict.stability.p_max, t)
    if verdict.stability.flips:
        return t(
            "It does not hold when the picture is recompressed or resized: {others} (from {low} to {high}). Do not "
            "lean on it.",
            others=flips(verdict, t), low=low, high=high,
        )  # fmt: skip
    if low == high:
        return t("It holds when the picture is recompressed or resized ({percent} throughout).", percent=low)
    return t("It holds when the picture is recompressed or resized (from {low} to {high}).", low=low, high=high)


def _hints(verdict: Verdict, t: Words, recompressed: bool) -> list[str]:
    width, height = verdict.picture.width, verdict.picture.height
    hints = []
    if recompressed:
        hints.append(
            t(
                "This copy was shrunk and recompressed on its way to me. Send the original as a file for a better "
                "answer."
            )
        )
    if min(width, height) < SMALL_SIDE:
        hints.append(
            t(
                "The picture is small ({width}×{height} pixels), so there is little to see. A larger original gives a "
                "better answer.",
                width=width,
                height=height,
            )
        )
    return hints


def _elided(name: str) -> str:
    """A name fit for a button; its end says more than its middle."""
    if len(name) <= LABEL_CHARS:
        return name
    head = LABEL_CHARS // 2
    return f"{name[:head]}…{name[head + 1 - LABEL_CHARS :]}"
