// SPDX-License-Identifier: GPL-2.0-only
/*
 * The workload; see load.h.
 */
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define MAX_SECTORS	SPOT_SECTORS
#define MAX_TOLD	3u	/* violations that are described */

struct worker {
	struct load *load;
	pthread_t thread;
	struct sim_rng rng;
	aio_context_t aio;
	u8 *buffer;
};

static void pause_us(u32 us)
{
	struct timespec t = { .tv_nsec = us * 1000l };

	nanosleep(&t, NULL);
}

void load_pause(struct load *load)
{
	pthread_rwlock_wrlock(&load->pause);
}

void load_continue(struct load *load)
{
	pthread_rwlock_unlock(&load->pause);
}

/* One read or write, begun and waited for. */
static void do_io(struct worker *w, const struct op *op)
{
	struct iocb cb = {
		.aio_fildes = w->load->fd,
		.aio_lio_opcode = op->kind == OP_READ ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE,
		.aio_buf = (u64)(uintptr_t)w->buffer,
		.aio_nbytes = op->sectors * SECTOR_SIZE,
		.aio_offset = op->sector * SECTOR_SIZE,
		.aio_rw_flags = op->fua ? RWF_DSYNC : 0,
	};
	struct iocb *list = &cb;
	struct io_event event;

	if (syscall(SYS_io_submit, w->aio, 1l, &list) != 1)
		die("io_submit: %s", strerror(errno));
	while (syscall(SYS_io_getevents, w->aio, 1l, 1l, &event, NULL) != 1)
		if (errno != EINTR)
			die("io_getevents: %s", strerror(errno));
	if (event.res != (s64)cb.aio_nbytes)
		die("%s of %llu+%u: %s", op->kind == OP_READ ? "read" : "write", op->sector,
		    op->sectors, event.res < 0 ? strerror(-event.res) : "cut short");
}

static void end_op(struct op *op)
{
	__atomic_store_n(&op->end, tick(), __ATOMIC_SEQ_CST);
}

static void do_write(struct worker *w, u64 sector, u32 sectors)
{
	struct op *op = history_begin(w->load->history, OP_WRITE, sector, sectors,
				      sim_percent(&w->rng, 15));
	u32 i;

	for (i = 0; i < sectors; i++)
		fill_sector(w->buffer + (size_t)i * SECTOR_SIZE, sector + i, op->version);
	do_io(w, op);
	end_op(op);
}

static void do_read(struct worker *w, u64 sector, u32 sectors)
{
	struct op *op = history_begin(w->load->history, OP_READ, sector, sectors, false);
	u32 versions[MAX_SECTORS];
	int wrong;
	u32 i;

	do_io(w, op);
	for (i = 0; i < sectors; i++)
		versions[i] = version_of(w->buffer + (size_t)i * SECTOR_SIZE, sector + i);
	history_end_read(w->load->history, op, versions, &wrong);
	if (wrong < 0)
		return;
	if (__atomic_fetch_add(&w->load->violations, 1, __ATOMIC_SEQ_CST) >= MAX_TOLD)
		return;
	printf("# VIOLATION: a read, ticks %llu to %llu, no power cut since:\n", op->begin,
	       op->end);
	pthread_mutex_lock(&w->load->history->lock);
	explain_history(w->load->history, wrong, versions[wrong - sector_index(sector)], 0);
	pthread_mutex_unlock(&w->load->history->lock);
}

static void do_flush(struct worker *w)
{
	struct op *op = history_begin(w->load->history, OP_FLUSH, 0, 0, false);

	if (fdatasync(w->load->fd))
		die("fdatasync: %s", strerror(errno));
	end_op(op);
}

static void do_discard(struct worker *w, u64 sector, u32 sectors)
{
	struct op *op = history_begin(w->load->history, OP_DISCARD, sector, sectors, false);
	u64 range[2] = { sector * SECTOR_SIZE, (u64)sectors * SECTOR_SIZE };

	if (ioctl(w->load->fd, BLKDISCARD, range))
		die("BLKDISCARD of %llu+%u: %s", sector, sectors, strerror(errno));
	end_op(op);
}

/* Low spots are hot; the spots lie side by side only at the device's start. */
static void choose_range(struct worker *w, u64 *sector, u32 *sectors)
{
	u32 a = sim_below(&w->rng, NR_SPOTS), b = sim_below(&w->rng, NR_SPOTS);
	u32 spot = a < b ? a : b;
	u32 kind = sim_below(&w->rng, 100);
	u32 grain = sim_percent(&w->rng, 50) ? 8 : 1;
	u32 n;

	if (kind < 50)
		n = sim_range(&w->rng, 1, 8);
	else if (kind < 75)
		n = sim_range(&w->rng, 8, 32);
	else if (kind < 95)
		n = sim_range(&w->rng, 32, 128);
	else
		n = sim_range(&w->rng, 128, MAX_SECTORS - 8);
	if (grain == 8)
		n = (n + 7) & ~7u;
	*sector = sim_below(&w->rng, SPOT_SECTORS - n + 1);
	*sector -= *sector % grain;
	*sector += spot_start(spot);
	*sectors = n;
}

static void do_something(struct worker *w)
{
	u32 kind = sim_below(&w->rng, 100);
	u64 sector;
	u32 sectors;

	choose_range(w, &sector, &sectors);
	if (kind < w->load->read_percent)
		do_read(w, sector, sectors);
	else if (kind < 88)
		do_write(w, sector, sectors);
	else if (kind < 97)
		do_flush(w);
	else
		do_discard(w, sector, sectors);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (__atomic_fetch_sub(&w->load->left, 1, __ATOMIC_SEQ_CST) > 0) {
		pthread_rwlock_rdlock(&w->load->pause);
		do_something(w);
		pthread_rwlock_unlock(&w->load->pause);
		if (sim_percent(&w->rng, 20))
			pause_us(sim_below(&w->rng, 2000));
	}
	return NULL;
}

static void start(struct load *load, struct worker *w, struct sim_rng *rng)
{
	w->load = load;
	w->rng.state = sim_rand(rng);
	if (posix_memalign((void **)&w->buffer, 4096, MAX_SECTORS * SECTOR_SIZE))
		die("out of memory");
	if (syscall(SYS_io_setup, 1, &w->aio))
		die("io_setup: %s", strerror(errno));
	if (pthread_create(&w->thread, NULL, work, w))
		die("no thread");
}

static void init_pause(struct load *load)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&load->pause, &attr);
}

u32 load_run(struct load *load)
{
	struct sim_rng rng = { load->seed };
	struct worker *workers = calloc(load->threads, sizeof(*workers));
	u32 i;

	if (!workers)
		die("out of memory");
	load->left = load->ops;
	load->violations = 0;
	init_pause(load);
	for (i = 0; i < load->threads; i++)
		start(load, &workers[i], &rng);
	while (load->meddle && __atomic_load_n(&load->left, __ATOMIC_SEQ_CST) > 0) {
		pause_us(sim_below(&rng, 400000));
		load->meddle(load->ctx, &rng);
	}
	for (i = 0; i < load->threads; i++) {
		pthread_join(workers[i].thread, NULL);
		syscall(SYS_io_destroy, workers[i].aio);
		free(workers[i].buffer);
	}
	pthread_rwlock_destroy(&load->pause);
	free(workers);
	return load->violations;
}
