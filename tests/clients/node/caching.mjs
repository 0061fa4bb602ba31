// node-redis' client-side cache against the server on the given port: what is read stays with the client, and is read again when
// another connection has changed it. Prints OK at the end; any surprise ends the process with a code other than 0.

import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { BasicClientSideCache, createClient } from "redis";

const url = `redis://127.0.0.1:${process.argv[2]}`;
const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0 });
const client = createClient({ url, RESP: 3, clientSideCache: cache });
const other = createClient({ url });
await Promise.all([client.connect(), other.connect()]);

async function eventually(what, holds) {
  for (let tries = 0; !(await holds()); tries++) {
    assert.ok(tries < 6000, what);
    await setTimeout(5);
  }
}

await other.set("k", "1");
await other.hSet("h", { f: "1" });
assert.equal(await client.get("k"), "1");
assert.equal(await client.get("k"), "1");
assert.equal((await client.hGetAll("h")).f, "1");
assert.equal((await client.hGetAll("h")).f, "1");
assert.equal(cache.stats ? cache.stats().hitCount : cache.cacheHits(), 2);

const info = await other.info();
assert.match(info, /tracking_clients:[1-9]/);
assert.match(info, /tracking_total_keys:[1-9]/);

await other.set("k", "2");
await eventually("a change is seen", async () => (await client.get("k")) === "2");
await other.hSet("h", { f: "2" });
await eventually("a change of a hash is seen", async () => (await client.hGetAll("h")).f === "2");
await other.del("k");
await eventually("a deletion is seen", async () => (await client.get("k")) === null);
await other.flushAll();
await eventually("an emptied database is seen", async () => (await client.hGetAll("h")).f === undefined);

client.destroy();
other.destroy();
console.log("OK");
