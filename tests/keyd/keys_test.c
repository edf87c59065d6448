/* SPDX-License-Identifier: Apache-2.0 */
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

static int
setup(void **state)
{
	(void)state;
	if (!service_start(&service, true))
		return -1;
	keys = service.server.keys;
	store = service.server.store;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	service_stop(&service);
	keys_close(few); /* the store's watch spoke of it until now */
	return 0;
}

static struct key_create
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

static struct key *
make(const char *name)
{
	struct key_create how = how_to(name, KEY_AES256_GCM96, LEVEL_WRAPPED);
	struct key *key = NULL;

	assert_int_equal(keys_create(keys, &how, &key, &why), HF_OK);
	return key;
}

static void
make_quietly(const char *name)
{
	key_unref(make(name));
}

static struct key *
get(const char *name)
{
	struct key *key = NULL;

	assert_int_equal(keys_get(keys, text_of(name), true, &key), HF_OK);
	return key;
}

static enum hf_err
look(const char *name)
{
	struct key *key = NULL;
	enum hf_err err = keys_get(keys, text_of(name), true, &key);

	if (err == HF_OK)
		key_unref(key);
	return err;
}

static void
rotate(const char *name)
{
	struct key *key = NULL;

	assert_int_equal(keys_rotate(keys, text_of(name), &key, &why), HF_OK);
	key_unref(key);
}

static size_t stored_below(const char *prefix);

static bool
count_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	(void)key;
	(void)value;
	(void)revision;
	++*(size_t *)ctx;
	return true;
}

static size_t
stored_below(const char *prefix)
{
	size_t n = 0;

	assert_int_equal(store_list(store, text_of(prefix),
			     (struct hf_text){ 0 }, 0, count_each, &n),
	    HF_OK);
	return n;
}

static enum hf_err
allow_trim(
    void *ctx, const struct key *key, struct key_record *rec, struct hf_why *w)
{
	(void)key;
	(void)w;
	rec->min_decryption_version = rec->min_encryption_version =
	    *(uint64_t *)ctx;
	return HF_OK;
}

static void
raise_minima(const char *name, uint64_t version)
{
	struct key *key = NULL;

	assert_int_equal(
	    keys_change(keys, text_of(name), allow_trim, &version, &key, &why),
	    HF_OK);
	key_unref(key);
}

/* -- Making -- */

static void
makes_every_type_at_every_level(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_types_count; i++) {
		const struct key_type *type = &key_types[i];

		if (type->id == KEY_RSA_3072 || type->id == KEY_RSA_4096)
			continue; /* slow, and no different */
		for (int level = LEVEL_WRAPPED; level <= LEVEL_HSM; level++) {
			char name[64];
			struct key_create how;
			struct key *key = NULL;
			enum hf_err err;

			(void)snprintf(name, sizeof(name), "every-%s-%d",
			    type->name, level);
			how = how_to(name, type->id, (enum key_level)level);
			how.key_size = type->family == FAMILY_HMAC ? 32 : 0;
			err = keys_create(keys, &how, &key, &why);
			if (level == LEVEL_HSM && !type->hsm) {
				assert_int_equal(err, HF_ERR_KEY_LEVEL);
				continue;
			}
			assert_int_equal(err, HF_OK);
			assert_int_equal(key->latest, 1);
			assert_int_equal(key->versions[0].level, level);
			key_unref(key);
			assert_int_equal(
			    keys_delete(keys, text_of(name), &why), HF_OK);
		}
	}
}

static void
same_secret(const struct secret *a, const struct secret *b)
{
	assert_int_equal(a->len, b->len);
	if (a->len > 0)
		assert_memory_equal(a->ptr, b->ptr, a->len);
}

static void
same_version(const struct key_version *a, const struct key_version *b)
{
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->level, b->level);
	assert_int_equal(a->creation_time, b->creation_time);
	same_secret(&a->material, &b->material);
	same_secret(&a->hmac, &b->hmac);
	assert_memory_equal(a->hsm.id, b->hsm.id, HSM_ID);
	assert_memory_equal(a->hsm_home, b->hsm_home, HSM_ID);
	assert_int_equal(a->hsm.wrapped.len, b->hsm.wrapped.len);
	assert_int_equal(a->spki_len, b->spki_len);
	if (a->spki_len > 0)
		assert_memory_equal(a->spki, b->spki, a->spki_len);
}

/* What is handed out after the commit was not read back from the store. */
static void
a_key_that_was_made_is_the_one_in_the_store(void **state)
{
	static const struct {
		const char *name;
		enum key_type_id type;
		enum key_level level;
	} made[] = { { "as-made-1", KEY_AES256_GCM96, LEVEL_WRAPPED },
		{ "as-made-2", KEY_AES256_GCM96, LEVEL_HSM },
		{ "as-made-3", KEY_ECDSA_P256, LEVEL_WRAPPED },
		{ "as-made-4", KEY_ECDSA_P256, LEVEL_HSM } };

	(void)state;
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		struct key_create how =
		    how_to(made[i].name, made[i].type, made[i].level);
		struct key *key = NULL, *stored;

		how.exportable = made[i].level == LEVEL_WRAPPED;
		how.auto_rotate_period = 86400;
		how.label = TEXT("a label");
		how.cka_id = bytes_of("id", 2);
		how.uses = 1;
		assert_int_equal(keys_create(keys, &how, &key, &why), HF_OK);
		stored = get(made[i].name);
		assert_string_equal(key->name, stored->name);
		assert_memory_equal(key->id, stored->id, HSM_ID);
		assert_ptr_equal(key->type, stored->type);
		assert_int_equal(key->level, stored->level);
		assert_string_equal(key->keyring, stored->keyring);
		assert_string_equal(key->prefix, stored->prefix);
		assert_int_equal(key->latest, stored->latest);
		assert_int_equal(key->exportable, stored->exportable);
		assert_string_equal(key->label, stored->label);
		assert_int_equal(key->cka_id_len, stored->cka_id_len);
		assert_int_equal(key->uses, stored->uses);
		assert_int_equal(key->next_due, stored->next_due);
		assert_int_equal(key->use_limit, stored->use_limit);
		assert_int_equal(key->revision, stored->revision);
		assert_ptr_equal(key->usage, stored->usage);
		assert_int_equal(key->count, 1);
		assert_int_equal(stored->count, 1);
		same_version(&key->versions[0], &stored->versions[0]);
		key_unref(key);
		key_unref(stored);
	}
}

/* Who says to have looked before is caught by the commit all the same. */
static void
a_name_is_taken_only_once(void **state)
{
	struct key_create how =
	    how_to("taken-once", KEY_AES256_GCM96, LEVEL_WRAPPED);
	struct key *key = NULL;

	(void)state;
	make_quietly("taken-once");
	how.name_free = true;
	assert_int_equal(
	    keys_create(keys, &how, &key, &why), HF_ERR_KEY_EXISTS);
	assert_string_equal(key->name, "taken-once");
	key_unref(key);
	make_quietly("taken-target");
	assert_int_equal(keys_alias_set(keys, TEXT("taken-alias"),
			     TEXT("taken-target"), &why),
	    HF_OK);
	how.name = TEXT("taken-alias");
	assert_int_equal(
	    keys_create(keys, &how, &key, &why), HF_ERR_NAME_TAKEN);
}

static void
refuses_names_that_are_none(void **state)
{
	static const char *const names[] = { "", ".", "-a", "a/b", "a b", "..",
		"a\nb", "key/x", "\xc3\xa9" };
	struct key_create how = how_to("x", KEY_AES256_GCM96, LEVEL_WRAPPED);
	char longest[130];
	struct key *key = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		how.name = text_of(names[i]);
		assert_int_equal(
		    keys_create(keys, &how, &key, &why), HF_ERR_BAD_NAME);
		assert_int_equal(look(names[i]), HF_ERR_BAD_NAME);
	}
	memset(longest, 'n', sizeof(longest));
	how.name = (struct hf_text){ longest, 129 };
	assert_int_equal(keys_create(keys, &how, &key, &why), HF_ERR_BAD_NAME);
	how.name.len = 128;
	assert_int_equal(keys_create(keys, &how, &key, &why), HF_OK);
	assert_int_equal(strlen(key->name), 128);
	key_unref(key);
}

static void
says_what_bears_a_name_already(void **state)
{
	struct key_create how =
	    how_to("taken", KEY_AES256_GCM96, LEVEL_WRAPPED);
	struct key *key = NULL;

	(void)state;
	make_quietly("taken");
	assert_int_equal(
	    keys_create(keys, &how, &key, &why), HF_ERR_KEY_EXISTS);
	assert_non_null(key);
	key_unref(key);
	assert_int_equal(
	    keys_alias_set(keys, TEXT("taken-too"), TEXT("taken"), &why),
	    HF_OK);
	how.name = TEXT("taken-too");
	key = NULL;
	assert_int_equal(
	    keys_create(keys, &how, &key, &why), HF_ERR_NAME_TAKEN);
	assert_null(key);
}

static void
refuses_a_keyring_that_is_not_there(void **state)
{
	struct key_create how =
	    how_to("ringless", KEY_AES256_GCM96, LEVEL_WRAPPED);
	struct key *key = NULL;

	(void)state;
	how.keyring = TEXT("nowhere");
	assert_int_equal(
	    keys_create(keys, &how, &key, &why), HF_ERR_KEYRING_NOT_FOUND);
}

/* -- Commits that fail -- */

static enum hf_err
fail_commit(void *ctx, enum store_memory_when when,
    const struct store_write *writes, size_t count)
{
	(void)ctx;
	(void)writes;
	(void)count;
	return when == STORE_MEMORY_BEFORE ? HF_ERR_STORE : HF_OK;
}

static void
leaves_nothing_behind_when_the_store_fails(void **state)
{
	struct key_create how = how_to("failing", KEY_ECDSA_P256, LEVEL_HSM);
	size_t before = stored_below("");
	struct key *key = NULL;

	(void)state;
	store_memory_hook(service.memory, fail_commit, NULL);
	assert_int_equal(keys_create(keys, &how, &key, &why), HF_ERR_STORE);
	store_memory_hook(service.memory, NULL, NULL);
	assert_null(key);
	assert_int_equal(stored_below(""), before);
	assert_int_equal(look("failing"), HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(keys_create(keys, &how, &key, &why), HF_OK);
	key_unref(key);
	store_memory_hook(service.memory, fail_commit, NULL);
	assert_int_equal(keys_rotate(keys, how.name, &key, &why), HF_ERR_STORE);
	assert_int_equal(keys_delete(keys, how.name, &why), HF_ERR_STORE);
	store_memory_hook(service.memory, NULL, NULL);
	key = get("failing");
	assert_int_equal(key->latest, 1);
	key_unref(key);
}

/* -- Conflicts, caches -- */

struct racer {
	const char *name;
	unsigned times;
	unsigned failed;
};

static void *
rotate_often(void *arg)
{
	struct racer *r = arg;
	struct hf_why w;

	for (unsigned i = 0; i < r->times; i++) {
		struct key *key = NULL;

		if (keys_rotate(keys, text_of(r->name), &key, &w) != HF_OK)
			r->failed++;
		else
			key_unref(key);
	}
	return NULL;
}

static void
changes_from_many_threads_all_happen(void **state)
{
	enum { THREADS = 8, TIMES = 6 };
	struct racer racers[THREADS];
	pthread_t threads[THREADS];
	struct key *key;

	(void)state;
	make_quietly("contended");
	for (int i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ "contended", TIMES, 0 };
		assert_int_equal(
		    pthread_create(&threads[i], NULL, rotate_often, &racers[i]),
		    0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(racers[i].failed, 0);
	}
	key = get("contended");
	assert_int_equal(key->latest, 1 + THREADS * TIMES);
	assert_int_equal(key->count, 1 + THREADS * TIMES);
	key_unref(key);
}

struct reader {
	_Atomic bool stop;
	_Atomic unsigned went_back;
};

/* What was seen once is never older later on. */
static void *
read_often(void *arg)
{
	struct reader *r = arg;
	uint32_t seen = 0;

	while (!atomic_load(&r->stop)) {
		struct key *key = NULL;

		if (keys_get(keys, TEXT("watched"), true, &key) != HF_OK)
			continue;
		if (key->latest < seen)
			atomic_fetch_add(&r->went_back, 1);
		seen = key->latest;
		key_unref(key);
	}
	return NULL;
}

static void
a_reader_never_gets_an_older_key_than_before(void **state)
{
	struct reader r = { false, 0 };
	pthread_t threads[2];

	(void)state;
	make_quietly("watched");
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, read_often, &r), 0);
	for (int i = 0; i < 30; i++) {
		struct key *key;

		rotate("watched");
		key = get("watched");
		assert_int_equal(key->latest, i + 2);
		key_unref(key);
	}
	atomic_store(&r.stop, true);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(r.went_back, 0);
}

/* Writes the record of a key as it is, as another daemon might. */
static void
touch(const char *name)
{
	char stored[KEY_STORE_NAME];
	struct store_value v = { 0 };
	struct store_write write;

	key_store_name(text_of(name), stored);
	assert_int_equal(store_get(store, text_of(stored), &v), HF_OK);
	write = (struct store_write){ text_of(stored), bytes_of(v.ptr, v.len) };
	assert_int_equal(store_commit(store, NULL, 0, &write, 1, NULL), HF_OK);
	store_value_free(&v);
}

static void
a_commit_by_anybody_drops_what_is_cached(void **state)
{
	struct key *key = make("shared");

	(void)state;
	key_unref(key);
	assert_int_equal(look("shared"), HF_OK);
	assert_int_equal(keys_get(keys, TEXT("shared"), false, &key), HF_OK);
	key_unref(key);
	touch("shared");
	assert_int_equal(
	    keys_get(keys, TEXT("shared"), false, &key), HF_ERR_DEFER);
	assert_int_equal(look("shared"), HF_OK);
}

static void
keeps_no_more_keys_than_it_may(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "many-%d", i);
		make_quietly(name);
		assert_int_equal(look(name), HF_OK);
	}
	assert_int_equal(
	    keys_open(store, service.server.hierarchy, 64, &few), HF_OK);
	for (int i = 0; i < 200; i++) {
		char name[32];
		struct key *key;

		(void)snprintf(name, sizeof(name), "many-%d", i);
		assert_int_equal(
		    keys_get(few, text_of(name), true, &key), HF_OK);
		key_unref(key);
		assert_true(keys_cached(few) <= 128);
	}
	keys_forget(few);
	assert_int_equal(keys_cached(few), 0);
	assert_true(keys_cached(keys) >= 200);
}

/* As so many rotations leave it, in a few commits. */
static void
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

static void
full_locked_memory_makes_room_instead_of_failing(void **state)
{
	static struct hoard hoard;
	AUTO_SECRET material = { 0 };
	struct key_create how;
	struct key *key = NULL;
	size_t cached;

	(void)state;
	for (int i = 0; i < 2; i++) {
		how = how_to(i == 0 ? "large-0" : "large-1", KEY_RSA_2048,
		    LEVEL_WRAPPED);
		assert_int_equal(keys_create(keys, &how, &key, &why), HF_OK);
		key_unref(key);
	}
	assert_int_equal(
	    crypto_generate(key_type_by_id(KEY_RSA_2048), 0, &material), HF_OK);
	grow_to("large-1", 100, secret_view(&material));
	assert_int_equal(look("large-1"), HF_OK);
	touch("large-0");
	if (!hoard_fill(&hoard))
		skip(); /* then it has no end */
	cached = keys_cached(keys);
	assert_int_equal(look("large-0"), HF_OK);
	assert_true(keys_cached(keys) < cached);
	how = how_to("large-2", KEY_RSA_2048, LEVEL_WRAPPED);
	assert_int_equal(keys_create(keys, &how, &key, &why), HF_OK);
	key_unref(key);
	hoard_free(&hoard);
}

/* -- Versions -- */

static void
versions_move_between_their_states(void **state)
{
	struct key *key = NULL;
	struct hf_text name = TEXT("stateful");

	(void)state;
	make_quietly("stateful");
	rotate("stateful");
	assert_int_equal(
	    keys_version_disable(keys, name, 1, &key, &why), HF_OK);
	assert_int_equal(key->versions[0].state, VERSION_DISABLED);
	key_unref(key);
	assert_int_equal(keys_version_enable(keys, name, 1, &key, &why), HF_OK);
	assert_int_equal(key->versions[0].state, VERSION_ENABLED);
	key_unref(key);
	assert_int_equal(keys_version_restore(keys, name, 1, &key, &why),
	    HF_ERR_VERSION_STATE);
	assert_int_equal(
	    keys_version_destroy(keys, name, 1, 100, 0, &key, &why), HF_OK);
	assert_int_equal(key->versions[0].state, VERSION_DESTROY_SCHEDULED);
	key_unref(key);
	assert_int_equal(stored_below("due/"), 1);
	/* Once more: the mark moves along. */
	assert_int_equal(
	    keys_version_destroy(keys, name, 1, 200, 0, &key, &why), HF_OK);
	key_unref(key);
	assert_int_equal(stored_below("due/"), 1);
	assert_int_equal(keys_version_enable(keys, name, 1, &key, &why),
	    HF_ERR_VERSION_STATE);
	assert_int_equal(
	    keys_version_restore(keys, name, 1, &key, &why), HF_OK);
	assert_int_equal(key->versions[0].state, VERSION_DISABLED);
	key_unref(key);
	assert_int_equal(stored_below("due/"), 0);
	assert_int_equal(keys_version_enable(keys, name, 9, &key, &why),
	    HF_ERR_VERSION_NOT_FOUND);
}

struct destroyed {
	unsigned before, after;
	bool refuse;
};

static enum hf_err
before_destroy(void *ctx, const char *name, uint64_t version)
{
	struct destroyed *d = ctx;

	(void)name;
	(void)version;
	d->before++;
	return d->refuse ? HF_ERR_AUDIT : HF_OK;
}

static void
after_destroy(void *ctx, const char *name, uint64_t version, enum hf_err err)
{
	struct destroyed *d = ctx;

	(void)name;
	(void)version;
	assert_int_equal(err, HF_OK);
	d->after++;
}

static enum hf_err
destroy_due(struct destroyed *d, uint64_t *next)
{
	return keys_destroy_due(keys, (uint64_t)time(NULL),
	    &(struct due_watch){ d, before_destroy, after_destroy }, next);
}

static void
schedule(const char *name, uint64_t version, uint64_t delay)
{
	struct key *key = NULL;

	assert_int_equal(keys_version_destroy(keys, text_of(name), version,
			     delay, 0, &key, &why),
	    HF_OK);
	key_unref(key);
}

static void
destroys_what_is_due_and_nothing_else(void **state)
{
	struct destroyed d = { 0 };
	uint64_t next = 0;
	struct key *key;

	(void)state;
	make_quietly("due-now");
	rotate("due-now");
	make_quietly("due-later");
	schedule("due-now", 1, 0);
	schedule("due-later", 1, 1000);
	assert_int_equal(destroy_due(&d, &next), HF_OK);
	assert_int_equal(d.before, 1);
	assert_int_equal(d.after, 1);
	assert_true(next >= (uint64_t)time(NULL) + 990);
	key = get("due-now");
	assert_int_equal(key->versions[0].state, VERSION_DESTROYED);
	assert_null(key->versions[0].material.ptr);
	assert_null(key->versions[0].hmac.ptr);
	key_unref(key);
	key = get("due-later");
	assert_int_equal(key->versions[0].state, VERSION_DESTROY_SCHEDULED);
	key_unref(key);
	assert_int_equal(keys_delete(keys, TEXT("due-later"), &why), HF_OK);
	assert_int_equal(stored_below("due/"), 0);
}

static void
destroys_nothing_that_its_watch_refuses(void **state)
{
	struct destroyed d = { .refuse = true };
	uint64_t next = 0;
	struct key *key;

	(void)state;
	make_quietly("untold");
	schedule("untold", 1, 0);
	assert_int_equal(destroy_due(&d, &next), HF_ERR_AUDIT);
	assert_int_equal(d.after, 0);
	key = get("untold");
	assert_int_equal(key->versions[0].state, VERSION_DESTROY_SCHEDULED);
	key_unref(key);
	d.refuse = false;
	assert_int_equal(destroy_due(&d, &next), HF_OK);
	assert_int_equal(d.after, 1);
}

static void
put_raw(const char *name, const char *value)
{
	struct store_write w = { text_of(name),
		bytes_of(value, strlen(value)) };

	assert_int_equal(store_commit(store, NULL, 0, &w, 1, NULL), HF_OK);
}

static void
one_damaged_key_does_not_keep_others_alive(void **state)
{
	struct destroyed d = { 0 };
	uint64_t next = 0;
	struct key *key;

	(void)state;
	make_quietly("a-damaged");
	schedule("a-damaged", 1, 0);
	make_quietly("b-whole");
	schedule("b-whole", 1, 0);
	put_raw("key/a-damaged",
	    "rubbish that no keyring sealed, long enough "
	    "to be looked at");
	assert_int_equal(destroy_due(&d, &next), HF_ERR_STORE_DAMAGED);
	key = get("b-whole");
	assert_int_equal(key->versions[0].state, VERSION_DESTROYED);
	key_unref(key);
	assert_int_equal(
	    store_commit(store, NULL, 0,
		&(struct store_write){ TEXT("key/a-damaged"), { NULL, 0 } }, 1,
		NULL),
	    HF_OK);
	assert_int_equal(destroy_due(&d, &next), HF_OK);
	assert_int_equal(stored_below("due/"), 0);
}

static void
marks_that_nobody_wrote_destroy_nothing(void **state)
{
	static const char *const marks[] = { "due/", "due/1",
		"due/0000000000000001/000001", "due/0000000000000001/000001/",
		"due/0000000000000001/000001/../x",
		"due/000000000000000z/000001/forged",
		"due/0000000000000001/00001/forged" };
	struct destroyed d = { 0 };
	uint64_t next = 0;

	(void)state;
	make_quietly("forged");
	for (size_t i = 1; i < sizeof(marks) / sizeof(marks[0]); i++)
		put_raw(marks[i], "x");
	put_raw("due/0000000000000001/000001/forged", "x");
	assert_int_equal(destroy_due(&d, &next), HF_OK);
	assert_int_equal(d.before, 0);
	assert_int_equal(look("forged"), HF_OK);
	for (size_t i = 1; i < sizeof(marks) / sizeof(marks[0]); i++) {
		struct store_write w = { text_of(marks[i]), { NULL, 0 } };

		assert_int_equal(
		    store_commit(store, NULL, 0, &w, 1, NULL), HF_OK);
	}
	assert_int_equal(stored_below("due/"), 0);
}

/* -- Trim and delete, of keys larger than a commit -- */

static void
trims_and_deletes_keys_with_many_versions(void **state)
{
	struct key *key = NULL;
	size_t before = stored_below("ver/");

	(void)state;
	make_quietly("long");
	grow_to("long", 950, none);
	assert_int_equal(stored_below("ver/"), before + 950);
	raise_minima("long", 645);
	assert_int_equal(
	    keys_trim(keys, TEXT("long"), 640, 0, &key, &why), HF_OK);
	assert_int_equal(key->min_available, 640);
	assert_int_equal(key->count, 311);
	key_unref(key);
	assert_int_equal(stored_below("ver/"), before + 311);
	for (uint64_t v = 700; v < 750; v++)
		schedule("long", v, 5000);
	grow_to("long", 1600, none);
	assert_int_equal(keys_delete(keys, TEXT("long"), &why), HF_OK);
	assert_int_equal(stored_below("ver/"), before);
	assert_int_equal(stored_below("due/"), 0);
	assert_int_equal(look("long"), HF_ERR_KEY_NOT_FOUND);
}

static void
a_key_has_so_many_versions_and_no_more(void **state)
{
	struct key *key = NULL;

	(void)state;
	make_quietly("full");
	grow_to("full", 999, none);
	rotate("full");
	assert_int_equal(
	    keys_rotate(keys, TEXT("full"), &key, &why), HF_ERR_BAD_CONFIG);
	assert_int_equal(keys_delete(keys, TEXT("full"), &why), HF_OK);
}

/* -- Aliases -- */

static enum hf_err
point(const char *alias, const char *target)
{
	return keys_alias_set(keys, text_of(alias), text_of(target), &why);
}

static void
assert_leads_to(const char *alias, const char *target)
{
	struct key *key = get(alias);

	assert_string_equal(key->name, target);
	key_unref(key);
}

static bool
join_each(void *ctx, struct hf_text name)
{
	char *to = ctx;

	(void)snprintf(to + strlen(to), 200 - strlen(to), "%.*s ",
	    (int)name.len, name.ptr);
	return true;
}

static void
assert_aliases(const char *key, const char *expect)
{
	char all[200] = "";

	assert_int_equal(
	    keys_aliases_of(keys, text_of(key), join_each, all), HF_OK);
	assert_string_equal(all, expect);
}

static void
an_alias_leads_to_its_key_until_it_is_moved(void **state)
{
	(void)state;
	make_quietly("north");
	make_quietly("south");
	assert_int_equal(point("here", "north"), HF_OK);
	assert_leads_to("here", "north");
	assert_int_equal(point("here", "north"), HF_OK); /* again */
	assert_int_equal(point("here", "south"), HF_OK);
	assert_leads_to("here", "south");
	assert_aliases("north", "");
	assert_aliases("south", "here ");
	assert_int_equal(point("there", "here"), HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(point("north", "south"), HF_ERR_NAME_TAKEN);
	assert_int_equal(point("south", "south"), HF_ERR_NAME_TAKEN);
	assert_int_equal(point("no/name", "south"), HF_ERR_BAD_NAME);
	assert_int_equal(keys_alias_delete(keys, TEXT("here")), HF_OK);
	assert_int_equal(look("here"), HF_ERR_KEY_NOT_FOUND);
	assert_aliases("south", "");
	assert_int_equal(
	    keys_alias_delete(keys, TEXT("here")), HF_ERR_NOT_FOUND);
}

static void
aliases_go_with_their_key(void **state)
{
	(void)state;
	make_quietly("mortal");
	assert_int_equal(point("mortal-a", "mortal"), HF_OK);
	assert_int_equal(point("mortal-b", "mortal"), HF_OK);
	assert_int_equal(keys_delete(keys, TEXT("mortal"), &why), HF_OK);
	assert_int_equal(look("mortal-a"), HF_ERR_KEY_NOT_FOUND);
	make_quietly("mortal");
	assert_int_equal(look("mortal-b"), HF_ERR_KEY_NOT_FOUND);
	assert_aliases("mortal", "");
}

static void
changes_go_to_a_key_and_never_through_an_alias(void **state)
{
	struct key *key = NULL;

	(void)state;
	make_quietly("guarded");
	assert_int_equal(point("way", "guarded"), HF_OK);
	assert_int_equal(
	    keys_rotate(keys, TEXT("way"), &key, &why), HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(
	    keys_delete(keys, TEXT("way"), &why), HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(keys_version_disable(keys, TEXT("way"), 1, &key, &why),
	    HF_ERR_KEY_NOT_FOUND);
	key = get("guarded");
	assert_int_equal(key->latest, 1);
	key_unref(key);
}

struct alias_race {
	_Atomic bool stop;
};

static void *
move_alias_often(void *arg)
{
	struct alias_race *r = arg;
	struct hf_why w;

	while (!atomic_load(&r->stop)) {
		(void)keys_alias_set(keys, TEXT("wander"), TEXT("gone-a"), &w);
		(void)keys_alias_set(keys, TEXT("wander"), TEXT("gone-b"), &w);
	}
	return NULL;
}

static void
no_alias_is_left_of_a_key_that_was_deleted(void **state)
{
	struct alias_race r = { false };
	pthread_t thread;

	(void)state;
	assert_int_equal(
	    pthread_create(&thread, NULL, move_alias_often, &r), 0);
	for (int i = 0; i < 40; i++) {
		enum hf_err err;

		make_quietly("gone-a");
		make_quietly("gone-b");
		err = keys_delete(keys, TEXT("gone-a"), &why);
		assert_true(err == HF_OK || err == HF_ERR_STORE_CONFLICT);
		err = keys_delete(keys, TEXT("gone-b"), &why);
		while (err == HF_ERR_STORE_CONFLICT)
			err = keys_delete(keys, TEXT("gone-b"), &why);
		while (look("gone-a") == HF_OK)
			(void)keys_delete(keys, TEXT("gone-a"), &why);
	}
	atomic_store(&r.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(stored_below("aliasof/gone-"), 0);
	assert_int_equal(stored_below("alias/wander"), 0);
}

static void
a_key_has_so_many_aliases_and_no_more(void **state)
{
	char name[32];

	(void)state;
	make_quietly("popular");
	for (int i = 0; i < 256; i++) {
		(void)snprintf(name, sizeof(name), "popular-%d", i);
		assert_int_equal(point(name, "popular"), HF_OK);
	}
	assert_int_equal(point("popular-256", "popular"), HF_ERR_BAD_CONFIG);
	assert_int_equal(point("popular-3", "popular"), HF_OK);
	assert_int_equal(keys_delete(keys, TEXT("popular"), &why), HF_OK);
	assert_int_equal(stored_below("alias/popular"), 0);
	assert_int_equal(stored_below("aliasof/popular"), 0);
}

/* -- Keyrings -- */

static void
make_in(const char *name, const char *ring)
{
	struct key_create how = how_to(name, KEY_AES256_GCM96, LEVEL_WRAPPED);
	struct key *key = NULL;

	how.keyring = text_of(ring);
	assert_int_equal(keys_create(keys, &how, &key, &why), HF_OK);
	key_unref(key);
}

static void
drops_all_that_a_destroyed_keyring_sealed(void **state)
{
	struct hf_text ring = TEXT("doomed");
	struct keyring_info info;
	uint64_t count = 0;
	char name[32];

	(void)state;
	assert_int_equal(
	    keyring_create(service.server.hierarchy, ring, &info), HF_OK);
	for (int i = 0; i < 600; i++) {
		(void)snprintf(name, sizeof(name), "doomed-%d", i);
		make_in(name, "doomed");
	}
	make_quietly("survivor");
	assert_int_equal(point("doomed-alias", "doomed-7"), HF_OK);
	assert_int_equal(keys_drop_keyring(keys, ring, true, &count), HF_OK);
	assert_int_equal(count, 600);
	assert_int_equal(
	    keyring_destroy(service.server.hierarchy, ring), HF_OK);
	keys_forget(keys);
	assert_int_equal(look("doomed-7"), HF_ERR_KEYRING_NOT_FOUND);
	assert_int_equal(keys_drop_keyring(keys, ring, false, &count), HF_OK);
	assert_int_equal(count, 600);
	assert_int_equal(look("doomed-7"), HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(look("doomed-alias"), HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(look("survivor"), HF_OK);
	/* Their names are free, and bear nothing of what was. */
	make_quietly("doomed-7");
	assert_aliases("doomed-7", "");
	assert_int_equal(stored_below("alias/doomed"), 0);
}

/* The keyring is destroyed by somebody between the sealing and the commit. */
static enum hf_err
destroy_under_way(void *ctx, enum store_memory_when when,
    const struct store_write *writes, size_t count)
{
	_Atomic bool *reached = ctx;

	(void)when;
	(void)writes;
	(void)count;
	atomic_store(reached, true);
	return HF_OK;
}

static void *
create_in_brief(void *arg)
{
	struct key_create how = how_to("late", KEY_AES256_GCM96, LEVEL_WRAPPED);
	enum hf_err *err = arg;
	struct hf_why w;
	struct key *key = NULL;

	how.keyring = TEXT("brief");
	*err = HF_OK;
	while (*err == HF_OK) {
		*err = keys_create(keys, &how, &key, &w);
		if (*err != HF_OK)
			break;
		key_unref(key);
		*err = keys_delete(keys, how.name, &w);
	}
	return NULL;
}

static void
no_key_comes_to_be_in_a_keyring_that_is_gone(void **state)
{
	_Atomic bool reached = false;
	struct keyring_info info;
	enum hf_err err;
	pthread_t thread;
	uint64_t count;

	(void)state;
	assert_int_equal(
	    keyring_create(service.server.hierarchy, TEXT("brief"), &info),
	    HF_OK);
	store_memory_hook(service.memory, destroy_under_way, &reached);
	assert_int_equal(
	    pthread_create(&thread, NULL, create_in_brief, &err), 0);
	while (!atomic_load(&reached))
		;
	assert_int_equal(
	    keyring_destroy(service.server.hierarchy, TEXT("brief")), HF_OK);
	assert_int_equal(
	    keys_drop_keyring(keys, TEXT("brief"), false, &count), HF_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	store_memory_hook(service.memory, NULL, NULL);
	/* Which of the two came first decides the answer, not the outcome. */
	if (err != HF_ERR_KEYRING_NOT_FOUND && err != HF_ERR_KEY_NOT_FOUND &&
	    err != HF_ERR_STORE_CONFLICT)
		fail_msg("%s", hf_err_name(err));
	assert_int_equal(
	    keys_drop_keyring(keys, TEXT("brief"), true, &count), HF_OK);
	assert_int_equal(count, 0);
}

/* -- Scrubbing -- */

static void
scrubs_only_when_something_was_destroyed(void **state)
{
	(void)state;
	make_quietly("scrubbed");
	assert_int_equal(keys_scrub(keys), HF_OK);
	assert_int_equal(keys_delete(keys, TEXT("scrubbed"), &why), HF_OK);
	assert_int_equal(keys_scrub(keys), HF_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_every_type_at_every_level),
		cmocka_unit_test(a_key_that_was_made_is_the_one_in_the_store),
		cmocka_unit_test(a_name_is_taken_only_once),
		cmocka_unit_test(refuses_names_that_are_none),
		cmocka_unit_test(says_what_bears_a_name_already),
		cmocka_unit_test(refuses_a_keyring_that_is_not_there),
		cmocka_unit_test(leaves_nothing_behind_when_the_store_fails),
		cmocka_unit_test(changes_from_many_threads_all_happen),
		cmocka_unit_test(a_reader_never_gets_an_older_key_than_before),
		cmocka_unit_test(a_commit_by_anybody_drops_what_is_cached),
		cmocka_unit_test(keeps_no_more_keys_than_it_may),
		cmocka_unit_test(
		    full_locked_memory_makes_room_instead_of_failing),
		cmocka_unit_test(versions_move_between_their_states),
		cmocka_unit_test(destroys_what_is_due_and_nothing_else),
		cmocka_unit_test(destroys_nothing_that_its_watch_refuses),
		cmocka_unit_test(one_damaged_key_does_not_keep_others_alive),
		cmocka_unit_test(marks_that_nobody_wrote_destroy_nothing),
		cmocka_unit_test(trims_and_deletes_keys_with_many_versions),
		cmocka_unit_test(a_key_has_so_many_versions_and_no_more),
		cmocka_unit_test(an_alias_leads_to_its_key_until_it_is_moved),
		cmocka_unit_test(aliases_go_with_their_key),
		cmocka_unit_test(
		    changes_go_to_a_key_and_never_through_an_alias),
		cmocka_unit_test(no_alias_is_left_of_a_key_that_was_deleted),
		cmocka_unit_test(a_key_has_so_many_aliases_and_no_more),
		cmocka_unit_test(drops_all_that_a_destroyed_keyring_sealed),
		cmocka_unit_test(no_key_comes_to_be_in_a_keyring_that_is_gone),
		cmocka_unit_test(scrubs_only_when_something_was_destroyed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
