/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/pin.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/hierarchy.h"
#include "../../lib/bytes.h"
#include "../fake/message.h"
#include "../fake/service.h"

/*
 * The promises of pin.h, over a store in memory that outlives a daemon; and
 * that whoever has a PIN can do nothing without it, operation by operation.
 */

static struct service service;
static struct store_memory *memory;
static struct store *store;
static struct pins *pins;
static const struct hf_bytes none = { NULL, 0 };

static struct identity alice = { .local = true, .uid = 1000 };
static struct identity bob = { .local = true, .uid = 1001 };
static struct identity web = { .local = false,
	.cert_sha256 = "00112233445566778899aabbccddeeff"
		       "00112233445566778899aabbccddeeff" };

static struct hf_bytes
pin_of(const char *text)
{
	return bytes_of(text, strlen(text));
}

static void
store_start(void)
{
	assert_int_equal(store_memory_open(memory, &store), HF_OK);
	assert_int_equal(
	    pins_open(store, service.server.hierarchy, &pins), HF_OK);
}

static void
store_stop(void)
{
	store_close(store);
	pins_close(pins);
}

static void
restart(void)
{
	store_stop();
	store_start();
}

static int
group_setup(void **state)
{
	(void)state;
	return service_start(&service, true) ? 0 : -1;
}

static int
group_teardown(void **state)
{
	(void)state;
	service_stop(&service);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	memory = store_memory_new();
	store_start();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	store_stop();
	store_memory_free(memory);
	return 0;
}

static void
set(const char *subject, const char *pin)
{
	struct hf_why why = { "" };

	assert_int_equal(
	    pin_set(pins, text_of(subject), pin_of(pin), &why), HF_OK);
}

static enum hf_err
try(const struct identity *who, const char *pin)
{
	uint8_t login[PIN_LOGIN_MAX];
	size_t len = 0;

	return pin_login(pins, who, pin_of(pin), login, &len);
}

struct login {
	uint8_t bytes[PIN_LOGIN_MAX];
	size_t len;
};

static struct login
login_as(const struct identity *who, const char *pin)
{
	struct login l = { .len = 0 };

	assert_int_equal(
	    pin_login(pins, who, pin_of(pin), l.bytes, &l.len), HF_OK);
	assert_in_range(l.len, 16, PIN_LOGIN_MAX);
	return l;
}

static enum hf_err
check(const struct identity *who, const struct login *l)
{
	return pin_check_login(pins, who, true, bytes_of(l->bytes, l->len));
}

/* -- Who needs one -- */

static void
who_has_none_needs_none(void **state)
{
	(void)state;
	set("1001", "4321");
	assert_false(pin_needed(pins, &alice));
	assert_true(pin_needed(pins, &bob));
	assert_int_equal(try(&alice, "anything"), HF_OK);
	assert_int_equal(pin_check_login(pins, &alice, true, none), HF_OK);
	assert_int_equal(
	    pin_check_login(pins, &bob, true, none), HF_ERR_LOGIN_REQUIRED);
}

static void
certificates_have_pins_too(void **state)
{
	struct login l;

	(void)state;
	set(web.cert_sha256, "4321");
	assert_true(pin_needed(pins, &web));
	assert_int_equal(try(&web, "1234"), HF_ERR_PIN_WRONG);
	l = login_as(&web, "4321");
	assert_int_equal(check(&web, &l), HF_OK);
}

/* CVE-2025-6004: no two ways to write one caller. */
static void
subjects_are_uids_and_hashes(void **state)
{
	static const char upper[] = "00112233445566778899AABBCCDDEEFF"
				    "00112233445566778899AABBCCDDEEFF";
	static const char *const bad[] = { "", "root", "-1", "01", "1 ",
		"12345678901", "0x10", upper, "00112233445566778899aabbccddeef",
		"../1000" };
	struct hf_why why;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
		    pin_set(pins, text_of(bad[i]), pin_of("4321"), &why),
		    HF_ERR_BAD_NAME);
		assert_int_equal(
		    pin_remove(pins, text_of(bad[i])), HF_ERR_BAD_NAME);
	}
	set("0", "4321");
	set("4294967295", "4321");
}

/* -- Logging in -- */

static void
the_right_pin_gives_a_login_for_this_caller(void **state)
{
	struct login l;

	(void)state;
	set("1000", "4321");
	set("1001", "4321");
	l = login_as(&alice, "4321");
	assert_int_equal(check(&alice, &l), HF_OK);
	assert_int_equal(check(&bob, &l), HF_ERR_LOGIN_REQUIRED);
	assert_int_equal(check(&web, &l), HF_OK); /* who has none */
	set(web.cert_sha256, "4321");
	assert_int_equal(check(&web, &l), HF_ERR_LOGIN_REQUIRED);
	restart();
	assert_int_equal(check(&alice, &l), HF_OK);
}

/* CVE-2026-46405. */
static void
what_is_no_login_opens_nothing(void **state)
{
	struct login l, bad;

	(void)state;
	set("1000", "4321");
	l = login_as(&alice, "4321");
	for (size_t i = 0; i < l.len; i++) {
		bad = l;
		bad.bytes[i] ^= 1;
		assert_int_equal(check(&alice, &bad), HF_ERR_LOGIN_REQUIRED);
		bad = l;
		bad.len = i;
		assert_int_equal(check(&alice, &bad), HF_ERR_LOGIN_REQUIRED);
	}
	assert_int_equal(check(&alice, &l), HF_OK);
}

static void
a_pin_that_is_set_anew_ends_old_logins(void **state)
{
	struct login l, other;

	(void)state;
	set("1000", "4321");
	l = login_as(&alice, "4321");
	set("1000", "4321"); /* the same digits are another PIN */
	assert_int_equal(check(&alice, &l), HF_ERR_LOGIN_REQUIRED);
	other = login_as(&alice, "4321");
	assert_int_equal(check(&alice, &other), HF_OK);
	assert_int_equal(pin_remove(pins, TEXT("1000")), HF_OK);
	assert_false(pin_needed(pins, &alice));
	assert_int_equal(check(&alice, &l), HF_OK);
	assert_int_equal(pin_remove(pins, TEXT("1000")), HF_ERR_NOT_FOUND);
	set("1000", "4321");
	assert_int_equal(check(&alice, &other), HF_ERR_LOGIN_REQUIRED);
}

/* A login from before anybody had a PIN is none. */
static void
a_login_without_a_pin_is_good_for_no_pin(void **state)
{
	struct login l = login_as(&alice, "whatever");

	(void)state;
	assert_int_equal(check(&alice, &l), HF_OK);
	set("1000", "4321");
	assert_int_equal(check(&alice, &l), HF_ERR_LOGIN_REQUIRED);
}

/* What must wait for the store says so, and not "no". */
static void
it_defers_where_it_may_not_block(void **state)
{
	struct login l;

	(void)state;
	set("1000", "4321");
	l = login_as(&alice, "4321");
	restart();
	assert_int_equal(
	    pin_check_login(pins, &alice, false, bytes_of(l.bytes, l.len)),
	    HF_ERR_DEFER);
	assert_int_equal(check(&alice, &l), HF_OK);
	assert_int_equal(
	    pin_check_login(pins, &alice, false, bytes_of(l.bytes, l.len)),
	    HF_OK);
}

/* -- Attempts -- */

static void
attempts_wrong(const struct identity *who, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(try(who, "0000"), HF_ERR_PIN_WRONG);
}

/* CVE-2025-6004. */
static void
ten_wrong_attempts_lock_it(void **state)
{
	(void)state;
	set("1000", "4321");
	attempts_wrong(&alice, PIN_ATTEMPTS - 1);
	assert_int_equal(try(&alice, "0000"), HF_ERR_PIN_LOCKED);
	assert_int_equal(try(&alice, "4321"), HF_ERR_PIN_LOCKED);
	restart();
	assert_int_equal(try(&alice, "4321"), HF_ERR_PIN_LOCKED);
	/* Bob's is another one. */
	set("1001", "4321");
	assert_int_equal(try(&bob, "4321"), HF_OK);
	set("1000", "9876");
	assert_int_equal(try(&alice, "9876"), HF_OK);
}

/* A login that is open goes on: whoever can guess must not shut others out. */
static void
a_lock_ends_no_login(void **state)
{
	struct login l;

	(void)state;
	set("1000", "4321");
	l = login_as(&alice, "4321");
	attempts_wrong(&alice, PIN_ATTEMPTS - 1);
	assert_int_equal(try(&alice, "0000"), HF_ERR_PIN_LOCKED);
	assert_int_equal(check(&alice, &l), HF_OK);
}

static void
a_right_one_gives_the_attempts_back(void **state)
{
	(void)state;
	set("1000", "4321");
	for (unsigned i = 0; i < 2; i++) {
		attempts_wrong(&alice, PIN_ATTEMPTS - 1);
		assert_int_equal(try(&alice, "4321"), HF_OK);
	}
}

static void
restarts_give_none_back(void **state)
{
	(void)state;
	set("1000", "4321");
	for (unsigned i = 0; i < PIN_ATTEMPTS - 1; i++) {
		attempts_wrong(&alice, 1);
		restart();
	}
	assert_int_equal(try(&alice, "0000"), HF_ERR_PIN_LOCKED);
}

static _Atomic unsigned writes;

/* The daemon dies when the attempt is written, and before it is judged. */
static enum hf_err
dies_after_writing(void *ctx, enum store_memory_when when,
    const struct store_write *w, size_t count)
{
	(void)ctx;
	(void)w;
	(void)count;
	if (when == STORE_MEMORY_BEFORE)
		return HF_OK;
	writes++;
	return HF_ERR_SYSTEM;
}

static void
a_crash_between_counting_and_judging_gives_none_back(void **state)
{
	(void)state;
	set("1000", "4321");
	for (unsigned i = 0; i < PIN_ATTEMPTS; i++) {
		store_memory_hook(memory, dies_after_writing, NULL);
		assert_int_equal(try(&alice, "4321"), HF_ERR_SYSTEM);
		store_memory_hook(memory, NULL, NULL);
		restart();
	}
	assert_int_equal(writes, PIN_ATTEMPTS);
	assert_int_equal(try(&alice, "4321"), HF_ERR_PIN_LOCKED);
}

static enum hf_err
full_disk(void *ctx, enum store_memory_when when, const struct store_write *w,
    size_t count)
{
	(void)ctx;
	(void)when;
	(void)w;
	(void)count;
	return HF_ERR_STORE_FULL;
}

/* An attempt that cannot be counted is not made: else they were unlimited. */
static void
what_cannot_be_counted_is_not_judged(void **state)
{
	(void)state;
	set("1000", "4321");
	store_memory_hook(memory, full_disk, NULL);
	assert_int_equal(try(&alice, "4321"), HF_ERR_STORE_FULL);
	assert_int_equal(try(&alice, "0000"), HF_ERR_STORE_FULL);
	store_memory_hook(memory, NULL, NULL);
	assert_int_equal(try(&alice, "4321"), HF_OK);
}

static _Atomic unsigned wrong, locked;

static void *
guess(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 5; i++) {
		enum hf_err err = try(&alice, "0000");

		if (err == HF_ERR_PIN_WRONG)
			wrong++;
		else if (err == HF_ERR_PIN_LOCKED)
			locked++;
	}
	return NULL;
}

static void
guessing_at_once_gives_no_more_attempts(void **state)
{
	pthread_t threads[4];

	(void)state;
	set("1000", "4321");
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, guess, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(wrong, PIN_ATTEMPTS - 1);
	assert_int_equal(locked, 20 - (PIN_ATTEMPTS - 1));
}

static void
a_value_of_another_is_not_taken_for_ours(void **state)
{
	struct store_value v = { 0 };

	(void)state;
	set("1000", "1111");
	set("1001", "2222");
	/* Whoever can write the store puts his own PIN in another's place. */
	assert_int_equal(store_get(store, TEXT("pin/1001"), &v), HF_OK);
	assert_int_equal(store_commit(store, NULL, 0,
			     &(struct store_write){
				 TEXT("pin/1000"), bytes_of(v.ptr, v.len) },
			     1, NULL),
	    HF_OK);
	store_value_free(&v);
	restart();
	assert_int_equal(try(&alice, "2222"), HF_ERR_STORE_DAMAGED);
	assert_true(pin_needed(pins, &alice));
}

/* -- What is behind it: everything but looking -- */

static bool
is_open(const struct op *op)
{
	struct hf_text path = text_of(op->path);

	return text_starts(path, TEXT("sys/")) ||
	    (text_starts(path, TEXT("transit/keys/")) &&
		(op->cap == HF_CAP_READ || op->cap == HF_CAP_LIST));
}

static void
name_the_key(const struct op *op, uint8_t *in)
{
	for (size_t i = 0; i < op->in->count; i++) {
		const struct field *f = &op->in->fields[i];

		if ((f->flags & KEYNAME) != 0)
			*(struct hf_text *)(void *)(in + f->offset) = TEXT("k");
	}
}

static enum hf_err
ask(const struct op *op, uint64_t *seed)
{
	struct hf_why why = { "" };
	struct arena *arena = NULL;
	uint8_t *in;
	void *out;
	enum hf_err err;

	assert_int_equal(arena_new(8192, 1 << 20, &arena), HF_OK);
	in = message_room(arena, op->in->size);
	out = message_room(arena, op->out->size);
	message_fill(op->in, arena, false, seed, in);
	name_the_key(op, in);
	err = service_call(&service, op->name, in, out, &why);
	arena_free(arena);
	return err;
}

static void
every_operation_but_looking_needs_the_login(void **state)
{
	struct hf_key_create_in create = { .name = TEXT("k") };
	struct hf_key_info info;
	struct hf_why why;
	uint64_t seed = 7;
	unsigned guarded = 0;

	(void)state;
	service_policy(&service, EVERYTHING);
	assert_int_equal(
	    service_call(&service, "key.create", &create, &info, &why), HF_OK);
	assert_int_equal(
	    pin_set(service.server.pins, TEXT("4711"), pin_of("4321"), &why),
	    HF_OK);
	for (size_t i = 0; i < ops_count; i++) {
		const struct op *op = &ops[i];

		if (is_open(op))
			continue;
		for (unsigned turn = 0; turn < 4; turn++) {
			enum hf_err err = ask(op, &seed);

			if (err != HF_ERR_LOGIN_REQUIRED)
				fail_msg("%s: %s", op->name, hf_err_name(err));
		}
		guarded++;
	}
	assert_true(guarded > 50);
	assert_int_equal(pin_remove(service.server.pins, TEXT("4711")), HF_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_has_none_needs_none),
		TEST(certificates_have_pins_too),
		TEST(subjects_are_uids_and_hashes),
		TEST(the_right_pin_gives_a_login_for_this_caller),
		TEST(what_is_no_login_opens_nothing),
		TEST(a_pin_that_is_set_anew_ends_old_logins),
		TEST(a_login_without_a_pin_is_good_for_no_pin),
		TEST(it_defers_where_it_may_not_block),
		TEST(ten_wrong_attempts_lock_it),
		TEST(a_lock_ends_no_login),
		TEST(a_right_one_gives_the_attempts_back),
		TEST(restarts_give_none_back),
		TEST(a_crash_between_counting_and_judging_gives_none_back),
		TEST(what_cannot_be_counted_is_not_judged),
		TEST(guessing_at_once_gives_no_more_attempts),
		TEST(a_value_of_another_is_not_taken_for_ours),
		TEST(every_operation_but_looking_needs_the_login),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
