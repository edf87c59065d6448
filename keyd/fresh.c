/* SPDX-License-Identifier: Apache-2.0 */
#include "fresh.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "effects.h"
#include "newborn.h"

enum { HMAC_KEY = 32 /* of keys that are not hmac keys */ };

void
key_material_free(struct key_material *m)
{
	secret_free(&m->key);
	secret_free(&m->hmac);
}

void
fresh_free(struct fresh *f)
{
	if (f == NULL)
		return;
	if (f->held != NULL)
		hierarchy_release(f->held);
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

	if (key_type_symmetric(type))
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

static bool
public_only(const struct key_material *from)
{
	return from != NULL && from->key.ptr == NULL;
}

/* The main key: made, copied, or for a public half alone none. */
static enum hf_err
wrapped_material(struct fresh *f, const struct key_type *type, size_t key_size,
    const struct key_material *from)
{
	enum hf_err err;

	/* A dry run need not wait for a large key to be found. */
	if (public_only(from) || (from == NULL && effects_dry()))
		return HF_OK;
	err = from == NULL ? crypto_generate(type, key_size, &f->material)
			   : secret_copy(&f->material, secret_view(&from->key));
	if (err != HF_OK)
		return err;
	f->rec.material = secret_view(&f->material);
	return from == NULL ? fresh_spki(f, type) : HF_OK;
}

static enum hf_err
fresh_wrapped(struct fresh *f, const struct key_type *type, size_t key_size,
    const struct key_material *from)
{
	enum hf_err err;

	if ((err = wrapped_material(f, type, key_size, from)) != HF_OK)
		return err;
	if (type->family == FAMILY_HMAC)
		return HF_OK;
	if (from != NULL && from->hmac.ptr != NULL)
		err = secret_copy(&f->hmac, secret_view(&from->hmac));
	else if ((err = secret_alloc(&f->hmac, HMAC_KEY)) == HF_OK)
		err = crypto_random(f->hmac.ptr, HMAC_KEY);
	f->rec.hmac = secret_view(&f->hmac);
	return err;
}

/* Every version can also make MACs; at level hsm inside the HSM. */
static enum hf_err
hsm_hmac(struct fresh *f, const struct key_material *from)
{
	const struct key_type *mac = key_type_by_id(KEY_HMAC);
	uint8_t unused[SPKI_MAX]; /* a MAC key has no public half */
	size_t len = 0, no_spki = 0;
	enum hf_err err;

	if (from != NULL && from->hmac.ptr != NULL)
		err = hsm_key_import(f->hsm, mac, secret_view(&from->hmac),
		    (struct hf_bytes){ 0 }, f->wrap_id, f->hmac_id,
		    f->hmac_wrapped, &len);
	else
		err = hsm_key_make(f->hsm, mac, HMAC_KEY, f->wrap_id,
		    f->hmac_id, f->hmac_wrapped, &len, unused, &no_spki);
	f->rec.hsm_hmac_id = bytes_of(f->hmac_id, HSM_ID);
	f->rec.hsm_hmac_wrapped = bytes_of(f->hmac_wrapped, len);
	return err;
}

/* Of a dry run: what would be asked of the HSM, and whether it is there. */
static enum hf_err
fresh_dry(struct fresh *f, const struct key_type *type)
{
	bool found = false;
	enum hf_err err =
	    hsm_object_find(f->hsm, ROLE_WRAP, f->wrap_id, &found);

	if (err != HF_OK)
		return err;
	if (!found)
		return HF_ERR_HSM_UNINITIALIZED;
	f->rec.hsm_id = bytes_of(f->id, HSM_ID);
	f->rec.wrap_id = bytes_of(f->wrap_id, HSM_ID);
	effects_note("create", "hsm_key", text_of(type->name));
	return HF_OK;
}

static enum hf_err
fresh_hsm(struct fresh *f, struct keys *keys, const struct key_type *type,
    size_t key_size, const struct key_material *from)
{
	struct hierarchy_device device;
	size_t len = 0, spki_len = 0;
	enum hf_err err;

	hierarchy_hold(keys->hierarchy);
	f->held = keys->hierarchy;
	hierarchy_active(keys->hierarchy, &device);
	f->hsm = device.hsm;
	memcpy(f->wrap_id, device.wrap_id, HSM_ID);
	memcpy(f->home, device.audit_id, HSM_ID);
	if ((err = crypto_random(f->id, HSM_ID)) != HF_OK ||
	    (err = crypto_random(f->hmac_id, HSM_ID)) != HF_OK)
		return err;
	if (effects_dry())
		return fresh_dry(f, type);
	if ((err = newborn_note(keys, type, f)) != HF_OK)
		return err;
	if (from != NULL)
		err = hsm_key_import(f->hsm, type, secret_view(&from->key),
		    f->rec.spki, f->wrap_id, f->id, f->wrapped, &len);
	else
		err = hsm_key_make(f->hsm, type, key_size, f->wrap_id, f->id,
		    f->wrapped, &len, f->spki, &spki_len);
	if (err != HF_OK)
		return err;
	f->rec.hsm_id = bytes_of(f->id, HSM_ID);
	f->rec.wrap_id = bytes_of(f->wrap_id, HSM_ID);
	f->rec.hsm_home = bytes_of(f->home, HSM_ID);
	f->rec.hsm_wrapped = bytes_of(f->wrapped, len);
	if (spki_len > 0)
		f->rec.spki = bytes_of(f->spki, spki_len);
	return type->family == FAMILY_HMAC ? HF_OK : hsm_hmac(f, from);
}

void
fresh_discard(
    struct keys *keys, const struct key_type *type, const struct fresh *f)
{
	struct hsm_key k = { .type = type, .wrapped = f->rec.hsm_wrapped };
	struct hsm_key mac = { .type = key_type_by_id(KEY_HMAC),
		.wrapped = f->rec.hsm_hmac_wrapped };

	if (f->rec.level != LEVEL_HSM || f->hsm == NULL || effects_dry())
		return;
	memcpy(k.id, f->id, HSM_ID);
	memcpy(mac.id, f->hmac_id, HSM_ID);
	if (hsm_key_drop(f->hsm, &k) != HF_OK ||
	    hsm_key_drop(f->hsm, &mac) != HF_OK)
		return; /* they are noted, and go at the next start */
	newborn_gone(keys, f);
}

enum hf_err
fresh_make(struct keys *keys, const struct key_type *type, enum key_level level,
    size_t key_size, const struct key_material *from, uint64_t number,
    struct fresh **out)
{
	struct fresh *f = calloc(1, sizeof(*f));
	enum hf_err err;

	if (f == NULL)
		return HF_ERR_NO_MEMORY;
	f->rec.version = number;
	f->rec.state = VERSION_ENABLED;
	f->rec.level = public_only(from) ? LEVEL_WRAPPED : level;
	f->rec.creation_time = (uint64_t)time(NULL);
	if (from != NULL && from->spki_len > 0) {
		memcpy(f->spki, from->spki, from->spki_len);
		f->rec.spki = bytes_of(f->spki, from->spki_len);
	}
	err = f->rec.level == LEVEL_HSM
	    ? fresh_hsm(f, keys, type, key_size, from)
	    : fresh_wrapped(f, type, key_size, from);
	if (err != HF_OK) {
		fresh_discard(keys, type, f);
		fresh_free(f);
		return err;
	}
	*out = f;
	return HF_OK;
}
