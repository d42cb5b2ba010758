"""What the pages say: the words in their templates, and those that their scripts speak."""

from __future__ import annotations

from bot.chat.refusals import FileTooLarge, friendly
from bot.variants import VARIANT_NAMES
from bot.wording import NO_PROOF, label_word
from bot.words import Words


def frame_words(t: Words) -> dict[str, str]:
    """What stands around every page."""
    return {
        "skip": t("Skip to the content"),
        "language": t("Language"),
        "api": t("For programs: the HTTP API"),
    }


def check_words(t: Words) -> dict[str, str]:
    """What the template of *Check* says, by its name there."""
    return {
        "title": t("Is this photo real?"),
        "lead": t(
            "Give me a photo of a face. I say whether a camera or a generator made it, how sure I am, and where I "
            "looked. The picture is never kept, only its fingerprint and the verdict, for a while."
        ),
        "picture": t("Your picture"),
        "drop": t("Drop a picture here, paste it, or"),
        "choose": t("Choose a picture"),
        "photograph": t("Take a photo"),
        "script": t("This page needs JavaScript, which comes from this server only."),
        "stop": t("Stop"),
        "again": t("Try again"),
        "real": label_word("real", t),
        "generated": t("generated"),
        "strip": t("The same photo, sent in other ways"),
        "strip_note": t("A verdict that changes when the picture is recompressed or shrunk is none to lean on."),
        "where": t("Where the network looked"),
        "share": t("Each bar is a layer: the higher, the more evidence came from it."),
        "previous": t("Previous layer"),
        "layer": t("Layer"),
        "next": t("Next layer"),
        "seen": t("what the network saw"),
        "heat": t("where this layer found evidence"),
        "least": t("least evidence"),
        "most": t("most, of this layer"),
        "opacity": t("Heat over the photo"),
        "beside": t("Side by side"),
        "save": t("Save as a picture"),
        "colours": t("Colours cannot be compared between layers."),
        "no_proof": t(NO_PROOF),
        "another": t("Check another picture"),
    }


def check_script_words(t: Words, max_bytes: int | None) -> dict[str, object]:
    """What the script of *Check* says, by its name there; it fills the braces. max_bytes: of one picture, if known."""
    return {
        "labels": {label: label_word(label, t) for label in ("real", "fake", "unsure")},
        "variants": {name: t(name) for name in VARIANT_NAMES},
        "asSent": t("as sent"),
        "percent": t("{percent}%"),
        "over": t("over {percent}%"),
        "under": t("under {percent}%"),
        "less": t("<{percent}%"),
        "looking": t("Looking at the picture …"),
        "slow": t("Still at it. Perhaps others are before you in the queue."),
        "stopped": t("Stopped."),
        "one": t("I take one picture at a time, so I looked at the first."),
        "noPicture": t("There was no picture in that. Save the picture as a file, then choose it here."),
        "noAnswer": t("I could not reach the server. Is it running? Please try again."),
        "odd": t("The server gave an answer that I don't understand. Please try again."),
        "tooLarge": friendly(FileTooLarge(max_bytes), t) if max_bytes else "",
        "bar": t("{percent} likely to be generated; unsure from {low} to {high}."),
        "band": t("unsure: {low} to {high}"),
        "layer": t("Layer {number} of {count}: {layer}"),
        "evidence": t("{share} of the evidence for “{side}”, on a map of {width}×{height} spots."),
        "unused": t("not used for this picture"),
        "dead": t("dead: no evidence for {side}"),
        "nearDead": t("near-dead: {share} of the evidence"),
        "placeless": t("sees the picture as one spot: no “where” to show"),
        "seen": t("what the network saw"),
        "heat": t("where this layer found evidence"),
        "noProof": t(NO_PROOF),
    }
