// socket.io with its Redis adapter, and with the one on sharded Pub/Sub, against the server on the given port: two servers whose
// clients hear each other's broadcasts, and which answer questions about one another. Prints OK at the end; any surprise ends the
// process with a code other than 0.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connectClient } from "socket.io-client";

const port = Number(process.argv[2]);

async function eventually(what, holds) {
  for (let tries = 0; !(await holds()); tries++) {
    assert.ok(tries < 600, what);
    await setTimeout(50);
  }
}

// How many sockets the servers have: 0 when one of them did not answer, as one that was counted and has gone.
async function sockets(servers) {
  return (await servers.fetchSockets().catch(() => [])).length;
}

async function nodeRedis() {
  const client = createClient({ url: `redis://127.0.0.1:${port}` });
  await client.connect();
  return [client, () => client.close()];
}

async function ioredis() {
  const client = new Redis(port, "127.0.0.1");
  return [client, () => client.quit()];
}

// A socket.io server, a client of it, and what ends both.
async function open(make, adapter) {
  const [[publisher, endPublisher], [subscriber, endSubscriber]] = await Promise.all([make(), make()]);
  const http = createServer();
  const server = new Server(http, { adapter: adapter(publisher, subscriber, { requestsTimeout: 10000 }) });
  server.on("connection", (socket) => socket.on("join", (room, joined) => joined(socket.join(room))));
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const client = connectClient(`http://127.0.0.1:${http.address().port}`, { transports: ["websocket"] });
  await once(client, "connect");
  const end = async () => {
    client.disconnect();
    await server.close();
    await endPublisher();
    await endSubscriber();
  };
  return { server, client, end };
}

async function shardChannels() {
  const [client, end] = await nodeRedis();
  const channels = await client.sendCommand(["PUBSUB", "SHARDCHANNELS"]);
  await end();
  return channels;
}

async function use(make, adapter) {
  const first = await open(make, adapter);
  const second = await open(make, adapter);
  // Each knows of the other when it is subscribed.
  await eventually("both servers are known", async () => (await sockets(first.server)) === 2);
  const heard = [];
  first.client.on("news", (text) => heard.push(["first", text]));
  second.client.on("news", (text) => heard.push(["second", text]));
  first.server.emit("news", "all");
  await eventually("a broadcast reaches the clients of both", () => heard.length === 2);
  await second.client.emitWithAck("join", "room");
  await eventually("the room is known", async () => (await sockets(first.server.in("room"))) === 1);
  if (adapter === createShardedAdapter) {
    // A room has a channel of its own, and the server does not wait until it is subscribed to it.
    await eventually("the room has its channel", async () => (await shardChannels()).some((name) => name.endsWith("#room#")));
  }
  first.server.to("room").emit("news", "room");
  await eventually("a message to a room reaches its member", () => heard.length === 3);
  assert.deepEqual(heard[2], ["second", "room"]);
  second.server.on("question", (text, answer) => answer(`${text}!`));
  assert.deepEqual(await first.server.serverSideEmitWithAck("question", "there"), ["there!"]);
  first.server.in("room").disconnectSockets();
  await once(second.client, "disconnect");
  await first.end();
  await second.end();
}

await use(nodeRedis, createAdapter);
await use(ioredis, createAdapter);
await use(nodeRedis, createShardedAdapter);
console.log("OK");
