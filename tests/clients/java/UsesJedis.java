// Jedis in its default settings against the server on the first port, then as a cluster client against the second, if there is
// any. With "caches" before the port: its client-side cache. Prints OK at the end; any surprise ends the process with a code other
// than 0.

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import redis.clients.jedis.AbstractTransaction;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisCluster;
import redis.clients.jedis.JedisPooled;
import redis.clients.jedis.JedisPubSub;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.csc.CacheConfig;
import redis.clients.jedis.exceptions.JedisDataException;

public class UsesJedis {
    private static void useData(UnifiedJedis client) {
        Check.must("OK".equals(client.set("{t}k", "v")) && "v".equals(client.get("{t}k")), "SET and GET");
        Check.must(client.hset("{t}h", Map.of("f", "1", "g", "2")) == 2, "HSET");
        Check.must(client.hgetAll("{t}h").equals(Map.of("f", "1", "g", "2")), "HGETALL");
        Check.must(client.zadd("{t}z", 1.5, "a") == 1 && client.zscore("{t}z", "a") == 1.5, "a sorted set");
        Check.must(client.mget("{t}k", "{t}nothing").equals(Arrays.asList("v", null)), "MGET");
        try {
            client.lpush("{t}k", "x");
            Check.must(false, "LPUSH to a string");
        } catch (JedisDataException error) {
            Check.must(error.getMessage().startsWith("WRONGTYPE"), error.getMessage());
        }
        Check.must(client.del("{t}k", "{t}h", "{t}z") == 3, "DEL");
    }

    private static void useTransaction(UnifiedJedis client) {
        try (AbstractTransaction transaction = client.multi()) {
            transaction.incr("n");
            transaction.incr("n");
            Check.must(transaction.exec().equals(List.of(1L, 2L)), "a transaction");
        }
        client.del("n");
    }

    private static void usePubSub(int port, UnifiedJedis publisher) throws InterruptedException {
        BlockingQueue<String> heard = new LinkedBlockingQueue<>();
        JedisPubSub subscription = new JedisPubSub() {
            @Override
            public void onSubscribe(String channel, int count) {
                heard.add("subscribed to " + channel);
            }

            @Override
            public void onMessage(String channel, String message) {
                heard.add(channel + " " + message);
            }
        };
        Thread subscriber = new Thread(() -> {
            try (Jedis connection = new Jedis("127.0.0.1", port)) {
                connection.subscribe(subscription, "news");
            }
        });
        subscriber.start();
        Check.must("subscribed to news".equals(heard.poll(30, TimeUnit.SECONDS)), "SUBSCRIBE");
        Check.must(publisher.publish("news", "hello") == 1, "PUBLISH");
        Check.must("news hello".equals(heard.poll(30, TimeUnit.SECONDS)), "a message");
        subscription.unsubscribe();
        subscriber.join();
    }

    private static void useCluster(int port) {
        try (JedisCluster cluster = new JedisCluster(Set.of(new HostAndPort("127.0.0.1", port)))) {
            useData(cluster);
            for (int number = 0; number < 100; number++) {
                Check.must("OK".equals(cluster.set("key:" + number, "v")), "SET in every slot");
            }
        }
    }

    private static void useCache(int port) throws InterruptedException {
        HostAndPort address = new HostAndPort("127.0.0.1", port);
        CacheConfig config = CacheConfig.builder().maxSize(1000).build();
        try (JedisPooled client = new JedisPooled(address, DefaultJedisClientConfig.builder().resp3().build(), config);
                JedisPooled other = new JedisPooled("127.0.0.1", port)) {
            other.set("k", "1");
            Check.must("1".equals(client.get("k")) && "1".equals(client.get("k")), "GET");
            Check.must(client.getCache().getStats().getHitCount() == 1, "what is read stays with the client");
            Check.tracks(other.info());
            other.set("k", "2");
            Check.eventually("a change is seen", () -> "2".equals(client.get("k")));
            other.del("k");
            Check.eventually("a deletion is seen", () -> client.get("k") == null);
            other.set("k", "3");
            Check.eventually("it is read again", () -> "3".equals(client.get("k")));
            other.flushAll();
            Check.eventually("an emptied database is seen", () -> client.get("k") == null);
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        Check.endAtSurprises();
        if (arguments[0].equals("caches")) {
            useCache(Integer.parseInt(arguments[1]));
        } else {
            int port = Integer.parseInt(arguments[0]);
            try (JedisPooled client = new JedisPooled("127.0.0.1", port)) {
                useData(client);
                useTransaction(client);
                usePubSub(port, client);
            }
            if (!arguments[1].equals("0")) {
                useCluster(Integer.parseInt(arguments[1]));
            }
        }
        System.out.println("OK");
    }
}
