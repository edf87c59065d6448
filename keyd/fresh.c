/* SPDX-License-Identifier: Apache-2.0 */
#include "fresh.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"

enum { HMAC_KEY = 32 /* of keys that are not hmac keys */ };

void
fresh_free(struct fresh *f)
{
	if (f == NULL)
		return;
	secret_free(&f->material);
	secret_free(&f->hmac);
	free(f);
}

static enum hf_err
fresh_spki(struct fresh *f, const struct key_type *type)
{
	struct crypto_key *pair;
	size_t len;
	enum hf_err err;

	if (type->family == FAMILY_AEAD || type->family == FAMILY_HMAC)
		return HF_OK;
	if ((err = crypto_key_private(
		 type, secret_view(&f->material), &pair)) != HF_OK)
		return err;
	err = crypto_key_spki(pair, f->spki, sizeof(f->spki), &len);
	crypto_key_free(pair);
	if (err == HF_OK)
		f->rec.spki = bytes_of(f->spki, len);
	return err;
}

static enum hf_err
fresh_wrapped(struct fresh *f, const struct key_type *type, size_t key_size)
{
	enum hf_err err;

	if ((err = crypto_generate(type, key_size, &f->material)) != HF_OK ||
	    (err = fresh_spki(f, type)) != HF_OK)
		return err;
	f->rec.material = secret_view(&f->material);
	if (type->family == FAMILY_HMAC)
		return HF_OK;
	if ((err = secret_alloc(&f->hmac, HMAC_KEY)) != HF_OK ||
	    (err = crypto_random(f->hmac.ptr, HMAC_KEY)) != HF_OK)
		return err;
	f->rec.hmac = secret_view(&f->hmac);
	return HF_OK;
}

static enum hf_err
fresh_hsm(struct fresh *f, struct keys *keys, const struct key_type *type,
    size_t key_size)
{
	size_t len = 0, spki_len = 0, no_spki = 0;
	uint8_t unused[FRESH_SPKI]; /* a MAC key has no public half */
	enum hf_err err;

	hierarchy_wrap_id(keys->hierarchy, f->wrap_id);
	if ((err = crypto_random(f->id, HSM_ID)) != HF_OK ||
	    (err = crypto_random(f->hmac_id, HSM_ID)) != HF_OK ||
	    (err = hsm_key_make(keys->hsm, type, key_size, f->wrap_id, f->id,
		 f->wrapped, &len, f->spki, &spki_len)) != HF_OK)
		return err;
	f->rec.hsm_id = bytes_of(f->id, HSM_ID);
	f->rec.wrap_id = bytes_of(f->wrap_id, HSM_ID);
	f->rec.hsm_wrapped = bytes_of(f->wrapped, len);
	if (spki_len > 0)
		f->rec.spki = bytes_of(f->spki, spki_len);
	if (type->family == FAMILY_HMAC)
		return HF_OK;
	/* Every version can also make MACs; at level hsm inside the HSM. */
	if ((err = hsm_key_make(keys->hsm, key_type_by_id(KEY_HMAC), HMAC_KEY,
		 f->wrap_id, f->hmac_id, f->hmac_wrapped, &len, unused,
		 &no_spki)) != HF_OK)
		return err;
	f->rec.hsm_hmac_id = bytes_of(f->hmac_id, HSM_ID);
	f->rec.hsm_hmac_wrapped = bytes_of(f->hmac_wrapped, len);
	return HF_OK;
}

void
fresh_discard(
    struct keys *keys, const struct key_type *type, const struct fresh *f)
{
	struct hsm_key k = { .type = type, .wrapped = f->rec.hsm_wrapped };
	struct hsm_key mac = { .type = key_type_by_id(KEY_HMAC),
		.wrapped = f->rec.hsm_hmac_wrapped };

	if (f->rec.level != LEVEL_HSM)
		return;
	memcpy(k.id, f->id, HSM_ID);
	memcpy(mac.id, f->hmac_id, HSM_ID);
	if (hsm_key_drop(keys->hsm, &k) != HF_OK ||
	    hsm_key_drop(keys->hsm, &mac) != HF_OK)
		return; /* orphans in the HSM; nothing refers to them */
}

enum hf_err
fresh_make(struct keys *keys, const struct key_type *type, enum key_level level,
    size_t key_size, uint64_t number, struct fresh **out)
{
	struct fresh *f = calloc(1, sizeof(*f));
	enum hf_err err;

	if (f == NULL)
		return HF_ERR_NO_MEMORY;
	f->rec.version = number;
	f->rec.state = VERSION_ENABLED;
	f->rec.level = level;
	f->rec.creation_time = (uint64_t)time(NULL);
	err = level == LEVEL_HSM ? fresh_hsm(f, keys, type, key_size)
				 : fresh_wrapped(f, type, key_size);
	if (err != HF_OK) {
		fresh_discard(keys, type, f);
		fresh_free(f);
		return err;
	}
	*out = f;
	return HF_OK;
}
