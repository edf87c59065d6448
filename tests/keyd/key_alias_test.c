/* SPDX-License-Identifier: Apache-2.0 */
#include "keys_fixture.h"

/* Aliases lead to keys, and to nothing else. */

/* -- Aliases -- */

static void
assert_leads_to(const char *alias, const char *target)
{
	struct key *key = get(alias);

	assert_string_equal(key->name, target);
	key_unref(key);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_alias_leads_to_its_key_until_it_is_moved),
		cmocka_unit_test(aliases_go_with_their_key),
		cmocka_unit_test(
		    changes_go_to_a_key_and_never_through_an_alias),
		cmocka_unit_test(no_alias_is_left_of_a_key_that_was_deleted),
		cmocka_unit_test(a_key_has_so_many_aliases_and_no_more),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
