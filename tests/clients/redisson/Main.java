// Redisson's first example against the server on the given port: a map and a lock, then what of it stands on scripts most: a
// semaphore, a rate limiter, a latch, a map whose entries expire. With "caches" before the port: maps of which each client keeps a
// copy, and what it keeps of all that it reads. Prints OK at the end.

import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.redisson.Redisson;
import org.redisson.api.RBucket;
import org.redisson.api.RClientSideCaching;
import org.redisson.api.RCountDownLatch;
import org.redisson.api.RLocalCachedMap;
import org.redisson.api.RLock;
import org.redisson.api.RMap;
import org.redisson.api.RMapCache;
import org.redisson.api.RRateLimiter;
import org.redisson.api.RSemaphore;
import org.redisson.api.RateType;
import org.redisson.api.RedissonClient;
import org.redisson.api.options.ClientSideCachingOptions;
import org.redisson.api.options.LocalCachedMapOptions;
import org.redisson.config.Config;
import org.redisson.config.Protocol;

public class Main {
    private static void must(boolean condition, String what) {
        if (!condition) {
            throw new IllegalStateException("unexpected: " + what);
        }
    }

    private static RedissonClient connect(String port) {
        Config config = new Config();
        config.useSingleServer().setAddress("redis://127.0.0.1:" + port).setConnectionMinimumIdleSize(2);
        return Redisson.create(config);
    }

    private static void useMap(RedissonClient client) {
        RMap<String, Integer> map = client.getMap("myMap");
        must(map.put("a", 1) == null, "put");
        must(map.putIfAbsent("a", 2) == 1, "putIfAbsent");
        must(!map.replace("a", 6, 7) && map.replace("a", 1, 7) && map.remove("a") == 7, "replace and remove");
        RMapCache<String, String> cache = client.getMapCache("myCache");
        must(cache.put("k", "v", 10, TimeUnit.MINUTES) == null && "v".equals(cache.get("k")), "a map with expiry");
    }

    private static void useLocks(RedissonClient client, RedissonClient other) throws InterruptedException {
        RLock lock = client.getLock("myLock");
        lock.lock();
        lock.lock();
        must(lock.isHeldByCurrentThread() && lock.getHoldCount() == 2, "a lock that is held twice");
        RLock others = other.getLock("myLock");
        must(!others.tryLock(), "the lock is taken");
        Thread release = new Thread(lock::unlock);
        lock.unlock();
        lock.unlock();
        must(others.tryLock(30, 30, TimeUnit.SECONDS), "the lock is free");
        // Only the owner may unlock it.
        release.setUncaughtExceptionHandler((thread, error) -> {});
        release.start();
        release.join();
        must(others.isHeldByCurrentThread(), "the lock was taken away");
        others.unlock();
    }

    private static void useOthers(RedissonClient client) throws InterruptedException {
        RSemaphore semaphore = client.getSemaphore("mySemaphore");
        must(semaphore.trySetPermits(1) && semaphore.tryAcquire() && !semaphore.tryAcquire(), "a semaphore");
        RRateLimiter limiter = client.getRateLimiter("myLimiter");
        must(limiter.trySetRate(RateType.OVERALL, 2, Duration.ofMinutes(1)), "trySetRate");
        must(limiter.tryAcquire(2) && !limiter.tryAcquire(), "a rate limiter");
        RCountDownLatch latch = client.getCountDownLatch("myLatch");
        latch.trySetCount(1);
        Thread counter = new Thread(latch::countDown);
        counter.start();
        must(latch.await(30, TimeUnit.SECONDS), "a latch");
        counter.join();
    }

    private static void eventually(String what, BooleanSupplier holds) throws InterruptedException {
        for (int tries = 0; !holds.getAsBoolean(); tries++) {
            must(tries < 6000, what);
            Thread.sleep(5);
        }
    }

    private static void useLocalCopies(String port) throws InterruptedException {
        RedissonClient client = connect(port);
        RedissonClient other = connect(port);
        LocalCachedMapOptions<String, Integer> options = LocalCachedMapOptions.name("copied");
        RLocalCachedMap<String, Integer> map = client.getLocalCachedMap(options);
        RLocalCachedMap<String, Integer> others = other.getLocalCachedMap(options);
        others.put("a", 1);
        // That the key was put may be told after it is read here, and what is kept goes then.
        eventually(
            "what is read stays with the client",
            () -> map.get("a") == 1 && Integer.valueOf(1).equals(map.getCachedMap().get("a")));
        others.put("a", 2);
        eventually("a change is seen", () -> map.get("a") == 2);
        others.clear();
        eventually("an emptied map is seen", () -> map.get("a") == null);
        client.shutdown();
        other.shutdown();
    }

    private static void useTracking(String port) throws InterruptedException {
        Config config = new Config().setProtocol(Protocol.RESP3);
        config.useSingleServer().setAddress("redis://127.0.0.1:" + port).setConnectionMinimumIdleSize(2);
        RedissonClient client = Redisson.create(config);
        RedissonClient other = connect(port);
        RClientSideCaching caching = client.getClientSideCaching(ClientSideCachingOptions.defaults());
        RBucket<String> bucket = caching.getBucket("bucket");
        other.getBucket("bucket").set("1");
        must("1".equals(bucket.get()) && "1".equals(bucket.get()), "a bucket");
        other.getBucket("bucket").set("2");
        eventually("a change is seen", () -> "2".equals(bucket.get()));
        other.getBucket("bucket").delete();
        eventually("a deletion is seen", () -> bucket.get() == null);
        caching.destroy();
        client.shutdown();
        other.shutdown();
    }

    public static void main(String[] arguments) throws InterruptedException {
        // The threads of a client that is not shut down would keep the process.
        Thread.setDefaultUncaughtExceptionHandler((thread, surprise) -> {
            surprise.printStackTrace();
            Runtime.getRuntime().halt(1);
        });
        if (arguments[0].equals("caches")) {
            useLocalCopies(arguments[1]);
            useTracking(arguments[1]);
            System.out.println("OK");
            return;
        }
        RedissonClient client = connect(arguments[0]);
        RedissonClient other = connect(arguments[0]);
        useMap(client);
        useLocks(client, other);
        useOthers(client);
        client.shutdown();
        other.shutdown();
        System.out.println("OK");
    }
}
