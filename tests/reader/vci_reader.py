#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Independent reader and verifier of cleanly closed VCI version 1 images.

Written from the description of the format alone, as the plain v1 reader that
knows nothing of the project's extension. It shares no code with the kernel
module or the tools, so that a misreading of the format in them cannot hide here.

Exit status: 0 valid, 1 violations, 2 cannot tell.
"""

import argparse
import gc
import json
import os
import stat
import struct
import sys
import traceback
import uuid
from array import array
from collections import Counter

BLOCK = 512
BITS_PER_BLOCK = BLOCK * 8          # one block of the bitmap describes 4096
HEADER_BLOCKS = 2
NODE_BLOCKS = 8
NODE_BYTES = NODE_BLOCKS * BLOCK
INTERNAL, LEAF = 1, 2
DYNAMIC, FIXED = 1, 2

WINDOW_SHIFT = 31
WINDOW_BLOCKS = 1 << WINDOW_SHIFT
WINDOW_END = 204 * WINDOW_BLOCKS    # the largest backing device: 204 TiB
SMALL_LIMIT = 1 << 32               # backing beyond this needs the window table

FLAG_DIRTY = 1
FLAGS_KNOWN = 3

HEADER = struct.Struct("<IIQBIQQI16s16s")
BITMAP = struct.Struct("<IIQQQQ")
# In both kinds of entry the last three fields are first offset, blocks, address.
INTERNAL_ENTRY = struct.Struct("<QIQ")
LEAF_ENTRY = struct.Struct("<QQBBQIQ")
ENTRIES = {INTERNAL: (INTERNAL_ENTRY, 204), LEAF: (LEAF_ENTRY, 107)}

SIGNATURE = 0x00494356
BITMAP_MAGIC = 0x4B4C4256

PRINTED_PER_RULE = 20
CHUNK = 1 << 20

RULES = {
    "unreadable": "image and backing can be read (cannot tell)",
    "header-signature": "the image starts with VCI\\0 (cannot tell)",
    "header-version": "the version is 1 (cannot tell)",
    "header-unclean": "the unclean flag is 0 (cannot tell if 1)",
    "header-size": "the size is a non-zero multiple of 4096 blocks",
    "header-file": "the device, or fixed image's file, holds the whole size",
    "header-type": "the cache type is 1 or 2",
    "header-bitmap-size": "the bitmap's size is 1 + blocks/4096",
    "header-allocated": "the header's blocks are marked allocated",
    "bitmap-address": "the bitmap lies inside the image",
    "bitmap-file": "the bitmap lies inside the file",
    "bitmap-overlap": "the bitmap does not overlap the header",
    "bitmap-magic": "the bitmap starts with VBLK",
    "bitmap-version": "the bitmap's version is 1",
    "bitmap-managed": "blocks managed equal the size in the header",
    "bitmap-fill": "the bits fill exactly managed/4096 blocks",
    "bitmap-sum": "managed = free + metadata + data",
    "bitmap-free": "the free counter is the number of clear bits",
    "bitmap-metadata": "the metadata counter is allocated blocks less data",
    "bitmap-data": "the data counter is the sum of the extents' blocks",
    "bitmap-allocated": "the bitmap's own blocks are marked allocated",
    "node-address": "a node lies inside the image",
    "node-file": "a node lies inside the file",
    "node-type": "a node's type is 1 or 2",
    "node-twice": "no node is reached twice",
    "node-overlap": "a node overlaps no header, bitmap or other node",
    "node-allocated": "a node's blocks are marked allocated",
    "entry-packed": "used entries come first",
    "entry-unused": "unused entries are all zero",
    "entry-order": "entries are in ascending order",
    "entry-overlap": "entries do not overlap",
    "entry-range": "all below a child lies inside its entry's range",
    "extent-reserved": "an extent's reserved byte is zero",
    "extent-address": "an extent's data lies inside the image",
    "extent-file": "an extent's data lies inside the file",
    "extent-overlap": "an extent's data overlaps nothing else",
    "extent-allocated": "an extent's blocks are marked allocated",
    "window-root": "beyond 2 TiB the root is a table of windows",
    "window-entry": "beyond 2 TiB a root entry is one 2^31-block window",
    "window-cut": "beyond 2 TiB no extent crosses a window's edge",
    "window-limit": "nothing lies beyond 204 TiB",
    "lru-head": "exactly one extent has no previous one",
    "lru-tail": "exactly one extent has no next one",
    "lru-name": "links name extents by their data address",
    "lru-link": "previous and next links agree",
    "lru-reach": "the list from its head holds every extent once",
    "backing-end": "no extent lies beyond the backing device's end",
    "backing-mismatch": "a clean extent's data equals the backing device's",
}


class CannotTell(Exception):
    """The image cannot be judged at all; carries a rule's name and a reason."""

    def __init__(self, rule, where, what):
        super().__init__(f"{rule}: {where}: {what}")
        self.rule, self.where, self.what = rule, where, what


class Report:
    """Violations: all are counted, the first few of each rule are kept."""

    def __init__(self):
        self.counts = Counter()
        self.kept = []
        self.notes = []

    def add(self, rule, where, what):
        assert rule in RULES, rule
        self.counts[rule] += 1
        if self.counts[rule] <= PRINTED_PER_RULE:
            self.kept.append((rule, where, what))

    def lines(self):
        for violation in self.kept:
            yield "%s: %s: %s" % violation
        for rule, count in self.counts.items():
            if count > PRINTED_PER_RULE:
                yield f"{rule}: and {count - PRINTED_PER_RULE} more, {count} in all"


class Source:
    """A file or block device read in blocks."""

    def __init__(self, path):
        self.path = path
        try:
            # Non-blocking, lest opening a named pipe by mistake hangs.
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise CannotTell("unreadable", path, str(error)) from error
        try:
            self._measure()
        except BaseException:
            os.close(self.fd)
            raise

    def _measure(self):
        mode = os.fstat(self.fd).st_mode
        self.is_file = stat.S_ISREG(mode)
        if not self.is_file and not stat.S_ISBLK(mode):
            raise CannotTell("unreadable", self.path, "neither a regular file nor a block device")
        try:
            self.blocks = os.lseek(self.fd, 0, os.SEEK_END) // BLOCK
        except OSError as error:
            raise CannotTell("unreadable", self.path, str(error)) from error

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        os.close(self.fd)

    def read(self, start, count):
        """Read whole blocks; the caller has checked that they exist."""
        size, position = count * BLOCK, start * BLOCK
        data = self._pread(size, position)
        while len(data) < size:
            more = self._pread(size - len(data), position + len(data))
            if not more:
                raise CannotTell("unreadable", f"{self.path} block {start}", "ends unexpectedly")
            data += more
        return data

    def _pread(self, size, position):
        try:
            return os.pread(self.fd, size, position)
        except (OSError, OverflowError) as error:
            where = f"{self.path} block {position // BLOCK}"
            raise CannotTell("unreadable", where, str(error)) from error


def run_of_bits(bits, start, count):
    """The bytes a run of bits lies in, their value, and the run's mask."""
    low, high = start >> 3, (start + count + 7) >> 3
    mask = ((1 << count) - 1) << (start & 7)
    return low, high, int.from_bytes(bits[low:high], "little"), mask


def mark(bits, start, count):
    """Set a run of bits; False if one of them was set before."""
    if count == 8 and not start & 7:    # by far the commonest run
        fresh = not bits[start >> 3]
        bits[start >> 3] = 255
        return fresh
    low, high, value, mask = run_of_bits(bits, start, count)
    bits[low:high] = (value | mask).to_bytes(high - low, "little")
    return not value & mask


def first_clear(bits, start, count):
    """The first clear bit of a run, or None."""
    if count == 8 and not start & 7 and bits[start >> 3] == 255:
        return None
    _low, _high, value, mask = run_of_bits(bits, start, count)
    clear = mask & ~value
    return (start & ~7) + (clear & -clear).bit_length() - 1 if clear else None


def common_runs(left, right):
    """Yield (start, count) of every run of bits set in both."""
    step = 4096     # small, so that peeling runs off one number stays cheap
    for at in range(0, len(left), step):
        common = (int.from_bytes(left[at:at + step], "little")
                  & int.from_bytes(right[at:at + step], "little"))
        base = at * 8
        while common:
            skip = (common & -common).bit_length() - 1
            common >>= skip
            base += skip
            length = (~common & (common + 1)).bit_length() - 1
            yield base, length
            common >>= length
            base += length


def count_bits(bits):
    return sum(int.from_bytes(bits[at:at + CHUNK], "little").bit_count()
               for at in range(0, len(bits), CHUNK))


class Header:
    """The image's header, decoded."""

    def __init__(self, raw):
        (self.signature, self.version, self.size, self.unclean, self.type,
         self.root, self.bitmap, self.bitmap_blocks,
         image, modification) = HEADER.unpack_from(raw)
        self.uuid = str(uuid.UUID(bytes=image))
        self.modification = str(uuid.UUID(bytes=modification))


def read_header(source):
    """The header of an image that can be judged at all."""
    if source.blocks < HEADER_BLOCKS:
        raise CannotTell("unreadable", source.path, "too short for a VCI header")
    header = Header(source.read(0, HEADER_BLOCKS))
    if header.signature != SIGNATURE:
        raise CannotTell("header-signature", "header",
                         f"0x{header.signature:08x}: not a VCI image")
    if header.version != 1:
        raise CannotTell("header-version", "header",
                         f"version {header.version}: only version 1 is understood")
    if header.unclean == 1:
        raise CannotTell("header-unclean", "header",
                         "the unclean flag is set: in use, or not closed cleanly")
    return header


class LruList:
    """The links of all extents, found by data address in bounded memory.

    A dictionary of 16 million extents would take gigabytes: instead one bit per
    block says where extents start, and the rank of a bit is the extent's place.
    """

    def __init__(self, size):
        self.starts = bytearray(-(-size // 64) * 8)     # whole 64-bit words
        self.addresses = array("Q")
        self.previous = array("Q")
        self.next = array("Q")

    def add(self, address, previous, following):
        byte, bit = address >> 3, 1 << (address & 7)
        if self.starts[byte] & bit:
            return      # the same data twice is reported as an overlap
        self.starts[byte] |= bit
        self.addresses.append(address)
        self.previous.append(previous)
        self.next.append(following)

    def check(self, report):
        if not self.addresses:
            return
        self._index()
        heads, tails = self.previous.count(0), self.next.count(0)
        if heads != 1:
            report.add("lru-head", "LRU list", f"{heads} extents have no previous one")
        if tails != 1:
            report.add("lru-tail", "LRU list", f"{tails} extents have no next one")
        steps = self._walk() if heads else 0
        if steps != len(self.addresses):
            report.add("lru-reach", "LRU list",
                       f"{steps} of {len(self.addresses)} extents reached from its head")
        elif heads == tails == 1:
            return      # agreeing steps over all extents leave no link unchecked
        self._diagnose(report)

    def _index(self):
        self.words = array("Q", bytes(self.starts))
        if sys.byteorder == "big":
            self.words.byteswap()
        self.rank = array("Q", bytes(8 * len(self.words)))
        total = 0
        for number, word in enumerate(self.words):
            self.rank[number] = total
            if word:
                total += word.bit_count()
        self.place = array("Q", bytes(8 * total))
        for place, address in enumerate(self.addresses):
            self.place[self._rank_of(address)] = place

    def _rank_of(self, address):
        number = address >> 6
        below = self.words[number] & ((1 << (address & 63)) - 1)
        return self.rank[number] + below.bit_count()

    def _find(self, address):
        """The place of the extent with this data address, or None."""
        number = address >> 6
        if number >= len(self.words) or not self.words[number] >> (address & 63) & 1:
            return None
        return self.place[self._rank_of(address)]

    def _walk(self):
        """Follow the list from its head; the number of steps that agree.

        It cannot turn in circles: an extent reached a second time would have to
        name two different previous ones, and the head names none.
        """
        find, addresses = self._find, self.addresses
        before, here, steps = 0, self.previous.index(0), 0
        while here is not None and self.previous[here] == before:
            steps += 1
            before = addresses[here]
            following = self.next[here]
            here = find(following) if following else None
        return steps

    def _diagnose(self, report):
        """Report every link that is wrong by itself."""
        for place, address in enumerate(self.addresses):
            where = f"extent with data at block {address}"
            self._check_link(report, where, address, "next", self.next[place], self.previous)
            self._check_link(report, where, address, "previous", self.previous[place], self.next)

    def _check_link(self, report, where, address, kind, target, back):
        if not target:
            return
        place = self._find(target)
        if place is None:
            report.add("lru-name", where, f"its {kind} one, {target}, is no extent")
        elif back[place] != address:
            report.add("lru-link", where,
                       f"its {kind} one, {target}, links back to {back[place]}")


class Backing:
    """Compares clean extents with the device that the image caches."""

    def __init__(self, source, report):
        self.source = source
        self.report = report
        self.compared = 0

    def has(self, where, first, count):
        if first + count <= self.source.blocks:
            return True
        self.report.add("backing-end", where,
                        f"ends at block {first + count}, the backing at {self.source.blocks}")
        return False

    def compare(self, image, where, first, count, address):
        self.compared += 1
        step = CHUNK // BLOCK
        for at in range(0, count, step):
            length = min(step, count - at)
            cached = image.read(address + at, length)
            original = self.source.read(first + at, length)
            if cached != original:
                self._mismatch(where, (first + at) * BLOCK, at * BLOCK, cached, original)
                return

    def _mismatch(self, where, position, inside, cached, original):
        differ = int.from_bytes(cached, "little") ^ int.from_bytes(original, "little")
        byte = ((differ & -differ).bit_length() - 1) // 8
        self.report.add("backing-mismatch", where,
                        f"first differing byte {inside + byte} of the extent, "
                        f"backing byte {position + byte}: "
                        f"image 0x{cached[byte]:02x}, backing 0x{original[byte]:02x}")


class Verifier:
    """Checks one image; what it finds goes to the report."""

    def __init__(self, image, backing_source, report):
        self.image = image
        self.report = report
        self.backing = Backing(backing_source, report) if backing_source else None
        self.stats = Counter()
        self.visited = set()
        self.root_entries = []
        self.root_type = None
        self.highest = 0        # end of the extent that lies furthest out
        self.cuts = []          # extents across a window's edge, judged at the end
        self.header = None

    def run(self):
        self.header = read_header(self.image)
        # Without sound geometry the rest would be noise, or too large to hold.
        if not self._check_header() or not self._check_bitmap_place():
            self.report.notes.append("bitmap and tree not checked: no sound geometry")
            return
        self._load_bitmap()
        self._walk_tree()
        self._check_windows()
        self._check_data_against_metadata()
        self._check_counters()
        self.lru.check(self.report)

    # Header and bitmap

    def _check_header(self):
        header, add = self.header, self.report.add
        if header.unclean:
            add("header-unclean", "header", f"the flag is {header.unclean}, neither 0 nor 1")
        if header.type not in (DYNAMIC, FIXED):
            add("header-type", "header", f"type {header.type}")
        expected = 1 + header.size // BITS_PER_BLOCK
        if header.bitmap_blocks != expected:
            add("header-bitmap-size", "header",
                f"{header.bitmap_blocks} blocks, should be {expected}")
        return self._check_size()

    def _check_size(self):
        header = self.header
        if not header.size or header.size % BITS_PER_BLOCK:
            self.report.add("header-size", "header",
                            f"{header.size} blocks: not a multiple of {BITS_PER_BLOCK}")
            return False
        # Only a dynamic image, and only as a file, may be shorter than its size.
        may_be_short = header.type == DYNAMIC and self.image.is_file
        if header.size > self.image.blocks and not may_be_short:
            self.report.add("header-file", "header",
                            f"{header.size} blocks, but the image has {self.image.blocks}")
            return False
        return True

    def _check_bitmap_place(self):
        start, count = self.header.bitmap, 1 + self.header.size // BITS_PER_BLOCK
        where = f"bitmap at block {start}"
        if not start or start + count > self.header.size:
            self.report.add("bitmap-address", where,
                            f"{count} blocks in an image of {self.header.size}")
            return False
        if start + count > self.image.blocks:
            self.report.add("bitmap-file", where,
                            f"{count} blocks in a file of {self.image.blocks}")
            return False
        return True

    def _load_bitmap(self):
        start, count = self.header.bitmap, 1 + self.header.size // BITS_PER_BLOCK
        self._check_bitmap_header(self.image.read(start, 1))
        self.allocated = bytearray()
        for at in range(1, count, CHUNK // BLOCK):
            self.allocated += self.image.read(start + at, min(CHUNK // BLOCK, count - at))
        self.metadata = bytearray(len(self.allocated))
        self.data = bytearray(len(self.allocated))
        self.lru = LruList(self.header.size)
        mark(self.metadata, 0, HEADER_BLOCKS)
        if not mark(self.metadata, start, count):
            self.report.add("bitmap-overlap", f"bitmap at block {start}", "overlaps the header")
        self._need_allocated("header-allocated", "header", 0, HEADER_BLOCKS)
        self._need_allocated("bitmap-allocated", "bitmap", start, count)

    def _check_bitmap_header(self, raw):
        (magic, version, self.managed, self.free,
         self.metadata_counter, self.data_counter) = BITMAP.unpack_from(raw)
        where, add = f"bitmap at block {self.header.bitmap}", self.report.add
        if magic != BITMAP_MAGIC:
            add("bitmap-magic", where, f"0x{magic:08x}")
        if version != 1:
            add("bitmap-version", where, f"version {version}")
        if self.managed != self.header.size:
            add("bitmap-managed", where,
                f"{self.managed} blocks managed, the image has {self.header.size}")
        bits = self.header.bitmap_blocks - 1
        if self.managed != bits * BITS_PER_BLOCK:
            add("bitmap-fill", where, f"{self.managed} bits in {bits} blocks")

    def _need_allocated(self, rule, where, start, count):
        clear = first_clear(self.allocated, start, count)
        if clear is not None:
            self.report.add(rule, where, f"block {clear} is not marked allocated")

    def _check_counters(self):
        add, where = self.report.add, f"bitmap at block {self.header.bitmap}"
        allocated = count_bits(self.allocated)
        data = self.stats["extent_blocks"]
        for rule, counter, true in (
                ("bitmap-free", self.free, self.header.size - allocated),
                ("bitmap-metadata", self.metadata_counter, allocated - data),
                ("bitmap-data", self.data_counter, data)):
            if counter != true:
                add(rule, where, f"counter {counter}, should be {true}")
        total = self.free + self.metadata_counter + self.data_counter
        if total != self.managed:
            add("bitmap-sum", where, f"counters add up to {total}, managed {self.managed}")
        self._count_other_metadata()

    def _count_other_metadata(self):
        """Blocks allocated that a plain reader does not reach: allowed, reported."""
        other = 0
        for at in range(0, len(self.allocated), CHUNK):
            part = slice(at, at + CHUNK)
            value = int.from_bytes(self.allocated[part], "little")
            value &= ~(int.from_bytes(self.metadata[part], "little")
                       | int.from_bytes(self.data[part], "little"))
            other += value.bit_count()
        self.stats["other_metadata_blocks"] = other

    # Tree

    def _walk_tree(self):
        # The root has no range above it: an end no entry can reach stands for that.
        stack = [(self.header.root, 0, 1 << 65, 1)]
        while stack:
            address, low, high, depth = stack.pop()
            raw = self._take_node(address)
            if raw is None:
                continue
            where = f"node at block {address}"
            entries = self._entries(where, raw)
            self._check_order(where, entries, low, high)
            if depth == 1:
                self.root_type = raw[0]
            if raw[0] == LEAF:
                self._take_leaf(entries, depth)
                continue
            self.stats["internal_nodes"] += 1
            if depth == 1:
                self.root_entries = entries
            # Reversed, so that leaves come in the order of the backing device.
            stack.extend((child, first, first + count, depth + 1)
                         for first, count, child in reversed(entries))

    def _take_node(self, address):
        """The node's content, or None if it cannot or must not be looked at."""
        where, add = f"node at block {address}", self.report.add
        if not address or address + NODE_BLOCKS > self.header.size:
            add("node-address", where, f"not inside the image of {self.header.size} blocks")
        elif address in self.visited:
            add("node-twice", where, "reached a second time")
        elif not mark(self.metadata, address, NODE_BLOCKS):
            add("node-overlap", where, "overlaps the header, the bitmap or another node")
        elif address + NODE_BLOCKS > self.image.blocks:
            add("node-file", where, f"beyond the file's end, block {self.image.blocks}")
        else:
            return self._read_node(where, address)
        return None

    def _read_node(self, where, address):
        self.visited.add(address)
        self.stats["nodes"] += 1
        self._need_allocated("node-allocated", where, address, NODE_BLOCKS)
        raw = self.image.read(address, NODE_BLOCKS)
        if raw[0] in ENTRIES:
            return raw
        self.report.add("node-type", where, f"type {raw[0]}")
        return None

    def _entries(self, where, raw):
        layout, most = ENTRIES[raw[0]]
        end = 1 + most * layout.size
        entries = list(layout.iter_unpack(raw[1:end]))
        used = [entry for entry in entries if entry[-1] and entry[-2]]
        # If the used ones come first, and the rest is zero, so is all after them.
        if any(raw[1 + len(used) * layout.size:end]):
            self._check_unused(where, entries)
        if not used:
            self.stats["empty_nodes"] += 1
        return used

    def _check_unused(self, where, entries):
        gap = None
        for number, entry in enumerate(entries):
            if entry[-1] and entry[-2]:
                if gap is not None:
                    self.report.add("entry-packed", f"{where} entry {number}",
                                    f"in use, after the unused entry {gap}")
                continue
            gap = number
            if any(entry):
                self.report.add("entry-unused", f"{where} entry {number}",
                                "unused (no blocks or no address) but not all zero")

    def _check_order(self, where, entries, low, high):
        before, end = 0, 0
        for entry in entries:
            first = entry[-3]
            stop = first + entry[-2]
            if first < end:
                self.report.add("entry-order" if first < before else "entry-overlap",
                                f"{where} entry at offset {first}",
                                f"the one before covers {before} to {end}")
            if first < low or stop > high:
                self.report.add("entry-range", f"{where} entry at offset {first}",
                                f"ends at {stop}, the entry above covers {low} to {high}")
            if stop > WINDOW_END:
                self.report.add("window-limit", f"{where} entry at offset {first}",
                                f"ends at {stop}, beyond {WINDOW_END}")
            before, end = first, stop

    def _take_leaf(self, extents, depth):
        stats = self.stats
        stats["leaves"] += 1
        stats["deepest_leaf"] = max(stats["deepest_leaf"], depth)
        stats["shallowest_leaf"] = min(stats["shallowest_leaf"] or depth, depth)
        for extent in extents:
            self._take_extent(*extent)
        stats["extents"] += len(extents)
        stats["extent_blocks"] += sum(extent[5] for extent in extents)

    def _take_extent(self, previous, following, flags, reserved, first, count, address):
        end = first + count
        if end > self.highest:
            self.highest = end
        if first >> WINDOW_SHIFT != (end - 1) >> WINDOW_SHIFT:
            self.cuts.append((first, count))
        if flags or reserved:
            self._take_flags(flags, reserved, first, count)
        if address < self.header.size:
            self.lru.add(address, previous, following)
        if self._place_extent(first, count, address) and self.backing:
            self._take_backing(flags, first, count, address)

    def _place_extent(self, first, count, address):
        """Check where the data is; whether it can be read."""
        if address + count > self.header.size:
            self.report.add("extent-address", f"extent at offset {first}",
                            f"data at block {address}, {count} blocks, "
                            f"in an image of {self.header.size}")
            return False
        if not mark(self.data, address, count):
            self.report.add("extent-overlap", f"extent at offset {first}",
                            f"data at block {address}, {count} blocks, "
                            "overlaps another extent's")
        clear = first_clear(self.allocated, address, count)
        if clear is not None:
            self.report.add("extent-allocated", f"extent at offset {first}",
                            f"block {clear} is not marked allocated")
        if address + count > self.image.blocks:
            self.report.add("extent-file", f"extent at offset {first}",
                            f"data ends at block {address + count}, "
                            f"the file at {self.image.blocks}")
            return False
        return True

    def _take_flags(self, flags, reserved, first, count):
        if reserved:
            self.report.add("extent-reserved", f"extent at offset {first}",
                            f"reserved byte {reserved}")
        if flags & FLAG_DIRTY:
            self.stats["dirty_extents"] += 1
            self.stats["dirty_blocks"] += count
        if flags & ~FLAGS_KNOWN:
            self.stats["extents_with_unknown_flags"] += 1

    def _take_backing(self, flags, first, count, address):
        where = f"extent at offset {first}"
        if self.backing.has(where, first, count) and not flags & FLAG_DIRTY:
            self.backing.compare(self.image, where, first, count, address)

    # What only the whole tree tells

    def _check_windows(self):
        """The root's shape, for backing devices that one entry cannot span."""
        known = self.backing.source.blocks if self.backing else 0
        if max(known, self.highest) <= SMALL_LIMIT:
            return
        if self.root_type == LEAF:
            self.report.add("window-root", f"node at block {self.header.root}",
                            "a leaf, where a table of windows is needed")
        for first, count, _child in self.root_entries:
            if first % WINDOW_BLOCKS or count != WINDOW_BLOCKS:
                self.report.add("window-entry", f"root entry at offset {first}",
                                f"{count} blocks: not a window of {WINDOW_BLOCKS}")
        for first, count in self.cuts:
            self.report.add("window-cut", f"extent at offset {first}",
                            f"{count} blocks cross a window's edge")

    def _check_data_against_metadata(self):
        start = self.header.bitmap
        end = start + 1 + self.header.size // BITS_PER_BLOCK
        for block, count in common_runs(self.data, self.metadata):
            what = ("the header" if block < HEADER_BLOCKS else
                    "the bitmap" if start <= block < end else "a node")
            self.report.add("extent-overlap", f"block {block}",
                            f"{count} blocks of extents' data overlap {what}")


def summary(verifier):
    """Figures on the image, for people and for --json."""
    figures = {name: verifier.stats[name] for name in (
        "extents", "extent_blocks", "dirty_extents", "dirty_blocks",
        "extents_with_unknown_flags", "nodes", "internal_nodes", "leaves",
        "empty_nodes", "shallowest_leaf", "deepest_leaf", "other_metadata_blocks")}
    header = verifier.header
    if header:
        figures.update(size=header.size, type=header.type, root=header.root,
                       bitmap=header.bitmap, uuid=header.uuid,
                       modification_uuid=header.modification)
    if verifier.backing:
        figures["compared_extents"] = verifier.backing.compared
    return figures


def verify(image_path, backing_path=None):
    """Verify an image; returns report, figures and why it cannot be told, or None."""
    report, verifier, reason = Report(), None, None
    try:
        with Source(image_path) as image:
            if backing_path is None:
                verifier = Verifier(image, None, report)
                verifier.run()
            else:
                with Source(backing_path) as backing:
                    verifier = Verifier(image, backing, report)
                    verifier.run()
    except CannotTell as error:
        reason = error
    return report, summary(verifier) if verifier else {}, reason


def print_json(path, verdict, report, figures, reason):
    json.dump({
        "image": path,
        "verdict": verdict,
        "reason": reason and {"rule": reason.rule, "where": reason.where, "what": reason.what},
        "violations": [dict(zip(("rule", "where", "what"), kept)) for kept in report.kept],
        "counts": dict(report.counts),
        "notes": report.notes,
        "figures": figures,
    }, sys.stdout, indent=2)
    print()


def print_text(path, verdict, report, figures, reason, quiet):
    for line in report.lines():
        print(line)
    if reason:
        print(f"cannot tell: {reason}")
    if quiet:
        return
    for note in report.notes:
        print(f"note: {note}")
    for name, value in figures.items():
        print(f"# {name}: {value}")
    print(f"{path}: {verdict}, {sum(report.counts.values())} violations")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Verify a cleanly closed VCI v1 image.")
    parser.add_argument("--backing", metavar="FILE",
                        help="compare clean extents with this file or device")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true",
                        help="print what is wrong only (no effect on --json)")
    parser.add_argument("image", metavar="IMAGE")
    options = parser.parse_args(arguments)
    report, figures, reason = verify(options.image, options.backing)
    # A violation found is certain, even if reading failed later.
    status = 1 if report.counts else 2 if reason else 0
    verdict = ("valid", "violations", "cannot tell")[status]
    if options.json:
        print_json(options.image, verdict, report, figures, reason)
    else:
        print_text(options.image, verdict, report, figures, reason, options.quiet)
    return status


def run():
    """As a program: a failure of ours must not look like violations (status 1)."""
    gc.disable()    # millions of short-lived tuples, and no cycles worth collecting
    try:
        return main()
    except Exception:   # pylint: disable=broad-except
        traceback.print_exc()
        return 2


if __name__ == "__main__":
    sys.exit(run())
