/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_KEYS_FIXTURE_H
#define TESTS_KEYD_KEYS_FIXTURE_H

#include "../../keyd/change.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"
#include "../fake/service.h"
#include "hoard.h"

/* The promises of keys.h, over a real SoftHSM and the store in memory. */

static struct service service;
static struct keys *keys, *few;
static struct store *store;
static struct hf_why why;
static const struct hf_bytes none = { NULL, 0 };

static inline int
setup(void **state)
{
	(void)state;
	if (!service_start(&service, true))
		return -1;
	keys = service.server.keys;
	store = service.server.store;
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	service_stop(&service);
	keys_close(few); /* the store's watch spoke of it until now */
	return 0;
}

static inline struct key_create
how_to(const char *name, enum key_type_id type, enum key_level level)
{
	return (struct key_create){
		.name = text_of(name),
		.type = key_type_by_id(type),
		.level = level,
		.keyring = TEXT("default"),
		.prefix = TEXT("vault"),
		.deletion_allowed = true,
	};
}

static inline struct key *
make(const char *name)
{
	struct key_create how = how_to(name, KEY_AES256_GCM96, LEVEL_WRAPPED);
	struct key *key = NULL;

	assert_int_equal(keys_create(keys, &how, &key, &why), HF_OK);
	return key;
}

static inline void
make_quietly(const char *name)
{
	key_unref(make(name));
}

static inline struct key *
get(const char *name)
{
	struct key *key = NULL;

	assert_int_equal(keys_get(keys, text_of(name), true, &key), HF_OK);
	return key;
}

static inline enum hf_err
look(const char *name)
{
	struct key *key = NULL;
	enum hf_err err = keys_get(keys, text_of(name), true, &key);

	if (err == HF_OK)
		key_unref(key);
	return err;
}

static inline void
rotate(const char *name)
{
	struct key *key = NULL;

	assert_int_equal(keys_rotate(keys, text_of(name), &key, &why), HF_OK);
	key_unref(key);
}

static inline bool
count_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	(void)key;
	(void)value;
	(void)revision;
	++*(size_t *)ctx;
	return true;
}

static inline size_t
stored_below(const char *prefix)
{
	size_t n = 0;

	assert_int_equal(store_list(store, text_of(prefix),
			     (struct hf_text){ 0 }, 0, count_each, &n),
	    HF_OK);
	return n;
}

/* As so many rotations leave it, in a few commits. */
static inline void
grow_to(const char *name, uint32_t latest, struct hf_bytes material)
{
	struct key *key;
	uint32_t at;

	do {
		struct change c = { .keys = keys };
		struct key_record rec;

		key = get(name);
		rec = key_record_of(key);
		at = key->latest;
		for (int i = 0; i < 400 && at < latest; i++) {
			char stored[KEY_STORE_NAME];
			const struct key_version *v = &key->versions[0];
			struct version_record ver = { .version = ++at,
				.state = VERSION_ENABLED,
				.creation_time = 1,
				.material = material.ptr != NULL
				    ? material
				    : secret_view(&v->material),
				.hmac = secret_view(&v->hmac) };

			version_store_name(key->id, at, stored);
			assert_int_equal(change_seal(&c, key->keyring, stored,
					     &version_schema, &ver),
			    HF_OK);
		}
		rec.latest_version = at;
		assert_int_equal(change_key_record(&c, key, &rec), HF_OK);
		assert_int_equal(change_commit(&c), HF_OK);
		change_free(&c);
		key_unref(key);
	} while (at < latest);
}

static inline enum hf_err
point(const char *alias, const char *target)
{
	return keys_alias_set(keys, text_of(alias), text_of(target), &why);
}

static inline bool
join_each(void *ctx, struct hf_text name)
{
	char *to = ctx;

	(void)snprintf(to + strlen(to), 200 - strlen(to), "%.*s ",
	    (int)name.len, name.ptr);
	return true;
}

static inline void
assert_aliases(const char *key, const char *expect)
{
	char all[200] = "";

	assert_int_equal(
	    keys_aliases_of(keys, text_of(key), join_each, all), HF_OK);
	assert_string_equal(all, expect);
}

#endif
