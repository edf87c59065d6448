/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "../lib/name.h"
#include "hcl.h"

enum { PATH_LENGTH_MAX = 4095, SOCKET_LENGTH_MAX = 107, LISTENERS_MAX = 64 };

enum setting_kind {
	SETTING_TEXT,    /* const char *; `words` limits it */
	SETTING_PATH,    /* const char *, made absolute; "" gives NULL */
	SETTING_SOCKET,  /* a path that fits sockaddr_un */
	SETTING_EVENTS,  /* "ipc://" and such a path, or "" */
	SETTING_URI,     /* of a token */
	SETTING_PIN,     /* where a PIN is, as hsm.h says */
	SETTING_INTEGER, /* between min and max */
	SETTING_BOOL,
	SETTING_MODE,   /* octal digits in quotes */
	SETTING_CHOICE, /* the index of one of `words` */
};

struct setting {
	const char *block; /* NULL: at the top */
	const char *name;
	enum setting_kind kind;
	size_t offset, size;
	const char *standard; /* as in the file, without quotes; NULL: must be
				 given */
	int64_t min, max;
	const char *words; /* "a|b" */
	const char *doc;
};

#define AT(type, member)                         \
	.offset = offsetof(struct type, member), \
	.size = sizeof(((struct type *)0)->member)
#define TOP(name_, kind_, member, standard_)                            \
	.name = (name_), .kind = SETTING_##kind_, AT(settings, member), \
	.standard = (standard_)
#define LIMIT(member_, standard_, min_, max_)                            \
	.block = "limits", .name = #member_, .kind = SETTING_INTEGER,    \
	AT(settings, transport.limits.member_), .standard = (standard_), \
	.min = (min_), .max = (max_)
#define TLS(member_, kind_, standard_)                                         \
	.name = #member_, .kind = SETTING_##kind_, AT(transport_tls, member_), \
	.standard = (standard_)

/* clang-format off */
static const struct setting rows[] = {
	{ TOP("socket", SOCKET, transport.socket, "/run/holdfast/keyd.sock"), .doc = "The Unix socket that clients connect to. Empty: none." },
	{ TOP("socket_mode", MODE, transport.socket_mode, "0666"), .max = 0777, .doc = "Permissions of the socket. Policy decides who may do what; the file need not." },
	{ TOP("state_dir", PATH, state_dir, "/var/lib/holdfast"), .min = 1, .doc = "The folder of the store." },
	{ TOP("policy_dir", PATH, policy_dir, "/etc/holdfast/policy.d"), .min = 1, .doc = "The folder of the policy files, *.hcl and *.json." },
	{ TOP("events", EVENTS, events, "ipc:///run/holdfast/events.sock"), .doc = "Where the event feed is published (nng PUB): ipc:// and a path. Empty: nowhere." },
	{ TOP("log_level", CHOICE, log_level, "info"), .words = "error|warning|info|debug", .doc = "How much is logged: error, warning, info or debug." },
	{ TOP("io_threads", INTEGER, transport.io_threads, "0"), .max = 64, .doc = "Threads that serve connections. 0: as many as cores, at most 4." },
	{ TOP("workers", INTEGER, transport.workers, "0"), .max = 256, .doc = "Requests that compute or wait for the HSM at a time, on threads of their own. Those that wait for the disk do not count. 0: two more than the sessions of all HSMs." },
	{ TOP("upsert", BOOL, upsert, "false"), .doc = "Whether encrypting with a key that does not exist makes the key, for callers with the capability \"create\", as Vault does." },
	{ TOP("default_level", TEXT, default_level, "wrapped"), .words = "wrapped|hsm", .doc = "Protection level of new keys for which none is asked: wrapped (used in locked memory of the daemon) or hsm (used inside the HSM)." },
	{ TOP("key_cache", INTEGER, key_cache, "10000"), .min = 1, .max = 10000000, .doc = "Opened keys that are kept in memory at most; others are opened anew when used." },
	{ TOP("idempotency_seconds", INTEGER, idempotency_seconds, "86400"), .min = 1, .max = 31536000, .doc = "How long the idempotency key of a request is known: the same request with the same key is not carried out again." },
	{ TOP("hsm_return_seconds", INTEGER, hsm_return_seconds, "30"), .max = 86400, .doc = "With several HSMs: seconds that the preferred one must have been back before it works again instead of another." },
	{ TOP("drain_seconds", INTEGER, drain_seconds, "10"), .max = 3600, .doc = "How long a stop waits for requests in flight." },

	{ LIMIT(message, "16777216", 65536, 268435456), .doc = "Bytes of a request." },
	{ LIMIT(connections, "4096", 1, 1000000), .doc = "Connections in all." },
	{ LIMIT(connections_uid, "1024", 1, 1000000), .doc = "Connections of one user or one certificate, and of all who have yet to show one." },
	{ LIMIT(in_flight, "256", 1, 65536), .doc = "Requests of one connection that wait for the HSM or the disk." },
	{ LIMIT(queue, "4096", 1, 1000000), .doc = "Such requests in all; beyond that callers get \"busy\"." },
	{ LIMIT(memory, "0", 0, 68719476736), .doc = "Bytes of large requests and replies in memory, for all connections. 0: 32 times limits.message." },
	{ LIMIT(handshake_ms, "5000", 10, 600000), .doc = "Milliseconds for the first bytes of a connection, TLS included." },
	{ LIMIT(frame_ms, "30000", 10, 3600000), .doc = "Milliseconds from the first byte of a request to its last." },
	{ LIMIT(send_ms, "30000", 10, 3600000), .doc = "Milliseconds after which a client that takes no bytes of its replies is cut off." },
	{ LIMIT(idle_s, "0", 0, 31536000), .doc = "Seconds after which an idle connection is closed. 0: never." },

	{ .block = "hsm", TOP("uri", URI, hsm.uri, "pkcs11:token=holdfast?module-path=/usr/lib/softhsm/libsofthsm2.so"), .min = 1, .doc = "The token, as a PKCS#11 URI (RFC 7512); module-path names the library, here that of SoftHSM2." },
	{ .block = "hsm", TOP("pin", PIN, hsm.pin_source, "cred:hsm-pin"), .doc = "Where the PIN is: file:PATH, env:NAME, fd:NUMBER, or cred:NAME for a systemd credential." },
	{ .block = "hsm", TOP("sessions", INTEGER, hsm.sessions, "0"), .max = 1024, .doc = "Sessions that work at the same time. 0: cores + 1." },
	{ .block = "hsm", TOP("deadline_ms", INTEGER, hsm.deadline_ms, "5000"), .min = 10, .max = 600000, .doc = "Milliseconds that a request waits for the HSM." },
	{ .block = "hsm", TOP("keepalive_ms", INTEGER, hsm.keepalive_ms, "0"), .max = 3600000, .doc = "Milliseconds between the signs of life that keep an idle connection to the HSM open. 0: 5000 where the HSM's library holds a connection (a socket, a pipe or a device), and none where it keeps to files, as SoftHSM does." },
	{ .block = "hsm", TOP("process", TEXT, hsm.process, "worker"), .words = "worker|inside", .doc = "Where the HSM's library lives: in a worker process that is killed when the library hangs and replaced when it crashes, or inside the daemon, where neither can be done." },

	{ .block = "usage", TOP("flush_seconds", INTEGER, usage_flush, "5"), .min = 1, .max = 3600, .doc = "Seconds after which the counters of uses are written down. A crash loses what was counted since, but never of what limits a key." },
	{ .block = "usage", TOP("lately", INTEGER, usage_lately, "2592000"), .max = 315360000, .doc = "Seconds: a key version that was used since is in use; it does not retire by itself, and is not destroyed unless forced. 0: none is in use." },

	{ .block = "schedule", TOP("clock_hold", INTEGER, clock_hold, "86400"), .max = 31536000, .doc = "When the clock leaps forward, what cannot be undone waits as long as the leap, but at most these seconds, or until \"holdfast schedule confirm\"." },

	{ .block = "audit", TOP("file", PATH, audit.file, "/var/log/holdfast/audit.log"), .min = 1, .doc = "The audit log." },
	{ .block = "audit", TOP("public_key", PATH, audit.public_key, "/var/log/holdfast/audit.pub"), .min = 1, .doc = "Where the key that checks its signatures is written." },
	{ .block = "audit", TOP("sync", CHOICE, audit.sync_every, "group"), .words = "group|every", .doc = "When lines are forced to the disk: group (changes wait for it, reads do not) or every (all wait)." },
	{ .block = "audit", TOP("checkpoint_lines", INTEGER, audit.checkpoint_lines, "10000"), .min = 1, .max = 100000000, .doc = "Lines after which the HSM signs a checkpoint." },
	{ .block = "audit", TOP("checkpoint_seconds", INTEGER, audit.checkpoint_seconds, "60"), .min = 1, .max = 86400, .doc = "Seconds after which it does, when there were lines." },

	{ .block = "sandbox", TOP("files", CHOICE, sandbox_files, "auto"), .words = "auto|on|off", .doc = "Whether the kernel keeps the process from starting programs, writing outside of its folders, and connecting to other machines (Landlock). auto: where the kernel can, hsm.process is worker, and the process has no CAP_SYS_PTRACE, which it is given to see the programs of its callers: that is not possible then. on: the daemon does not start without. off: never." },
	{ .block = "sandbox", TOP("calls", CHOICE, sandbox_calls, "auto"), .words = "auto|on|off", .doc = "Whether the kernel refuses it system calls that it does not need (seccomp). auto: where the kernel can and hsm.process is worker. on: the daemon does not start without. off: never." },
};

/* Those of a listener "name" {} block; their base is struct transport_tls. */
static const struct setting tls_rows[] = {
	{ TLS(address, TEXT, NULL), .min = 1, .doc = "Address and port, as in \"127.0.0.1:7655\" or \"[::1]:7655\"." },
	{ TLS(certificate, PATH, NULL), .min = 1, .doc = "The daemon's certificate chain (PEM)." },
	{ TLS(key, PATH, NULL), .min = 1, .doc = "Its private key (PEM)." },
	{ TLS(client_ca, PATH, NULL), .min = 1, .doc = "The authorities whose client certificates are accepted (PEM)." },
	{ TLS(allow_tls12, BOOL, "false"), .doc = "Whether TLS 1.2 is accepted, for clients without TLS 1.3 such as Debian's libnng." },
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
enum { TLS_ROWS = sizeof(tls_rows) / sizeof(tls_rows[0]) };

/* What reading needs at hand. */
struct reader {
	struct settings *s;
	const struct hcl_file *file;
	const char *folder; /* absolute */
	struct hf_why *why;
};

/* Hands `text` (malloc'ed, may be NULL) over to the settings. */
static enum hf_err
own(struct settings *s, char *text)
{
	char **grown;

	if (text == NULL)
		return HF_ERR_NO_MEMORY;
	grown = reallocarray(s->owned, s->owned_count + 1, sizeof(char *));
	if (grown == NULL) {
		free(text);
		return HF_ERR_NO_MEMORY;
	}
	s->owned = grown;
	s->owned[s->owned_count++] = text;
	return HF_OK;
}

/* Says what is wrong with a setting, under its whole name. */
static __attribute__((format(printf, 4, 5))) enum hf_err
refuse(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, const char *fmt, ...)
{
	char what[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return hcl_fail(r->file, node, r->why, "%s%s%s: %s",
	    row->block == NULL ? "" : row->block, row->block == NULL ? "" : ".",
	    row->name, what);
}

static void
store_integer(const struct setting *row, void *base, uint64_t v)
{
	uint8_t *at = (uint8_t *)base + row->offset;
	uint64_t wide = v;
	unsigned narrow = (unsigned)v;
	bool bit = v != 0;

	if (row->size == sizeof(bit))
		memcpy(at, &bit, sizeof(bit));
	else if (row->size == sizeof(narrow))
		memcpy(at, &narrow, sizeof(narrow));
	else
		memcpy(at, &wide, sizeof(wide));
}

static void
store_text(const struct setting *row, void *base, const char *text)
{
	memcpy((uint8_t *)base + row->offset, &text, sizeof(text));
}

/* The index of `text` among "a|b|c"; -1 when it is not one of them. */
static int
word_index(const char *words, struct hf_text text)
{
	int i = 0;

	for (const char *w = words;; i++) {
		size_t len = strcspn(w, "|");

		if (text_equal((struct hf_text){ w, len }, text))
			return i;
		if (w[len] == '\0')
			return -1;
		w += len + 1;
	}
}

static enum hf_err
refuse_word(const struct reader *r, const struct hcl_node *node,
    const struct setting *row)
{
	return refuse(r, node, row, "one of %s expected, got \"%.60s\"",
	    row->words, node->text.ptr);
}

/* prefix + text, with `folder` between when the text is a relative path. */
static enum hf_err
set_path(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base, const char *prefix,
    struct hf_text text)
{
	size_t max = row->kind == SETTING_PATH || row->kind == SETTING_PIN
	    ? PATH_LENGTH_MAX
	    : SOCKET_LENGTH_MAX;
	bool relative = text.ptr[0] != '/';
	char *path;
	enum hf_err err;

	if (asprintf(&path, "%s%s%s%s", prefix, relative ? r->folder : "",
		relative ? "/" : "", text.ptr) < 0)
		return HF_ERR_NO_MEMORY;
	if ((err = own(r->s, path)) != HF_OK)
		return err;
	if (strlen(path) - strlen(prefix) > max)
		return refuse(r, node, row, "%s has at most %zu characters",
		    max == SOCKET_LENGTH_MAX ? "the path of a socket"
					     : "a path",
		    max);
	store_text(row, base, path);
	return HF_OK;
}

static enum hf_err
set_text(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base)
{
	enum hf_err err;
	char *copy;

	if (node->text.len < (size_t)row->min)
		return refuse(r, node, row, "may not be empty");
	if (row->words != NULL && word_index(row->words, node->text) < 0)
		return refuse_word(r, node, row);
	copy = strdup(node->text.ptr);
	if ((err = own(r->s, copy)) != HF_OK)
		return err;
	store_text(row, base, copy);
	return HF_OK;
}

static enum hf_err
set_file(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base)
{
	if (node->text.len == 0 && row->min > 0)
		return refuse(r, node, row, "may not be empty");
	if (node->text.len == 0) {
		store_text(row, base, NULL);
		return HF_OK;
	}
	return set_path(r, node, row, base, "", node->text);
}

/* Only ipc://: over TCP anybody on the net could read the feed. */
static enum hf_err
set_events(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base)
{
	struct hf_text text = node->text;
	struct hf_text prefix = TEXT("ipc://");

	if (text.len == 0) {
		store_text(row, base, NULL);
		return HF_OK;
	}
	if (!text_starts(text, prefix) || text.len == prefix.len)
		return refuse(r, node, row, "ipc:// and a path expected");
	text.ptr += prefix.len;
	text.len -= prefix.len;
	return set_path(r, node, row, base, "ipc://", text);
}

/* The rest of the URI is checked when the HSM is opened. */
static enum hf_err
set_uri(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base)
{
	enum hf_err err = set_text(r, node, row, base);

	if (err != HF_OK)
		return err;
	if (!text_starts(node->text, TEXT("pkcs11:")))
		return refuse(r, node, row, "pkcs11:token=... expected");
	if (strstr(node->text.ptr, "pin-value=") != NULL ||
	    strstr(node->text.ptr, "pin-source=") != NULL)
		return refuse(r, node, row,
		    "the PIN has no place in the URI; hsm.pin says where it "
		    "is");
	return HF_OK;
}

static enum hf_err
set_pin(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base)
{
	static const char *const kinds[] = { "file:", "env:", "fd:", "cred:" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct hf_text kind = text_of(kinds[i]), rest = node->text;

		if (!text_starts(node->text, kind) || rest.len == kind.len)
			continue;
		rest.ptr += kind.len;
		rest.len -= kind.len;
		if (i == 0)
			return set_path(r, node, row, base, "file:", rest);
		return set_text(r, node, row, base);
	}
	/* Not the text itself: somebody may have put the PIN there. */
	return refuse(r, node, row,
	    "file:PATH, env:NAME, fd:NUMBER or "
	    "cred:NAME expected; the PIN itself has no place in this file");
}

static enum hf_err
set_integer(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base)
{
	if (!node->integer)
		return refuse(r, node, row, "a whole number expected");
	if (node->number < row->min || node->number > row->max)
		return refuse(r, node, row, "%lld is not between %lld and %lld",
		    (long long)node->number, (long long)row->min,
		    (long long)row->max);
	store_integer(row, base, (uint64_t)node->number);
	return HF_OK;
}

static enum hf_err
set_bool(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base)
{
	(void)r;
	store_integer(row, base, node->truth);
	return HF_OK;
}

static enum hf_err
set_mode(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base)
{
	unsigned long mode;

	if (node->text.len < 3 || node->text.len > 4 ||
	    strspn(node->text.ptr, "01234567") != node->text.len ||
	    (mode = strtoul(node->text.ptr, NULL, 8)) > (unsigned long)row->max)
		return refuse(
		    r, node, row, "permissions such as \"0660\" expected");
	store_integer(row, base, mode);
	return HF_OK;
}

static enum hf_err
set_choice(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base)
{
	int i = word_index(row->words, node->text);

	if (i < 0)
		return refuse_word(r, node, row);
	store_integer(row, base, (uint64_t)i);
	return HF_OK;
}

/* A function each: the kinds differ in how they are checked. */
static const struct {
	enum hcl_kind node;
	enum hf_err (*set)(const struct reader *, const struct hcl_node *,
	    const struct setting *, void *base);
} kinds[] = {
	[SETTING_TEXT] = { HCL_STRING, set_text },
	[SETTING_PATH] = { HCL_STRING, set_file },
	[SETTING_SOCKET] = { HCL_STRING, set_file },
	[SETTING_EVENTS] = { HCL_STRING, set_events },
	[SETTING_URI] = { HCL_STRING, set_uri },
	[SETTING_PIN] = { HCL_STRING, set_pin },
	[SETTING_INTEGER] = { HCL_NUMBER, set_integer },
	[SETTING_BOOL] = { HCL_BOOL, set_bool },
	[SETTING_MODE] = { HCL_STRING, set_mode },
	[SETTING_CHOICE] = { HCL_STRING, set_choice },
};

static enum hf_err
set(const struct reader *r, const struct hcl_node *node,
    const struct setting *row, void *base)
{
	if (node->kind != kinds[row->kind].node)
		return refuse(r, node, row, "a %s expected, got a %s",
		    hcl_kind_name(kinds[row->kind].node),
		    hcl_kind_name(node->kind));
	return kinds[row->kind].set(r, node, row, base);
}

/* The default of a row, through the same door as a value of the file. */
static enum hf_err
set_standard(const struct reader *r, const struct setting *row, void *base)
{
	struct hcl_node node = {
		.kind = kinds[row->kind].node,
		.text = text_of(row->standard),
		.truth = strcmp(row->standard, "true") == 0,
		.integer = true,
		.number = strtoll(row->standard, NULL, 10),
	};

	return set(r, &node, row, base);
}

static bool
same_block(const struct setting *row, const char *block)
{
	return row->block == NULL || block == NULL
	    ? row->block == block
	    : strcmp(row->block, block) == 0;
}

static const struct setting *
find_row(const struct setting *table, size_t count, const char *block,
    struct hf_text name)
{
	for (size_t i = 0; i < count; i++)
		if (same_block(&table[i], block) &&
		    text_is(name, table[i].name))
			return &table[i];
	return NULL;
}

static bool
is_block(const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].block != NULL && strcmp(rows[i].block, name) == 0)
			return true;
	return false;
}

/* A setting that is not where it stands; `block` as in find_row(). */
static enum hf_err
unknown(const struct reader *r, const struct hcl_node *node, const char *block)
{
	for (size_t i = 0; i < ROWS; i++)
		if (text_is(node->key, rows[i].name))
			return hcl_fail(r->file, node, r->why,
			    "the setting \"%.60s\" belongs %s%s", node->key.ptr,
			    rows[i].block == NULL ? "outside of all blocks"
						  : "into the block ",
			    rows[i].block == NULL ? "" : rows[i].block);
	return hcl_fail(r->file, node, r->why,
	    "unknown setting \"%.60s\"%s%s; 'holdfast-keyd --print-config' "
	    "shows all",
	    node->key.ptr, block == NULL ? "" : " in the block ",
	    block == NULL ? "" : block);
}

static enum hf_err
read_members(
    const struct reader *r, const struct hcl_node *object, const char *block)
{
	const struct setting *row;
	enum hf_err err;

	for (const struct hcl_node *n = object->first; n != NULL; n = n->next) {
		row = find_row(rows, ROWS, block, n->key);
		if (row == NULL)
			return unknown(r, n, block);
		if ((err = set(r, n, row, r->s)) != HF_OK)
			return err;
	}
	return HF_OK;
}

static enum hf_err
read_listener(const struct reader *r, const struct hcl_node *block,
    struct transport_tls *tls)
{
	const struct setting *row;
	enum hf_err err;

	for (size_t i = 0; i < TLS_ROWS; i++) {
		row = &tls_rows[i];
		if (row->standard != NULL &&
		    (err = set_standard(r, row, tls)) != HF_OK)
			return err;
		if (row->standard == NULL && hcl_get(block, row->name) == NULL)
			return hcl_fail(r->file, block, r->why,
			    "the listener \"%.60s\" needs \"%s\"",
			    block->key.ptr, row->name);
	}
	for (const struct hcl_node *n = block->first; n != NULL; n = n->next) {
		row = find_row(tls_rows, TLS_ROWS, NULL, n->key);
		if (row == NULL)
			return hcl_fail(r->file, n, r->why,
			    "unknown setting \"%.60s\" in a listener",
			    n->key.ptr);
		if ((err = set(r, n, row, tls)) != HF_OK)
			return err;
	}
	return HF_OK;
}

static enum hf_err
read_listeners(const struct reader *r, const struct hcl_node *all)
{
	struct settings *s = r->s;
	enum hf_err err;

	if (!all->labelled)
		return hcl_fail(r->file, all, r->why,
		    "a listener has a name: listener \"name\" { ... }");
	if (all->count > LISTENERS_MAX)
		return hcl_fail(r->file, all, r->why, "more than %d listeners",
		    LISTENERS_MAX);
	s->tls = calloc(all->count, sizeof(*s->tls));
	if (s->tls == NULL)
		return HF_ERR_NO_MEMORY;
	s->transport.tls = s->tls;
	for (const struct hcl_node *n = all->first; n != NULL; n = n->next) {
		for (const struct hcl_node *m = all->first; m != n; m = m->next)
			if (text_equal(m->key, n->key))
				return hcl_fail(r->file, n, r->why,
				    "the listener \"%.60s\" is there already, "
				    "on line %u",
				    n->key.ptr, m->line);
		if ((err = read_listener(
			 r, n, &s->tls[s->transport.tls_count])) != HF_OK)
			return err;
		s->transport.tls_count++;
	}
	return HF_OK;
}

/*
 * One of several HSMs. It is read into the place of the only one, which has its
 * defaults then, and moved.
 */
static enum hf_err
read_hsm(const struct reader *r, const struct hcl_node *block)
{
	struct settings *s = r->s;
	char *name;
	enum hf_err err;

	if (block->kind != HCL_OBJECT || !name_valid(block->key) ||
	    block->key.len >= HSM_NAME)
		return hcl_fail(r->file, block, r->why,
		    "an HSM has a name of 1 to %d of a-z A-Z 0-9 . _ -",
		    HSM_NAME - 1);
	if (s->hsm_count == HSM_DEVICES)
		return hcl_fail(
		    r->file, block, r->why, "more than %d HSMs", HSM_DEVICES);
	if (hcl_get(block, "uri") == NULL)
		return hcl_fail(r->file, block, r->why,
		    "the HSM \"%.60s\" needs \"uri\"", block->key.ptr);
	for (size_t i = 0; i < ROWS; i++)
		if (same_block(&rows[i], "hsm") &&
		    (err = set_standard(r, &rows[i], s)) != HF_OK)
			return err;
	if ((err = read_members(r, block, "hsm")) != HF_OK)
		return err;
	name = strdup(block->key.ptr);
	if ((err = own(s, name)) != HF_OK)
		return err;
	s->hsms[s->hsm_count++] = (struct settings_hsm){ name, s->hsm };
	return HF_OK;
}

static enum hf_err
read_hsms(const struct reader *r, const struct hcl_node *all)
{
	struct settings *s = r->s;
	enum hf_err err;

	for (const struct hcl_node *n = all->first; n != NULL; n = n->next) {
		if (hcl_get(all, n->key.ptr) != n)
			return hcl_fail(r->file, n, r->why,
			    "the HSM \"%.60s\" is there already, on line %u",
			    n->key.ptr, hcl_get(all, n->key.ptr)->line);
		if ((err = read_hsm(r, n)) != HF_OK)
			return err;
	}
	s->hsm = s->hsms[0].hsm;
	return HF_OK;
}

/* A member of the whole file: a setting, a block of settings, listeners. */
static enum hf_err
read_top(const struct reader *r, const struct hcl_node *root,
    const struct hcl_node *n)
{
	const struct setting *row = find_row(rows, ROWS, NULL, n->key);

	if (row != NULL)
		return set(r, n, row, r->s);
	if (text_is(n->key, "listener") && n->kind == HCL_OBJECT)
		return read_listeners(r, n);
	if (!is_block(n->key.ptr))
		return unknown(r, n, NULL);
	if (n->kind != HCL_OBJECT)
		return hcl_fail(r->file, n, r->why,
		    "%s: a block expected, got a %s", n->key.ptr,
		    hcl_kind_name(n->kind));
	if (hcl_get(root, n->key.ptr) != n)
		return hcl_fail(r->file, n, r->why,
		    "the block %s is there already, on line %u", n->key.ptr,
		    hcl_get(root, n->key.ptr)->line);
	if (n->labelled && text_is(n->key, "hsm"))
		return read_hsms(r, n);
	return read_members(r, n, n->key.ptr);
}

static enum hf_err
read_file(const struct reader *r)
{
	const struct hcl_node *root = hcl_root(r->file);
	enum hf_err err;

	for (size_t i = 0; i < ROWS; i++)
		if ((err = set_standard(r, &rows[i], r->s)) != HF_OK)
			return err;
	for (const struct hcl_node *n = root->first; n != NULL; n = n->next)
		if ((err = read_top(r, root, n)) != HF_OK)
			return err;
	if (r->s->hsm_count == 0)
		r->s->hsms[r->s->hsm_count++] =
		    (struct settings_hsm){ "hsm", r->s->hsm };
	return HF_OK;
}

/* The absolute folder of `path`, malloc'ed; NULL with errno. */
static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder, *absolute;

	if (slash == NULL)
		folder = strdup(".");
	else if (slash == path)
		folder = strdup("/");
	else
		folder = strndup(path, (size_t)(slash - path));
	if (folder == NULL)
		return NULL;
	absolute = realpath(folder, NULL);
	free(folder);
	return absolute;
}

enum hf_err
settings_load(const char *path, struct settings *out, struct hf_why *why)
{
	struct settings s = { 0 };
	struct hcl_file *file = NULL;
	struct reader r = { .s = &s, .why = why };
	char *folder;
	enum hf_err err;

	err = hcl_load(path, HF_ERR_BAD_SETTINGS, &file, why);
	if (err != HF_OK)
		return err;
	r.file = file;
	r.folder = folder = folder_of(path);
	if (folder == NULL)
		err = hf_fail(
		    why, HF_ERR_BAD_SETTINGS, "%s: %s", path, strerror(errno));
	else if ((err = own(&s, strdup(path))) == HF_OK) {
		s.file = s.owned[0];
		err = read_file(&r);
	}
	free(folder);
	hcl_free(file);
	if (err != HF_OK) {
		settings_free(&s);
		return err;
	}
	*out = s;
	return HF_OK;
}

void
settings_free(struct settings *s)
{
	for (size_t i = 0; i < s->owned_count; i++)
		free(s->owned[i]);
	free(s->owned);
	free(s->tls);
	*s = (struct settings){ 0 };
}

/* `text` as a comment, broken into lines of at most 76 characters. */
static void
print_comment(FILE *out, const char *indent, const char *text)
{
	size_t column = 0;

	for (const char *w = text; *w != '\0';) {
		size_t len = strcspn(w, " ");

		if (column == 0 || column + 1 + len > 74) {
			(void)fprintf(
			    out, "%s%s# ", column == 0 ? "" : "\n", indent);
			column = 0;
		} else {
			(void)fputc(' ', out);
			column++;
		}
		(void)fprintf(out, "%.*s", (int)len, w);
		column += len;
		w += len + (w[len] == ' ');
	}
	(void)fputc('\n', out);
}

static void
print_row(FILE *out, const char *indent, const struct setting *row)
{
	const char *quote = kinds[row->kind].node == HCL_STRING ? "\"" : "";

	print_comment(out, indent, row->doc);
	(void)fprintf(out, "%s%s = %s%s%s\n", indent, row->name, quote,
	    row->standard == NULL ? "" : row->standard, quote);
}

void
settings_print_defaults(FILE *out)
{
	const char *block = NULL;

	(void)fputs(
	    "# The settings of holdfast-keyd, each with its default. "
	    "Relative paths are\n# relative to the folder of this file.\n",
	    out);
	for (size_t i = 0; i < ROWS; i++) {
		if (!same_block(&rows[i], block)) {
			(void)fprintf(out, "%s\n%s {\n",
			    block == NULL ? "" : "}\n",
			    rows[i].block == NULL ? "" : rows[i].block);
			block = rows[i].block;
		} else {
			(void)fputc('\n', out);
		}
		print_row(out, block == NULL ? "" : "\t", &rows[i]);
	}
	(void)fputs(
	    "}\n\n# Several HSMs have a name each, and stand in the order of "
	    "preference:\n#hsm \"left\" {\n#\turi = "
	    "\"pkcs11:serial=0a1b?module-path=/usr/lib/vendor.so\"\n#\tpin = "
	    "\"cred:left-pin\"\n#}\n#hsm \"right\" {\n#\turi = "
	    "\"pkcs11:serial=2c3d?module-path=/usr/lib/vendor.so\"\n#\tpin = "
	    "\"cred:right-pin\"\n#}\n\n# A TLS listener for other hosts; there may be "
	    "several, each with a name.\n# The client's certificate says who "
	    "it is (\"cert:\" in policy).\n#listener \"fleet\" {\n",
	    out);
	for (size_t i = 0; i < TLS_ROWS; i++)
		print_row(out, "#\t", &tls_rows[i]);
	(void)fputs("#}\n", out);
}
