// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target under test, and the tools for its image.
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dm.h"
#include "power.h"

#define NAME		"power"

static const char *some_mode(const struct power *p, struct sim_rng *rng)
{
	static const char *const modes[] = { "writeback", "writethrough", "writeback",
					     "writearound", "writeback", "passthrough" };

	return strcmp(p->o.mode, "mixed") ? p->o.mode : modes[sim_below(rng, 6)];
}

bool target_is_ordered(const struct power *p)
{
	return !strcmp(p->o.mode, "ordered");
}

bool target_writes_back(const struct power *p)
{
	return !strcmp(p->o.mode, "writeback") || !strcmp(p->o.mode, "mixed") ||
	       target_is_ordered(p);
}

int target_activate(struct power *p)
{
	char params[128], path[32];
	int r;

	snprintf(params, sizeof(params), "%s %s %s %s", pair_device(BACKING),
		 pair_device(CACHE), target_is_ordered(p) ? "2 writeback" : "1",
		 some_mode(p, &p->rng));
	r = dm_create(NAME, disk_sectors[BACKING], "vci", params, path, sizeof(path));
	if (r)
		return r;
	p->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (p->fd < 0)
		die("%s: %s", path, strerror(errno));
	return 0;
}

/* Who opened the device last may not have let go of it yet. */
void target_detach(struct power *p)
{
	int tries, r = -EBUSY;

	close(p->fd);
	for (tries = 0; r == -EBUSY && tries < 50; tries++) {
		r = dm_remove(NAME);
		if (r == -EBUSY)
			usleep(20000);
	}
	if (r)
		die("cannot remove the target: %s", strerror(-r));
}

int target_message(const char *message)
{
	return dm_message(NAME, message, NULL, 0);
}

void target_suspend_resume(void)
{
	if (dm_suspend(NAME, true) || dm_suspend(NAME, false))
		die("cannot suspend and resume");
}

void target_change_mode(struct power *p, struct sim_rng *rng)
{
	char text[64];

	if (strcmp(p->o.mode, "mixed"))
		return;
	snprintf(text, sizeof(text), "mode %s", some_mode(p, rng));
	if (target_message(text))
		die("message \"%s\" is refused", text);
	p->switches++;
}

void target_print_stats(void)
{
	static const char *const names[] = {
		"read_hits", "read_misses", "appended_sectors", "evicted_sectors",
		"checkpoints", "intent_writes", "dirty_sectors", "written_back_sectors",
	};
	char text[2048], *word, *rest = text;
	size_t i;

	if (dm_message(NAME, "stats", text, sizeof(text)))
		return;
	printf("# target:");
	while ((word = strtok_r(rest, " \n", &rest)))
		for (i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (!strncmp(word, names[i], strlen(names[i])) &&
			    word[strlen(names[i])] == '=')
				printf(" %s", word);
	printf("\n");
}

/* The program's exit status; what it prints goes where ours does. */
static int execute(char *const argv[])
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		die("cannot run %s", argv[0]);
	return WEXITSTATUS(status);
}

void target_format(struct power *p)
{
	static const char *const sizes[] = { "--segment-size=16K", "--segment-size=64K",
					     "--segment-size=128K" };
	char *const argv[] = { "vci-format", "--force", "--quiet", "--no-discard",
			       (char *)sizes[sim_below(&p->rng, 3)],
			       (char *)pair_device(CACHE), NULL };

	if (execute(argv))
		die("vci-format failed");
}

bool target_image_is_valid(struct power *p)
{
	char *const argv[] = { "vci-check", (char *)pair_device(CACHE), NULL };

	pair_forget_pages(p->pair);
	return !execute(argv);
}
