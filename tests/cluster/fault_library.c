/* Preloaded into the confd daemons of tests/cluster/run, which changes a file that both map: the wall clock can be set ahead and back,
 * and syncing can be made slow. Timers are not touched: confd waits on the monotonic clock only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
  volatile int64_t clock_seconds; /* added to the wall clock */
  volatile int64_t sync_microseconds;
};

static struct control none;
static struct control* control = &none;
static int (*real_clock_gettime)(clockid_t, struct timespec*);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void start(void) {
  real_clock_gettime = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  const char* path = getenv("CONFD_TEST_FAULTS");
  if (!path) return;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) abort();
  void* map = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) abort();
  control = map;
  close(fd);
}

int clock_gettime(clockid_t clock, struct timespec* now) {
  if (!real_clock_gettime) start();
  const int result = real_clock_gettime(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += control->clock_seconds;
  return result;
}

time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval* now, void* zone) {
  (void)zone;
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

static void delay(void) {
  const int64_t microseconds = control->sync_microseconds;
  if (microseconds <= 0) return;
  struct timespec rest = {microseconds / 1000000, microseconds % 1000000 * 1000};
  while (nanosleep(&rest, &rest) != 0) {
  }
}

int fsync(int fd) {
  delay();
  return real_fsync(fd);
}

int fdatasync(int fd) {
  delay();
  return real_fdatasync(fd);
}
