#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Tests of vci_reader.py, in TAP version 13.

The images come from a writer of its own, made like the reader from the
description of the format alone; the two share no code. Valid images must be
accepted; for every rule of the reader a mutation of a valid image must be
rejected with that rule's name, and with no other than those it entails.
"""

import contextlib
import io
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
READER = os.path.join(HERE, "vci_reader.py")
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import vci_reader  # noqa: E402  (for its list of rules, and for the fuzzing)

WINDOW = 2 ** 31
DIRTY = 1

# Byte offsets of the fields, as in the tables of the format.
H_SIGNATURE, H_VERSION, H_SIZE, H_UNCLEAN, H_TYPE = 0, 4, 8, 16, 17
H_ROOT, H_BITMAP, H_BITMAP_BLOCKS = 21, 29, 37
B_MAGIC, B_VERSION, B_MANAGED, B_FREE, B_METADATA, B_DATA = 0, 4, 8, 16, 24, 32
E_PREV, E_NEXT, E_FLAGS, E_RESERVED, E_FIRST, E_COUNT, E_ADDRESS = 0, 8, 16, 17, 18, 26, 30
I_FIRST, I_COUNT, I_CHILD = 0, 8, 12
LEAF_SIZE, LEAF_MOST, INTERNAL_SIZE, INTERNAL_MOST = 38, 107, 20, 204


def content(offset, count):
    """What the backing device holds: every block differs from its neighbours."""
    return b"".join(struct.pack("<Q", (offset + i) * 0x9E3779B97F4A7C15 % 2 ** 64) * 64
                    for i in range(count))


class Extent:
    """A cached range; the writer fills in where data and entry went."""

    def __init__(self, first, count, flags=0):
        self.first, self.count, self.flags = first, count, flags
        self.address = self.entry = self.prev = self.next = None


class Node:
    """A node to be written: its children are extents, or nodes with ranges."""

    def __init__(self, kind, children, ranges=None):
        self.kind, self.children, self.ranges = kind, children, ranges
        self.address = None

    def span(self):
        """Tight range (first, end) of what is below."""
        if self.kind == 2:
            return self.children[0].first, self.children[-1].first + self.children[-1].count
        return self.ranges[0][0], self.ranges[-1][0] + self.ranges[-1][1]

    def entry(self, number):
        """Byte position in the image of an entry."""
        size = LEAF_SIZE if self.kind == 2 else INTERNAL_SIZE
        return self.address * 512 + 1 + number * size


def groups(items, most):
    return [items[at:at + most] for at in range(0, len(items), most)]


def subtree(extents, leaf_cap, internal_cap):
    """Build bottom up; few entries per node make many levels of few extents."""
    level = [Node(2, part) for part in groups(extents, leaf_cap)] or [Node(2, [])]
    while len(level) > 1:
        level = [table(part) for part in groups(level, internal_cap)]
    return level[0]


def table(nodes):
    spans = [node.span() for node in nodes]
    return Node(1, nodes, [(low, high - low) for low, high in spans])


def windows(extents, leaf_cap, internal_cap):
    """The root for a large backing device: one subtree for each window in use."""
    numbers = sorted({extent.first // WINDOW for extent in extents})
    nodes = [subtree([e for e in extents if e.first // WINDOW == n], leaf_cap, internal_cap)
             for n in numbers]
    return Node(1, nodes, [(n * WINDOW, WINDOW) for n in numbers])


class Image:
    """Writes a valid image to a file, then lets it be mutated in place."""

    def __init__(self, path, root, extents, size=8192, kind=2, first_free=8,
                 bitmap_last=False, gap=0, seed=1):
        self.path, self.root, self.extents = path, root, extents
        self.size, self.kind, self.gap = size, kind, gap
        self.random = random.Random(seed)
        self.cursor, self.bits = first_free, bytearray(size // 8)
        self.nodes, self.data_blocks = [], sum(e.count for e in extents)
        self.file = open(path, "w+b")
        self.file.truncate(size * 512)
        self._layout(bitmap_last)
        self._link_lru()
        self._write()

    # Writing

    def allocate(self, count):
        start = self.cursor
        self.cursor += count + (self.random.randrange(self.gap) if self.gap else 0)
        assert start + count <= self.size, "test image too small"
        self.set_bits(start, count)
        return start

    def set_bits(self, start, count):
        for block in range(start, start + count):
            self.bits[block // 8] |= 1 << block % 8

    def _layout(self, bitmap_last):
        self.set_bits(0, 2)
        blocks = 1 + self.size // 4096
        if not bitmap_last:
            self.bitmap = self.allocate(blocks)
        shuffled = list(self.extents)
        self.random.shuffle(shuffled)
        for extent in shuffled:
            extent.address = self.allocate(extent.count)
        self._place(self.root)
        if bitmap_last:
            self.bitmap = self.allocate(blocks)

    def _place(self, node):
        node.address = self.allocate(8)
        self.nodes.append(node)
        if node.kind == 1:
            for child in node.children:
                self._place(child)

    def _link_lru(self):
        self.lru = list(self.extents)
        self.random.shuffle(self.lru)
        names = [0] + [e.address for e in self.lru] + [0]
        for place, extent in enumerate(self.lru):
            extent.prev, extent.next = names[place], names[place + 2]

    def _write(self):
        self.put(0, struct.pack("<4sIQBIQQI", b"VCI\0", 1, self.size, 0, self.kind,
                                self.root.address, self.bitmap, 1 + self.size // 4096)
                 + bytes(range(16)) + bytes(range(16, 32)))
        for node in self.nodes:
            self._write_node(node)
        for extent in self.extents:
            self.put(extent.address * 512, content(extent.first, extent.count))
        allocated = bin(int.from_bytes(self.bits, "little")).count("1")
        self.put(self.bitmap * 512, struct.pack(
            "<4sIQQQQ", b"VBLK", 1, self.size, self.size - allocated,
            allocated - self.data_blocks, self.data_blocks))
        self.put((self.bitmap + 1) * 512, self.bits)

    def _write_node(self, node):
        self.put(node.address * 512, bytes([node.kind]))
        for number, child in enumerate(node.children):
            if node.kind == 1:
                first, count = node.ranges[number]
                entry = struct.pack("<QIQ", first, count, child.address)
            else:
                child.entry = node.entry(number)
                entry = struct.pack("<QQBBQIQ", child.prev, child.next, child.flags, 0,
                                    child.first, child.count, child.address)
            self.put(node.entry(number), entry)

    # Mutating

    def put(self, position, data):
        self.file.seek(position)
        self.file.write(data)

    def get(self, position, count):
        self.file.seek(position)
        return self.file.read(count)

    def poke(self, position, layout, value):
        self.put(position, struct.pack("<" + layout, value))

    def peek(self, position, layout):
        return struct.unpack("<" + layout, self.get(position, struct.calcsize(layout)))[0]

    def add(self, position, layout, amount):
        self.poke(position, layout, self.peek(position, layout) + amount)

    def counter(self, field, amount):
        self.add(self.bitmap * 512 + field, "Q", amount)

    def flip(self, block):
        """Flip a block's bit, and keep the counters exact."""
        position = (self.bitmap + 1) * 512 + block // 8
        byte = self.peek(position, "B") ^ 1 << block % 8
        self.poke(position, "B", byte)
        amount = 1 if byte >> block % 8 & 1 else -1
        self.counter(B_FREE, -amount)
        self.counter(B_METADATA, amount)

    def swap(self, one, other, size):
        first, second = self.get(one, size), self.get(other, size)
        self.put(one, second)
        self.put(other, first)

    def move(self, extent, address):
        """Give an extent another data address, and its neighbours its new name."""
        for other in self.extents:
            for field in (E_PREV, E_NEXT):
                if self.peek(other.entry + field, "Q") == extent.address:
                    self.poke(other.entry + field, "Q", address)
        self.poke(extent.entry + E_ADDRESS, "Q", address)
        extent.address = address

    def truncate(self, blocks):
        self.file.truncate(blocks * 512)

    def nodes_of(self, kind):
        return [node for node in self.nodes if node.kind == kind]


# Valid images of several shapes

def some_extents(number, seed=1, start=0):
    """Ascending extents, some adjacent, some far apart, every fifth dirty."""
    chance, extents = random.Random(seed), []
    for index in range(number):
        count = chance.choice((1, 3, 8, 8, 8, 17, 64))
        extents.append(Extent(start, count, DIRTY if index % 5 == 4 else 0))
        start += count + chance.choice((0, 0, 1, 8, 1000))
    return extents


def deep(path, number=40, leaf_cap=5, internal_cap=4, seed=1, **options):
    extents = some_extents(number, seed)
    return Image(path, subtree(extents, leaf_cap, internal_cap), extents, seed=seed, **options)


def single(path, count=8, first=0, **options):
    extents = [Extent(first, count)]
    return Image(path, Node(2, extents), extents, **options)


def empty(path, **options):
    return Image(path, Node(2, []), [], **options)


def two_empty_leaves(path, **options):
    leaves = [Node(2, []), Node(2, [])]
    return Image(path, Node(1, leaves, [(0, 100), (100, 100)]), [], **options)


def windowed(path, numbers=(0, 3, 203)):
    """Windows with subtrees of different heights, extents up to their edges."""
    extents = some_extents(30)
    for number in numbers:
        extents.append(Extent((number + 1) * WINDOW - 8, 8))
    extents.append(Extent((numbers[1] + 1) * WINDOW, 8))
    extents.sort(key=lambda extent: extent.first)
    return Image(path, windows(extents, 5, 4), extents)


def one_window(path, number, first, count):
    """One window's entry, holding one extent wherever the caller wants it."""
    extents = [Extent(first, count)]
    root = Node(1, [Node(2, extents)], [(number * WINDOW, WINDOW)])
    return Image(path, root, extents)


def large_leaf(path):
    """A single leaf, reaching beyond what one entry could span."""
    extents = [Extent(0, 8), Extent(2 ** 33, 8)]
    return Image(path, Node(2, extents), extents)


def write_backing(path, extents, blocks=None):
    """The backing device; under dirty extents it still has something older."""
    with open(path, "wb") as file:
        for extent in extents:
            if not extent.flags & DIRTY:
                file.seek(extent.first * 512)
                file.write(content(extent.first, extent.count))
        file.truncate(512 * (blocks or extents[-1].first + extents[-1].count))


# Running and reporting

class Tap:
    def __init__(self):
        self.number = self.failed = 0
        print("TAP version 13")

    def check(self, good, name, *details):
        self.number += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}")
        if not good:
            for detail in details:
                for line in str(detail).splitlines():
                    print(f"# {line}")

    def skip(self, name, why):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {why}")

    def finish(self):
        print(f"1..{self.number}")
        return 1 if self.failed else 0


def run(*arguments):
    return subprocess.run([sys.executable, READER, *arguments], text=True,
                          capture_output=True, timeout=60, check=False)


def judge(image, *arguments):
    """The reader's status, the names of the rules it gave, and its output."""
    image.file.flush()
    result = run("--json", *arguments, image.path)
    output = result.stdout + result.stderr
    try:
        answer = json.loads(result.stdout)
    except ValueError:
        return result.returncode, {"no JSON"}, output
    rules = set(answer["counts"])
    if answer["reason"]:
        rules.add(answer["reason"]["rule"])
    return result.returncode, rules, output


class Suite:
    """All tests; each image is a new file in one temporary directory."""

    def __init__(self, tap, directory):
        self.tap, self.directory = tap, directory
        self.path = os.path.join(directory, "image")
        self.backing = os.path.join(directory, "backing")
        self.covered = set()

    def accept(self, name, image, *arguments):
        status, rules, output = judge(image, *arguments)
        image.file.close()
        self.tap.check(status == 0 and not rules, "accepts " + name, output)
        return json.loads(output)["figures"] if status == 0 else {}

    def reject(self, rules, name, image, *arguments, status=1):
        """The image must break exactly these rules, the first being the point."""
        rules = rules.split()
        got, found, output = judge(image, *arguments)
        image.file.close()
        self.covered.add(rules[0])
        self.tap.check(got == status and found == set(rules), f"{rules[0]}: {name}",
                       f"expected {sorted(rules)} status {status}, "
                       f"got {sorted(found)} status {got}", output)

    def mutate(self, rules, name, make, change, *arguments, status=1):
        image = make(self.path)
        change(image)
        self.reject(rules, name, image, *arguments, status=status)

    # Valid images

    def valid(self):
        self.valid_shapes()
        self.valid_random()
        self.valid_backing()
        self.valid_large()
        self.valid_details()

    def valid_shapes(self):
        figures = self.accept("three levels", deep(self.path))
        self.tap.check(figures.get("deepest_leaf") == 3 and figures["extents"] == 40
                       and figures["dirty_extents"] == 8 and figures["nodes"] == 11,
                       "figures are right", figures)
        self.accept("an empty tree", empty(self.path))
        self.accept("empty leaves", two_empty_leaves(self.path))
        self.accept("a single extent", single(self.path))
        self.accept("unaligned places", deep(self.path, gap=7, first_free=3))
        self.accept("the smallest image, full to its end",
                    single(self.path, count=4096 - 12, size=4096, first_free=2))
        self.accept("bitmap behind all else", deep(self.path, bitmap_last=True))
        figures = self.accept("windows beyond 2 TiB", windowed(self.path))
        self.tap.check((figures.get("shallowest_leaf"), figures.get("deepest_leaf")) == (2, 4),
                       "windows have heights of their own", figures)

    def valid_random(self):
        for seed in range(2, 8):
            chance = random.Random(seed)
            self.accept(f"random image {seed}", deep(
                self.path, number=chance.randrange(1, 300), leaf_cap=chance.randrange(1, 20),
                internal_cap=chance.randrange(2, 9), seed=seed, size=16384, gap=9))

    def valid_backing(self):
        image = deep(self.path)
        write_backing(self.backing, image.extents)
        figures = self.accept("clean extents equal to the backing, dirty ones newer",
                              image, "--backing", self.backing)
        self.tap.check(figures.get("compared_extents") == 32, "compared only clean ones", figures)
        image = windowed(self.path, (0, 2, 3))
        try:
            write_backing(self.backing, image.extents, 5 * WINDOW)
        except OSError as error:
            self.tap.skip("a backing of 5 TiB", str(error))
            return
        self.accept("a backing of 5 TiB", image, "--backing", self.backing)
        os.unlink(self.backing)

    def valid_large(self):
        extents = [Extent(2 * n, 1) for n in range(LEAF_MOST * INTERNAL_MOST + 50)]
        figures = self.accept("full nodes", Image(
            self.path, subtree(extents, LEAF_MOST, INTERNAL_MOST), extents, size=28672))
        self.tap.check(figures.get("deepest_leaf") == 3, "full nodes make three levels", figures)
        self.accept("a sparse image of 8 GiB",
                    deep(self.path, size=2 ** 24, first_free=2 ** 24 - 8192))

    def valid_details(self):
        image = deep(self.path)
        image.flip(image.cursor + 5)
        figures = self.accept("metadata that only an extension knows", image)
        self.tap.check(figures.get("other_metadata_blocks") == 1, "and counts it", figures)
        image = deep(self.path, kind=1)
        image.truncate(image.cursor)
        self.accept("a dynamic image's short file", image)
        image = deep(self.path)
        self.fill_extension(image)
        self.accept("anything in reserved parts and slack", image)

    def fill_extension(self, image):
        """Fill what the format leaves to the extension."""
        image.put(73, b"x" * 951)
        image.put(image.bitmap * 512 + 40, b"x" * 472)
        for node in image.nodes:
            slack = 15 if node.kind == 1 else 29
            image.put(node.address * 512 + 4096 - slack, b"x" * slack)
        for extent in image.extents:
            image.poke(extent.entry + E_FLAGS, "B", 2)

    # Header and bitmap

    def header(self):
        self.mutate("header-signature", "another signature", empty,
                    lambda i: i.poke(H_SIGNATURE, "I", 0x004D4456), status=2)
        self.mutate("header-version", "version 2", empty,
                    lambda i: i.poke(H_VERSION, "I", 2), status=2)
        self.mutate("header-unclean", "in use", deep,
                    lambda i: i.poke(H_UNCLEAN, "B", 1), status=2)
        self.mutate("header-unclean", "a flag of 2", deep, lambda i: i.poke(H_UNCLEAN, "B", 2))
        self.mutate("header-size", "not a multiple", deep, lambda i: i.add(H_SIZE, "Q", 8))
        self.mutate("header-size header-bitmap-size", "zero", deep,
                    lambda i: i.poke(H_SIZE, "Q", 0))
        self.mutate("header-file", "fixed image's short file", deep,
                    lambda i: i.truncate(i.size - 1))
        self.mutate("header-file header-bitmap-size", "absurdly large", deep,
                    lambda i: i.poke(H_SIZE, "Q", 2 ** 64 - 4096))
        for kind in (0, 3, 0x100):
            self.mutate("header-type", f"type {kind}", deep,
                        lambda i, k=kind: i.poke(H_TYPE, "I", k))
        for amount in (1, -1):
            self.mutate("header-bitmap-size bitmap-fill", f"{amount:+}", deep,
                        lambda i, a=amount: i.add(H_BITMAP_BLOCKS, "I", a))
        for block in (0, 1):
            self.mutate("header-allocated", f"block {block} free", deep,
                        lambda i, b=block: i.flip(b))

    def bitmap_place(self):
        for place in (0, 8192 - 2, 2 ** 64 - 1):
            self.mutate("bitmap-address", f"at {place}", deep,
                        lambda i, p=place: i.poke(H_BITMAP, "Q", p))
        self.mutate("bitmap-file", "behind the file's end",
                    lambda path: empty(path, kind=1, bitmap_last=True),
                    lambda i: i.truncate(i.cursor - 1))
        self.mutate("bitmap-overlap", "in the header's second half", deep, self.bitmap_to_block_1)
        for block in range(3):
            self.mutate("bitmap-allocated", f"its block {block} free", deep,
                        lambda i, b=block: i.flip(i.bitmap + b))

    @staticmethod
    def bitmap_to_block_1(image):
        image.flip(2)
        image.flip(3)
        image.put(512, image.get(image.bitmap * 512, 3 * 512))
        image.poke(H_BITMAP, "Q", 1)

    def bitmap_header(self):
        def poke(field, layout, value):
            return lambda i: i.poke(i.bitmap * 512 + field, layout, value)

        self.mutate("bitmap-magic", "other bytes", deep, poke(B_MAGIC, "I", 0x4B4C4257))
        self.mutate("bitmap-version", "version 0", deep, poke(B_VERSION, "I", 0))
        self.mutate("bitmap-managed bitmap-fill bitmap-sum", "one bitmap block more", deep,
                    lambda i: i.counter(B_MANAGED, 4096))
        self.mutate("bitmap-fill bitmap-managed bitmap-sum", "a bit more", deep,
                    lambda i: i.counter(B_MANAGED, 1))

    def bitmap_counters(self):
        def count(*changes):
            return lambda i: [i.counter(field, amount) for field, amount in changes]

        self.mutate("bitmap-sum bitmap-free", "one block too many", deep, count((B_FREE, 1)))
        self.mutate("bitmap-free bitmap-metadata", "one block leaked", deep,
                    count((B_FREE, 1), (B_METADATA, -1)))
        self.mutate("bitmap-metadata bitmap-data", "counters swapped", deep,
                    lambda i: i.swap(i.bitmap * 512 + B_METADATA, i.bitmap * 512 + B_DATA, 8))
        self.mutate("bitmap-data bitmap-sum", "wrong in the upper half", deep,
                    count((B_DATA, 2 ** 32)))
        self.mutate("bitmap-free bitmap-metadata", "a block allocated, not counted", deep,
                    lambda i: (i.flip(i.cursor), i.counter(B_FREE, 1), i.counter(B_METADATA, -1)))

    # Tree

    def nodes(self):
        for place in (0, 8192 - 7, 2 ** 64 - 1):
            self.mutate("node-address", f"root at {place}", empty,
                        lambda i, p=place: i.poke(H_ROOT, "Q", p))
        self.mutate("node-address", "child outside", two_empty_leaves,
                    lambda i: i.poke(i.root.entry(1) + I_CHILD, "Q", 2 ** 40))
        self.mutate("node-file", "behind the file's end", lambda path: empty(path, kind=1),
                    lambda i: i.truncate(i.cursor - 1))
        for kind in (0, 3, 255):
            self.mutate("node-type", f"type {kind}", two_empty_leaves,
                        lambda i, k=kind: i.poke(i.nodes[1].address * 512, "B", k))
        self.mutate("node-type bitmap-data bitmap-metadata lru-tail lru-name",
                    "hides its extents", deep, self.break_a_leaf)
        for block in range(8):
            self.mutate("node-allocated", f"its block {block} free", empty,
                        lambda i, b=block: i.flip(i.root.address + b))

    @staticmethod
    def break_a_leaf(image):
        """Break the last leaf, whose extents come last in the LRU list too."""
        leaf = image.nodes_of(2)[-1]
        order = [e for e in image.extents if e not in leaf.children] + leaf.children
        Suite.relink(image, order)
        image.poke(leaf.address * 512, "B", 0)

    @staticmethod
    def relink(image, order):
        names = [0] + [e.address for e in order] + [0]
        for place, extent in enumerate(order):
            image.poke(extent.entry + E_PREV, "Q", names[place])
            image.poke(extent.entry + E_NEXT, "Q", names[place + 2])

    def node_overlaps(self):
        def child(number, target):
            return lambda i: i.poke(i.root.entry(number) + I_CHILD, "Q", target(i))

        self.mutate("node-twice", "two entries, one leaf", two_empty_leaves,
                    child(1, lambda i: i.nodes[1].address))
        self.mutate("node-twice", "a loop", two_empty_leaves, child(1, lambda i: i.root.address))
        self.mutate("node-overlap", "half of another", two_empty_leaves,
                    child(1, lambda i: i.nodes[1].address + 4))
        self.mutate("node-overlap", "the bitmap", two_empty_leaves, child(1, lambda i: i.bitmap))
        self.mutate("node-overlap", "the header", two_empty_leaves, child(1, lambda i: 1))

    def entries(self):
        for kind, size in ((1, INTERNAL_SIZE), (2, LEAF_SIZE)):
            self.entries_of(kind, size)
        self.mutate("entry-range", "an extent beyond its range's end", deep,
                    lambda i: i.add(i.nodes_of(1)[1].entry(3) + I_COUNT, "I", -1))
        self.mutate("entry-range", "an extent before its range", deep, self.raise_first_leaf)
        self.mutate("entry-range", "an entry beyond the one above", deep,
                    lambda i: i.add(i.root.entry(1) + I_COUNT, "I", -1))
        self.mutate("entry-overlap", "an extent, by one block", deep, self.overlap_extents)
        self.mutate("entry-overlap", "a range, by one block", two_empty_leaves,
                    lambda i: i.add(i.root.entry(1) + I_FIRST, "Q", -1))
        self.mutate("entry-overlap", "two ranges start together", two_empty_leaves,
                    lambda i: i.add(i.root.entry(1) + I_FIRST, "Q", -100))

    def entries_of(self, kind, size):
        """Rules on entries that hold in internal nodes and leaves alike."""
        def node(image):
            return [n for n in image.nodes_of(kind) if len(n.children) > 1][-1]

        def unpack(image):
            used = len(node(image).children)
            image.put(node(image).entry(used + 2), image.get(node(image).entry(used - 1), size))
            image.put(node(image).entry(used - 1), bytes(size))

        name = "internal" if kind == 1 else "leaf"
        most = INTERNAL_MOST if kind == 1 else LEAF_MOST
        self.mutate("entry-packed", f"{name} with a gap", deep, unpack)
        for number in (6, most - 1):
            for at in (0, size - 1):
                self.mutate("entry-unused", f"{name} entry {number} byte {at}", deep,
                            lambda i, n=number, a=at: i.poke(node(i).entry(n) + a, "B", 1))
        self.mutate("entry-order", f"{name} entries swapped", deep,
                    lambda i: i.swap(node(i).entry(0), node(i).entry(1), size))

    @staticmethod
    def raise_first_leaf(image):
        """Take the first block off the range above the second leaf."""
        entry = image.nodes_of(1)[1].entry(1)
        image.add(entry + I_FIRST, "Q", 1)
        image.add(entry + I_COUNT, "I", -1)

    @staticmethod
    def overlap_extents(image):
        before, extent = image.nodes_of(2)[0].children[1:3]
        image.poke(extent.entry + E_FIRST, "Q", before.first + before.count - 1)

    def extents(self):
        self.mutate("extent-reserved", "not zero", deep,
                    lambda i: i.poke(i.extents[3].entry + E_RESERVED, "B", 1))
        for place in (8192 - 7, 8192, 2 ** 64 - 1):
            self.mutate("extent-address", f"data at {place}", single,
                        lambda i, p=place: i.move(i.extents[0], p))
        self.mutate("extent-file", "behind the file's end", self.single_last,
                    lambda i: i.truncate(i.extents[0].address + 7))
        for block in (0, 3, 7):
            self.mutate("extent-allocated", f"its block {block} free", single,
                        lambda i, b=block: i.flip(i.extents[0].address + b))
        self.mutate("extent-allocated", "last of many blocks free",
                    lambda path: single(path, count=77),
                    lambda i: i.flip(i.extents[0].address + 76))

    @staticmethod
    def single_last(path):
        """A dynamic image with one extent, behind all else."""
        image = single(path, kind=1)
        image.move(image.extents[0], image.cursor)
        for block in range(image.cursor, image.cursor + 8):
            image.flip(block)
        return image

    def extent_overlaps(self):
        def onto(target):
            return lambda i: i.move(i.extents[0], target(i))

        def two(path):
            extents = [Extent(0, 3), Extent(100, 8), Extent(200, 8)]
            return Image(path, Node(2, extents), extents)

        self.mutate("extent-overlap", "inside another", two,
                    onto(lambda i: i.extents[1].address + 2))
        self.mutate("extent-overlap", "another's last block", two,
                    onto(lambda i: i.extents[2].address - 1
                         if i.extents[2].address > i.extents[1].address
                         else i.extents[1].address - 1))
        self.mutate("extent-overlap", "the header", two, lambda i: (
            onto(lambda _: 1)(i), i.flip(2), i.flip(3)))
        self.mutate("extent-overlap", "the bitmap", two, onto(lambda i: i.bitmap))
        self.mutate("extent-overlap", "a node", two, onto(lambda i: i.root.address + 5))

    def window_rules(self):
        self.mutate("window-root", "a leaf reaching beyond", large_leaf, lambda i: None)
        self.window_entries()
        self.mutate("window-cut entry-range", "across an edge",
                    lambda path: one_window(path, 2, 3 * WINDOW - 4, 8), lambda i: None)
        self.mutate("window-limit", "a window too many",
                    lambda path: one_window(path, 204, 204 * WINDOW + 9, 8), lambda i: None)
        self.mutate("window-limit window-root", "at the end of 64 bits",
                    lambda path: single(path, first=2 ** 64 - 8), lambda i: None)
        self.window_backing()

    def window_entries(self):
        def shift(image):
            image.add(image.root.entry(1) + I_FIRST, "Q", 8)
            image.add(image.root.entry(1) + I_COUNT, "I", -8)

        self.mutate("window-entry", "not at an edge", windowed, shift)
        self.mutate("window-entry", "shorter than a window",
                    lambda path: one_window(path, 2, 2 * WINDOW, 8),
                    lambda i: i.add(i.root.entry(0) + I_COUNT, "I", -1))

    def window_backing(self):
        """A large backing device needs the table, whatever is cached of it."""
        image = empty(self.path)
        try:
            write_backing(self.backing, [], 2 ** 32 + 8)
        except OSError as error:
            self.tap.skip("window-root: empty leaf, large backing", str(error))
            return
        self.reject("window-root", "empty leaf, large backing", image, "--backing", self.backing)
        os.unlink(self.backing)

    # LRU list

    def lru_ends(self):
        def poke(place, field, target):
            return lambda i: i.poke(i.lru[place].entry + field, "Q", target(i))

        self.mutate("lru-head lru-link lru-reach", "two", deep, poke(7, E_PREV, lambda i: 0))
        self.mutate("lru-tail lru-link lru-reach", "two", deep, poke(7, E_NEXT, lambda i: 0))
        self.mutate("lru-tail lru-name", "none, to no extent", deep,
                    poke(-1, E_NEXT, lambda i: i.root.address))
        self.mutate("lru-tail lru-link", "none, back to the head", deep,
                    poke(-1, E_NEXT, lambda i: i.lru[0].address))
        self.mutate("lru-head lru-tail lru-reach", "none, a ring", deep, lambda i: (
            poke(-1, E_NEXT, lambda i: i.lru[0].address)(i),
            poke(0, E_PREV, lambda i: i.lru[-1].address)(i)))

    def lru_links(self):
        def poke(place, field, target):
            return lambda i: i.poke(i.lru[place].entry + field, "Q", target(i))

        for name, target in (("a node", lambda i: i.root.address),
                             ("the middle of an extent", self.middle_of_an_extent),
                             ("nothing in the image", lambda i: 2 ** 64 - 1)):
            self.mutate("lru-name lru-link lru-reach", f"next is {name}", deep,
                        poke(7, E_NEXT, target))
            self.mutate("lru-name lru-link lru-reach", f"previous is {name}", deep,
                        poke(7, E_PREV, target))
        self.mutate("lru-link lru-reach", "wrong previous", deep,
                    poke(7, E_PREV, lambda i: i.lru[20].address))
        self.mutate("lru-link lru-reach", "an extent skipped", deep,
                    poke(7, E_NEXT, lambda i: i.lru[9].address))
        self.mutate("lru-reach", "a ring aside", deep, self.ring_aside)

    @staticmethod
    def middle_of_an_extent(image):
        return next(e.address + 1 for e in image.lru if e.count > 1)

    def ring_aside(self, image):
        """Three extents in a ring of their own: every link agrees."""
        ring, rest = image.lru[5:8], image.lru[:5] + image.lru[8:]
        self.relink(image, rest)
        for place, extent in enumerate(ring):
            image.poke(extent.entry + E_PREV, "Q", ring[place - 1].address)
            image.poke(extent.entry + E_NEXT, "Q", ring[(place + 1) % 3].address)

    # Backing

    def backing_end(self):
        for flags, what in ((0, "clean"), (DIRTY, "dirty")):
            image = single(self.path, count=8)
            image.poke(image.extents[0].entry + E_FLAGS, "B", flags)
            write_backing(self.backing, image.extents, 7)
            self.reject("backing-end", f"a {what} extent beyond", image,
                        "--backing", self.backing)

    def backing_mismatch(self):
        for byte in (0, 511, 8 * 512 - 1):
            image = single(self.path, first=50)
            write_backing(self.backing, image.extents)
            image.add(image.extents[0].address * 512 + byte, "B", 1 if byte else 5)
            self.reject("backing-mismatch", f"byte {byte}", image, "--backing", self.backing)
            output = run("--backing", self.backing, self.path).stdout
            self.tap.check(f"extent at offset 50: first differing byte {byte} of the extent, "
                           f"backing byte {50 * 512 + byte}" in output, "says where", output)

    def backing_mismatch_far(self):
        image = single(self.path, count=6000, first=50)
        write_backing(self.backing, image.extents)
        for byte in (2500001, 2500002):
            image.put(image.extents[0].address * 512 + byte, b"\xff\xff\xff")
        image.file.close()
        output = run("--backing", self.backing, self.path).stdout
        at = next(n for n in range(2500001, 2500005) if content(50, 6000)[n] != 0xFF)
        self.tap.check(f"first differing byte {at} of the extent, backing byte {50 * 512 + at}"
                       in output, "backing-mismatch: far inside a long extent", output)

    def backing_many(self):
        extents = [Extent(10 * n, 8) for n in range(25)]
        image = Image(self.path, subtree(extents, 5, 4), extents)
        image.file.close()
        with open(self.backing, "wb") as file:
            file.truncate(300 * 512)
            file.write(content(0, 8))
        result = run("--quiet", "--backing", self.backing, self.path)
        lines = result.stdout.splitlines()
        self.tap.check(result.returncode == 1 and len(lines) == 21
                       and lines[-1] == "backing-mismatch: and 4 more, 24 in all",
                       "prints twenty of a rule, counts the rest", result.stdout)

    # Command line

    def unreadable(self):
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        with open(self.path, "wb") as file:
            file.write(b"VCI\0" + bytes(1019))
        for name, path in (("no such file", self.path + "-"), ("a directory", self.directory),
                           ("a named pipe", fifo), ("too short", self.path)):
            self.cannot_tell(name, path)
        empty(self.path).file.close()
        self.cannot_tell("no such backing", "--backing", self.path + "-", self.path)
        self.covered.add("unreadable")

    def cannot_tell(self, name, *arguments):
        result = run(*arguments)
        self.tap.check(result.returncode == 2
                       and result.stdout.startswith("cannot tell: unreadable: "),
                       "unreadable: " + name, result.stdout, result.stderr)

    def command_line(self):
        image = deep(self.path)
        image.file.close()
        result = run("--quiet", self.path)
        self.tap.check((result.returncode, result.stdout, result.stderr) == (0, "", ""),
                       "--quiet says nothing of a valid image", result)
        result = run(self.path)
        self.tap.check(f"{self.path}: valid, 0 violations" in result.stdout,
                       "says that an image is valid", result)
        self.tap.check(run().returncode == 2, "no image is a usage error")
        with open(self.path, "r+b") as file:
            file.seek(H_UNCLEAN)
            file.write(b"\1")
        result = run("--quiet", self.path)
        self.tap.check(result.stdout == "cannot tell: header-unclean: header: the unclean flag "
                       "is set: in use, or not closed cleanly\n", "says that an image is unclean")

    def fuzz(self):
        """Whatever the bytes: an answer, no exception, and soon."""
        chance, wrong = random.Random(7), []
        image = deep(self.path)
        spots = [(0, 73), (image.bitmap * 512, 40 + 512)]
        spots += [(node.address * 512, 250) for node in image.nodes]
        for number in range(300):
            wrong += self.fuzz_once(image, chance, spots, number)
        image.file.close()
        self.tap.check(not wrong, "answers on 300 damaged images", *wrong)

    def fuzz_once(self, image, chance, spots, number):
        start, length = chance.choice(spots)
        position = start + chance.randrange(length)
        size = min(chance.choice((1, 1, 8)), start + length - position)
        saved = image.get(position, size)
        image.put(position, bytes(b ^ chance.randrange(256) for b in saved))
        image.file.flush()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                status = vci_reader.main(["--quiet", self.path])
            return [] if status in (0, 1, 2) else [f"{number}: status {status}"]
        except Exception as error:  # pylint: disable=broad-except
            return [f"{number}: byte {position}: {error!r}"]
        finally:
            image.put(position, saved)

    def coverage(self):
        missing = set(vci_reader.RULES) - self.covered
        self.tap.check(not missing, "every rule has a mutation of its own", sorted(missing))

    def run_all(self):
        for part in (self.valid, self.header, self.bitmap_place, self.bitmap_header,
                     self.bitmap_counters, self.nodes, self.node_overlaps, self.entries,
                     self.extents, self.extent_overlaps, self.window_rules, self.lru_ends,
                     self.lru_links, self.backing_end, self.backing_mismatch,
                     self.backing_mismatch_far, self.backing_many, self.unreadable,
                     self.command_line, self.fuzz, self.coverage):
            part()


def main():
    began, tap = time.monotonic(), Tap()
    with tempfile.TemporaryDirectory(prefix="vci-reader-") as directory:
        Suite(tap, directory).run_all()
    print(f"# {time.monotonic() - began:.1f} seconds")
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
