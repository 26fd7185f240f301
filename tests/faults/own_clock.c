/* Gives the processes that load it before the C library a wall clock of their own.
 *
 * The file that OWN_CLOCK_FILE names holds one 64-bit number: by how many nanoseconds the clock
 * is ahead. It is mapped into memory, so a jump is seen at the next look, and looking costs nothing.
 * The monotonic clocks are left alone, as they are when an administrator sets a machine's clock.
 * Waits until a date are told the machine's date for it: they last as long as they were meant to.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL
/* A time past this many seconds is a date: no machine has been up for thirty years. */
#define EARLIEST_DATE_S 1000000000LL

static const volatile int64_t no_offset_ns = 0;
static const volatile int64_t *offset_ns = &no_offset_ns;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("OWN_CLOCK_FILE");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) offset_ns = page;
}

static struct timespec shifted(struct timespec at, int64_t by_ns) {
    int64_t total_ns = at.tv_sec * SECOND_NS + at.tv_nsec + by_ns;
    return (struct timespec){.tv_sec = total_ns / SECOND_NS, .tv_nsec = total_ns % SECOND_NS};
}

static struct timespec for_machine(const struct timespec *at) {
    return at->tv_sec > EARLIEST_DATE_S ? shifted(*at, -*offset_ns) : *at;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t id, struct timespec *now) {
    static __typeof__(&clock_gettime) next;
    if (next == NULL) next = NEXT(clock_gettime);
    int result = next(id, now);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE || id == CLOCK_TAI))
        *now = shifted(*now, *offset_ns);
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    *now = (struct timeval){.tv_sec = at.tv_sec, .tv_usec = at.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (now != NULL) *now = at.tv_sec;
    return at.tv_sec;
}

int clock_nanosleep(clockid_t id, int flags, const struct timespec *at, struct timespec *left) {
    static __typeof__(&clock_nanosleep) next;
    if (next == NULL) next = NEXT(clock_nanosleep);
    struct timespec until = flags & TIMER_ABSTIME ? for_machine(at) : *at;
    return next(id, flags, &until, left);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict at) {
    static __typeof__(&sem_timedwait) next;
    if (next == NULL) next = NEXT(sem_timedwait);
    struct timespec until = for_machine(at);
    return next(semaphore, &until);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict at) {
    static __typeof__(&pthread_mutex_timedlock) next;
    if (next == NULL) next = NEXT(pthread_mutex_timedlock);
    struct timespec until = for_machine(at);
    return next(mutex, &until);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict at) {
    static __typeof__(&pthread_cond_timedwait) next;
    if (next == NULL) {
        /* Where there are two versions, the plain look-up finds one of other structures. */
        next = (__typeof__(next))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
        if (next == NULL) next = NEXT(pthread_cond_timedwait);
    }
    struct timespec until = for_machine(at);
    return next(condition, mutex, &until);
}
