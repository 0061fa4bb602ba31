// Uses ioredis and node-redis in their default settings against the server on the given port, then the same as cluster
// clients against the second port. Prints OK at the end; any surprise ends the process with a code other than 0.

import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { Cluster, Redis } from "ioredis";
import { createClient, createCluster } from "redis";

const [port, clusterPort] = process.argv.slice(2).map(Number);

async function useIoredis(client) {
  assert.equal(await client.set("{t}k", "v", "EX", 1000), "OK");
  assert.equal(await client.get("{t}k"), "v");
  assert.deepEqual(await client.hset("{t}h", { f: 1, g: 2 }), 2);
  assert.deepEqual(await client.hgetall("{t}h"), { f: "1", g: "2" });
  assert.deepEqual(await client.zadd("{t}z", 1.5, "a"), 1);
  assert.equal(await client.zscore("{t}z", "a"), "1.5");
  assert.deepEqual(await client.mget("{t}k", "{t}nothing"), ["v", null]);
  const replies = await client.multi().incr("{t}n").incr("{t}n").exec();
  assert.deepEqual(replies, [[null, 1], [null, 2]]);
  await assert.rejects(client.lpush("{t}k", "x"), /WRONGTYPE/);
  await client.del("{t}k", "{t}h", "{t}z", "{t}n");
}

async function useNodeRedis(client) {
  assert.equal(await client.set("{t}k", "v"), "OK");
  assert.equal(await client.get("{t}k"), "v");
  await client.hSet("{t}h", { f: "1" });
  assert.equal(await client.hGet("{t}h", "f"), "1");
  assert.equal(await client.zAdd("{t}z", { score: 1.5, value: "a" }), 1);
  assert.equal(await client.zScore("{t}z", "a"), 1.5);
  const replies = await client.multi().incr("{t}n").get("{t}n").exec();
  assert.deepEqual(replies, [1, "1"]);
  await client.del(["{t}k", "{t}h", "{t}z", "{t}n"]);
}

const ioredis = new Redis(port, "127.0.0.1");
await useIoredis(ioredis);
const pipeline = ioredis.pipeline();
for (let number = 0; number < 500; number++) pipeline.set(`key:${number}`, number);
assert.equal((await pipeline.exec()).length, 500);
let found = 0;
for await (const keys of ioredis.scanStream({ match: "key:*", count: 50 })) found += keys.length;
assert.equal(found, 500);

const subscribed = new Redis(port, "127.0.0.1");
const hearing = once(subscribed, "message");
assert.equal(await subscribed.subscribe("news"), 1);
assert.equal(await ioredis.publish("news", "hello"), 1);
assert.deepEqual(await hearing, ["news", "hello"]);
const hearingByPattern = once(subscribed, "pmessage");
assert.equal(await subscribed.psubscribe("j*"), 2);
assert.equal(await ioredis.publish("jobs", "work"), 1);
assert.deepEqual(await hearingByPattern, ["j*", "jobs", "work"]);
// Who only goes may be counted a little longer, also by the next one who publishes.
await subscribed.unsubscribe("news");
await subscribed.punsubscribe("j*");
subscribed.disconnect();
ioredis.disconnect();

const nodeRedis = createClient({ url: `redis://127.0.0.1:${port}` });
await nodeRedis.connect();
await useNodeRedis(nodeRedis);

const subscriber = nodeRedis.duplicate();
await subscriber.connect();
const heard = [];
await subscriber.subscribe("news", (...words) => heard.push(words));
await subscriber.pSubscribe("j*", (...words) => heard.push(words));
assert.equal(await nodeRedis.publish("news", "hello"), 1);
assert.equal(await nodeRedis.publish("jobs", "work"), 1);
for (let tries = 0; heard.length < 2; tries++) {
  assert.ok(tries < 6000, "messages are heard");
  await setTimeout(5);
}
assert.deepEqual(heard, [["hello", "news"], ["work", "jobs"]]);
await subscriber.unsubscribe("news");
await subscriber.pUnsubscribe("j*");
subscriber.destroy();
nodeRedis.destroy();

if (clusterPort) {
  const cluster = new Cluster([{ host: "127.0.0.1", port: clusterPort }]);
  await useIoredis(cluster);
  for (let number = 0; number < 100; number++) assert.equal(await cluster.set(`key:${number}`, number), "OK");
  cluster.disconnect();

  const nodeCluster = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${clusterPort}` }] });
  await nodeCluster.connect();
  await useNodeRedis(nodeCluster);
  nodeCluster.destroy();
}

console.log("OK");
