/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hierarchy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../keyd/share.h"
#include "../../lib/bytes.h"
#include "../fake/softhsm.h"
#include "../fake/store_memory.h"

/*
 * A master key that is made outside, of which there are shares: its birth and
 * its return, by a store in memory and two SoftHSM tokens. Shares as such are
 * shamir_test.c's, and the ceremony with people e2e/ceremony_test.sh's.
 */

static struct softhsm soft;
static struct hsm *left, *right;
static struct hf_why why;

struct fixture {
	struct store_memory *memory;
	struct store *store;
	struct hierarchy *h;
	uint8_t keys[SHARE_KEYS];
	struct share_facts facts;
	uint8_t sealed[8 + SEAL_EXTRA];
};

static int
group_setup(void **state)
{
	(void)state;
	if (crypto_init(&why) != HF_OK || !softhsm_start(&soft) ||
	    !softhsm_add("right"))
		return -1;
	left = softhsm_open(&soft, soft.uri, 10000);
	right = softhsm_open(&soft, SOFTHSM_URI("right"), 10000);
	return left != NULL && right != NULL ? 0 : -1;
}

static int
group_teardown(void **state)
{
	(void)state;
	hsm_close(left);
	hsm_close(right);
	softhsm_stop(&soft);
	return 0;
}

static void
start(struct fixture *f)
{
	struct hierarchy_link links[] = { { "left", left },
		{ "right", right } };

	assert_int_equal(store_memory_open(f->memory, &f->store), HF_OK);
	assert_int_equal(
	    hierarchy_open_links(f->store, links, 2, &f->h, &why), HF_OK);
	why.text[0] = '\0';
}

static void
end(struct fixture *f)
{
	hierarchy_close(f->h);
	store_close(f->store);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->memory = store_memory_new();
	assert_int_equal(crypto_random(f->keys, sizeof(f->keys)), HF_OK);
	f->facts = (struct share_facts){ .count = 3, .threshold = 2 };
	assert_int_equal(
	    crypto_random(f->facts.set, sizeof(f->facts.set)), HF_OK);
	assert_int_equal(
	    crypto_random(f->facts.check, sizeof(f->facts.check)), HF_OK);
	start(f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	end(f);
	store_memory_free(f->memory);
	free(f);
	return 0;
}

static enum hf_err
hand_out(void *ctx, struct hf_why *reason)
{
	(void)reason;
	*(unsigned *)ctx += 1;
	return HF_OK;
}

static enum hf_err
nobody_takes_one(void *ctx, struct hf_why *reason)
{
	(void)ctx;
	return hf_fail(reason, HF_ERR_SYSTEM, "the holder went home");
}

static enum hf_err
init(struct fixture *f, hand_out_fn *how, unsigned *given)
{
	why.text[0] = '\0';
	return hierarchy_init_shared(f->h, bytes_of(f->keys, sizeof(f->keys)),
	    &f->facts, how, given, &why);
}

/* Initialised, with something sealed. */
static int
setup_born(void **state)
{
	unsigned given = 0;
	struct fixture *f;

	(void)setup(state);
	f = *state;
	assert_int_equal(init(f, hand_out, &given), HF_OK);
	assert_int_equal(given, 1);
	assert_int_equal(hierarchy_unlock(f->h, &why), HF_OK);
	assert_int_equal(hierarchy_seal(f->h, TEXT("default"), TEXT("id"),
			     bytes_of("12345678", 8), f->sealed),
	    HF_OK);
	return 0;
}

static enum hf_err
restore(struct fixture *f, const char *device)
{
	why.text[0] = '\0';
	return hierarchy_restore_shared(
	    f->h, device, &f->facts, bytes_of(f->keys, sizeof(f->keys)), &why);
}

static void
expect_why(const char *words)
{
	if (strstr(why.text, words) == NULL)
		fail_msg("\"%s\" has no \"%s\"", why.text, words);
}

/* What was sealed is opened by a process that starts now. */
static void
expect_opens(struct fixture *f)
{
	AUTO_SECRET out = { 0 };

	end(f);
	start(f);
	assert_int_equal(hierarchy_unlock(f->h, &why), HF_OK);
	assert_int_equal(hierarchy_unseal(f->h, TEXT("id"),
			     bytes_of(f->sealed, sizeof(f->sealed)), &out),
	    HF_OK);
	assert_memory_equal(out.ptr, "12345678", 8);
}

/* -- Birth -- */

static void
a_second_birth_is_refused(void **state)
{
	struct fixture *f = *state;
	unsigned given = 0;

	assert_int_equal(init(f, hand_out, &given), HF_ERR_NAME_TAKEN);
	expect_why("there is a master key already");
	assert_int_equal(given, 0);
	expect_opens(f);
}

static void
without_holders_nothing_is_born(void **state)
{
	struct fixture *f = *state;
	unsigned given = 0;

	assert_int_equal(init(f, nobody_takes_one, NULL), HF_ERR_SYSTEM);
	expect_why("the holder went home");
	assert_false(hierarchy_initialized(f->h));
	end(f);
	start(f);
	assert_false(hierarchy_initialized(f->h));
	/* It begins anew, with other keys. */
	assert_int_equal(crypto_random(f->keys, sizeof(f->keys)), HF_OK);
	assert_int_equal(init(f, hand_out, &given), HF_OK);
	assert_int_equal(given, 1);
	assert_true(hierarchy_initialized(f->h));
}

/* Commits until one does not happen. */
static enum hf_err
dies(void *ctx, enum store_memory_when when, const struct store_write *writes,
    size_t count)
{
	unsigned *left_over = ctx;

	(void)writes;
	(void)count;
	if (when == STORE_MEMORY_AFTER)
		return HF_OK;
	return (*left_over)-- == 0 ? HF_ERR_STORE : HF_OK;
}

/* The process dies before its first commit, its second, and so on. */
static void
a_birth_that_is_cut_short_begins_anew(void **state)
{
	struct fixture *f = *state;
	unsigned given = 0, died = 0;
	enum hf_err err;

	do {
		unsigned commits = died;

		store_memory_hook(f->memory, dies, &commits);
		err = init(f, hand_out, &given);
		store_memory_hook(f->memory, NULL, NULL);
		if (err == HF_OK)
			break;
		assert_int_equal(err, HF_ERR_STORE);
		expect_why("the master key could not be made");
		died++;
		end(f);
		start(f);
	} while (!hierarchy_initialized(f->h));
	assert_in_range(died, 2, 5);
	/* All that can be missing then is the first keyring. */
	assert_int_equal(hierarchy_unlock(f->h, &why), HF_OK);
	assert_int_equal(hierarchy_seal(f->h, TEXT("default"), TEXT("id"),
			     bytes_of("12345678", 8), f->sealed),
	    HF_OK);
	expect_opens(f);
}

/* -- Return -- */

static void
a_second_return_finds_the_keys_there(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(restore(f, "left"), HF_OK);
	assert_int_equal(restore(f, "left"), HF_OK);
	expect_opens(f);
}

static void
another_hsm_gets_the_same_keys(void **state)
{
	struct fixture *f = *state;
	struct hierarchy_facts rows[2 * HSM_DEVICES];

	assert_int_equal(restore(f, "right"), HF_OK);
	assert_int_equal(hierarchy_devices(f->h, rows), 2);
	assert_memory_equal(rows[0].master_id, rows[1].master_id, HSM_ID);
	expect_opens(f);
	assert_int_equal(restore(f, "right"), HF_OK);
}

static void
shares_of_other_keys_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct hierarchy_facts rows[2 * HSM_DEVICES];

	/* They say that they are the right ones; the store says that not. */
	f->keys[0] ^= 1;
	assert_int_equal(restore(f, "right"), HF_ERR_BAD_VALUE);
	expect_why("the shares do not open keyring default");
	f->keys[0] ^= 1;
	f->facts.set[0] ^= 1;
	assert_int_equal(restore(f, "right"), HF_OK); /* the check is right */
	f->facts.check[0] ^= 1;
	assert_int_equal(restore(f, "right"), HF_ERR_BAD_VALUE);
	expect_why("not of the master key of this store");
	assert_int_equal(hierarchy_devices(f->h, rows), 2);
	expect_opens(f);
}

static void
a_master_key_without_shares_does_not_return(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(hierarchy_init(f->h, &why), HF_OK);
	assert_int_equal(restore(f, "left"), HF_ERR_BAD_VALUE);
	expect_why("has no shares");
}

static void
an_hsm_with_a_key_of_its_own_is_left_alone(void **state)
{
	struct fixture *f = *state;
	uint64_t count;

	assert_int_equal(
	    hierarchy_add(f->h, TEXT("right"), &count, &why), HF_OK);
	assert_int_equal(restore(f, "right"), HF_ERR_NAME_TAKEN);
	expect_why("has a master key of its own; remove it first");
	expect_opens(f);
}

static void
it_must_be_an_hsm_of_the_configuration(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(restore(f, "nowhere"), HF_ERR_NOT_FOUND);
	expect_why("there is no HSM nowhere in the configuration");
	assert_int_equal(hierarchy_restore_shared(f->h, "left", &f->facts,
			     bytes_of(f->keys, SHARE_KEYS - 1), &why),
	    HF_ERR_BAD_INPUT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define BORN(f) cmocka_unit_test_setup_teardown(f, setup_born, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BORN(a_second_birth_is_refused),
		TEST(without_holders_nothing_is_born),
		TEST(a_birth_that_is_cut_short_begins_anew),
		BORN(a_second_return_finds_the_keys_there),
		BORN(another_hsm_gets_the_same_keys),
		BORN(shares_of_other_keys_change_nothing),
		TEST(a_master_key_without_shares_does_not_return),
		BORN(an_hsm_with_a_key_of_its_own_is_left_alone),
		BORN(it_must_be_an_hsm_of_the_configuration),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
