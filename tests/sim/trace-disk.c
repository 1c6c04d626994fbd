// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices of the trace simulator: see trace-disk.h.
 */
#include "trace-disk.h"
#include "vci-ondisk.h"

#define HASH_BITS_MIN	12u

static struct trace_disk *disk_of(struct vci_dev *dev)
{
	return container_of(dev, struct trace_disk, dev);
}

static u32 slot_of(const struct trace_disk *d, u64 block)
{
	u32 mask = (1u << d->bits) - 1;
	u32 i = (block * 0x9e3779b97f4a7c15ull) >> (64 - d->bits);

	while (d->key[i] && d->key[i] != block + 1)
		i = (i + 1) & mask;
	return i;
}

static void hash_init(struct trace_disk *d, u32 bits)
{
	d->bits = bits;
	d->nr = 0;
	d->key = calloc(1ul << bits, sizeof(*d->key));
	d->version = calloc(1ul << bits, sizeof(*d->version));
	assert(d->key && d->version);
}

static void hash_grow(struct trace_disk *d)
{
	struct trace_disk old = *d;
	u32 i, k;

	hash_init(d, old.bits + 1);
	for (i = 0; i < 1u << old.bits; i++) {
		if (!old.key[i])
			continue;
		k = slot_of(d, old.key[i] - 1);
		d->key[k] = old.key[i];
		d->version[k] = old.version[i];
		d->nr++;
	}
	free(old.key);
	free(old.version);
}

/**
 * trace_disk_stamp() - what a block of the backing device holds now
 * @d: backing device
 * @block: block
 *
 * Return: the first eight bytes of it.
 */
u64 trace_disk_stamp(const struct trace_disk *d, u64 block)
{
	return (block + 1) * 0x9e3779b97f4a7c15ull + d->version[slot_of(d, block)];
}

/**
 * trace_disk_change() - blocks of the backing device were written
 * @d: backing device
 * @off: first of them
 * @blocks: how many
 */
void trace_disk_change(struct trace_disk *d, u64 off, u32 blocks)
{
	u32 i, k;

	for (i = 0; i < blocks; i++) {
		if (d->nr >= 1u << (d->bits - 1))
			hash_grow(d);
		k = slot_of(d, off + i);
		d->nr += !d->key[k];
		d->key[k] = off + i + 1;
		d->version[k]++;
	}
}

static int memory_read(struct vci_dev *dev, u64 addr, u32 blocks, void *data)
{
	memcpy(data, disk_of(dev)->data + addr * VCI_BLOCK_SIZE,
	       (size_t)blocks * VCI_BLOCK_SIZE);
	return 0;
}

static int memory_write(struct vci_dev *dev, u64 addr, u32 blocks, const void *data,
			unsigned int flags)
{
	struct trace_disk *d = disk_of(dev);

	(void)flags;
	if (addr > dev->blocks || blocks > dev->blocks - addr)
		return -EIO;
	memcpy(d->data + addr * VCI_BLOCK_SIZE, data, (size_t)blocks * VCI_BLOCK_SIZE);
	d->written_blocks += blocks;
	return 0;
}

static int backing_read(struct vci_dev *dev, u64 addr, u32 blocks, void *data)
{
	u32 i;

	memset(data, 0, (size_t)blocks * VCI_BLOCK_SIZE);
	for (i = 0; i < blocks; i++) {
		u64 stamp = trace_disk_stamp(disk_of(dev), addr + i);

		memcpy((u8 *)data + (size_t)i * VCI_BLOCK_SIZE, &stamp, sizeof(stamp));
	}
	return 0;
}

/* The core never writes the backing device in today's modes. */
static int backing_write(struct vci_dev *dev, u64 addr, u32 blocks, const void *data,
			 unsigned int flags)
{
	(void)dev, (void)addr, (void)blocks, (void)data, (void)flags;
	return -EROFS;
}

static int no_flush(struct vci_dev *dev)
{
	(void)dev;
	return 0;
}

static const struct vci_io_ops memory_ops = {
	.read = memory_read, .write = memory_write, .flush = no_flush,
};

static const struct vci_io_ops backing_ops = {
	.read = backing_read, .write = backing_write, .flush = no_flush,
};

static void disk_init(struct trace_disk *d, const struct vci_io_ops *ops, u64 blocks,
		      const char *name)
{
	memset(d, 0, sizeof(*d));
	d->dev.ops = ops;
	d->dev.blocks = blocks;
	d->dev.lbs_blocks = 1;
	snprintf(d->dev.name, sizeof(d->dev.name), "%s", name);
}

void trace_disk_memory(struct trace_disk *d, u64 blocks, const char *name)
{
	disk_init(d, &memory_ops, blocks, name);
	d->data = calloc(blocks, VCI_BLOCK_SIZE);
	assert(d->data);
}

void trace_disk_backing(struct trace_disk *d, u64 blocks, const char *name)
{
	disk_init(d, &backing_ops, blocks, name);
	hash_init(d, HASH_BITS_MIN);
}

void trace_disk_destroy(struct trace_disk *d)
{
	free(d->data);
	free(d->key);
	free(d->version);
}
