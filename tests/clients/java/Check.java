// What the programs beside it check with.

import java.util.function.BooleanSupplier;

final class Check {
    private static final long PATIENCE_NANOSECONDS = 30_000_000_000L;

    private Check() {}

    /** Any surprise ends the process, which the threads of a client that is not shut down would keep. */
    static void endAtSurprises() {
        Thread.setDefaultUncaughtExceptionHandler((thread, surprise) -> {
            surprise.printStackTrace();
            Runtime.getRuntime().halt(1);
        });
    }

    static void must(boolean condition, String what) {
        if (!condition) {
            throw new IllegalStateException("unexpected: " + what);
        }
    }

    static void eventually(String what, BooleanSupplier holds) throws InterruptedException {
        long end = System.nanoTime() + PATIENCE_NANOSECONDS;
        while (!holds.getAsBoolean()) {
            must(System.nanoTime() < end, what);
            Thread.sleep(5);
        }
    }

    /** Whether INFO says that clients are tracked, and keys remembered for them. */
    static void tracks(String info) {
        must(!info.contains("tracking_clients:0\r"), "no client is tracked");
        must(!info.contains("tracking_total_keys:0\r"), "no key is remembered");
    }
}
