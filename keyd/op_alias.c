/* SPDX-License-Identifier: Apache-2.0 */
/* Other names of keys. */
#include "handlers.h"

#include "../lib/bytes.h"
#include "name_list.h"
#include "op_key.h"
#include "server.h"

enum hf_err
op_alias_set(
    struct request *rq, const struct hf_alias *in, struct hf_alias *out)
{
	enum hf_err err =
	    keys_alias_set(rq->server->keys, in->name, in->target, &rq->why);

	if (err != HF_OK)
		return err;
	*out = *in;
	server_event(rq->server, "alias.set", arena_text(rq->arena, in->name));
	return HF_OK;
}

enum hf_err
op_alias_delete(
    struct request *rq, const struct hf_name_in *in, struct hf_empty *out)
{
	enum hf_err err = keys_alias_delete(rq->server->keys, in->name);

	(void)out;
	if (err == HF_OK)
		server_event(rq->server, "alias.deleted",
		    arena_text(rq->arena, in->name));
	return err;
}

enum hf_err
op_alias_list(struct request *rq, const struct hf_list_in *in,
    struct hf_alias_list_out *out)
{
	struct name_list names = { .arena = rq->arena };
	enum hf_err err = keys_alias_list(rq->server->keys, in->after,
	    in->limit == 0 ? LIST_USUAL : (size_t)in->limit, name_list_add,
	    &names);

	if (err != HF_OK || (err = names.err) != HF_OK)
		return err;
	out->aliases =
	    arena_array(rq->arena, names.count, sizeof(*out->aliases));
	if (out->aliases == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < names.count; i++) {
		char target[NAME_SIZE];

		err =
		    keys_alias_target(rq->server->keys, names.items[i], target);
		if (err == HF_ERR_NOT_FOUND || err == HF_ERR_KEYRING_NOT_FOUND)
			continue; /* removed since, or shredded */
		if (err != HF_OK)
			return err;
		out->aliases[out->aliases_count].name = names.items[i];
		if ((err = show_text(rq, target,
			 &out->aliases[out->aliases_count].target)) != HF_OK)
			return err;
		out->aliases_count++;
	}
	return HF_OK;
}
