/* SPDX-License-Identifier: Apache-2.0 */
#include "keys_fixture.h"

/* Versions that move, are destroyed when due, and are trimmed. */

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_move_between_their_states),
		cmocka_unit_test(destroys_what_is_due_and_nothing_else),
		cmocka_unit_test(destroys_nothing_that_its_watch_refuses),
		cmocka_unit_test(one_damaged_key_does_not_keep_others_alive),
		cmocka_unit_test(marks_that_nobody_wrote_destroy_nothing),
		cmocka_unit_test(trims_and_deletes_keys_with_many_versions),
		cmocka_unit_test(a_key_has_so_many_versions_and_no_more),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
