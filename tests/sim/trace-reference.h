/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Comparing the built-in policies with the published table.
 */
#ifndef TRACE_REFERENCE_H
#define TRACE_REFERENCE_H

#include "trace-read.h"

/*
 * Runs every cell of the tables in @readme that name the trace @name and a
 * policy that is built in; TAP on stdout.  Returns how many differ too much,
 * or -errno.
 */
int trace_check_reference(const struct trace *t, const char *name, const char *readme);

#endif /* TRACE_REFERENCE_H */
