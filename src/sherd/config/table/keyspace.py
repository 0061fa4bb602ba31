"""Memory, expiry, eviction and the encodings of small values."""

from __future__ import annotations

from sherd.config.kinds import INT_MAX, LONG_MAX, ULONG_MAX
from sherd.config.parameter import boolean, choice, integer, memory, text

_POLICIES = "volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random noeviction"
_SIZE = (0, LONG_MAX)
# Every shard keeps a place and counters for each.
_DATABASES_MAX = 1024

PARAMETERS = (
    integer("databases", (1, _DATABASES_MAX), 16, "Number of databases that SELECT chooses from; 1 in a cluster.",
            immutable=True),
    memory("maxmemory", (0, ULONG_MAX), 0, "Memory that data may take before keys are evicted; 0 sets no limit."),
    choice("maxmemory-policy", _POLICIES, "noeviction", "Which keys are evicted when memory is full."),
    integer("maxmemory-samples", (1, 64), 5, "Keys looked at to choose one that is evicted."),
    integer("maxmemory-eviction-tenacity", (0, 100), 10, "How long evicting may hold up a command."),
    integer("lfu-log-factor", (0, INT_MAX), 10, "How slowly the access counter of LFU grows."),
    integer("lfu-decay-time", (0, INT_MAX), 1, "Minutes after which the access counter of LFU falls by one."),
    integer("active-expire-effort", (1, 10), 1, "How hard expired keys are looked for, from 1 to 10."),
    boolean("lazyfree-lazy-eviction", True, "Free evicted values off the execution thread."),
    boolean("lazyfree-lazy-expire", True, "Free expired values off the execution thread."),
    boolean("lazyfree-lazy-server-del", True, "Free overwritten values off the execution thread."),
    boolean("lazyfree-lazy-user-del", True, "Let DEL free values off the execution thread, as UNLINK does."),
    boolean("lazyfree-lazy-user-flush", True, "Let FLUSHDB and FLUSHALL without a word free in the background."),
    boolean("activerehashing", True, "Spend idle time on rehashing; tables here grow without stops anyway.",
            inert=True),
    integer("hash-max-listpack-entries", _SIZE, 512, "Most fields of a hash in the compact encoding.",
            aliases=("hash-max-ziplist-entries",)),
    memory("hash-max-listpack-value", _SIZE, 64, "Longest field or value of a hash in the compact encoding.",
           aliases=("hash-max-ziplist-value",)),
    integer("list-max-listpack-size", (-INT_MAX - 1, INT_MAX), -2,
            "Size of a list's nodes: a number of elements, or -1 to -5 for 4 to 64 kilobytes.",
            aliases=("list-max-ziplist-size",)),
    integer("list-compress-depth", (0, INT_MAX), 0, "Nodes at each end of a list that stay uncompressed.",
            inert=True),
    integer("set-max-intset-entries", _SIZE, 512, "Most members of a set of integers in the compact encoding."),
    integer("set-max-listpack-entries", _SIZE, 128, "Most members of a set in the compact encoding."),
    integer("set-max-listpack-value", _SIZE, 64, "Longest member of a set in the compact encoding."),
    integer("zset-max-listpack-entries", _SIZE, 128, "Most members of a sorted set in the compact encoding.",
            aliases=("zset-max-ziplist-entries",)),
    memory("zset-max-listpack-value", _SIZE, 64, "Longest member of a sorted set in the compact encoding.",
           aliases=("zset-max-ziplist-value",)),
    memory("hll-sparse-max-bytes", _SIZE, 3000, "Largest sparse HyperLogLog before it becomes dense."),
    memory("stream-node-max-bytes", _SIZE, 4096, "Most bytes in one node of a stream; 0 sets no limit."),
    integer("stream-node-max-entries", _SIZE, 100, "Most entries in one node of a stream; 0 sets no limit."),
    integer("stream-idmp-duration", (1, 86400), 100,
            "Seconds for which a stream keeps the idempotent ids of its producers, unless XCFGSET says otherwise."),
    integer("stream-idmp-maxsize", (1, 10000), 100,
            "Idempotent ids that a stream keeps of each producer, unless XCFGSET says otherwise."),
    text("hash-seed", "", "Fixed seed of the hash tables instead of a random one.", immutable=True, sensitive=True,
         inert=True),
    boolean("activedefrag", False, "Move values to give memory back to the system."),
    memory("active-defrag-ignore-bytes", (1, LONG_MAX), 104857600,
           "Wasted bytes below which nothing is moved."),
    integer("active-defrag-threshold-lower", (0, 1000), 10, "Fragmentation, in percent, that starts the work."),
    integer("active-defrag-threshold-upper", (0, 1000), 100, "Fragmentation, in percent, of the most effort."),
    integer("active-defrag-cycle-min", (1, 99), 1, "Least effort in percent of a CPU."),
    integer("active-defrag-cycle-max", (1, 99), 25, "Most effort in percent of a CPU."),
    integer("active-defrag-cycle-us", (0, 100000), 500, "Length of one round in microseconds."),
    integer("active-defrag-max-scan-fields", (1, LONG_MAX), 1000, "Elements of one value that a round looks at."),
    boolean("jemalloc-bg-thread", True, "Let the allocator clean up in a thread of its own.", inert=True),
)  # fmt: skip
