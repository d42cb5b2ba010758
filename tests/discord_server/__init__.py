"""A stand-in for Discord on loopback: REST v10, gateway and CDN, written from Discord's documentation, refusing what
Discord refuses. It knows nothing of our bot.

In a test with discord.py in the same process, unpatched, over TLS under Discord's real names:

    async with tls() as discord_:                       # discord_.server is the DiscordServer
        server = discord_.server
        client = MyClient(connector=discord_.connector(), guild_ready_timeout=0.05)
        task = asyncio.create_task(client.start(server.token))
        await server.next("ready")                      # next() gives each entry once, waits for it, loses none
        await server.next("commands")                   # … the bot has registered its commands

        asked = await server.alice.say(server.guild["general"], "real?", files=[("a.png", png)], mention=True)
        answer = await server.answer(asked, lambda m: m.attachments)
        answer.text, answer.files, answer.alt_texts, answer.labels, answer.embeds, answer.is_ephemeral

        used = await server.alice.slash("check", server.guild["general"], image=("a.png", png))
        shown = await used.response()                   # a deferral ("thinking…") is no response, its edit is
        opened = await server.alice.click(shown, "Layer 2")        # by label or custom_id; also choose(message, …)
        await server.bob.context_menu("Is this real?", asked)      # also dm, forward, edit, delete, complete
        form = await opened.form(); sent = await server.alice.submit(opened, reason="hair")
        assert used.acked_after_s < 0.3 and not server.cdn.proxied

A bot in a process of its own, plain HTTP (the same with `with in_thread() as t:` and t.run(coroutine) in a test
without an event loop; t.address and t.server are as here):

    async with plain() as discord_:
        params = {"api_url": discord_.api_url, "gateway_url": discord_.gateway_url}; token = discord_.server.token

There: people olga (owns both guilds), alice, bob; guilds server.guild and server.other, each with the channels general,
pictures, hidden, read-only, no-files, voice, chat (a thread). server.add_person, add_guild + await join, remove_bot.

Going wrong: server.fail("POST /channels/*/messages", 500, times=2), (…, 429), (…, drop="middle"|"before"|"after"),
("GET /attachments/*", delay_s=1); await server.gateway.reconnect() / invalidate(resumable=…) / close(4000) /
send_raw(b"…") / send_text("{") / dispatch("MESSAGE_CREATE", {"id": None}), .drop(), .acknowledges = False,
.refuse_identify = [4014], .portal_intents = 0, .invalid_sessions = 1; server.clock.advance(16 * 60);
server.guild.size_limit = 1000; server.rest.limits["POST /channels/{channel}/messages"] = (5, 1.0);
server.log, server.rest.calls and server.entries(kind) hold all that the bot ever did. Kinds: message, edit, delete,
typing (in channels); response, callback (of interactions); commands, identify, ready, resume, resumed, disconnect,
heartbeat, request, cdn, proxy, fault, left.
"""

from tests.discord_server.cdn import Upload
from tests.discord_server.faults import Fault
from tests.discord_server.interactions import Interaction
from tests.discord_server.people import NotPossibleError, Person
from tests.discord_server.server import DiscordServer
from tests.discord_server.serving import Plain, Threaded, Tls, in_thread, plain, tls
from tests.discord_server.world import Channel, Guild, Message
from tests.stand_in import Entry

__all__ = [
    "Channel",
    "DiscordServer",
    "Entry",
    "Fault",
    "Guild",
    "Interaction",
    "Message",
    "NotPossibleError",
    "Person",
    "Plain",
    "Threaded",
    "Tls",
    "Upload",
    "in_thread",
    "plain",
    "tls",
]
