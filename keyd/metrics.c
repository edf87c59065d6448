/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <stdarg.h>
#include <stdio.h>

#include "../lib/bytes.h"
#include "../lib/ops.h"

struct page {
	char *buf;
	size_t cap, len;
};

__attribute__((format(printf, 2, 3))) static void
add(struct page *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(p->buf + p->len, p->cap - p->len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < p->cap - p->len)
		p->len += (size_t)n;
}

static void
add_one(struct page *p, const char *name, const char *type, const char *help,
    uint64_t value)
{
	add(p,
	    "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n"
	    "holdfast_%s %llu\n",
	    name, help, name, type, name, (unsigned long long)value);
}

static void
add_operations(struct page *p, struct server *s)
{
	add(p,
	    "# HELP holdfast_operations_total Operations by outcome.\n"
	    "# TYPE holdfast_operations_total counter\n");
	for (size_t i = 0; i < ops_count; i++) {
		const struct {
			const char *outcome;
			uint64_t count;
		} rows[] = {
			{ "ok", server_counted(s, i, OUTCOME_OK) },
			{ "refused", server_counted(s, i, OUTCOME_REFUSED) },
			{ "failed", server_counted(s, i, OUTCOME_FAILED) },
		};

		for (size_t k = 0; k < 3; k++)
			if (rows[k].count > 0)
				add(p,
				    "holdfast_operations_total{operation="
				    "\"%s\",outcome=\"%s\"} %llu\n",
				    ops[i].name, rows[k].outcome,
				    (unsigned long long)rows[k].count);
	}
}

/* Names of HSMs need no quoting: hierarchy.h. */
static void
add_devices(struct page *p, struct server *s)
{
	struct hierarchy_facts rows[2 * HSM_DEVICES];
	size_t n = hierarchy_devices(s->hierarchy, rows);

	add(p,
	    "# HELP holdfast_hsm_usable 1 when that HSM could work.\n"
	    "# TYPE holdfast_hsm_usable gauge\n");
	for (size_t i = 0; i < n; i++)
		add(p, "holdfast_hsm_usable{device=\"%s\"} %d\n", rows[i].name,
		    rows[i].usable);
	add(p,
	    "# HELP holdfast_hsm_keyrings_missing Keyrings that it cannot "
	    "open.\n"
	    "# TYPE holdfast_hsm_keyrings_missing gauge\n");
	for (size_t i = 0; i < n; i++)
		add(p, "holdfast_hsm_keyrings_missing{device=\"%s\"} %zu\n",
		    rows[i].name, rows[i].missing);
}

enum hf_err
metrics_text(struct server *s, struct arena *arena, struct hf_text *out)
{
	struct page p = { .cap = 65536 };
	struct transport_stats t;
	struct audit_info a;
	struct store_info st;
	struct hsm_info h;

	p.buf = arena_alloc(arena, p.cap);
	if (p.buf == NULL)
		return HF_ERR_NO_MEMORY;
	transport_stats(s->transport, &t);
	store_info(s->store, &st);
	audit_info(s->audit, &a);
	hsm_info(hierarchy_hsm(s->hierarchy), &h);
	add_operations(&p, s);
	add_one(&p, "uptime_seconds", "gauge", "Since the start of the daemon.",
	    server_uptime(s));
	add_one(&p, "connections", "gauge", "Open connections.", t.connections);
	add_one(&p, "connections_accepted_total", "counter",
	    "Connections accepted.", t.accepted);
	add_one(&p, "connections_refused_total", "counter",
	    "Connections refused by a limit.", t.refused);
	add_one(&p, "requests_total", "counter", "Requests read.", t.requests);
	add_one(&p, "requests_deferred_total", "counter",
	    "Requests handed to a worker.", t.deferred);
	add_one(&p, "requests_busy_total", "counter",
	    "Requests refused because the queue was full.", t.busy);
	add_one(&p, "received_bytes_total", "counter", "Bytes received.",
	    t.bytes_in);
	add_one(&p, "sent_bytes_total", "counter", "Bytes sent.", t.bytes_out);
	add_one(&p, "bad_frames_total", "counter",
	    "Connections closed because of what they sent.", t.bad_frames);
	add_one(&p, "timeouts_total", "counter",
	    "Connections closed by a deadline.", t.timeouts);
	add_one(&p, "keys_cached", "gauge", "Opened keys in the cache.",
	    keys_cached(s->keys));
	add_one(&p, "hsm_ready", "gauge", "1 when the HSM answers.",
	    h.state == HSM_READY);
	add_devices(&p, s);
	add_one(&p, "hsm_generation", "counter", "Recoveries of the HSM.",
	    h.generation);
	add_one(
	    &p, "hsm_sessions", "gauge", "Sessions in the pool.", h.sessions);
	add_one(&p, "master_version", "gauge", "Version of the master key.",
	    hierarchy_master_version(s->hierarchy));
	add_one(&p, "keyrings_under_old_master", "gauge",
	    "Keyrings still under an older master key.",
	    hierarchy_rotation_pending(s->hierarchy));
	add_one(&p, "policy_generation", "counter", "Loads of the policies.",
	    policy_generation(s->policy));
	add_one(&p, "store_commits_total", "counter", "Commits of the store.",
	    st.commits);
	add_one(&p, "store_syncs_total", "counter",
	    "Groups of commits, each put on the disk by one sync.", st.groups);
	add_one(&p, "store_commits_waiting", "gauge",
	    "Commits that are not on the disk yet.", st.waiting);
	add_one(&p, "audit_lines_total", "counter", "Lines in the audit chain.",
	    a.sequence);
	add_one(&p, "audit_syncs_total", "counter",
	    "Times that the audit log was put on the disk.", a.syncs);
	add_one(&p, "audit_checkpoints_total", "counter", "Signed checkpoints.",
	    a.checkpoint);
	add_one(&p, "audit_broken", "gauge",
	    "1 when the audit log cannot be written.", a.broken);
	*out = (struct hf_text){ p.buf, p.len };
	return HF_OK;
}
