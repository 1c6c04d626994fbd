// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow pages: the last checkpoint's stay whole until the header has switched.
 */
#include "rig.h"

static struct rig rig;
static struct vci_header h;
static struct vci_shadow s;

static int load(u64 gen)
{
	struct vci_damage dmg;

	vci_shadow_destroy(&s);
	assert(!vci_shadow_init(&s, &h.segtable));
	return vci_shadow_load(&s, &rig.cache.dev, h.uuid, gen, &dmg);
}

static void change(u32 byte, u8 value)
{
	s.data[byte] = value;
	vci_shadow_dirty(&s, byte);
}

static int write(u64 gen)
{
	vci_shadow_freeze(&s);
	return vci_shadow_write(&s, &rig.cache.dev, h.uuid, gen);
}

static void test_checkpoints(void)
{
	u64 writes;

	is_u64(load(1), 0, "shadow:loads_a_fresh_area");
	is_u64(s.data[0], 0, "shadow:fresh_area_is_zero");
	writes = rig.cache.writes;
	ok(!write(2) && rig.cache.writes == writes, "shadow:unchanged_writes_nothing");
	change(0, 1);
	ok(!write(2) && rig.cache.writes == writes + 1, "shadow:one_page_changed");
	change(0, 9);
	vci_shadow_commit(&s);
	is_u64(load(1), 0, "shadow:loads_before_the_switch");
	is_u64(s.data[0], 0, "shadow:old_page_before_the_switch");
	is_u64(load(2), 0, "shadow:loads_after_the_switch");
	is_u64(s.data[0], 1, "shadow:as_frozen_after_the_switch");
	change(0, 2);
	ok(!write(3), "shadow:writes_again");
	vci_shadow_commit(&s);
	ok(!load(3) && s.data[0] == 2, "shadow:back_in_the_first_slot");
	ok(!load(2) && s.data[0] == 1, "shadow:second_slot_is_still_whole");
	ok(!load(3), "shadow:newest_again");
}

/* A checkpoint that wasn't completed leaves a page of the next one's number. */
static void test_unfinished(void)
{
	change(5, 77);
	ok(!write(4), "shadow:unfinished_checkpoint");
	ok(!load(3) && s.data[5] == 0, "shadow:unfinished_page_is_not_believed");
	ok(!write(4), "shadow:next_checkpoint_has_its_number");
	vci_shadow_commit(&s);
	ok(!load(4) && s.data[5] == 0 && s.data[0] == 2,
	   "shadow:unfinished_page_is_written_over");

	change(6, 1);
	ok(!write(5), "shadow:first_try");
	change(6, 2);
	ok(!write(5), "shadow:second_try_writes_over_the_first");
	vci_shadow_commit(&s);
	ok(!load(5) && s.data[6] == 2, "shadow:second_try_counts");
	ok(!load(4) && s.data[6] == 0, "shadow:page_before_both_tries_is_whole");
}

static void test_generations(void)
{
	u32 crc = vci_shadow_gens_crc(&s, ~0u), i, want = ~0u;

	for (i = 0; i < s.nr_pages; i++)
		want = vci_page_gen_crc(want, i ? 1 : 5);
	ok(!load(5) && s.gen[0] == 5, "shadow:loads_the_generation");
	is_u64(vci_shadow_gens_crc(&s, ~0u), want, "shadow:checksum_of_generations");
	change(7, 1);
	is_u64(vci_shadow_gens_crc(&s, ~0u), want, "shadow:changed_page_is_not_new_yet");
	ok(!write(6), "shadow:writes_a_generation");
	crc = vci_shadow_gens_crc(&s, ~0u);
	ok(crc != want && s.gen[0] == 5, "shadow:written_page_counts_as_new");
	vci_shadow_commit(&s);
	ok(vci_shadow_gens_crc(&s, ~0u) == crc && s.gen[0] == 6,
	   "shadow:so_it_does_after_the_switch");
	ok(!load(6) && vci_shadow_gens_crc(&s, ~0u) == crc, "shadow:loads_the_same");
	rig_damage(&rig, h.segtable.addr + test_bit(0, s.slot) * VCI_UNIT_BLOCKS, 50);
	ok(!load(6) && vci_shadow_gens_crc(&s, ~0u) == want,
	   "shadow:older_slot_is_told_by_its_generation");
}

static void test_damage(void)
{
	u32 slot;

	ok(!load(5), "shadow:before_damage");
	slot = test_bit(0, s.slot);
	rig_damage(&rig, h.segtable.addr + (1 - slot) * VCI_UNIT_BLOCKS, 50);
	ok(!load(5) && s.data[6] == 2, "shadow:damage_in_the_unused_slot");
	rig_damage(&rig, h.segtable.addr + slot * VCI_UNIT_BLOCKS, 50);
	ok(load(5) == -EILSEQ, "shadow:damage_in_both_slots");
	rig.cache.fail_in = 1;
	ok(load(5) == -EIO, "shadow:read_error");
}

static void test_errors(void)
{
	ok(!load(1), "shadow:other_area");
	change(0, 1);
	vci_shadow_freeze(&s);
	vci_alloc_fail_at = 1;
	ok(vci_shadow_write(&s, &rig.cache.dev, h.uuid, 2) == -ENOMEM,
	   "shadow:write_without_memory");
	rig.cache.fail_in = 1;
	ok(vci_shadow_write(&s, &rig.cache.dev, h.uuid, 2) == -EIO, "shadow:write_error");
	ok(!write(2), "shadow:write_after_errors");
	vci_shadow_commit(&s);
	ok(!load(2) && s.data[0] == 1, "shadow:nothing_was_forgotten");
}

int main(void)
{
	u32 i;

	rig_init(&rig, 4096, RIG_BACKING, 0);
	rig_header(&rig, &h);
	test_checkpoints();
	test_unfinished();
	test_generations();
	test_damage();
	h.segtable = h.nodemap;
	test_errors();
	vci_shadow_destroy(&s);
	is_u64(vci_alloc_live, 0, "shadow:destroy_frees_all");
	for (i = 1; i <= 6; i++) {
		vci_alloc_fail_at = i;
		if (vci_shadow_init(&s, &h.segtable) != -ENOMEM)
			break;
	}
	is_u64(i, 7, "shadow:init_without_memory");
	vci_alloc_fail_at = 0;
	is_u64(vci_alloc_live, 0, "shadow:init_without_memory_frees_all");
	rig_exit(&rig);
	return done_testing();
}
