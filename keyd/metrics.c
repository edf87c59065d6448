/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <stdarg.h>
#include <stdio.h>

#include "../lib/bytes.h"
#include "../lib/ops.h"

enum {
	PAGE = 64 << 10 /* bytes; all operations in all ways fill half of it */
};

struct page {
	char *buf;
	size_t cap, len;
	bool full; /* something did not fit: the page is of no use */
};

__attribute__((format(printf, 2, 3))) static void
add(struct page *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(p->buf + p->len, p->cap - p->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= p->cap - p->len)
		p->full = true;
	else
		p->len += (size_t)n;
}

/* A number by itself. */
struct metric {
	const char *name, *type, *help;
	uint64_t value;
};

static void
add_one(struct page *p, const struct metric *m)
{
	add(p,
	    "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n"
	    "holdfast_%s %llu\n",
	    m->name, m->help, m->name, m->type, m->name,
	    (unsigned long long)m->value);
}

static void
add_all(struct page *p, const struct metric *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		add_one(p, &rows[i]);
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

static void
add_transport(struct page *p, struct server *s)
{
	struct transport_stats t;

	transport_stats(s->transport, &t);

	/* clang-format off */
	const struct metric rows[] = {
		{ "connections",                "gauge",   "Open connections.", t.connections },
		{ "connections_accepted_total", "counter", "Connections accepted.", t.accepted },
		{ "connections_refused_total",  "counter", "Connections refused by a limit.", t.refused },
		{ "requests_total",             "counter", "Requests read.", t.requests },
		{ "requests_deferred_total",    "counter", "Requests handed to a worker.", t.deferred },
		{ "requests_busy_total",        "counter", "Requests refused because the queue was full.", t.busy },
		{ "received_bytes_total",       "counter", "Bytes received.", t.bytes_in },
		{ "sent_bytes_total",           "counter", "Bytes sent.", t.bytes_out },
		{ "bad_frames_total",           "counter", "Connections closed because of what they sent.", t.bad_frames },
		{ "timeouts_total",             "counter", "Connections closed by a deadline.", t.timeouts },
	};
	/* clang-format on */

	add_all(p, rows, sizeof(rows) / sizeof(rows[0]));
}

static void
add_keys(struct page *p, struct server *s)
{
	struct hsm_info h;

	hsm_info(hierarchy_hsm(s->hierarchy), &h);

	/* clang-format off */
	const struct metric rows[] = {
		{ "uptime_seconds",            "gauge",   "Since the start of the daemon.", server_uptime(s) },
		{ "keys_cached",               "gauge",   "Opened keys in the cache.", keys_cached(s->keys) },
		{ "hsm_ready",                 "gauge",   "1 when the HSM answers.", h.state == HSM_READY },
		{ "hsm_generation",            "counter", "Recoveries of the HSM.", h.generation },
		{ "hsm_sessions",              "gauge",   "Sessions in the pool.", h.sessions },
		{ "master_version",            "gauge",   "Version of the master key.", hierarchy_master_version(s->hierarchy) },
		{ "keyrings_under_old_master", "gauge",   "Keyrings still under an older master key.", hierarchy_rotation_pending(s->hierarchy) },
		{ "policy_generation",         "counter", "Loads of the policies.", policy_generation(s->policy) },
	};
	/* clang-format on */

	add_all(p, rows, sizeof(rows) / sizeof(rows[0]));
}

static void
add_disk(struct page *p, struct server *s)
{
	struct audit_info a;
	struct store_info st;

	audit_info(s->audit, &a);
	store_info(s->store, &st);

	/* clang-format off */
	const struct metric rows[] = {
		{ "store_commits_total",     "counter", "Commits of the store.", st.commits },
		{ "store_syncs_total",       "counter", "Groups of commits, each put on the disk by one sync.", st.groups },
		{ "store_commits_waiting",   "gauge",   "Commits that are not on the disk yet.", st.waiting },
		{ "audit_lines_total",       "counter", "Lines in the audit chain.", a.sequence },
		{ "audit_syncs_total",       "counter", "Times that the audit log was put on the disk.", a.syncs },
		{ "audit_checkpoints_total", "counter", "Signed checkpoints.", a.checkpoint },
		{ "audit_broken",            "gauge",   "1 when the audit log cannot be written.", a.broken },
	};
	/* clang-format on */

	add_all(p, rows, sizeof(rows) / sizeof(rows[0]));
}

enum hf_err
metrics_text(struct server *s, struct arena *arena, struct hf_text *out)
{
	struct page p = { .buf = arena_alloc(arena, PAGE), .cap = PAGE };

	if (p.buf == NULL)
		return HF_ERR_NO_MEMORY;
	add_operations(&p, s);
	add_transport(&p, s);
	add_keys(&p, s);
	add_devices(&p, s);
	add_disk(&p, s);
	if (p.full)
		return HF_ERR_TOO_LARGE;
	*out = (struct hf_text){ p.buf, p.len };
	return HF_OK;
}
