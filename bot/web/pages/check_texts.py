"""What *Check* says: the words in its template, and those that its scripts speak."""

from __future__ import annotations

from bot.chat.refusals import FileTooLarge, friendly
from bot.wording import NO_PROOF, label_word
from bot.words import Words


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
        "now": t("Try now"),
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
        "save": t("Save the panel"),
        "colours": t("Colours cannot be compared between layers."),
        "no_proof": t(NO_PROOF),
        "how": t("How to read a heatmap"),
        "another": t("Check another picture"),
    }


def check_script_words(t: Words, max_bytes: int | None) -> dict[str, object]:
    """What the script of *Check* says, by its name there; it fills the braces. max_bytes: of one picture, if known."""
    return {
        "asSent": t("as sent"),
        "sending": t("Sending the picture …"),
        "sent": t("{percent}% of {size} MiB"),
        "percent": t("{percent}%"),
        "looking": t("Looking at the picture …"),
        "slow": t("Still at it. Perhaps others are before you in the queue."),
        "stopped": t("Stopped."),
        "one": t("I take one picture at a time, so I looked at the first."),
        "noPicture": t("There was no picture in that. Save the picture as a file, then choose it here."),
        "link": t("That is a link to a picture, not the picture. Save the picture as a file, then choose it here."),
        "folder": t("That is a folder. Open it, and drop one picture from it."),
        "empty": t("This file is empty. Save the picture anew, then choose it again."),
        "unreadable": t("Your browser can't read this file any more. Choose it again."),
        "heic": t(
            "On an iPhone or a Mac, open it in Photos and share or export it as JPEG. For new photos, choose “Most "
            "Compatible” in Settings, Camera, Formats."
        ),
        "noAnswer": t("I could not reach the server. Is it running? Please try again."),
        "odd": t("The server gave an answer that I don't understand. Please try again."),
        "again": t("I try again in {seconds} s."),
        "count": t("{seconds} s"),
        "later": t("It may work again at {time}."),
        "tooLarge": friendly(FileTooLarge(max_bytes), t) if max_bytes else "",
        "layer": t("Layer {number} of {count}: {layer}"),
        "heat": t("where this layer found evidence"),
        "painting": t("Painting the panel …"),
        "saved": t("Saved."),
        "savedAnew": t("Saved. A newer model has answered meanwhile: the panel shows what that one says."),
    }
