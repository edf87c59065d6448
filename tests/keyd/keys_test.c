/* SPDX-License-Identifier: Apache-2.0 */
#include "keys_fixture.h"

/* Making keys, keeping them in memory, and losing them with their keyring. */

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
		cmocka_unit_test(drops_all_that_a_destroyed_keyring_sealed),
		cmocka_unit_test(no_key_comes_to_be_in_a_keyring_that_is_gone),
		cmocka_unit_test(scrubs_only_when_something_was_destroyed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
