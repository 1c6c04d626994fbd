// SPDX-License-Identifier: GPL-2.0-only
/*
 * The slow side of the reader guard: see vci-guard.h.
 */
#include "vci-guard.h"

static void phase_released(struct percpu_ref *ref)
{
	complete(&container_of(ref, struct vci_guard_phase, ref)->drained);
}

/**
 * vci_guard_init() - make a guard that nobody holds
 * @g: to set up
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_guard_init(struct vci_guard *g)
{
	unsigned int i;
	int r;

	g->current_phase = 0;
	mutex_init(&g->drain);
	for (i = 0; i < ARRAY_SIZE(g->phase); i++) {
		init_completion(&g->phase[i].drained);
		r = percpu_ref_init(&g->phase[i].ref, phase_released,
				    PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);
		if (r)
			goto err_exit;
	}
	return 0;

err_exit:
	while (i--)
		percpu_ref_exit(&g->phase[i].ref);
	return r;
}

/**
 * vci_guard_exit() - undo vci_guard_init(); nobody holds or drains the guard
 * @g: guard
 */
void vci_guard_exit(struct vci_guard *g)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(g->phase); i++)
		percpu_ref_exit(&g->phase[i].ref);
	mutex_destroy(&g->drain);
}

/**
 * vci_guard_drain() - wait for every reader that entered before
 * @g: guard
 *
 * Sleeps for an RCU grace period at least.  Readers that enter later see what
 * the caller changed before the call.
 */
void vci_guard_drain(struct vci_guard *g)
{
	struct vci_guard_phase *old;
	unsigned int i;

	mutex_lock(&g->drain);
	i = g->current_phase;
	old = &g->phase[i];
	/* Pairs with smp_load_acquire() in vci_guard_enter(). */
	smp_store_release(&g->current_phase, !i);
	reinit_completion(&old->drained);
	percpu_ref_kill(&old->ref);
	wait_for_completion(&old->drained);
	percpu_ref_reinit(&old->ref);
	mutex_unlock(&g->drain);
}
