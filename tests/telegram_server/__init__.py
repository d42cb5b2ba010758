"""A stand-in for Telegram's Bot API server on loopback, written from Telegram's documentation and refusing what
Telegram refuses, in its words. It knows nothing of our bot.

    async with serving() as telegram_:                  # api_url is what telegram.api_url takes
        server = telegram_.server                       # server.token is the bot's
        bot = telegram.Bot(server.token, f"{telegram_.api_url}/bot", f"{telegram_.api_url}/file/bot")
        …
        asked = await server.alice.sends_photo(jpeg, "real?")              # to the bot; to=server.group for a group
        answer = await server.answer(asked, lambda m: m.media)             # the bot's message that replies to it
        answer.text, answer.caption, answer.upload, answer.labels, answer.button("Layer 2"), answer.media.data
        pressed = await server.alice.clicks(answer, "Layer 2")             # by label, its beginning, or callback_data
        shown = await pressed.answer(); shown.text, shown.is_alert
        await server.next("edit", lambda e: e.message.id == answer.id)     # next() gives each entry once, loses none
        await server.until(lambda: server.messages(server.alice.private))  # asked after everything that happens

In tests without an event loop: `with in_thread() as t:`, t.run(coroutine), t.address, t.server.

People: also says, replies, sends_album (an update each, in an answer of getUpdates each), sends_file (untouched), sends
("animation", "video", "sticker", "voice", …), forwards, edits, deletes, starts("payload"), presses(message, data),
blocks_bot, unblocks_bot; adds_bot, promotes_bot, demotes_bot, removes_bot, joins, leaves, upgrades (a group to a
supergroup). What their program would not let them do raises NotPossibleError. Photos are encoded anew, as JPEGs of at
most 1280 px (hd=True: 2560) without metadata, in several sizes.

A reply from another chat (alice.says(text, reply_to=photo_in_the_group)) comes as external_reply, as from Telegram.

Places: server.group (a supergroup) and server.small_group (a basic group) have olga (who owns them), alice, bob and the
bot, in privacy mode (server.has_privacy); each of them is in a private chat that they have not started. add_person,
add_group(…, kind="channel"), add_bot and other_bot_says, make_anonymous(group, olga), member.voice = a channel;
group.may_send, may_send_media = False; group.topics = {7}, group.topic = 7 for a forum; server.deactivated.

Going wrong: server.fail("sendPhoto", 502, times=2), ("send*", body=b"<html>"), ("getFile", drop="before"|"after"|
"middle"), ("file/*", delay_s=9) for downloads; server.flood("sendMessage", retry_after=3, times=2) for a 429, and
server.flood_control.is_on = True for the documented limits; await address.down() and up(); server.clock.advance(20);
server.updates.add_raw({"message": None}) for an update of any shape. server.log and entries(kind) hold all that the bot
ever did. Kinds: message, edit, delete, action (of the bot in chats); answer (to a press); poll, call, download, push,
commands (of its program); update (made for it); fault, left.

Webhooks: setWebhook as in Telegram; pushes go to server.webhook_door, one after the other, until answered with 2xx.

Stricter than Telegram, which overlooks these: an unknown parameter, an unknown update type in allowed_updates, more
than eight buttons in a row, an album of one, unknown fields in keyboards and InputMedia, a press answered twice.

Left out: fetching files by URL, albums' and messages' scheduling, inline mode, payments, games, polls, stickers and
voice sent by the bot, reactions, pins, moderation, business accounts, guest queries, topics' making, rich messages, the
old Markdown, method calls in a webhook's answer, --local mode, thumbnails made of files, the decoding of videos, and
that Telegram lets short bursts pass its limits. What is left out is refused as an unknown method or parameter.
"""

from tests.stand_in import Entry
from tests.telegram_server.callbacks import Answer, Press
from tests.telegram_server.files import Media, Stored
from tests.telegram_server.parameters import Call
from tests.telegram_server.people import NotPossibleError, Person
from tests.telegram_server.server import TelegramServer
from tests.telegram_server.serving import Address, Threaded, in_thread, serving
from tests.telegram_server.world import Account, Chat, Member, Message

__all__ = [
    "Account",
    "Address",
    "Answer",
    "Call",
    "Chat",
    "Entry",
    "Media",
    "Member",
    "Message",
    "NotPossibleError",
    "Person",
    "Press",
    "Stored",
    "TelegramServer",
    "Threaded",
    "in_thread",
    "serving",
]
