// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts the instructions of an I/O, in a guest under QEMU's -icount.
 *
 * There one instruction is one nanosecond of CLOCK_MONOTONIC, so the clock
 * around N synchronous O_DIRECT I/Os, less what the processor slept, is their
 * number.  Anywhere else it prints wall-clock nanoseconds.
 *
 *	count-io DEVICE read|write random|seq BYTES NR [SPAN]
 *
 * Prints one number: instructions per I/O, the lowest of three rounds (a
 * background task may land in one).
 *
 *	count-io DEVICE keep-busy
 *
 * Reads 4 KiB of it five times a second, until it is gone.  That takes hardly any
 * instructions: a loop in a shell would start millions of them each time, and at the
 * worst of times: while others wait for the host, the clock leaps to its next round.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 3
#define HUGE_PAGE (2ul << 20)
#define BUSY_US 200000

struct job {
	int fd;
	int write;
	int random;
	size_t bytes;
	unsigned long nr;
	uint64_t span;		/* bytes of the device that are used */
	char *buffer;
};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Nanoseconds that processor 0 has slept so far, waiting for I/O or not. */
static uint64_t slept(void)
{
	static char text[65536];
	static const char *const fields[] = { "idle_sleeptime", "iowait_sleeptime" };
	uint64_t sum = 0;
	ssize_t n;
	int fd = open("/proc/timer_list", O_RDONLY);
	size_t used = 0, i;

	if (fd < 0)
		return 0;
	while (used < sizeof(text) - 1 &&
	       (n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += n;
	close(fd);
	text[used] = 0;
	for (i = 0; i < 2; i++) {
		const char *at = strstr(text, fields[i]);

		at = at ? strchr(at, ':') : NULL;
		if (at)
			sum += strtoull(at + 1, NULL, 10);
	}
	return sum;
}

static uint64_t next_random(uint64_t *state)
{
	/* xorshift64*, Vigna 2016 */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717ull;
}

static void run(const struct job *j, unsigned long nr, uint64_t *state)
{
	uint64_t slots = j->span / j->bytes;
	unsigned long i;

	for (i = 0; i < nr; i++) {
		off_t off = (j->random ? next_random(state) % slots : i % slots) *
			    j->bytes;
		ssize_t n = j->write ? pwrite(j->fd, j->buffer, j->bytes, off) :
				       pread(j->fd, j->buffer, j->bytes, off);

		if (n != (ssize_t)j->bytes) {
			fprintf(stderr, "count-io: I/O at %lld: %s\n", (long long)off,
				n < 0 ? strerror(errno) : "short");
			exit(1);
		}
	}
}

static uint64_t measure(const struct job *j, uint64_t *state)
{
	uint64_t before, after, asleep;

	asleep = slept();
	before = now();
	run(j, j->nr, state);
	after = now();
	return after - before - (slept() - asleep);
}

/*
 * Contiguous in memory: the block layer's work depends on how many pieces a buffer has,
 * which would be chance.
 */
static char *buffer_alloc(size_t bytes)
{
	size_t size = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	void *buffer;

	if (posix_memalign(&buffer, HUGE_PAGE, size))
		return NULL;
	madvise(buffer, size, MADV_HUGEPAGE);
	memset(buffer, 0x5a, size);
	return buffer;
}

/* Opened anew each time: it may be removed meanwhile. */
static int keep_busy(const char *device)
{
	char *buffer = buffer_alloc(4096);
	int fd;

	while (buffer && (fd = open(device, O_RDONLY | O_DIRECT)) >= 0) {
		if (pread(fd, buffer, 4096, 0) < 0)
			perror(device);
		close(fd);
		usleep(BUSY_US);
	}
	return buffer ? 0 : 1;
}

static int parse(int argc, char **argv, struct job *j)
{
	if (argc < 6)
		return -1;
	j->write = !strcmp(argv[2], "write");
	j->random = !strcmp(argv[3], "random");
	j->bytes = strtoul(argv[4], NULL, 0);
	j->nr = strtoul(argv[5], NULL, 0);
	j->fd = open(argv[1], O_RDWR | O_DIRECT);
	if (j->fd < 0 || !j->bytes || !j->nr) {
		perror(argv[1]);
		return -1;
	}
	j->span = argc > 6 ? strtoull(argv[6], NULL, 0) : (uint64_t)lseek(j->fd, 0, SEEK_END);
	j->buffer = buffer_alloc(j->bytes);
	return j->buffer ? 0 : -1;
}

int main(int argc, char **argv)
{
	uint64_t best = UINT64_MAX, state = 88172645463325252ull, took;
	struct job j;
	int i;

	if (argc == 3 && !strcmp(argv[2], "keep-busy"))
		return keep_busy(argv[1]);
	if (parse(argc, argv, &j)) {
		fprintf(stderr, "usage: count-io DEVICE read|write random|seq BYTES NR [SPAN]\n"
				"       count-io DEVICE keep-busy\n");
		return 2;
	}
	run(&j, j.nr / 10 + 1, &state);
	for (i = 0; i < ROUNDS; i++) {
		took = measure(&j, &state);
		best = took < best ? took : best;
	}
	printf("%llu\n", (unsigned long long)(best / j.nr));
	return 0;
}
