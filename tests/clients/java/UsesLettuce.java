// Lettuce in its default settings against the server on the first port, then as a cluster client against the second, if there is
// any; with a folder of certificates, over TLS. With "caches" before the port: its client-side cache. Prints OK at the end; any
// surprise ends the process with a code other than 0.

import io.lettuce.core.ClientOptions;
import io.lettuce.core.KeyValue;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisCommandExecutionException;
import io.lettuce.core.RedisURI;
import io.lettuce.core.SslOptions;
import io.lettuce.core.TrackingArgs;
import io.lettuce.core.TransactionResult;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.api.sync.RedisCommands;
import io.lettuce.core.cluster.RedisClusterClient;
import io.lettuce.core.cluster.api.StatefulRedisClusterConnection;
import io.lettuce.core.cluster.api.sync.RedisClusterCommands;
import io.lettuce.core.pubsub.RedisPubSubAdapter;
import io.lettuce.core.pubsub.StatefulRedisPubSubConnection;
import io.lettuce.core.support.caching.CacheAccessor;
import io.lettuce.core.support.caching.CacheFrontend;
import io.lettuce.core.support.caching.ClientSideCaching;
import java.io.File;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public class UsesLettuce {
    /** Longer than a busy machine needs from an answer to keeping it. */
    private static final long LAST_MILLISECONDS = 500;

    private static void useData(RedisClusterCommands<String, String> commands) {
        Check.must("OK".equals(commands.set("{t}k", "v")) && "v".equals(commands.get("{t}k")), "SET and GET");
        Check.must(commands.hset("{t}h", Map.of("f", "1", "g", "2")) == 2, "HSET");
        Check.must(commands.hgetall("{t}h").equals(Map.of("f", "1", "g", "2")), "HGETALL");
        Check.must(commands.zadd("{t}z", 1.5, "a") == 1 && commands.zscore("{t}z", "a") == 1.5, "a sorted set");
        List<KeyValue<String, String>> values = commands.mget("{t}k", "{t}nothing");
        Check.must(values.get(0).getValue().equals("v") && !values.get(1).hasValue(), "MGET");
        try {
            commands.lpush("{t}k", "x");
            Check.must(false, "LPUSH to a string");
        } catch (RedisCommandExecutionException error) {
            Check.must(error.getMessage().startsWith("WRONGTYPE"), error.getMessage());
        }
        Check.must(commands.del("{t}k", "{t}h", "{t}z") == 3, "DEL");
    }

    private static void useTransaction(RedisCommands<String, String> commands) {
        commands.multi();
        commands.incr("n");
        commands.incr("n");
        TransactionResult replies = commands.exec();
        Check.must(replies.get(1).equals(2L) && commands.del("n") == 1, "a transaction");
    }

    private static void usePubSub(RedisClient client) throws InterruptedException {
        BlockingQueue<String> heard = new LinkedBlockingQueue<>();
        try (StatefulRedisPubSubConnection<String, String> subscriber = client.connectPubSub();
                StatefulRedisConnection<String, String> publisher = client.connect()) {
            subscriber.addListener(new RedisPubSubAdapter<>() {
                @Override
                public void message(String channel, String message) {
                    heard.add(channel + " " + message);
                }

                @Override
                public void message(String pattern, String channel, String message) {
                    heard.add(pattern + " " + channel + " " + message);
                }
            });
            subscriber.sync().subscribe("news");
            subscriber.sync().psubscribe("j*");
            Check.must(publisher.sync().publish("news", "hello") == 1, "PUBLISH");
            Check.must("news hello".equals(heard.poll(30, TimeUnit.SECONDS)), "a message");
            Check.must(publisher.sync().publish("jobs", "work") == 1, "PUBLISH to a pattern");
            Check.must("j* jobs work".equals(heard.poll(30, TimeUnit.SECONDS)), "a message by a pattern");
            subscriber.sync().unsubscribe("news");
            subscriber.sync().punsubscribe("j*");
        }
    }

    private static void useCluster(int port) {
        RedisClusterClient client = RedisClusterClient.create(RedisURI.create("127.0.0.1", port));
        try (StatefulRedisClusterConnection<String, String> connection = client.connect()) {
            useData(connection.sync());
            for (int number = 0; number < 100; number++) {
                Check.must("OK".equals(connection.sync().set("key:" + number, "v")), "SET in every slot");
            }
        }
        client.shutdown(0, 1, TimeUnit.SECONDS);
    }

    private static void useCache(RedisClient client) throws InterruptedException {
        Map<String, String> local = new ConcurrentHashMap<>();
        try (StatefulRedisConnection<String, String> connection = client.connect();
                StatefulRedisConnection<String, String> others = client.connect()) {
            RedisCommands<String, String> other = others.sync();
            other.set("k", "1");
            CacheFrontend<String, String> cache = ClientSideCaching.enable(
                    CacheAccessor.forMap(local), connection, TrackingArgs.Builder.enabled());
            Check.must("1".equals(cache.get("k")) && "1".equals(local.get("k")), "what is read stays with the client");
            Check.tracks(other.info());
            other.set("k", "2");
            Check.eventually("a change is seen", () -> "2".equals(cache.get("k")));
            other.pexpire("k", LAST_MILLISECONDS);
            Check.eventually("that it will end is seen", () -> !local.containsKey("k"));
            cache.get("k");
            // Without asking again: what is read in the last moment is kept when the message of the end has gone by.
            Check.eventually("its end is seen", () -> !local.containsKey("k"));
            Check.must(cache.get("k") == null, "it has ended");
            other.set("k", "3");
            Check.eventually("it is read again", () -> "3".equals(cache.get("k")));
            other.del("k");
            Check.eventually("a deletion is seen", () -> cache.get("k") == null);
        }
    }

    private static RedisClient connect(int port, String certificates) {
        RedisURI.Builder address = RedisURI.Builder.redis("127.0.0.1", port);
        if (certificates == null) {
            return RedisClient.create(address.build());
        }
        RedisClient client = RedisClient.create(address.withSsl(true).withVerifyPeer(true).build());
        SslOptions options = SslOptions.builder()
                .jdkSslProvider()
                .trustManager(new File(certificates, "ca.crt"))
                .keyManager(new File(certificates, "client.crt"), new File(certificates, "client.key"), null)
                .build();
        client.setOptions(ClientOptions.builder().sslOptions(options).build());
        return client;
    }

    public static void main(String[] arguments) throws InterruptedException {
        Check.endAtSurprises();
        boolean caches = arguments[0].equals("caches");
        int port = Integer.parseInt(arguments[caches ? 1 : 0]);
        RedisClient client = connect(port, arguments.length > 2 ? arguments[2] : null);
        if (caches) {
            useCache(client);
        } else {
            try (StatefulRedisConnection<String, String> connection = client.connect()) {
                useData(connection.sync());
                useTransaction(connection.sync());
            }
            usePubSub(client);
            if (!arguments[1].equals("0")) {
                useCluster(Integer.parseInt(arguments[1]));
            }
        }
        client.shutdown(0, 1, TimeUnit.SECONDS);
        System.out.println("OK");
    }
}
