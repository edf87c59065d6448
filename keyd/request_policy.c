/* SPDX-License-Identifier: Apache-2.0 */
#include "request_policy.h"

#include "../lib/bytes.h"
#include "keys.h"
#include "once.h"
#include "request_slot.h"
#include "server.h"

/* -- Who asks -- */

/* The slot of a connection belongs to the thread of that connection. */
static enum hf_err
grant_of_slot(struct request *rq)
{
	struct request_slot *slot = rq->slot;
	struct policy_store *ps = rq->server->policy;
	enum hf_err err;

	if (slot->grant == NULL ||
	    policy_grant_generation(slot->grant) != policy_generation(ps)) {
		request_slot_clear(slot);
		err = policy_grant_for(ps, rq->who, &slot->grant);
		if (err != HF_OK)
			return err;
	}
	rq->grant = policy_grant_ref(slot->grant);
	return HF_OK;
}

/* On a worker: the grant came along, but may have grown old in the queue. */
static enum hf_err
grant_brought_along(struct request *rq)
{
	struct policy_store *ps = rq->server->policy;
	struct policy_grant *now;
	enum hf_err err;

	if (policy_grant_generation(rq->grant) == policy_generation(ps))
		return HF_OK;
	if ((err = policy_grant_for(ps, rq->who, &now)) != HF_OK)
		return err;
	policy_grant_free(rq->grant);
	rq->grant = now;
	return HF_OK;
}

enum hf_err
request_identify(struct request *rq)
{
	enum hf_err err =
	    rq->grant == NULL ? grant_of_slot(rq) : grant_brought_along(rq);

	if (err != HF_OK)
		return err;
	if (policy_grant_pins_process(rq->grant) &&
	    !identity_still_valid(rq->who))
		return hf_fail(&rq->why, HF_ERR_NOT_IDENTIFIED,
		    "the process that connected has ended or runs another "
		    "program now; connect again");
	return HF_OK;
}

/* -- The key that it is about -- */

static struct hf_text
request_name(const struct request *rq)
{
	const struct field *f = op_key_field(rq->op);

	if (f == NULL)
		return (struct hf_text){ 0 };
	return *(const struct hf_text *)field_at(f, rq->in);
}

bool
request_is_stranger(const struct request *rq)
{
	return policy_grant_is_empty(rq->grant);
}

/*
 * An alias is followed once: the intent in the audit log names the key that it
 * stood for then, and a request that is run again is about that one, wherever
 * the alias points to by now.
 */
enum hf_err
request_find_key(struct request *rq)
{
	struct hf_text name;
	enum hf_err err;

	if (!op_names_key(rq->op) || request_is_stranger(rq))
		return HF_OK;
	name = rq->intended != NULL ? text_of(rq->intended->name)
				    : request_name(rq);
	err = keys_get(rq->server->keys, name, rq->may_block, &rq->key);
	if (err == HF_ERR_DEFER)
		return err;
	rq->lookup = err;
	/* Since the intent there is an alias of the name that it has. */
	if (err == HF_OK && rq->intent_written && !text_is(name, rq->key->name))
		return HF_ERR_STORE_CONFLICT;
	return HF_OK;
}

/* -- May they -- */

/* What is given, as parameter rules see it. The arena has room for all. */
struct params {
	struct arena *arena;
	struct policy_param *items;
	size_t count, room;
	bool cut; /* no memory: then nothing is allowed */
};

static void
params_add(struct params *p, const char *name, struct hf_text value)
{
	if (p->count == p->room || value.ptr == NULL) {
		p->cut = true;
		return;
	}
	p->items[p->count++] =
	    (struct policy_param){ .name = name, .value = value };
}

static void
params_add_pair(struct params *p, const struct hf_pair *pair)
{
	if (p->count == p->room) {
		p->cut = true;
		return;
	}
	p->items[p->count++] = (struct policy_param){ .pair = *pair };
}

static void
params_add_number(struct params *p, const char *name, uint64_t number)
{
	params_add(p, name,
	    text_of(
		arena_printf(p->arena, "%llu", (unsigned long long)number)));
}

/* Data and ciphertexts count by their presence; other bytes, such as the
 * associated data, by their value. */
static void
params_add_bytes(struct params *p, const struct field *f, struct hf_bytes b)
{
	if (b.ptr == NULL)
		return;
	if ((f->flags & (SECRET | DATA | SEALED)) != 0)
		b = bytes_of("", 0);
	params_add(p, f->name, (struct hf_text){ (const char *)b.ptr, b.len });
}

static void
params_add_texts(struct params *p, const struct field *f, const void *base,
    const struct hf_text *texts)
{
	size_t count = texts == NULL ? 0 : field_count(f, base);

	for (size_t i = 0; i < count; i++)
		params_add(p, f->name, texts[i]);
}

/* That there is a context is a parameter, too. */
static void
params_add_context(struct params *p, const struct field *f, const void *base)
{
	const void *at = field_at(f, base);
	const struct hf_pair *pairs = *(const struct hf_pair *const *)at;

	if (pairs == NULL)
		return;
	params_add(p, f->name, TEXT(""));
	for (size_t i = 0;
	     (f->flags & CONTEXT) != 0 && i < field_count(f, base); i++)
		params_add_pair(p, &pairs[i]);
}

static void
params_add_field(struct params *p, const struct field *f, const void *base)
{
	const void *at = field_at(f, base);

	switch (f->kind) {
	case FIELD_TEXT:
		if (((const struct hf_text *)at)->ptr != NULL)
			params_add(p, f->name, *(const struct hf_text *)at);
		break;
	case FIELD_BYTES:
		params_add_bytes(p, f, *(const struct hf_bytes *)at);
		break;
	case FIELD_UINT:
		if (*(const uint64_t *)at != 0)
			params_add_number(p, f->name, *(const uint64_t *)at);
		break;
	case FIELD_OPT:
		if (((const struct hf_uint *)at)->present)
			params_add_number(
			    p, f->name, ((const struct hf_uint *)at)->value);
		break;
	case FIELD_BOOL:
		if (*(const bool *)at)
			params_add(p, f->name, TEXT("true"));
		break;
	case FIELD_TRI:
		if (*(const enum hf_tri *)at != HF_UNSET)
			params_add(p, f->name,
			    *(const enum hf_tri *)at == HF_TRUE
				? TEXT("true")
				: TEXT("false"));
		break;
	case FIELD_TEXTS:
		params_add_texts(p, f, base, *(struct hf_text *const *)at);
		break;
	case FIELD_PAIRS:
		params_add_context(p, f, base);
		break;
	case FIELD_LIST:
		if (*(void *const *)at != NULL)
			params_add(p, f->name, TEXT(""));
		break;
	}
}

static void
params_add_all(struct params *p, const struct schema *s, const void *base)
{
	for (size_t i = 0; i < s->count; i++)
		if ((s->fields[i].flags & KEYNAME) == 0)
			params_add_field(p, &s->fields[i], base);
}

/* How many parameters a request can have; those of one item count once. An
 * item has no texts, and pairs as bounded by its row. */
static size_t
params_room(const struct schema *s, const void *base)
{
	size_t n = s->count;

	for (size_t i = 0; i < s->count; i++) {
		const struct field *f = &s->fields[i];

		if (f->kind == FIELD_TEXTS)
			n += field_count(f, base);
		else if (f->kind == FIELD_PAIRS)
			n += (size_t)f->max;
		else if (f->kind == FIELD_LIST)
			n += params_room(f->item, NULL);
	}
	return n;
}

/* What policy is asked: `in`, a struct of `schema`, with the path of `look`. */
struct question {
	const struct policy_look *look;
	unsigned caps;
	const struct schema *schema;
	const void *in;
};

static bool
ask(const struct question *q, const struct params *p)
{
	return !p->cut &&
	    policy_look_check(q->look, q->caps, p->items, p->count, NULL);
}

/*
 * A batch is as many requests: what stands in an item is asked about item by
 * item, together with what stands beside the batch.
 */
static bool
items_allowed(const struct question *q, struct params *p, const struct field *f)
{
	const uint8_t *items = *(void *const *)field_at(f, q->in);
	size_t count = items == NULL ? 0 : field_count(f, q->in);
	size_t outer = p->count;

	for (size_t i = 0; i < count; i++) {
		p->count = outer;
		params_add_all(p, f->item, items + i * f->item->size);
		if (!ask(q, p))
			return false;
	}
	p->count = outer;
	return true;
}

static bool
params_allowed(const struct question *q, struct arena *arena)
{
	const struct schema *s = q->schema;
	struct params p = { .arena = arena, .room = params_room(s, q->in) };
	bool batch = false;

	p.items = arena_array(arena, p.room, sizeof(*p.items));
	if (p.items == NULL)
		return false;
	params_add_all(&p, s, q->in);
	for (size_t i = 0; i < s->count; i++) {
		const struct field *f = &s->fields[i];

		if (f->kind != FIELD_LIST || field_count(f, q->in) == 0)
			continue;
		batch = true;
		if (!items_allowed(q, &p, f))
			return false;
	}
	/* With a batch, its items have spoken for what stands beside it. */
	return batch || ask(q, &p);
}

static bool
may(struct request *rq, const struct policy_look *look, unsigned caps,
    const struct schema *schema, const void *in)
{
	const struct question q = { look, caps, schema, in };

	if (policy_look_wants_params(look))
		return params_allowed(&q, rq->arena);
	return policy_look_check(look, caps, NULL, 0, NULL);
}

bool
request_may(struct request *rq, struct hf_text path, unsigned caps,
    const struct schema *schema, const void *in)
{
	struct policy_look look = policy_look(rq->grant, path);

	return may(rq, &look, caps, schema, in);
}

static bool
allowed(struct request *rq, const struct policy_look *look, unsigned caps)
{
	/* The handler asks policy itself, about each thing that it shows. */
	if ((rq->op->flags & OP_FILTERED) != 0)
		return !request_is_stranger(rq);
	return may(rq, look, caps, rq->op->in, rq->in);
}

/*
 * Where nothing is yet, to write it is to create it (Vault's rule). Encrypt
 * may only be asked to where the service is set so.
 */
static bool
may_create(struct request *rq, const struct policy_look *look)
{
	/* Who made the key under this idempotency key may hear of it again. */
	bool again = rq->once != NULL && rq->once->found && rq->once->same;

	if ((rq->op->flags & OP_UPSERT) == 0 ||
	    (rq->lookup != HF_ERR_KEY_NOT_FOUND && !again))
		return false;
	if ((rq->op->flags & OP_MAKES) == 0 && !rq->server->upsert)
		return false;
	return allowed(rq, look, HF_CAP_CREATE);
}

/* The path, and the rules that speak about it. */
static enum hf_err
look_up(struct request *rq, struct policy_look *look)
{
	struct hf_text name =
	    rq->key != NULL ? text_of(rq->key->name) : request_name(rq);
	struct request_slot *slot = rq->slot;

	/* What the slot knows is as old as its grant, which this request may
	 * have left behind. */
	if (slot != NULL && slot->grant != rq->grant)
		slot = NULL;
	if (slot != NULL)
		rq->memo = request_memo_find(slot, rq->op, name);
	if (rq->memo != NULL) {
		rq->path = rq->memo->path;
		*look = rq->memo->look;
		return HF_OK;
	}
	rq->path = op_path(rq->op, name, rq->arena);
	if (rq->path == NULL)
		return HF_ERR_NO_MEMORY;
	*look = policy_look(rq->grant, text_of(rq->path));
	if (slot != NULL)
		rq->memo =
		    request_memo_keep(slot, rq->op, name, rq->path, look);
	return HF_OK;
}

enum hf_err
request_allow(struct request *rq)
{
	unsigned caps = rq->op->cap;
	struct policy_look look;
	enum hf_err err;

	if ((err = look_up(rq, &look)) != HF_OK)
		return err;
	if ((rq->op->flags & OP_SUDO) != 0)
		caps |= HF_CAP_SUDO;
	rq->upsert = may_create(rq, &look);
	rq->may_use = allowed(rq, &look, caps);
	if (!rq->upsert &&
	    (!rq->may_use ||
		((rq->op->flags & OP_MAKES) != 0 &&
		    rq->lookup == HF_ERR_KEY_NOT_FOUND)))
		return HF_ERR_PERMISSION_DENIED;
	rq->demand_hsm = policy_look_demands_hsm(&look);
	rq->allowed = true;
	return rq->lookup == HF_ERR_KEY_NOT_FOUND ? HF_OK : rq->lookup;
}
