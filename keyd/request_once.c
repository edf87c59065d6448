/* SPDX-License-Identifier: Apache-2.0 */
#include "request_once.h"

#include "../lib/bytes.h"
#include "key_show.h"
#include "keys.h"
#include "log.h"
#include "once.h"
#include "request_policy.h"
#include "server.h"

enum hf_err
request_once_find(struct request *rq)
{
	struct server *s = rq->server;

	if (rq->options.idempotency_key.ptr == NULL || request_is_stranger(rq))
		return HF_OK;
	if (!rq->may_block)
		return HF_ERR_DEFER;
	rq->once = request_alloc(rq, sizeof(*rq->once));
	if (rq->once == NULL)
		return HF_ERR_NO_MEMORY;
	return once_find(s->store, s->hierarchy, rq->who,
	    rq->options.idempotency_key, (uint64_t)rq->op->id, rq->input,
	    s->idempotency_seconds, rq->arena, rq->once);
}

/* -- A reply that was not kept: how things are now -- */

static struct hf_text
asked_name(const struct request *rq)
{
	const struct field *f = op_key_field(rq->op);

	return *(const struct hf_text *)field_at(f, rq->in);
}

static enum hf_err
show_key_again(struct request *rq)
{
	struct key *key;
	enum hf_err err =
	    keys_get(rq->server->keys, asked_name(rq), true, &key);

	if (err != HF_OK)
		return err;
	err = key_show(rq, key, rq->out);
	key_unref(key);
	return err;
}

static enum hf_err
show_keyring_again(struct request *rq)
{
	struct keyring_info info;
	enum hf_err err =
	    keyring_info(rq->server->hierarchy, asked_name(rq), &info);

	return err != HF_OK ? err : keyring_show(rq, &info, rq->out);
}

/* What operations with OP_ONCE give; a test looks that each has its row. */
static const struct {
	const struct schema *out;
	enum hf_err (*show)(struct request *rq);
} shows[] = {
	{ &schema_key_info, show_key_again },
	{ &schema_keyring_info, show_keyring_again },
};

static enum hf_err
show_again(struct request *rq)
{
	enum hf_err err;

	for (size_t i = 0; i < sizeof(shows) / sizeof(shows[0]); i++)
		if (shows[i].out == rq->op->out) {
			err = shows[i].show(rq);
			return err != HF_OK ? err : request_reply(rq);
		}
	return HF_ERR_NOT_OFFERED;
}

/* -- Around the handler -- */

enum hf_err
request_once_replay(struct request *rq, bool *again)
{
	*again = false;
	if (rq->once == NULL || !rq->once->found)
		return HF_OK;
	if (!rq->once->same)
		return HF_ERR_IDEMPOTENCY;
	*again = true;
	rq->replayed = true;
	if (rq->once->reply.ptr == NULL)
		return show_again(rq);
	rq->reply = rq->once->reply;
	return HF_OK;
}

static enum hf_err
write_record(struct request *rq, struct hf_bytes reply, struct store_cond *cond,
    struct store_write *write)
{
	struct server *s = rq->server;

	return once_write(s->store, s->hierarchy, rq->once,
	    s->idempotency_seconds, reply, rq->arena, cond, write);
}

enum hf_err
request_once_ride(struct request *rq, struct effects *effects)
{
	struct store_cond *cond;
	struct store_write *write;
	enum hf_err err;

	if (rq->once == NULL)
		return HF_OK;
	cond = request_alloc(rq, sizeof(*cond));
	write = request_alloc(rq, sizeof(*write));
	if (cond == NULL || write == NULL)
		return HF_ERR_NO_MEMORY;
	err = write_record(rq, (struct hf_bytes){ 0 }, cond, write);
	if (err != HF_OK)
		return err;
	effects->rider_cond = cond;
	effects->rider = write;
	return HF_OK;
}

enum hf_err
request_once_settle(struct request *rq, const struct effects *effects,
    enum hf_err result, bool *again)
{
	enum hf_err err;

	*again = false;
	if (rq->once == NULL || effects->rode)
		return result;
	/* Nothing was changed: there was no need to, or it failed, or another
	 * request with this key was faster. */
	if ((err = request_once_find(rq)) != HF_OK)
		return err;
	if ((err = request_once_replay(rq, again)) != HF_OK || *again)
		return err;
	if (result != HF_OK)
		return result;
	return store_commit(
	    rq->server->store, effects->rider_cond, 1, effects->rider, 1, NULL);
}

void
request_once_keep(struct request *rq)
{
	struct store_cond cond;
	struct store_write write;
	enum hf_err err;

	if (rq->once == NULL || rq->reply.len > ONCE_REPLY_MAX)
		return;
	err = write_record(rq, rq->reply, &cond, &write);
	if (err == HF_OK)
		err = store_commit(rq->server->store, NULL, 0, &write, 1, NULL);
	if (err != HF_OK)
		log_warning("the reply to %s was not kept for its idempotency "
			    "key: %s",
		    rq->op->name, hf_err_sentence(err));
}
