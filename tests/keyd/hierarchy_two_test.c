/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hierarchy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"
#include "../fake/softhsm.h"
#include "../fake/store_memory.h"

/*
 * A hierarchy over two SoftHSM tokens, "left" and "right", of which either can
 * be taken away. A process that dies at some step is one whose commit did not
 * happen (or happened unheard), as in hierarchy_test.c.
 */

enum { LEFT, RIGHT, BOTH };

static struct softhsm soft;
static struct hsm *hsms[BOTH];
static CK_SLOT_ID slots[BOTH];
static _Atomic bool away[BOTH];
static struct hf_why why;

struct fixture {
	struct store_memory *memory;
	struct store *store;
	struct hierarchy *h;
};

/* -- Tokens that go and come -- */

static bool
is_away(CK_SLOT_ID slot)
{
	for (int i = 0; i < BOTH; i++)
		if (slots[i] == slot && atomic_load(&away[i]))
			return true;
	return false;
}

static bool
session_is_away(CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;

	return softhsm_original()->C_GetSessionInfo(session, &info) == CKR_OK &&
	    is_away(info.slotID);
}

static CK_RV
list_slots(CK_BBOOL present, CK_SLOT_ID_PTR out, CK_ULONG_PTR count)
{
	CK_RV rv = softhsm_original()->C_GetSlotList(present, out, count);
	CK_ULONG kept = 0;

	if (rv != CKR_OK || out == NULL)
		return rv;
	for (CK_ULONG i = 0; i < *count; i++)
		if (!is_away(out[i]))
			out[kept++] = out[i];
	*count = kept;
	return CKR_OK;
}

static CK_RV
draw(CK_SESSION_HANDLE session, CK_BYTE_PTR out, CK_ULONG len)
{
	return session_is_away(session)
	    ? CKR_DEVICE_REMOVED
	    : softhsm_original()->C_GenerateRandom(session, out, len);
}

static CK_RV
decrypt_init(
    CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	return session_is_away(session)
	    ? CKR_DEVICE_REMOVED
	    : softhsm_original()->C_DecryptInit(session, m, key);
}

static CK_RV
find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR t, CK_ULONG count)
{
	return session_is_away(session)
	    ? CKR_DEVICE_REMOVED
	    : softhsm_original()->C_FindObjectsInit(session, t, count);
}

static CK_SLOT_ID
slot_of(const char *label)
{
	const CK_FUNCTION_LIST *fn = softhsm_original();
	CK_SLOT_ID all[8];
	CK_ULONG count = 8;
	CK_TOKEN_INFO info;

	if (fn->C_GetSlotList(CK_TRUE, all, &count) != CKR_OK)
		return 0;
	for (CK_ULONG i = 0; i < count; i++)
		if (fn->C_GetTokenInfo(all[i], &info) == CKR_OK &&
		    memcmp(info.label, label, strlen(label)) == 0)
			return all[i];
	return 0;
}

static int
group_setup(void **state)
{
	(void)state;
	if (crypto_init(&why) != HF_OK || !softhsm_start(&soft) ||
	    !softhsm_add("right"))
		return -1;
	softhsm_functions()->C_GetSlotList = list_slots;
	softhsm_functions()->C_GenerateRandom = draw;
	softhsm_functions()->C_DecryptInit = decrypt_init;
	softhsm_functions()->C_FindObjectsInit = find_init;
	hsms[LEFT] = softhsm_open(&soft, soft.uri, 300);
	hsms[RIGHT] = softhsm_open(&soft, SOFTHSM_URI("right"), 300);
	slots[LEFT] = slot_of(SOFTHSM_LABEL);
	slots[RIGHT] = slot_of("right");
	return hsms[LEFT] != NULL && hsms[RIGHT] != NULL ? 0 : -1;
}

static int
group_teardown(void **state)
{
	(void)state;
	hsm_close(hsms[LEFT]);
	hsm_close(hsms[RIGHT]);
	softhsm_stop(&soft);
	return 0;
}

/* Notices, too. */
static void
take(int which)
{
	uint8_t byte;

	atomic_store(&away[which], true);
	assert_int_equal(
	    hsm_random(hsms[which], &byte, 1), HF_ERR_HSM_UNAVAILABLE);
}

static void
give(int which)
{
	atomic_store(&away[which], false);
	assert_int_equal(hsm_wait_ready(hsms[which], 10000), HF_OK);
}

/* -- Processes -- */

static void
start_with(struct fixture *f, size_t count)
{
	struct hierarchy_link links[] = { { "left", hsms[LEFT] },
		{ "right", hsms[RIGHT] } };

	assert_int_equal(store_memory_open(f->memory, &f->store), HF_OK);
	assert_int_equal(
	    hierarchy_open_links(f->store, links, count, &f->h, &why), HF_OK);
	hierarchy_set_return(f->h, 0);
}

static void
end(struct fixture *f)
{
	hierarchy_close(f->h);
	store_close(f->store);
}

static void
restart(struct fixture *f)
{
	end(f);
	start_with(f, BOTH);
}

static void
unlock(struct fixture *f)
{
	if (hierarchy_unlock(f->h, &why) != HF_OK)
		fail_msg("unlock: %s", why.text);
}

/* One that is started with `left` and has a keyring besides the default. */
static void
begin(struct fixture *f)
{
	struct keyring_info info;

	f->memory = store_memory_new();
	start_with(f, BOTH);
	assert_int_equal(hierarchy_init(f->h, &why), HF_OK);
	assert_int_equal(keyring_create(f->h, TEXT("alpha"), &info), HF_OK);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	begin(f);
	*state = f;
	return 0;
}

static void
add_right(struct fixture *f)
{
	uint64_t count = 0;

	if (hierarchy_add(f->h, TEXT("right"), &count, &why) != HF_OK)
		fail_msg("add: %s", why.text);
	assert_int_equal(count, 2);
}

static int
setup_two(void **state)
{
	(void)setup(state);
	add_right(*state);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < BOTH; i++)
		if (atomic_load(&away[i]))
			give(i);
	end(f);
	store_memory_free(f->memory);
	free(f);
	return 0;
}

enum { SAMPLE = 8 };

static void
seal(struct fixture *f, const char *ring, uint8_t out[SAMPLE + SEAL_EXTRA])
{
	assert_int_equal(hierarchy_seal(f->h, text_of(ring), TEXT("id"),
			     bytes_of("12345678", SAMPLE), out),
	    HF_OK);
}

static enum hf_err
unseal(struct fixture *f, const uint8_t sealed[SAMPLE + SEAL_EXTRA])
{
	AUTO_SECRET out = { 0 };

	return hierarchy_unseal(
	    f->h, TEXT("id"), bytes_of(sealed, SAMPLE + SEAL_EXTRA), &out);
}

static struct hierarchy_facts
facts(struct fixture *f, const char *name)
{
	struct hierarchy_facts rows[2 * HSM_DEVICES];
	size_t n = hierarchy_devices(f->h, rows);

	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i];
	fail_msg("no device %s", name);
	return rows[0];
}

static const char *
active(struct fixture *f)
{
	struct hierarchy_device now;

	hierarchy_active(f->h, &now);
	return now.name;
}

/* -- Joining -- */

static void
an_added_hsm_opens_everything_alone(void **state)
{
	struct fixture *f = *state;
	uint8_t a[SAMPLE + SEAL_EXTRA], b[SAMPLE + SEAL_EXTRA];

	seal(f, "default", a);
	seal(f, "alpha", b);
	assert_false(facts(f, "right").in_hierarchy);
	add_right(f);
	assert_int_equal(facts(f, "right").keyrings, 2);
	assert_int_equal(facts(f, "right").missing, 0);
	assert_memory_not_equal(
	    facts(f, "right").master_id, facts(f, "left").master_id, HSM_ID);
	take(LEFT);
	restart(f);
	unlock(f);
	assert_string_equal(active(f), "right");
	assert_int_equal(unseal(f, a), HF_OK);
	assert_int_equal(unseal(f, b), HF_OK);
}

static void
adding_again_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct hierarchy_facts before = facts(f, "right"), after;
	uint64_t count = 9;

	assert_int_equal(
	    hierarchy_add(f->h, TEXT("right"), &count, &why), HF_OK);
	assert_int_equal(count, 0);
	after = facts(f, "right");
	assert_memory_equal(before.master_id, after.master_id, HSM_ID);
}

static void
only_an_hsm_that_is_there_is_added(void **state)
{
	struct fixture *f = *state;
	uint64_t count;

	assert_int_equal(
	    hierarchy_add(f->h, TEXT("other"), &count, &why), HF_ERR_NOT_FOUND);
	take(RIGHT);
	assert_int_equal(hierarchy_add(f->h, TEXT("right"), &count, &why),
	    HF_ERR_HSM_UNAVAILABLE);
	assert_non_null(strstr(why.text, "right"));
	assert_false(facts(f, "right").in_hierarchy);
}

static void
a_copy_of_a_token_shares_its_keys(void **state)
{
	struct fixture *f = *state;
	struct hierarchy_device left, right;
	uint8_t value[32], wrap[32];

	/* Made outside, so that both tokens can have them. */
	hierarchy_active(f->h, &left);
	assert_int_equal(crypto_random(value, 32), HF_OK);
	assert_int_equal(crypto_random(wrap, 32), HF_OK);
	assert_int_equal(
	    hsm_object_destroy(hsms[LEFT], ROLE_WRAP, left.wrap_id), HF_OK);
	for (int i = 0; i < BOTH; i++)
		assert_int_equal(hsm_object_import(hsms[i], ROLE_WRAP,
				     left.wrap_id, "w", bytes_of(wrap, 32)),
		    HF_OK);
	add_right(f);
	take(LEFT);
	hierarchy_active(f->h, &right);
	assert_string_equal(right.name, "right");
	assert_memory_equal(left.wrap_id, right.wrap_id, HSM_ID);
	assert_memory_not_equal(left.master_id, right.master_id, HSM_ID);
}

/* -- Working -- */

static void
another_one_works_while_the_first_is_away(void **state)
{
	struct fixture *f = *state;
	struct keyring_info info;
	char text[128];

	assert_string_equal(active(f), "left");
	take(LEFT);
	assert_string_equal(active(f), "right");
	assert_int_equal(keyring_create(f->h, TEXT("beta"), &info), HF_OK);
	assert_true(hierarchy_degraded(f->h, text, sizeof(text)));
	assert_string_equal(text, "keyring beta is not on device left");
	assert_int_equal(facts(f, "left").missing, 1);
	/* Nothing can be done about it yet. */
	assert_false(hierarchy_has_work(f->h));
	give(LEFT);
	assert_true(hierarchy_has_work(f->h));
	unlock(f);
	assert_false(hierarchy_degraded(f->h, text, sizeof(text)));
	assert_false(hierarchy_has_work(f->h));
	assert_string_equal(active(f), "left");
	take(RIGHT);
	restart(f);
	unlock(f);
	assert_int_equal(keyring_info(f->h, TEXT("beta"), &info), HF_OK);
}

static void
goes_back_only_after_a_while(void **state)
{
	struct fixture *f = *state;

	hierarchy_set_return(f->h, 3600);
	assert_string_equal(active(f), "left");
	take(LEFT);
	assert_string_equal(active(f), "right");
	give(LEFT);
	unlock(f);
	assert_string_equal(active(f), "right");
	take(RIGHT); /* then at once */
	assert_string_equal(active(f), "left");
	give(RIGHT);
	unlock(f);
	hierarchy_set_return(f->h, 0);
	assert_string_equal(active(f), "left");
}

static void
a_token_without_its_master_key_does_not_work(void **state)
{
	struct fixture *f = *state;
	struct hierarchy_facts right = facts(f, "right");

	assert_int_equal(
	    hsm_object_destroy(hsms[RIGHT], ROLE_MASTER, right.master_id),
	    HF_OK);
	restart(f);
	unlock(f);
	assert_true(facts(f, "left").usable);
	assert_false(facts(f, "right").usable);
	take(LEFT);
	assert_string_equal(active(f), "left"); /* nobody works */
}

static void
each_hsm_gets_its_own_new_master(void **state)
{
	struct fixture *f = *state;
	struct hierarchy_facts left = facts(f, "left");
	uint64_t version, count;

	take(RIGHT);
	assert_int_equal(
	    hierarchy_rotate_master(f->h, true, &version, &count, &why), HF_OK);
	assert_int_equal(version, 2);
	assert_int_equal(facts(f, "left").master_version, 2);
	assert_memory_not_equal(
	    left.master_id, facts(f, "left").master_id, HSM_ID);
	assert_int_equal(facts(f, "right").master_version, 1);
	assert_int_equal(hierarchy_rotation_pending(f->h), 2);
	give(RIGHT);
	unlock(f);
	assert_int_equal(hierarchy_rotation_pending(f->h), 0);
	assert_int_equal(facts(f, "right").master_version, 2);
	assert_int_equal(facts(f, "right").missing, 0);
	take(LEFT);
	restart(f);
	unlock(f);
}

/* -- Leaving -- */

static void
the_last_one_does_not_go(void **state)
{
	struct fixture *f = *state;
	struct keyring_info info;

	assert_int_equal(hierarchy_remove(f->h, TEXT("other"), false, &why),
	    HF_ERR_NOT_FOUND);
	take(RIGHT);
	assert_int_equal(
	    hierarchy_remove(f->h, TEXT("left"), false, &why), HF_ERR_HSM_LAST);
	assert_int_equal(keyring_create(f->h, TEXT("beta"), &info), HF_OK);
	give(RIGHT);
	/* It is there, but does not hold all yet. Looking is covering, too. */
	unlock(f);
	assert_int_equal(
	    hierarchy_remove(f->h, TEXT("left"), false, &why), HF_OK);
	assert_int_equal(hierarchy_remove(f->h, TEXT("right"), false, &why),
	    HF_ERR_HSM_LAST);
}

static void
one_that_lacks_a_keyring_is_not_enough(void **state)
{
	struct fixture *f = *state;
	struct keyring_info info;

	take(LEFT);
	assert_int_equal(keyring_create(f->h, TEXT("beta"), &info), HF_OK);
	give(LEFT);
	assert_int_equal(hierarchy_remove(f->h, TEXT("right"), false, &why),
	    HF_ERR_HSM_LAST);
	assert_non_null(strstr(why.text, "beta"));
}

static void
what_is_removed_leaves_nothing_behind(void **state)
{
	struct fixture *f = *state;
	struct hierarchy_facts left = facts(f, "left");
	struct store_value v = { 0 };
	bool found = true;

	assert_int_equal(
	    hierarchy_remove(f->h, TEXT("left"), true, &why), HF_OK);
	assert_false(facts(f, "left").in_hierarchy);
	assert_int_equal(
	    hsm_object_find(hsms[LEFT], ROLE_MASTER, left.master_id, &found),
	    HF_OK);
	assert_false(found);
	assert_int_equal(store_get(f->store, TEXT("keyring/alpha"), &v), HF_OK);
	assert_null(memmem(v.ptr, v.len, left.master_id, HSM_ID));
	store_value_free(&v);
	take(LEFT);
	restart(f);
	unlock(f);
	assert_string_equal(active(f), "right");
}

static void
one_that_is_away_can_be_removed_but_not_emptied(void **state)
{
	struct fixture *f = *state;

	take(LEFT);
	assert_int_equal(hierarchy_remove(f->h, TEXT("left"), true, &why),
	    HF_ERR_HSM_UNAVAILABLE);
	assert_int_equal(
	    hierarchy_remove(f->h, TEXT("left"), false, &why), HF_OK);
	assert_string_equal(active(f), "right");
}

static void
migration_puts_one_in_the_place_of_another(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[SAMPLE + SEAL_EXTRA];
	uint64_t count = 0;

	seal(f, "alpha", sealed);
	assert_int_equal(hierarchy_migrate(f->h, TEXT("left"), TEXT("left"),
			     false, &count, &why),
	    HF_ERR_BAD_VALUE);
	if (hierarchy_migrate(
		f->h, TEXT("left"), TEXT("right"), true, &count, &why) != HF_OK)
		fail_msg("migrate: %s", why.text);
	assert_int_equal(count, 2);
	assert_string_equal(active(f), "right");
	assert_false(facts(f, "left").in_hierarchy);
	take(LEFT);
	restart(f);
	unlock(f);
	assert_int_equal(unseal(f, sealed), HF_OK);
}

/* -- A death at the n-th commit -- */

typedef enum hf_err change_fn(struct fixture *f);

static enum hf_err
do_add(struct fixture *f)
{
	uint64_t count;

	return hierarchy_add(f->h, TEXT("right"), &count, &why);
}

static enum hf_err
do_remove(struct fixture *f)
{
	return hierarchy_remove(f->h, TEXT("left"), true, &why);
}

static enum hf_err
do_migrate(struct fixture *f)
{
	uint64_t count;

	return hierarchy_migrate(
	    f->h, TEXT("left"), TEXT("right"), true, &count, &why);
}

static enum hf_err
do_rotate(struct fixture *f)
{
	uint64_t version, count;

	return hierarchy_rotate_master(f->h, true, &version, &count, &why);
}

/*
 * Cut short at each commit in turn, then resumed by a start, which must get
 * everywhere that a call gets. Returns how many commits there are.
 */
static unsigned
survive_all(change_fn *prepare, change_fn *change, bool left_stays)
{
	unsigned at = 0;
	bool happened = true;

	while (happened) {
		struct fixture f = { 0 };
		struct store_death d = { at + 1,
			at % 2 == 0 ? STORE_MEMORY_BEFORE : STORE_MEMORY_AFTER,
			0, false };
		uint8_t sealed[SAMPLE + SEAL_EXTRA];

		at++;
		begin(&f);
		if (prepare != NULL)
			assert_int_equal(prepare(&f), HF_OK);
		seal(&f, "alpha", sealed);
		store_memory_hook(f.memory, store_death, &d);
		(void)change(&f);
		store_memory_hook(f.memory, NULL, NULL);
		restart(&f);
		unlock(&f);
		assert_int_equal(unseal(&f, sealed), HF_OK);
		assert_false(hierarchy_has_work(f.h));
		happened = d.happened;
		/* Not begun, or the caller asks again. */
		assert_int_equal(
		    change(&f) == HF_OK || !facts(&f, "left").in_hierarchy,
		    true);
		assert_false(hierarchy_has_work(f.h));
		assert_int_equal(facts(&f, "left").in_hierarchy, left_stays);
		if (left_stays)
			take(LEFT);
		restart(&f);
		unlock(&f);
		assert_int_equal(unseal(&f, sealed), HF_OK);
		if (left_stays)
			give(LEFT);
		end(&f);
		store_memory_free(f.memory);
	}
	return at - 1;
}

static void
changes_go_on_wherever_they_were_cut_short(void **state)
{
	(void)state;
	/* joining, joined, two keyrings */
	assert_int_equal(survive_all(NULL, do_add, true), 4);
	/* leaving, two keyrings, left */
	assert_int_equal(survive_all(do_add, do_remove, false), 4);
	/* migrating, as adding, switched, as removing */
	assert_int_equal(survive_all(NULL, do_migrate, false), 9);
	/* making, and for each: rewrapping, two keyrings, root, retired */
	assert_int_equal(survive_all(do_add, do_rotate, true), 11);
}

/* -- Stores of before -- */

static void
another_name_in_the_configuration_is_the_same_hsm(void **state)
{
	struct fixture *f = *state;
	struct hierarchy_link renamed[] = { { "one", hsms[RIGHT] },
		{ "two", hsms[LEFT] } };

	end(f);
	assert_int_equal(store_memory_open(f->memory, &f->store), HF_OK);
	assert_int_equal(
	    hierarchy_open_links(f->store, renamed, BOTH, &f->h, &why), HF_OK);
	hierarchy_set_return(f->h, 0);
	unlock(f);
	assert_true(facts(f, "two").usable);
	assert_true(facts(f, "one").usable);
	assert_string_equal(active(f), "two");
}

/* hsm/root and keyrings as they were written before there were several. */
static void
the_first_format_is_still_read(void **state)
{
	struct fixture *f = *state;
	struct hierarchy_facts left = facts(f, "left");
	uint8_t sealed[SAMPLE + SEAL_EXTRA], root[256], ring[256];
	struct store_value v = { 0 };
	const uint8_t *wrap;
	uint8_t *p = root;
	size_t len;

	seal(f, "default", sealed);
	/* {"master_id", "master_version", "wrap_id", "audit_id", "phase",
	 *  "next_id", "next_version", "destroy_old"} without zeros */
	memcpy(p, "\xa4\x69master_id\x50", 12);
	memcpy(p + 12, left.master_id, HSM_ID);
	p += 12 + HSM_ID;
	memcpy(p, "\x6emaster_version\x01\x67wrap_id\x50", 25);
	memcpy(p + 25, left.master_id, HSM_ID);
	p += 25 + HSM_ID;
	memcpy(p,
	    "\x68"
	    "audit_id\x50",
	    10);
	memcpy(p + 10, left.master_id, HSM_ID);
	p += 10 + HSM_ID;
	/* The keyring: id, creation_time, and what was one wrap. */
	assert_int_equal(
	    store_get(f->store, TEXT("keyring/default"), &v), HF_OK);
	wrap = memmem(v.ptr, v.len, "\x65wraps\x81", 7);
	assert_non_null(wrap);
	len = (size_t)(wrap - v.ptr);
	memcpy(ring, v.ptr, len);
	ring[0] = 0xa5; /* five fields instead of three */
	memcpy(ring + len, wrap + 8, v.len - len - 8);
	assert_int_equal(
	    store_commit(f->store, NULL, 0,
		(struct store_write[]){
		    { TEXT("hsm/root"), bytes_of(root, (size_t)(p - root)) },
		    { TEXT("keyring/default"), bytes_of(ring, v.len - 8) },
		    { TEXT("keyring/alpha"), { NULL, 0 } } },
		3, NULL),
	    HF_OK);
	store_value_free(&v);
	restart(f);
	unlock(f);
	assert_int_equal(unseal(f, sealed), HF_OK);
	assert_string_equal(active(f), "left");
	assert_int_equal(hierarchy_master_version(f->h), 1);
}

int
main(void)
{
#define ONE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TWO(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
	const struct CMUnitTest tests[] = {
		ONE(an_added_hsm_opens_everything_alone),
		TWO(adding_again_changes_nothing),
		ONE(only_an_hsm_that_is_there_is_added),
		ONE(a_copy_of_a_token_shares_its_keys),
		TWO(another_one_works_while_the_first_is_away),
		TWO(goes_back_only_after_a_while),
		TWO(a_token_without_its_master_key_does_not_work),
		TWO(each_hsm_gets_its_own_new_master),
		TWO(the_last_one_does_not_go),
		TWO(one_that_lacks_a_keyring_is_not_enough),
		TWO(what_is_removed_leaves_nothing_behind),
		TWO(one_that_is_away_can_be_removed_but_not_emptied),
		ONE(migration_puts_one_in_the_place_of_another),
		cmocka_unit_test(changes_go_on_wherever_they_were_cut_short),
		TWO(another_name_in_the_configuration_is_the_same_hsm),
		ONE(the_first_format_is_still_read),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
