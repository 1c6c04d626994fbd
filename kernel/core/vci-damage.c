// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names and words of every damage number, and how damage is noted and told.
 */
#include "vci-damage.h"

struct damage_words {
	enum vci_damage_number nr;
	const char *name;
	const char *what;
	const char *words;
};

static const struct damage_words damage_table[] = {
#define VCI_DAMAGE_WORDS(name, nr, what, words) \
	{ VCI_DMG_##name, #name, what, words },
	VCI_DAMAGE_LIST(VCI_DAMAGE_WORDS)
#undef VCI_DAMAGE_WORDS
};

static const struct damage_words unknown_damage = {
	.name = "UNKNOWN", .what = "image", .words = "unknown damage",
};

static const struct damage_words *damage_words(enum vci_damage_number nr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(damage_table); i++)
		if (damage_table[i].nr == nr)
			return &damage_table[i];
	return &unknown_damage;
}

/**
 * vci_damage_name() - name of a damage number
 * @nr: the number
 *
 * Return: a constant string, as in VCI_DAMAGE_LIST; "UNKNOWN" for others.
 */
const char *vci_damage_name(enum vci_damage_number nr)
{
	return damage_words(nr)->name;
}

/**
 * vci_damage_what() - which structure a damage number is about
 * @nr: the number
 *
 * Return: a constant string for messages.
 */
const char *vci_damage_what(enum vci_damage_number nr)
{
	return damage_words(nr)->what;
}

/**
 * vci_damage_words() - what is wrong, in words
 * @nr: the number
 *
 * Return: a constant string for messages.
 */
const char *vci_damage_words(enum vci_damage_number nr)
{
	return damage_words(nr)->words;
}

/**
 * vci_damaged() - note damage
 * @dmg: where to note it, may be NULL
 * @nr: the damage number
 * @addr: block in the image that is damaged
 * @found: value found, meaning depends on @nr
 * @expected: value expected; equal to @found if there is nothing to compare
 * @err: what to return
 *
 * Return: @err, for "return vci_damaged(...)".
 */
int vci_damaged(struct vci_damage *dmg, enum vci_damage_number nr, u64 addr,
		u64 found, u64 expected, int err)
{
	if (dmg) {
		dmg->number = nr;
		dmg->addr = addr;
		dmg->found = found;
		dmg->expected = expected;
	}
	return err;
}

/**
 * vci_damage_print() - put damage into one line of text
 * @dmg: the damage
 * @text: receives the line, without a newline, always terminated
 * @size: bytes of @text, at least 1
 */
void vci_damage_print(const struct vci_damage *dmg, char *text, size_t size)
{
	const struct damage_words *w = damage_words(dmg->number);

	if (dmg->found == dmg->expected)
		snprintf(text, size, "corrupt %s: block %llu, %s", w->what,
			 dmg->addr, w->words);
	else
		snprintf(text, size, "corrupt %s: block %llu, %s: %llu, expected %llu",
			 w->what, dmg->addr, w->words, dmg->found, dmg->expected);
}
