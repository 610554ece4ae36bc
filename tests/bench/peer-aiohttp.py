"""A peer to measure against: aiohttp, as the original WaveChat was written. Speaks as much of the wire's Part 1 as wavebench needs: join, init,
text to all and to one. It keeps nothing, tells nobody who is here, checks no limits.
   python3 peer-aiohttp.py      prints "listening PORT" """
import asyncio
import json
import resource
import socket
from datetime import datetime

from aiohttp import WSMsgType, web

people = {}  # id -> (id, name, socket)
next_id = 1


async def on_text(me, m):
    number, name, ws = me
    now = datetime.now()
    to_id = int(m.get("to_id") or 0)
    message = {"type": "text", "dm": bool(to_id), "from_id": number, "from_name": name, "text": m["text"].strip(), "ts": now.strftime("%H:%M"),
               "iso": now.strftime("%Y-%m-%dT%H:%M:%S")}
    to = people.get(to_id)
    if to_id:
        message.update(to_id=to_id, to_name=to[1] if to else "?")
    frame = json.dumps(message)
    own = json.dumps({**message, "self": True})
    for other in [to] if to_id else list(people.values()):
        if other and other is not me:
            try:
                await other[2].send_str(frame)
            except ConnectionError:
                pass
    await ws.send_str(own)


async def serve(request):
    global next_id
    ws = web.WebSocketResponse(compress=False, max_msg_size=0)
    await ws.prepare(request)
    me = None
    async for message in ws:
        if message.type != WSMsgType.TEXT:
            continue
        m = json.loads(message.data)
        if me and m["type"] == "text":
            async with order:
                await on_text(me, m)
        elif not me and m["type"] == "join":
            me = (next_id, m["name"], ws)
            next_id += 1
            people[me[0]] = me
            user = {"id": me[0], "name": me[1]}
            await ws.send_str(json.dumps({"type": "init", "my_id": me[0], "my_name": me[1], "history": [], "users": [user]}))
    if me:
        del people[me[0]]
    return ws


async def main():
    global order
    order = asyncio.Lock()  # one order for all: a send may wait
    app = web.Application()
    app.router.add_get("/ws", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await web.SockSite(runner, listener).start()
    print("listening", listener.getsockname()[1], flush=True)
    await asyncio.Event().wait()


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
asyncio.run(main())
