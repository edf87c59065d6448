/* SPDX-License-Identifier: Apache-2.0 */
#include "once.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "record.h"
#include "sealed_record.h"

enum {
	STAMP = 8 /* the time in front */,
	ENTRY = 128 /* of a record, besides the reply */
};

/* What a record says; `op` is a number of ops.def, which are never reused. */
struct once_record {
	uint64_t op;
	struct hf_bytes input;
	uint64_t time;
	struct hf_bytes reply;
};

/* clang-format off */
SCHEMA(once_schema, once_record,
	F(once_record, "op",    op,    1, UINT32_MAX, REQUIRED, NULL, ""),
	F(once_record, "input", input, 32, 32, REQUIRED, NULL, ""),
	F(once_record, "time",  time,  0, INT64_MAX, REQUIRED, NULL, ""),
	F(once_record, "reply", reply, 0, ONCE_REPLY_MAX, 0, NULL, ""));
/* clang-format on */

/* -- Names -- */

/* "once/uid:1000/", or with the hash of a client certificate. */
static void
caller_prefix(const struct identity *who, char out[ONCE_NAME])
{
	if (who->local)
		(void)snprintf(
		    out, ONCE_NAME, "once/uid:%lu/", (unsigned long)who->uid);
	else
		(void)snprintf(out, ONCE_NAME, "once/%s/", who->cert_sha256);
}

static enum hf_err
record_name(const struct identity *who, struct hf_text key, char out[ONCE_NAME])
{
	enum { HASHED = 16 };
	uint8_t hash[32];
	size_t len;
	enum hf_err err = crypto_sha256(bytes_of_text(key), hash);

	if (err != HF_OK)
		return err;
	caller_prefix(who, out);
	len = strlen(out);
	hex_encode(hash, HASHED, out + len);
	return HF_OK;
}

/* Before what was done so early nothing is remembered. */
static bool
is_old(uint64_t then, uint64_t now, uint64_t window)
{
	return then < now && now - then > window;
}

/* -- Looking -- */

static enum hf_err
open_record(struct hierarchy *h, const struct store_value *v,
    struct arena *arena, struct once *o, uint64_t window)
{
	AUTO_SECRET plain = { 0 };
	struct once_record rec;
	enum hf_err err;

	if (v->len < STAMP)
		return HF_ERR_STORE_DAMAGED;
	if ((err = sealed_record_open(h, text_of(o->name),
		 bytes_of(v->ptr + STAMP, v->len - STAMP), &once_schema, &plain,
		 &rec)) != HF_OK)
		return err;
	if (is_old(rec.time, o->time, window))
		return HF_OK;
	o->found = true;
	o->same = rec.op == o->op &&
	    bytes_equal(rec.input, bytes_of(o->input, sizeof(o->input)));
	o->time = rec.time;
	if (rec.reply.ptr == NULL)
		return HF_OK;
	o->reply.ptr = arena_alloc(arena, rec.reply.len);
	if (o->reply.ptr == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy((void *)(uintptr_t)o->reply.ptr, rec.reply.ptr, rec.reply.len);
	o->reply.len = rec.reply.len;
	return HF_OK;
}

enum hf_err
once_find(struct store *store, struct hierarchy *h, const struct identity *who,
    struct hf_text key, uint64_t op, struct hf_bytes input, uint64_t window,
    struct arena *arena, struct once *out)
{
	struct store_value v = { 0 };
	enum hf_err err;

	*out = (struct once){ .op = op, .time = (uint64_t)time(NULL) };
	if ((err = record_name(who, key, out->name)) != HF_OK ||
	    (err = crypto_sha256(input, out->input)) != HF_OK)
		return err;
	err = store_get(store, text_of(out->name), &v);
	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	if (err != HF_OK)
		return err;
	out->revision = v.revision;
	err = open_record(h, &v, arena, out, window);
	store_value_free(&v);
	return err;
}

/* -- Records that are too old -- */

enum { SWEEP_AT_ONCE = 256 };

struct sweep {
	char names[SWEEP_AT_ONCE][ONCE_NAME];
	size_t count;  /* too old */
	size_t others; /* still good */
	uint64_t now, window;
};

static bool
sweep_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct sweep *s = ctx;
	uint64_t then = value.len < STAMP ? 0 : get_u64(value.ptr);

	(void)revision;
	if (!is_old(then, s->now, s->window)) {
		s->others++;
		return true;
	}
	if (key.len >= ONCE_NAME)
		return true;
	memcpy(s->names[s->count], key.ptr, key.len);
	s->names[s->count++][key.len] = '\0';
	return s->count < SWEEP_AT_ONCE;
}

/* Removes what is too old below a prefix, up to a number at once. */
static enum hf_err
sweep_prefix(struct store *store, struct hf_text prefix, struct sweep *s)
{
	struct store_write writes[SWEEP_AT_ONCE];
	enum hf_err err;

	s->count = s->others = 0;
	err =
	    store_list(store, prefix, (struct hf_text){ 0 }, 0, sweep_each, s);
	if (err != HF_OK || s->count == 0)
		return err;
	for (size_t i = 0; i < s->count; i++)
		writes[i] =
		    (struct store_write){ text_of(s->names[i]), { NULL, 0 } };
	return store_commit(store, NULL, 0, writes, s->count, NULL);
}

enum hf_err
once_sweep(struct store *store, uint64_t now, uint64_t window, bool *more)
{
	struct sweep *s = calloc(1, sizeof(*s));
	enum hf_err err;

	if (s == NULL)
		return HF_ERR_NO_MEMORY;
	s->now = now;
	s->window = window;
	err = sweep_prefix(store, TEXT("once/"), s);
	*more = s->count == SWEEP_AT_ONCE;
	free(s);
	return err;
}

/* -- Writing -- */

struct counter {
	size_t count;
};

static bool
count_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct counter *c = ctx;

	(void)key;
	(void)value;
	(void)revision;
	return ++c->count < ONCE_KEYS_MAX;
}

static enum hf_err
make_room(struct store *store, const struct once *once, uint64_t window)
{
	struct hf_text prefix = { once->name,
		(size_t)(strrchr(once->name, '/') + 1 - once->name) };
	struct counter c = { 0 };
	struct sweep *s;
	enum hf_err err =
	    store_list(store, prefix, (struct hf_text){ 0 }, 0, count_each, &c);

	if (err != HF_OK || c.count < ONCE_KEYS_MAX)
		return err;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return HF_ERR_NO_MEMORY;
	s->now = once->time;
	s->window = window;
	err = sweep_prefix(store, prefix, s);
	if (err == HF_OK && s->count == 0)
		err = HF_ERR_IDEMPOTENCY_FULL;
	free(s);
	return err;
}

enum hf_err
once_write(struct store *store, struct hierarchy *h, const struct once *once,
    uint64_t window, struct hf_bytes reply, struct arena *arena,
    struct store_cond *cond, struct store_write *write)
{
	struct once_record rec = { once->op,
		bytes_of(once->input, sizeof(once->input)), once->time, reply };
	size_t room = ENTRY + reply.len, len;
	uint8_t *plain = arena_alloc(arena, room);
	uint8_t *value = arena_alloc(arena, STAMP + room + SEAL_EXTRA);
	enum hf_err err;

	if (plain == NULL || value == NULL)
		return HF_ERR_NO_MEMORY;
	if ((reply.ptr == NULL &&
		(err = make_room(store, once, window)) != HF_OK) ||
	    (err = record_encode(&once_schema, &rec, plain, room, &len)) !=
		HF_OK ||
	    (err = hierarchy_seal(h, TEXT("default"), text_of(once->name),
		 bytes_of(plain, len), value + STAMP)) != HF_OK)
		return err;
	put_u64(value, once->time);
	*cond = (struct store_cond){ text_of(once->name), once->revision };
	*write = (struct store_write){ text_of(once->name),
		bytes_of(value, STAMP + len + SEAL_EXTRA) };
	return HF_OK;
}
