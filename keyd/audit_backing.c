/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_backing.h"

#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "log.h"

enum { HEAD_BYTES = 8 + 32 + 8, HASH_KEY = 32 };

#define HEAD_NAME TEXT("audit/head")
#define HASH_KEY_NAME TEXT("audit/hash-key")
#define KEYS_NAME TEXT("audit/keys")

static enum hf_err
sign(void *ctx, const uint8_t digest[32], uint8_t out[64])
{
	struct server *s = ctx;

	if (s->audit_hsm == NULL)
		return HF_ERR_HSM_UNINITIALIZED;
	return hsm_audit_sign(s->audit_hsm, s->audit_key, digest, out);
}

/* -- The keys that ever signed, for those who check -- */

static enum hf_err
known_keys(void *ctx, uint8_t *out, size_t cap, size_t *len)
{
	struct server *s = ctx;
	struct store_value v = { 0 };
	enum hf_err err = store_get(s->store, KEYS_NAME, &v);

	*len = 0;
	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	if (err != HF_OK)
		return err;
	if (v.len <= cap) {
		memcpy(out, v.ptr, v.len);
		*len = v.len;
	}
	store_value_free(&v);
	return *len > 0 ? HF_OK : HF_ERR_STORE_DAMAGED;
}

/* Before it signs anything. */
static enum hf_err
key_remember(struct server *s, struct hf_bytes spki)
{
	uint8_t known[AUDIT_KNOWN];
	size_t len;
	enum hf_err err = known_keys(s, known, sizeof(known), &len);

	if (err != HF_OK)
		return err;
	if (len > 0 && memmem(known, len, spki.ptr, spki.len) != NULL)
		return HF_OK;
	if (len + 4 + spki.len > sizeof(known))
		return HF_ERR_OUT_OF_BOUNDS;
	put_u32(known + len, (uint32_t)spki.len);
	memcpy(known + len + 4, spki.ptr, spki.len);
	return store_commit(s->store, NULL, 0,
	    &(struct store_write){
		KEYS_NAME, bytes_of(known, len + 4 + spki.len) },
	    1, NULL);
}

/* Who verifies elsewhere copies the file when an HSM is added, not in the night
 * when it works for the first time. */
static void
learn_keys(void *ctx)
{
	struct server *s = ctx;
	struct hierarchy_facts rows[2 * HSM_DEVICES];
	size_t count = hierarchy_devices(s->hierarchy, rows);
	uint8_t spki[1024];
	size_t len;

	for (size_t i = 0; i < count; i++) {
		enum hf_err err;

		if (!rows[i].in_hierarchy || !rows[i].usable)
			continue;
		err =
		    hsm_audit_public(rows[i].hsm, rows[i].audit_id, spki, &len);
		if (err == HF_OK)
			err = key_remember(s, bytes_of(spki, len));
		if (err != HF_OK)
			log_warning("HSM %s: its audit key will be published "
				    "when it signs: %s",
			    rows[i].name, hf_err_sentence(err));
	}
}

static enum hf_err
public_key(void *ctx, uint8_t *out, size_t cap, size_t *len)
{
	struct server *s = ctx;
	struct hierarchy_device device;
	struct hsm_info info;
	enum hf_err err;

	*len = 0;
	hierarchy_active(s->hierarchy, &device);
	hsm_info(device.hsm, &info);
	if (cap < 1024 || info.state != HSM_READY ||
	    !hierarchy_initialized(s->hierarchy))
		return HF_OK; /* not yet */
	if ((err = hsm_audit_public(device.hsm, device.audit_id, out, len)) !=
		HF_OK ||
	    (err = key_remember(s, bytes_of(out, *len))) != HF_OK)
		return err;
	/* It is what signs until this is called again. */
	s->audit_hsm = device.hsm;
	memcpy(s->audit_key, device.audit_id, HSM_ID);
	return HF_OK;
}

static enum hf_err
load(void *ctx, struct audit_head *out)
{
	struct server *s = ctx;
	struct store_value v = { 0 };
	enum hf_err err = store_get(s->store, HEAD_NAME, &v);

	*out = (struct audit_head){ 0 };
	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	if (err != HF_OK)
		return err;
	if (v.len == HEAD_BYTES) {
		out->sequence = get_u64(v.ptr);
		memcpy(out->hash, v.ptr + 8, 32);
		out->checkpoint = get_u64(v.ptr + 40);
	} else {
		err = HF_ERR_STORE_DAMAGED;
	}
	store_value_free(&v);
	return err;
}

static enum hf_err
save(void *ctx, const struct audit_head *head)
{
	struct server *s = ctx;
	uint8_t buf[HEAD_BYTES];

	put_u64(buf, head->sequence);
	memcpy(buf + 8, head->hash, 32);
	put_u64(buf + 40, head->checkpoint);
	return store_commit(s->store, NULL, 0,
	    &(struct store_write){ HEAD_NAME, bytes_of(buf, sizeof(buf)) }, 1,
	    NULL);
}

enum hf_err
audit_backing_open(struct server *s, const struct audit_settings *settings,
    struct audit **out, struct hf_why *why)
{
	struct audit_backing backing = { .ctx = s,
		.sign = sign,
		.load = load,
		.save = save,
		.public_key = public_key,
		.learn_keys = learn_keys,
		.known_keys = known_keys };
	enum hf_err err;

	/* Until the keyrings are open nobody can tell what a hash stands for.
	 */
	if ((err = crypto_random(backing.hash_key, HASH_KEY)) != HF_OK)
		return err;
	err = audit_open(settings, &backing, out, why);
	bytes_wipe(backing.hash_key, sizeof(backing.hash_key));
	return err;
}

static enum hf_err
hash_key_make(struct server *s, struct secret *out)
{
	uint8_t sealed[HASH_KEY + SEAL_EXTRA];
	enum hf_err err;

	if ((err = secret_alloc(out, HASH_KEY)) != HF_OK ||
	    (err = crypto_random(out->ptr, HASH_KEY)) != HF_OK ||
	    (err = hierarchy_seal(s->hierarchy, TEXT("default"), HASH_KEY_NAME,
		 secret_view(out), sealed)) != HF_OK)
		return err;
	return store_commit(s->store, &(struct store_cond){ HASH_KEY_NAME, 0 },
	    1,
	    &(struct store_write){
		HASH_KEY_NAME, bytes_of(sealed, sizeof(sealed)) },
	    1, NULL);
}

enum hf_err
audit_backing_unlocked(struct server *s)
{
	AUTO_SECRET key = { 0 };
	struct store_value v = { 0 };
	enum hf_err err = store_get(s->store, HASH_KEY_NAME, &v);

	if (err == HF_ERR_NOT_FOUND) {
		err = hash_key_make(s, &key);
	} else if (err == HF_OK) {
		err = hierarchy_unseal(
		    s->hierarchy, HASH_KEY_NAME, bytes_of(v.ptr, v.len), &key);
		store_value_free(&v);
	}
	if (err == HF_OK && key.len != HASH_KEY)
		err = HF_ERR_STORE_DAMAGED;
	return err == HF_OK ? audit_set_hash_key(s->audit, key.ptr) : err;
}

enum hf_err
audit_backing_publish(struct server *s, const char *path)
{
	uint8_t spki[SPKI_MAX];
	size_t len;
	enum hf_err err = public_key(s, spki, sizeof(spki), &len);
	struct hf_bytes now = bytes_of(spki, len);

	if (err == HF_OK && len == 0)
		return HF_ERR_HSM_UNINITIALIZED;
	return err == HF_OK ? audit_publish_keys(path, &now, 1) : err;
}
