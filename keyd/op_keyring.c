/* SPDX-License-Identifier: Apache-2.0 */
/* Keyrings, and what goes with one that is destroyed. */
#include "handlers.h"

#include "../lib/bytes.h"
#include "hierarchy.h"
#include "op_key.h"
#include "server.h"

enum hf_err
op_keyring_create(struct request *rq, const struct hf_name_in *in,
    struct hf_keyring_info *out)
{
	struct keyring_info info;
	enum hf_err err =
	    keyring_create(rq->server->hierarchy, in->name, &info);

	if (err != HF_OK)
		return err;
	server_event(rq->server, "keyring.created", info.name);
	return keyring_show(rq, &info, out);
}

enum hf_err
op_keyring_list(struct request *rq, const struct hf_list_in *in,
    struct hf_keyring_list_out *out)
{
	size_t count = in->limit == 0 ? LIST_USUAL : (size_t)in->limit;
	struct keyring_info *infos =
	    arena_array(rq->arena, count, sizeof(*infos));
	enum hf_err err;

	if (infos == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keyring_list(
		 rq->server->hierarchy, in->after, infos, &count)) != HF_OK)
		return err;
	out->keyrings = arena_array(rq->arena, count, sizeof(*out->keyrings));
	if (out->keyrings == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < count; i++)
		if ((err = keyring_show(rq, &infos[i], &out->keyrings[i])) !=
		    HF_OK)
			return err;
	out->keyrings_count = count;
	return HF_OK;
}

/* Whether it may be destroyed, or has been and left keys behind. */
static enum hf_err
may_destroy(struct request *rq, const struct hf_keyring_destroy_in *in,
    struct keyring_info *ring)
{
	struct server *s = rq->server;
	uint64_t count;
	enum hf_err err;

	if (text_is(in->name, "default"))
		return hf_fail(&rq->why, HF_ERR_KEYRING_IN_USE,
		    "the keyring default cannot be destroyed");
	if ((err = keyring_info(s->hierarchy, in->name, ring)) != HF_OK ||
	    (err = keys_drop_keyring(s->keys, in->name, true, &count)) != HF_OK)
		return err;
	if (ring->destroyed)
		return count > 0 ? HF_OK : HF_ERR_KEYRING_NOT_FOUND;
	if (count > 0 && !in->with_keys)
		return hf_fail(&rq->why, HF_ERR_KEYRING_IN_USE,
		    "keyring %.*s still holds %llu keys; with_keys destroys "
		    "them too",
		    (int)in->name.len, in->name.ptr, (unsigned long long)count);
	return HF_OK;
}

enum hf_err
op_keyring_destroy(struct request *rq, const struct hf_keyring_destroy_in *in,
    struct hf_empty *out)
{
	struct server *s = rq->server;
	struct keyring_info ring;
	uint64_t count;
	enum hf_err err;

	(void)out;
	if ((err = may_destroy(rq, in, &ring)) != HF_OK)
		return err;
	/* First the key that opens everything, then what it leaves behind. Cut
	 * short between the two, the next call does the rest. */
	if (!ring.destroyed) {
		if ((err = keyring_destroy(s->hierarchy, in->name)) != HF_OK)
			return err;
		keys_forget(s->keys);
		server_event(
		    s, "keyring.destroyed", arena_text(rq->arena, in->name));
	}
	err = keys_drop_keyring(s->keys, in->name, false, &count);
	key_scrub(rq);
	return err;
}
