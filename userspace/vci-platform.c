// SPDX-License-Identifier: GPL-2.0-only
/*
 * The userspace side of the platform contract: what vci-platform.h declares
 * and can't define inline.
 */
#include <stdarg.h>

#include <isa-l/crc.h>

#include "vci-platform.h"

unsigned long vci_alloc_fail_at;
bool vci_alloc_fail_optional;
unsigned long vci_alloc_count;
long vci_alloc_live;
FILE *vci_log_file;

void *vci_platform_alloc(size_t size, gfp_t flags)
{
	void *p;

	vci_alloc_count++;
	if (vci_alloc_fail_at && !--vci_alloc_fail_at)
		return NULL;
	if (vci_alloc_fail_optional && flags & __GFP_NOWARN)
		return NULL;
	p = malloc(size ? size : 1);
	if (!p)
		return NULL;
	/* Poison: a byte that is used before it is set shows in tests. */
	memset(p, flags & __GFP_ZERO ? 0 : 0xa5, size);
	vci_alloc_live++;
	return p;
}

void vci_platform_free(const void *p)
{
	if (p)
		vci_alloc_live--;
	free((void *)p);
}

unsigned long find_next_bit(const unsigned long *b, unsigned long size,
			    unsigned long from)
{
	while (from < size) {
		unsigned long word = b[from / BITS_PER_LONG] >> (from % BITS_PER_LONG);

		if (word)
			return min(from + __builtin_ctzl(word), size);
		from = round_down(from, (unsigned long)BITS_PER_LONG) + BITS_PER_LONG;
	}
	return size;
}

unsigned long find_next_zero_bit(const unsigned long *b, unsigned long size,
				 unsigned long from)
{
	while (from < size) {
		unsigned long word = ~b[from / BITS_PER_LONG] >> (from % BITS_PER_LONG);

		if (word)
			return min(from + __builtin_ctzl(word), size);
		from = round_down(from, (unsigned long)BITS_PER_LONG) + BITS_PER_LONG;
	}
	return size;
}

unsigned int bitmap_weight(const unsigned long *b, unsigned int nbits)
{
	unsigned int i, n = 0;

	for (i = 0; i < nbits / BITS_PER_LONG; i++)
		n += __builtin_popcountl(b[i]);
	for (i *= BITS_PER_LONG; i < nbits; i++)
		n += test_bit(i, b);
	return n;
}

/* "iscsi" is the CRC32C polynomial; like the kernel's, it inverts nothing. */
u32 crc32c(u32 seed, const void *data, unsigned int bytes)
{
	return crc32_iscsi((unsigned char *)(uintptr_t)data, (int)bytes, seed);
}

void *memchr_inv(const void *s, int c, size_t n)
{
	const u8 *p = s;

	for (; n; n--, p++)
		if (*p != (u8)c)
			return (void *)p;
	return NULL;
}

void vci_platform_print(const char *level, const char *fmt, ...)
{
	va_list args;

	if (!vci_log_file)
		return;
	fprintf(vci_log_file, "vci: %s: ", level);
	va_start(args, fmt);
	vfprintf(vci_log_file, fmt, args);
	va_end(args);
	fputc('\n', vci_log_file);
}
