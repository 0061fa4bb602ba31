// BullMQ's first example against the server on the given port: a queue, jobs, a worker and the events of the queue, then a
// delayed job, one that fails and is tried again, and a flow of a parent and its children. Prints OK at the end.

import assert from "node:assert/strict";
import { FlowProducer, Queue, QueueEvents, Worker } from "bullmq";

const connection = { host: "127.0.0.1", port: Number(process.argv[2]) };
const queue = new Queue("foo", { connection });
const events = new QueueEvents("foo", { connection });
let failures = 1;

const worker = new Worker(
  "foo",
  async (job) => {
    if (job.name === "fails once" && failures-- > 0) {
      throw new Error("not yet");
    }
    return job.name === "parent" ? Object.values(await job.getChildrenValues()) : job.data;
  },
  { connection },
);

await events.waitUntilReady();
const bar = await queue.add("myJobName", { foo: "bar" });
const baz = await queue.add("myJobName", { qux: "baz" });
assert.deepEqual(await bar.waitUntilFinished(events), { foo: "bar" });
assert.deepEqual(await baz.waitUntilFinished(events), { qux: "baz" });

const later = await queue.add("later", { n: 1 }, { delay: 200 });
assert.deepEqual(await later.waitUntilFinished(events), { n: 1 });

const again = await queue.add("fails once", { n: 2 }, { attempts: 2, backoff: 100 });
assert.deepEqual(await again.waitUntilFinished(events), { n: 2 });

const flow = new FlowProducer({ connection });
const children = [1, 2, 3].map((n) => ({ name: "child", queueName: "foo", data: n }));
const { job } = await flow.add({ name: "parent", queueName: "foo", children });
assert.deepEqual((await job.waitUntilFinished(events)).sort(), [1, 2, 3]);

assert.equal((await queue.getJobCounts("completed")).completed, 8);
await queue.obliterate({ force: true });
await Promise.all([worker.close(), flow.close(), events.close(), queue.close()]);
console.log("OK");
