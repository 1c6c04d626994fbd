// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tickets: valid exactly as long as nobody wrote.
 */
#include "vci-ticket.h"
#include "vt.h"

#define SLOT	(1u << VCI_TICKET_LOG2)

static struct vci_tickets t;

static struct vci_ticket_write begin(u64 off, u64 blocks)
{
	struct vci_ticket_write w = { .off = off, .blocks = blocks };

	vci_tickets_write_begin(&t, &w);
	return w;
}

static void test_reads(void)
{
	struct vci_ticket a, b;
	struct vci_ticket_write w;

	ok(vci_tickets_take(&t, 0, 8, &a), "ticket:taken_at_rest");
	ok(vci_tickets_valid(&t, 0, 8, &a), "ticket:valid_at_rest");
	w = begin(3, 1);
	ok(!vci_tickets_valid(&t, 0, 8, &a), "ticket:invalid_when_a_write_began");
	ok(!vci_tickets_take(&t, 0, 8, &b), "ticket:none_while_a_write_is_in_flight");
	ok(vci_tickets_take(&t, 2 * SLOT, 8, &b), "ticket:taken_beside_a_write");
	vci_tickets_write_end(&t, &w, NULL);
	ok(!vci_tickets_valid(&t, 0, 8, &a), "ticket:invalid_for_ever");
	ok(vci_tickets_valid(&t, 2 * SLOT, 8, &b), "ticket:valid_beside_a_write");
	ok(vci_tickets_take(&t, 0, 8, &a), "ticket:taken_after_the_write");
}

static void test_ranges(void)
{
	struct vci_ticket a;
	struct vci_ticket_write w;

	ok(vci_tickets_take(&t, SLOT - 1, 2, &a), "ticket:taken_over_an_edge");
	w = begin(SLOT, 1);
	vci_tickets_write_end(&t, &w, NULL);
	ok(!vci_tickets_valid(&t, SLOT - 1, 2, &a), "ticket:sees_a_write_behind_the_edge");
	ok(vci_tickets_take(&t, 0, 8, &a), "ticket:taken_again");
	w = begin(VCI_TICKET_SLOTS * (u64)SLOT, 1);
	ok(!vci_tickets_valid(&t, 0, 8, &a), "ticket:shared_counter_costs_a_fill");
	vci_tickets_write_end(&t, &w, NULL);
	ok(!vci_tickets_take(&t, 0, SLOT * (VCI_TICKET_WIDE + 1), &a),
	   "ticket:none_for_a_range_that_is_too_wide");
}

static void test_wide(void)
{
	struct vci_ticket a;
	struct vci_ticket_write w;

	ok(vci_tickets_take(&t, 12345 * SLOT, 8, &a), "ticket:taken_before_a_wide_write");
	w = begin(0, 1ull << 40);
	ok(!vci_tickets_valid(&t, 12345 * SLOT, 8, &a), "ticket:wide_write_ends_it");
	ok(!vci_tickets_take(&t, 12345 * SLOT, 8, &a), "ticket:none_during_a_wide_write");
	ok(!vci_tickets_write_end(&t, &w, &a), "ticket:none_from_a_wide_write");
	ok(vci_tickets_take(&t, 12345 * SLOT, 8, &a), "ticket:taken_after_a_wide_write");
}

/* The ticket of a write stands for its data if nobody else wrote meanwhile. */
static void test_writes(void)
{
	struct vci_ticket_write w, v;
	struct vci_ticket a, b;

	w = begin(0, 8);
	ok(vci_tickets_write_end(&t, &w, &a), "ticket:from_a_write_alone");
	ok(vci_tickets_valid(&t, 0, 8, &a), "ticket:of_a_write_is_valid");
	w = begin(0, 8);
	ok(!vci_tickets_valid(&t, 0, 8, &a), "ticket:of_a_write_ends_with_the_next");
	v = begin(4, 8);
	ok(!vci_tickets_write_end(&t, &w, &a), "ticket:none_if_another_began");
	ok(!vci_tickets_write_end(&t, &v, &b), "ticket:none_if_another_ended");

	v = begin(4, 8);
	w = begin(0, 8);
	ok(!vci_tickets_write_end(&t, &w, &a), "ticket:none_while_an_older_one_is_in_flight");
	ok(!vci_tickets_write_end(&t, &v, &b), "ticket:none_for_the_older_one");

	w = begin(0, 8);
	v = begin(0, 1ull << 40);
	vci_tickets_write_end(&t, &v, NULL);
	ok(!vci_tickets_write_end(&t, &w, &a), "ticket:none_after_a_wide_write_meanwhile");

	w = begin(SLOT - 4, 8);
	ok(vci_tickets_write_end(&t, &w, &a), "ticket:from_a_write_over_an_edge");
	ok(vci_tickets_valid(&t, SLOT - 4, 8, &a), "ticket:over_an_edge_is_valid");
	v = begin(SLOT, 1);
	vci_tickets_write_end(&t, &v, NULL);
	ok(!vci_tickets_valid(&t, SLOT - 4, 8, &a), "ticket:over_an_edge_ends");
}

int main(void)
{
	assert(!vci_tickets_init(&t));
	test_reads();
	test_ranges();
	test_wide();
	test_writes();
	vci_tickets_destroy(&t);
	vci_tickets_destroy(&t);
	is_u64(vci_alloc_live, 0, "ticket:destroy_frees_all");
	vci_alloc_fail_at = 1;
	ok(vci_tickets_init(&t) == -ENOMEM, "ticket:init_without_memory");
	return done_testing();
}
