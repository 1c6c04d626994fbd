// SPDX-License-Identifier: GPL-2.0-only
/*
 * Serves two disks to the kernel's nbd driver, from one thread, so that there is
 * one order of all that happens.
 *
 * A request is received, done and answered in steps of their own; which of those
 * that wait makes its next step is left to chance, and to a delay that differs
 * from disk to disk.
 */
#include <endian.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/nbd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

#define MAX_HELD	512u
#define MAX_BYTES	(4u << 20)

struct held {
	struct request *r;
	char handle[8];
	u64 due;		/* ns; not done before */
};

struct port {
	struct pair *pair;
	int disk;
	int device;		/* /dev/nbdN */
	int ours, kernels;	/* ends of the socket */
	u32 max_delay_us;
	bool closed;
	pthread_t keeper;	/* is in NBD_DO_IT */
};

struct pair {
	struct port port[DISKS];
	struct life *life;
	struct held held[MAX_HELD];
	u32 nr_held;
	struct sim_rng rng;
	pthread_mutex_t lock;
	pthread_t server;
	u8 *buffer;
};

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

const char *pair_device(int disk)
{
	return disk == CACHE ? "/dev/nbd0" : "/dev/nbd1";
}

/* ---- receiving ---- */

static bool read_all(int fd, void *to, size_t bytes)
{
	ssize_t got;

	while (bytes) {
		got = read(fd, to, bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to = (u8 *)to + got;
		bytes -= got;
	}
	return true;
}

static void check_request(const struct request *r, u64 from, u32 bytes)
{
	if (r->op > NBD_CMD_TRIM)
		die("unknown NBD command %u", r->op);
	if (r->op == NBD_CMD_FLUSH)
		return;
	if (from % SECTOR_SIZE || bytes % SECTOR_SIZE ||
	    r->sector + r->sectors > disk_sectors[r->disk] ||
	    (r->op != NBD_CMD_TRIM && bytes > MAX_BYTES))
		die("%s disk: bad request %u at %llu, %u bytes", disk_names[r->disk],
		    r->op, from, bytes);
}

/* False: the kernel has closed the connection. */
static bool receive(struct pair *p, struct port *port)
{
	struct nbd_request wire;
	struct request r = { .disk = port->disk };
	struct held *h;
	u32 type, bytes;
	void *data;

	if (!read_all(port->ours, &wire, sizeof(wire)))
		return false;
	if (be32toh(wire.magic) != NBD_REQUEST_MAGIC)
		die("no NBD request");
	type = be32toh(wire.type);
	bytes = be32toh(wire.len);
	r.op = type & 0xff;
	if (r.op == NBD_CMD_DISC)
		return false;
	r.fua = type & NBD_CMD_FLAG_FUA;
	r.sector = be64toh(wire.from) / SECTOR_SIZE;
	r.sectors = bytes / SECTOR_SIZE;
	check_request(&r, be64toh(wire.from), bytes);
	r.no_effect = r.op == NBD_CMD_TRIM && sim_percent(&p->rng, 30);
	if (r.op == NBD_CMD_WRITE) {
		data = life_alloc(p->life, bytes);
		if (!read_all(port->ours, data, bytes))
			return false;
		r.data = data;
	}
	h = &p->held[p->nr_held++];
	h->r = life_receive(p->life, &r);
	memcpy(h->handle, wire.handle, sizeof(h->handle));
	h->due = port->max_delay_us ?
		 now_ns() + sim_below(&p->rng, port->max_delay_us) * 1000ull : 0;
	return true;
}

static void receive_all(struct pair *p, struct pollfd *fds)
{
	int d;

	for (d = 0; d < DISKS; d++) {
		if (!fds[d].revents || p->port[d].closed || p->nr_held == MAX_HELD)
			continue;
		if (!receive(p, &p->port[d])) {
			p->port[d].closed = true;
			fds[d].fd = -1;
		}
	}
}

/* ---- doing and answering ---- */

/* A read returns what is there when it is answered. */
static size_t gather(struct pair *p, const struct request *r)
{
	u32 i;

	for (i = 0; i < r->sectors; i++)
		memcpy(p->buffer + (size_t)i * SECTOR_SIZE,
		       sector_data(p->life->now[r->disk], r->sector + i), SECTOR_SIZE);
	return (size_t)r->sectors * SECTOR_SIZE;
}

static void send_all(int fd, struct iovec *iov, int nr)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = nr };
	ssize_t sent;

	while (msg.msg_iovlen) {
		sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (sent < 0)
			die("cannot answer: %s", strerror(errno));
		while (msg.msg_iovlen && (size_t)sent >= msg.msg_iov->iov_len) {
			sent -= msg.msg_iov->iov_len;
			msg.msg_iov++;
			msg.msg_iovlen--;
		}
		if (msg.msg_iovlen) {
			msg.msg_iov->iov_base = (u8 *)msg.msg_iov->iov_base + sent;
			msg.msg_iov->iov_len -= sent;
		}
	}
}

/* The tick comes first: who sees the answer must find its tick in the past. */
static void answer(struct pair *p, const struct held *h)
{
	struct nbd_reply wire = { .magic = htobe32(NBD_REPLY_MAGIC) };
	struct iovec iov[2] = { { &wire, sizeof(wire) }, { p->buffer, 0 } };
	struct request *r = h->r;

	memcpy(wire.handle, h->handle, sizeof(wire.handle));
	if (r->op == NBD_CMD_READ)
		iov[1].iov_len = gather(p, r);
	r->answered = tick();
	send_all(p->port[r->disk].ours, iov, iov[1].iov_len ? 2 : 1);
}

/* One step of one request.  False: none is due. */
static bool step(struct pair *p)
{
	u32 i, n = sim_below(&p->rng, p->nr_held);
	u64 now = now_ns();
	struct held *h;

	for (i = 0; i < p->nr_held; i++) {
		h = &p->held[(n + i) % p->nr_held];
		if (h->due > now)
			continue;
		if (!h->r->done)
			life_do(p->life, h->r);
		if (sim_percent(&p->rng, 75)) {
			answer(p, h);
			*h = p->held[--p->nr_held];
		}
		return true;
	}
	return false;
}

static void *serve(void *arg)
{
	struct pair *p = arg;
	struct pollfd fds[DISKS];
	struct timespec soon = { .tv_nsec = 100000 };
	struct timespec at_once = {};
	bool stepped = true;
	int d;

	for (d = 0; d < DISKS; d++)
		fds[d] = (struct pollfd) { .fd = p->port[d].ours, .events = POLLIN };
	while (!p->port[CACHE].closed || !p->port[BACKING].closed) {
		ppoll(fds, DISKS, !p->nr_held ? NULL : stepped ? &at_once : &soon, NULL);
		pthread_mutex_lock(&p->lock);
		receive_all(p, fds);
		stepped = p->nr_held && step(p);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

/* ---- the kernel's side ---- */

static void *keep(void *arg)
{
	struct port *port = arg;

	ioctl(port->device, NBD_DO_IT);
	return NULL;
}

static void set_scheduler(int disk)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/block/%s/queue/scheduler", pair_device(disk) + 5);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "none", 4) != 4)
		printf("# %s keeps its scheduler\n", pair_device(disk));
	if (fd >= 0)
		close(fd);
}

static void attach(struct pair *p, int disk, bool write_through)
{
	unsigned long flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_TRIM;
	struct port *port = &p->port[disk];
	int ends[2];

	if (!write_through)
		flags |= NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA;
	port->pair = p;
	port->disk = disk;
	port->device = open(pair_device(disk), O_RDWR | O_CLOEXEC);
	if (port->device < 0)
		die("%s: %s", pair_device(disk), strerror(errno));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		die("socketpair: %s", strerror(errno));
	port->ours = ends[0];
	port->kernels = ends[1];
	if (ioctl(port->device, NBD_SET_BLKSIZE, (unsigned long)SECTOR_SIZE) ||
	    ioctl(port->device, NBD_SET_SIZE_BLOCKS, (unsigned long)disk_sectors[disk]) ||
	    ioctl(port->device, NBD_SET_FLAGS, flags) ||
	    ioctl(port->device, NBD_SET_SOCK, port->kernels))
		die("%s: %s", pair_device(disk), strerror(errno));
	set_scheduler(disk);
}

/* The size is the kernel's last step before it takes requests. */
static void wait_for_size(const struct port *port)
{
	u64 bytes = 0;
	u32 tries;

	for (tries = 0; tries < 1000; tries++) {
		if (!ioctl(port->device, BLKGETSIZE64, &bytes) && bytes)
			return;
		usleep(10000);
	}
	die("%s does not start", pair_device(port->disk));
}

struct pair *pair_start(struct life *l, const struct faults *faults, u64 seed)
{
	struct pair *p = calloc(1, sizeof(*p));
	int d;

	if (!p)
		die("out of memory");
	p->life = l;
	p->rng.state = seed;
	pthread_mutex_init(&p->lock, NULL);
	p->buffer = malloc(MAX_BYTES);
	if (!p->buffer)
		die("out of memory");
	for (d = 0; d < DISKS; d++)
		attach(p, d, faults->write_through[d]);
	if (pthread_create(&p->server, NULL, serve, p))
		die("no thread");
	for (d = 0; d < DISKS; d++)
		if (pthread_create(&p->port[d].keeper, NULL, keep, &p->port[d]))
			die("no thread");
	for (d = 0; d < DISKS; d++)
		wait_for_size(&p->port[d]);
	return p;
}

void pair_stop(struct pair *p)
{
	int d;

	for (d = 0; d < DISKS; d++)
		ioctl(p->port[d].device, NBD_DISCONNECT);
	pthread_join(p->server, NULL);
	for (d = 0; d < DISKS; d++) {
		close(p->port[d].ours);
		pthread_join(p->port[d].keeper, NULL);
		ioctl(p->port[d].device, NBD_CLEAR_SOCK);
		close(p->port[d].kernels);
		close(p->port[d].device);
	}
	pthread_mutex_destroy(&p->lock);
	free(p->buffer);
	free(p);
}

void pair_forget_pages(struct pair *p)
{
	int d;

	for (d = 0; d < DISKS; d++)
		if (ioctl(p->port[d].device, BLKFLSBUF))
			die("BLKFLSBUF: %s", strerror(errno));
}

void pair_set_life(struct pair *p, struct life *l)
{
	pair_forget_pages(p);
	pthread_mutex_lock(&p->lock);
	if (p->nr_held)
		die("%u requests are under way though nobody uses the disks", p->nr_held);
	p->life = l;
	pthread_mutex_unlock(&p->lock);
}

void pair_set_delay(struct pair *p, int disk, u32 max_us)
{
	pthread_mutex_lock(&p->lock);
	p->port[disk].max_delay_us = max_us;
	pthread_mutex_unlock(&p->lock);
}
