/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CLIENT_SPIN_H
#define LIB_CLIENT_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether a caller with nothing else to do should look for its reply again and
 * again instead of sleeping until it comes. Where cores are idle it has the
 * reply sooner, by the time that waking one up takes; where they are not, it
 * is in the way of who makes the reply. So both are tried, and what made calls
 * shorter of late is done. All zero is a good beginning.
 */
struct client_spin {
	uint64_t slept, spun; /* ns that a call takes; 0: unknown */
	unsigned tried;       /* calls that spun since the last pause */
	unsigned pause;       /* calls until it is tried again */
	unsigned last_pause;
};

/* How long at most, in ns. */
enum { SPIN_LONGEST = 150000 };

/* Whether the next call should. */
bool client_spin_wanted(struct client_spin *s);

/* How long a call took from its last byte to its reply. */
void client_spin_note(struct client_spin *s, bool spun, uint64_t ns);

#endif
