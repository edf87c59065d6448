/* SPDX-License-Identifier: Apache-2.0 */
#include "wrapping_key.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "crypto_wrap.h"
#include "record.h"
#include "sealed_record.h"

static const struct hf_text store_name = { "wrapping-key", 12 };

struct wrapping_key {
	struct hsm_key key;
	uint8_t home[HSM_ID]; /* the HSM where it was born */
	uint8_t wrapped[HSM_WRAPPED_MAX];
	uint8_t spki[SPKI_MAX];
	size_t spki_len;
};

static const struct key_type *
wrapping_type(void)
{
	return key_type_by_id(KEY_RSA_4096);
}

/* -- In the store: the record of a key version -- */

static enum hf_err
from_record(const struct version_record *rec, struct wrapping_key *out)
{
	if (rec->hsm_id.len != HSM_ID || rec->wrap_id.len != HSM_ID ||
	    rec->hsm_wrapped.len > sizeof(out->wrapped) || rec->spki.len == 0 ||
	    rec->spki.len > sizeof(out->spki))
		return HF_ERR_STORE_DAMAGED;
	out->key.type = wrapping_type();
	memcpy(out->key.id, rec->hsm_id.ptr, HSM_ID);
	memcpy(out->key.wrap_id, rec->wrap_id.ptr, HSM_ID);
	if (rec->hsm_wrapped.len > 0)
		memcpy(
		    out->wrapped, rec->hsm_wrapped.ptr, rec->hsm_wrapped.len);
	out->key.wrapped = bytes_of(out->wrapped, rec->hsm_wrapped.len);
	if (rec->hsm_home.len == HSM_ID)
		memcpy(out->home, rec->hsm_home.ptr, HSM_ID);
	memcpy(out->spki, rec->spki.ptr, rec->spki.len);
	out->spki_len = rec->spki.len;
	return HF_OK;
}

static enum hf_err
load(struct server *s, struct wrapping_key *out)
{
	AUTO_SECRET plain = { 0 };
	struct version_record rec;
	uint64_t revision;
	enum hf_err err = sealed_record_load(s->store, s->hierarchy, store_name,
	    &version_schema, &plain, &rec, &revision);

	return err == HF_OK ? from_record(&rec, out) : err;
}

static enum hf_err
save(struct server *s, const struct wrapping_key *k)
{
	struct version_record rec = {
		.version = 1,
		.state = VERSION_ENABLED,
		.level = LEVEL_HSM,
		.creation_time = (uint64_t)time(NULL),
		.hsm_id = bytes_of(k->key.id, HSM_ID),
		.wrap_id = bytes_of(k->key.wrap_id, HSM_ID),
		.hsm_home = bytes_of(k->home, HSM_ID),
		.hsm_wrapped = k->key.wrapped,
		.spki = bytes_of(k->spki, k->spki_len),
	};
	struct store_cond absent = { store_name, 0 };
	uint8_t *sealed;
	size_t len;
	enum hf_err err = sealed_record_make(s->hierarchy, TEXT("default"),
	    store_name, &version_schema, &rec, &sealed, &len);

	if (err != HF_OK)
		return err;
	err = store_commit(s->store, &absent, 1,
	    &(struct store_write){ store_name, bytes_of(sealed, len) }, 1,
	    NULL);
	free(sealed);
	return err;
}

static enum hf_err
make(struct server *s, struct wrapping_key *out)
{
	struct hierarchy_device device;
	size_t wrapped_len = 0;
	enum hf_err err;

	out->key.type = wrapping_type();
	hierarchy_active(s->hierarchy, &device);
	memcpy(out->key.wrap_id, device.wrap_id, HSM_ID);
	memcpy(out->home, device.audit_id, HSM_ID);
	if ((err = crypto_random(out->key.id, HSM_ID)) != HF_OK)
		return err;
	err = hsm_key_make(device.hsm, out->key.type, 0, out->key.wrap_id,
	    out->key.id, out->wrapped, &wrapped_len, out->spki, &out->spki_len);
	out->key.wrapped = bytes_of(out->wrapped, wrapped_len);
	if (err == HF_OK)
		err = save(s, out);
	if (err != HF_OK && hsm_key_drop(device.hsm, &out->key) != HF_OK)
		return err; /* an orphan in the HSM; nothing refers to it */
	return err;
}

/* Whoever comes second takes what the first one made. */
static enum hf_err
load_or_make(struct server *s, struct wrapping_key *out, bool *made)
{
	enum hf_err err = load(s, out);

	*made = false;
	if (err != HF_ERR_NOT_FOUND)
		return err;
	hierarchy_hold(s->hierarchy);
	err = make(s, out);
	hierarchy_release(s->hierarchy);
	if (err == HF_ERR_STORE_CONFLICT)
		return load(s, out);
	*made = err == HF_OK;
	return err;
}

enum hf_err
wrapping_key_public(
    struct server *server, uint8_t *out, size_t *len, bool *made)
{
	struct wrapping_key k = { 0 };
	enum hf_err err = load_or_make(server, &k, made);

	if (err != HF_OK)
		return err;
	memcpy(out, k.spki, k.spki_len);
	*len = k.spki_len;
	return HF_OK;
}

enum hf_err
wrapping_key_holders(
    struct server *server, char out[HSM_DEVICES][HSM_NAME], size_t *count)
{
	struct wrapping_key k = { 0 };
	enum hf_err err = load(server, &k);

	if (err == HF_OK)
		*count =
		    hierarchy_holders(server->hierarchy, &k.key, k.home, out);
	return err;
}

enum hf_err
wrapping_key_forget(struct server *server)
{
	return store_commit(server->store, NULL, 0,
	    &(struct store_write){ store_name, { NULL, 0 } }, 1, NULL);
}

static enum hf_err
open_block(struct server *s, const struct hash_type *hash,
    struct hf_bytes block, struct secret *out)
{
	struct wrapping_key k = { 0 };
	bool sha256 = text_is(text_of(hash->name), "sha2-256");
	AUTO_SECRET plain = { 0 };
	size_t len;
	enum hf_err err = load(s, &k);

	if (err == HF_ERR_NOT_FOUND)
		return HF_ERR_AUTH_FAILED; /* nobody can have wrapped for it */
	if (err != HF_OK ||
	    (err = secret_alloc(&plain, WRAPPING_KEY_BYTES)) != HF_OK ||
	    (err = hsm_key_decrypt_oaep(
		 hierarchy_hsm_of_key(s->hierarchy, &k.key, k.home), &k.key,
		 sha256 ? NULL : hash, block, plain.ptr, &len)) != HF_OK)
		return err;
	if (len == 0)
		return HF_ERR_AUTH_FAILED;
	return secret_copy(out, bytes_of(plain.ptr, len));
}

enum hf_err
wrapping_key_decrypt(
    struct server *server, struct hf_bytes block, struct secret *out)
{
	return open_block(server, hash_sha256(), block, out);
}

enum hf_err
wrapping_key_unwrap(struct server *server, const struct hash_type *hash,
    struct hf_bytes blob, struct secret *out)
{
	AUTO_SECRET kek = { 0 };
	enum hf_err err;

	if (blob.len <= WRAPPING_KEY_BYTES)
		return HF_ERR_AUTH_FAILED;
	if ((err = open_block(server, hash,
		 bytes_of(blob.ptr, WRAPPING_KEY_BYTES), &kek)) != HF_OK)
		return err;
	if (kek.len != CRYPTO_KWP_KEY)
		return HF_ERR_AUTH_FAILED;
	return crypto_kwp_unwrap(secret_view(&kek),
	    bytes_of(
		blob.ptr + WRAPPING_KEY_BYTES, blob.len - WRAPPING_KEY_BYTES),
	    out);
}
