/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

enum { IDS_AT_ONCE = 64 };

uint64_t
server_audit_id(struct server *server, unsigned lane)
{
	struct server_lane *own = &server->lanes[lane];

	if (lane == 0)
		return atomic_fetch_add(&server->audit_ids, 1) + 1;
	if (own->id == own->id_end) {
		own->id = atomic_fetch_add(&server->audit_ids, IDS_AT_ONCE);
		own->id_end = own->id + IDS_AT_ONCE;
	}
	return ++own->id;
}

void
server_count(struct server *server, unsigned lane, size_t op,
    enum server_outcome outcome)
{
	_Atomic uint64_t *n = &server->lanes[lane].counts[op][outcome];

	if (lane == 0)
		(void)atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
	else /* one thread writes: a read and a write do */
		atomic_store_explicit(n,
		    atomic_load_explicit(n, memory_order_relaxed) + 1,
		    memory_order_relaxed);
}

uint64_t
server_counted(
    const struct server *server, size_t op, enum server_outcome outcome)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < SERVER_LANES; i++)
		sum += atomic_load(&server->lanes[i].counts[op][outcome]);
	return sum;
}
