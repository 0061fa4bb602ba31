/* Preloaded into a server: no thread can be begun once so many have been, or while a file exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static atomic_int begun;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *), void *argument) {
    const char *flag = getenv("REFUSE_THREADS_WHILE"), *most = getenv("REFUSE_THREADS_AFTER");
    if (flag && access(flag, F_OK) == 0)
        return EAGAIN;
    if (most && atomic_fetch_add(&begun, 1) >= atoi(most))
        return EAGAIN;
    return ((create *)dlsym(RTLD_NEXT, "pthread_create"))(thread, attributes, work, argument);
}
