// SPDX-License-Identifier: Apache-2.0
/* rehearse - submit --dry-run: ask, and show the answer. */
#ifndef REHEARSE_H
#define REHEARSE_H

#include "tool.h"

/* The exit code. */
int rehearse(motley *connection, const struct motley_submit *asked, bool json);
int rehearse_on(const struct tool_link *link, const struct motley_submit *asked);

#endif
