/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/once.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "../../lib/ops.h"
#include "service_fixture.h"

/* Requests with an idempotency key, through the pipeline. */

static enum hf_err
call(const char *key, const char *op, const void *in, void *out)
{
	enum hf_err err;

	service.options.idempotency_key = text_of(key);
	err = service_call(&service, op, in, out, &why);
	service.options.idempotency_key = (struct hf_text){ 0 };
	return err;
}

static enum hf_err
create(const char *key, const char *name, struct hf_key_info *out)
{
	struct hf_key_create_in in = { .name = text_of(name),
		.deletion_allowed = true };

	return call(key, "key.create", &in, out);
}

static enum hf_err
rotate(const char *key, const char *name, struct hf_key_info *out)
{
	struct hf_name_in in = { .name = text_of(name) };

	return call(key, "key.rotate", &in, out);
}

static uint64_t
latest(const char *name)
{
	struct hf_key_read_in in = { .name = text_of(name) };
	struct hf_key_info out;

	assert_int_equal(call(NULL, "key.read", &in, &out), HF_OK);
	return out.latest_version;
}

static void
remove_key(const char *name)
{
	struct hf_name_in in = { .name = text_of(name) };
	struct hf_empty out;

	assert_int_equal(call(NULL, "key.delete", &in, &out), HF_OK);
}

/* -- Once only -- */

static void
the_same_request_is_carried_out_once(void **state)
{
	struct hf_key_info out;

	(void)state;
	assert_int_equal(create(NULL, "twice", &out), HF_OK);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(rotate("r-1", "twice", &out), HF_OK);
		assert_int_equal(out.latest_version, 2);
	}
	assert_int_equal(latest("twice"), 2);
	assert_int_equal(rotate("r-2", "twice", &out), HF_OK);
	assert_int_equal(latest("twice"), 3);
}

/* As it was then, whatever has happened since. */
static void
it_gives_the_first_result_again(void **state)
{
	struct hf_key_info out;

	(void)state;
	assert_int_equal(create("c-1", "first", &out), HF_OK);
	assert_null(out.warning.ptr);
	assert_int_equal(rotate(NULL, "first", &out), HF_OK);
	assert_int_equal(create("c-1", "first", &out), HF_OK);
	assert_int_equal(out.latest_version, 1);
	assert_null(out.warning.ptr); /* "already existed" */
	remove_key("first");
	assert_int_equal(create("c-1", "first", &out), HF_OK);
	assert_int_equal(out.latest_version, 1);
	/* It was not made again. */
	assert_int_equal(rotate(NULL, "first", &out), HF_ERR_KEY_NOT_FOUND);
}

static void
what_failed_may_be_tried_again(void **state)
{
	struct hf_key_info out;

	(void)state;
	assert_int_equal(rotate("f-1", "later", &out), HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(create(NULL, "later", &out), HF_OK);
	assert_int_equal(rotate("f-1", "later", &out), HF_OK);
	assert_int_equal(rotate("f-1", "later", &out), HF_OK);
	assert_int_equal(latest("later"), 2);
}

static void
another_request_with_the_key_is_refused(void **state)
{
	struct hf_name_in keyring = { .name = TEXT("later") };
	struct hf_keyring_info ring;
	struct hf_key_info out;

	(void)state;
	assert_int_equal(create("o-1", "one", &out), HF_OK);
	assert_int_equal(create("o-1", "two", &out), HF_ERR_IDEMPOTENCY);
	assert_int_equal(rotate("o-1", "one", &out), HF_ERR_IDEMPOTENCY);
	assert_int_equal(
	    call("o-1", "keyring.create", &keyring, &ring), HF_ERR_IDEMPOTENCY);
	assert_int_equal(latest("one"), 1);
}

static void
callers_do_not_share_keys(void **state)
{
	struct hf_key_info out;

	(void)state;
	assert_int_equal(create(NULL, "shared", &out), HF_OK);
	assert_int_equal(rotate("s-1", "shared", &out), HF_OK);
	/* Bound by subject to the policy, another uid for the rest. */
	service.who->uid = 4712;
	assert_int_equal(rotate("s-1", "shared", &out), HF_OK);
	service.who->uid = 4711;
	assert_int_equal(latest("shared"), 3);
}

/* -- Killed between the change and the reply -- */

/* The first commit of a record is written, and nothing after it. */
static enum hf_err
die_after(void *ctx, enum store_memory_when when,
    const struct store_write *writes, size_t count)
{
	bool *dead = ctx;

	if (*dead)
		return HF_ERR_STORE;
	for (size_t i = 0; i < count && when == STORE_MEMORY_AFTER; i++)
		*dead = *dead || text_starts(writes[i].key, TEXT("once/"));
	return *dead ? HF_ERR_STORE : HF_OK;
}

static void
it_is_known_what_was_done_when_the_reply_was_lost(void **state)
{
	struct hf_key_info out;
	bool dead = false;

	(void)state;
	assert_int_equal(create(NULL, "killed", &out), HF_OK);
	store_memory_hook(service.memory, die_after, &dead);
	/* Whoever lives on finds the record of what seemed to fail. */
	assert_int_equal(rotate("k-1", "killed", &out), HF_OK);
	assert_true(dead);
	store_memory_hook(service.memory, NULL, NULL);
	/* The reply was not kept: it is made of how things are. */
	assert_int_equal(rotate("k-1", "killed", &out), HF_OK);
	assert_int_equal(out.latest_version, 2);
	assert_int_equal(latest("killed"), 2);
}

/* Nothing is left to show, and it is not made a second time. */
static void
what_was_made_and_deleted_is_not_made_again(void **state)
{
	struct hf_key_read_in in = { .name = TEXT("brief") };
	struct hf_key_info out;
	bool dead = false;

	(void)state;
	store_memory_hook(service.memory, die_after, &dead);
	(void)create("k-3", "brief", &out);
	assert_true(dead);
	store_memory_hook(service.memory, NULL, NULL);
	remove_key("brief");
	assert_int_equal(create("k-3", "brief", &out), HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(
	    call(NULL, "key.read", &in, &out), HF_ERR_KEY_NOT_FOUND);
}

/* The next one with the key finds no reply, but that it was done. */
static enum hf_err
keeps_no_replies(void *ctx, enum store_memory_when when,
    const struct store_write *writes, size_t count)
{
	bool alone = count == 1 && text_starts(writes[0].key, TEXT("once/"));

	*(unsigned *)ctx += when == STORE_MEMORY_BEFORE && alone;
	return when == STORE_MEMORY_BEFORE && alone ? HF_ERR_STORE : HF_OK;
}

static void
a_reply_about_a_keyring_is_made_anew(void **state)
{
	struct hf_name_in in = { .name = TEXT("ring") };
	struct hf_keyring_info first = { 0 }, again = { 0 };
	unsigned refused = 0;

	(void)state;
	store_memory_hook(service.memory, keeps_no_replies, &refused);
	assert_int_equal(call("k-2", "keyring.create", &in, &first), HF_OK);
	assert_int_equal(refused, 1);
	store_memory_hook(service.memory, NULL, NULL);
	assert_int_equal(call("k-2", "keyring.create", &in, &again), HF_OK);
	assert_true(text_is(again.name, "ring"));
	/* Without the key it is another request, and there is such a one. */
	assert_int_equal(
	    call(NULL, "keyring.create", &in, &again), HF_ERR_NAME_TAKEN);
}

static void
a_reply_that_cannot_be_kept_is_sent_all_the_same(void **state)
{
	struct hf_key_info out;
	unsigned refused = 0;

	(void)state;
	assert_int_equal(create(NULL, "unkept", &out), HF_OK);
	store_memory_hook(service.memory, keeps_no_replies, &refused);
	assert_int_equal(rotate("k-4", "unkept", &out), HF_OK);
	assert_int_equal(refused, 1);
	assert_int_equal(out.latest_version, 2);
	store_memory_hook(service.memory, NULL, NULL);
	assert_int_equal(rotate("k-4", "unkept", &out), HF_OK);
	assert_int_equal(latest("unkept"), 2);
}

static bool
gives(const struct op *op, const struct schema *out)
{
	return (op->flags & OP_ONCE) != 0 && op->out == out;
}

/* Each can tell how things are, where the reply was not kept. */
static void
every_operation_that_is_done_once_can_show_its_result(void **state)
{
	unsigned found = 0;

	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		if ((ops[i].flags & OP_ONCE) == 0)
			continue;
		found++;
		assert_true((ops[i].flags & OP_CHANGES) != 0);
		assert_non_null(op_key_field(&ops[i]));
		assert_true(gives(&ops[i], &schema_key_info) ||
		    gives(&ops[i], &schema_keyring_info));
	}
	assert_true(found >= 8);
}

/* -- What may be asked -- */

static void
an_operation_that_makes_nothing_takes_no_key(void **state)
{
	struct hf_encrypt_in in = { .name = TEXT("one"),
		.item.plaintext = bytes_of("x", 1) };
	struct hf_encrypt_out out;

	(void)state;
	assert_int_equal(
	    call("n-1", "transit.encrypt", &in, &out), HF_ERR_NOT_OFFERED);
	assert_non_null(strstr(why.text, "transit.encrypt"));
}

static void
a_key_is_short_and_printable(void **state)
{
	char long_key[66];
	struct hf_key_info out;

	(void)state;
	memset(long_key, 'k', 65);
	long_key[65] = '\0';
	assert_int_equal(rotate(long_key, "one", &out), HF_ERR_BAD_VALUE);
	long_key[64] = '\0';
	assert_int_equal(rotate(long_key, "one", &out), HF_OK);
	assert_int_equal(rotate("", "one", &out), HF_ERR_BAD_VALUE);
	assert_int_equal(rotate("a\nb", "one", &out), HF_ERR_BAD_VALUE);
	assert_int_equal(rotate("\xc3\xa4", "one", &out), HF_ERR_BAD_VALUE);
}

/* "create" is all it takes to make a key, and to hear of it again; somebody
 * else's repetition is another request, and "create" is not enough for it. */
static void
who_may_only_create_may_repeat_that(void **state)
{
	struct hf_key_info out;

	(void)state;
	service_policy(&service,
	    "path \"transit/keys/mine\" { capabilities = [\"create\"] }");
	assert_int_equal(create("m-1", "mine", &out), HF_OK);
	assert_int_equal(create("m-1", "mine", &out), HF_OK);
	assert_int_equal(create("m-2", "mine", &out), HF_ERR_PERMISSION_DENIED);
	assert_int_equal(create(NULL, "mine", &out), HF_ERR_PERMISSION_DENIED);
	service_policy(&service, NULL);
	assert_int_equal(create("m-1", "mine", &out), HF_ERR_PERMISSION_DENIED);
	service_policy(&service, EVERYTHING);
}

static void
the_audit_log_tells_a_repetition(void **state)
{
	struct hf_key_info out;
	size_t before, len;
	char *log;

	(void)state;
	assert_int_equal(rotate("a-secret-of-mine", "one", &out), HF_OK);
	free(service_audit(&service, &before));
	assert_int_equal(rotate("a-secret-of-mine", "one", &out), HF_OK);
	log = service_audit(&service, &len);
	assert_non_null(strstr(log + before, "\"replayed\":true"));
	assert_null(strstr(log, "a-secret-of-mine"));
	free(log);
}

/* -- What is stored, and how long -- */

static bool
sealed_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	(void)revision;
	(*(size_t *)ctx)++;
	assert_null(memmem(key.ptr, key.len, "a-secret-of-mine", 16));
	assert_null(memmem(value.ptr, value.len, "one", 3));
	assert_null(memmem(value.ptr, value.len, "latest_version", 14));
	return true;
}

static size_t
records(void)
{
	size_t count = 0;

	assert_int_equal(store_list(service.server.store, TEXT("once/"),
			     (struct hf_text){ 0 }, 0, sealed_each, &count),
	    HF_OK);
	return count;
}

static void
records_are_sealed_and_go_in_time(void **state)
{
	uint64_t now = (uint64_t)time(NULL);
	size_t there = records();
	bool more;

	(void)state;
	assert_true(there > 5);
	assert_int_equal(
	    once_sweep(service.server.store, now, 3600, &more), HF_OK);
	assert_int_equal(records(), there);
	/* A clock that was set back makes nobody forget. */
	assert_int_equal(
	    once_sweep(service.server.store, now - 7200, 3600, &more), HF_OK);
	assert_int_equal(records(), there);
	assert_int_equal(
	    once_sweep(service.server.store, now + 7200, 3600, &more), HF_OK);
	assert_int_equal(records(), 0);
	assert_false(more);
}

static void
after_the_window_it_is_a_new_request(void **state)
{
	time_t then;
	struct hf_key_info out;

	(void)state;
	assert_int_equal(create(NULL, "window", &out), HF_OK);
	assert_int_equal(rotate("w-1", "window", &out), HF_OK);
	service.server.idempotency_seconds = 0;
	for (then = time(NULL); time(NULL) == then;)
		(void)nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
	assert_int_equal(rotate("w-1", "window", &out), HF_OK);
	service.server.idempotency_seconds = 86400;
	assert_int_equal(latest("window"), 3);
	assert_int_equal(rotate("w-1", "window", &out), HF_OK);
	assert_int_equal(latest("window"), 3);
}

static void
a_caller_has_only_so_many(void **state)
{
	struct hf_key_info out;
	size_t there = records();
	char key[16];

	(void)state;
	for (size_t i = there; i < ONCE_KEYS_MAX; i++) {
		(void)snprintf(key, sizeof(key), "many-%zu", i);
		assert_int_equal(create(key, "window", &out), HF_OK);
	}
	assert_int_equal(
	    create("one-more", "window", &out), HF_ERR_IDEMPOTENCY_FULL);
	assert_int_equal(
	    create("one-more", "unmade", &out), HF_ERR_IDEMPOTENCY_FULL);
	assert_int_equal(rotate(NULL, "unmade", &out), HF_ERR_KEY_NOT_FOUND);
	/* Those that are known still are, and others are not concerned. */
	assert_int_equal(create("many-999", "window", &out), HF_OK);
	service.who->uid = 4712;
	assert_int_equal(create("one-more", "window", &out), HF_OK);
	service.who->uid = 4711;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_request_is_carried_out_once),
		cmocka_unit_test(it_gives_the_first_result_again),
		cmocka_unit_test(what_failed_may_be_tried_again),
		cmocka_unit_test(another_request_with_the_key_is_refused),
		cmocka_unit_test(callers_do_not_share_keys),
		cmocka_unit_test(
		    it_is_known_what_was_done_when_the_reply_was_lost),
		cmocka_unit_test(a_reply_about_a_keyring_is_made_anew),
		cmocka_unit_test(what_was_made_and_deleted_is_not_made_again),
		cmocka_unit_test(
		    a_reply_that_cannot_be_kept_is_sent_all_the_same),
		cmocka_unit_test(
		    every_operation_that_is_done_once_can_show_its_result),
		cmocka_unit_test(an_operation_that_makes_nothing_takes_no_key),
		cmocka_unit_test(a_key_is_short_and_printable),
		cmocka_unit_test(who_may_only_create_may_repeat_that),
		cmocka_unit_test(the_audit_log_tells_a_repetition),
		cmocka_unit_test(records_are_sealed_and_go_in_time),
		cmocka_unit_test(after_the_window_it_is_a_new_request),
		cmocka_unit_test(a_caller_has_only_so_many),
	};

	return cmocka_run_group_tests(tests, service_setup, service_teardown);
}
