/* SPDX-License-Identifier: Apache-2.0 */
#include "certificates.h"

#include <stdio.h>
#include <stdlib.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "record.h"
#include "sealed_record.h"

enum { STORE_NAME = 160, TRIES = 10 };

static const char prefix[] = "cert/";

static void
store_name(struct hf_text name, char out[STORE_NAME])
{
	(void)snprintf(
	    out, STORE_NAME, "%s%.*s", prefix, (int)name.len, name.ptr);
}

void
certificate_free(struct certificate *c)
{
	secret_free(&c->memory);
	*c = (struct certificate){ 0 };
}

static enum hf_err
unseal(const struct certificates *cs, const char *name,
    const struct store_value *v, struct certificate *out)
{
	struct certificate_record rec;
	AUTO_SECRET plain = { 0 };
	enum hf_err err = sealed_record_open(cs->hierarchy, text_of(name),
	    bytes_of(v->ptr, v->len), &certificate_schema, &plain, &rec);

	if (err != HF_OK)
		return err;
	*out = (struct certificate){
		.uid = rec.uid,
		.der = rec.certificate,
		.label = rec.label,
		.id = rec.cka_id,
		.creation_time = rec.creation_time,
	};
	secret_move(&out->memory, &plain);
	return HF_OK;
}

enum hf_err
certificate_get(
    const struct certificates *cs, struct hf_text name, struct certificate *out)
{
	struct store_value v = { 0 };
	char stored[STORE_NAME];
	enum hf_err err;

	store_name(name, stored);
	if ((err = store_get(cs->store, text_of(stored), &v)) != HF_OK)
		return err;
	err = unseal(cs, stored, &v, out);
	store_value_free(&v);
	return err;
}

static enum hf_err
commit(const struct certificates *cs, const char *stored, uint64_t revision,
    const struct certificate_record *rec)
{
	struct store_cond cond = { text_of(stored), revision };
	uint8_t *sealed;
	size_t len;
	enum hf_err err = sealed_record_make(cs->hierarchy, TEXT("default"),
	    text_of(stored), &certificate_schema, rec, &sealed, &len);

	if (err != HF_OK)
		return err;
	err = store_commit(cs->store, &cond, 1,
	    &(struct store_write){ text_of(stored), bytes_of(sealed, len) }, 1,
	    NULL);
	free(sealed);
	return err;
}

static enum hf_err
put_once(const struct certificates *cs, const char *stored,
    const struct certificate *c, uint8_t uid[CERTIFICATE_UID])
{
	struct certificate old = { 0 };
	struct store_value v = { 0 };
	enum hf_err err = store_get(cs->store, text_of(stored), &v);

	if (err == HF_ERR_NOT_FOUND)
		err = crypto_random(uid, CERTIFICATE_UID);
	else if (err == HF_OK && (err = unseal(cs, stored, &v, &old)) == HF_OK)
		memcpy(uid, old.uid.ptr, CERTIFICATE_UID);
	if (err == HF_OK)
		err = commit(cs, stored, v.revision,
		    &(struct certificate_record){
			.uid = bytes_of(uid, CERTIFICATE_UID),
			.certificate = c->der,
			.label = c->label,
			.cka_id = c->id,
			.creation_time = c->creation_time,
		    });
	certificate_free(&old);
	store_value_free(&v);
	return err;
}

enum hf_err
certificate_put(const struct certificates *cs, struct hf_text name,
    const struct certificate *c, uint8_t uid[CERTIFICATE_UID])
{
	enum hf_err err = HF_ERR_STORE_CONFLICT;
	char stored[STORE_NAME];

	store_name(name, stored);
	for (unsigned i = 0; i < TRIES && err == HF_ERR_STORE_CONFLICT; i++)
		err = put_once(cs, stored, c, uid);
	return err;
}

enum hf_err
certificate_delete(const struct certificates *cs, struct hf_text name)
{
	struct store_value v = { 0 };
	char stored[STORE_NAME];
	enum hf_err err;

	store_name(name, stored);
	if ((err = store_get(cs->store, text_of(stored), &v)) == HF_OK)
		err = store_commit(cs->store, NULL, 0,
		    &(struct store_write){ text_of(stored), { NULL, 0 } }, 1,
		    NULL);
	store_value_free(&v);
	return err;
}

struct list_ctx {
	certificate_name_fn *each;
	void *ctx;
};

static bool
list_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	const struct list_ctx *lc = ctx;
	size_t skip = sizeof(prefix) - 1;

	(void)value;
	(void)revision;
	return lc->each(
	    lc->ctx, (struct hf_text){ key.ptr + skip, key.len - skip });
}

enum hf_err
certificate_list(
    const struct certificates *cs, certificate_name_fn *each, void *ctx)
{
	struct list_ctx lc = { each, ctx };

	return store_list(cs->store, text_of(prefix), (struct hf_text){ 0 }, 0,
	    list_each, &lc);
}
