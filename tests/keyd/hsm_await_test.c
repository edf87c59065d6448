/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hsm_await.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../keyd/hsm.h"
#include "../../keyd/hsm_ring.h"
#include "../../lib/bytes.h"
#include "../fake/softhsm.h"

/* A real worker with SoftHSM, of which nobody waits for an answer. */

enum { TEXT_LEN = 1000, TAG = 16, MANY = 40, PORT = 1 };

static const uint8_t wrap_id[HSM_ID] = { 'w', 'r', 'a', 'p' };
static const struct hf_bytes none = { NULL, 0 };

struct fixture {
	struct softhsm soft;
	struct hsm *hsm;
	struct hsm_key key;
	uint8_t wrapped[4096], nonce[12], text[TEXT_LEN];
	uint8_t sealed[TEXT_LEN + TAG];
};

static int
setup_with(void **state, const char *process)
{
	static struct fixture f;
	const struct hsm_settings settings = { .uri = f.soft.uri,
		.pin_source = f.soft.pin_source,
		.deadline_ms = 5000,
		.process = process,
		.program = TEST_BINARY_DIR "/bin/holdfast-keyd" };
	struct hf_why why = { "" };
	uint8_t spki[1024];
	size_t spki_len;

	if (crypto_init(&why) != HF_OK || !softhsm_start(&f.soft) ||
	    (f.hsm = softhsm_open_with(&settings)) == NULL ||
	    hsm_object_make(f.hsm, ROLE_WRAP, wrap_id, "wrap") != HF_OK)
		return -1;
	f.key = (struct hsm_key){ .type = key_type_by_id(KEY_AES256_GCM96),
		.wrapped = { f.wrapped, 0 } };
	memcpy(f.key.wrap_id, wrap_id, HSM_ID);
	memcpy(f.key.id, "a key", 5);
	if (hsm_key_make(f.hsm, f.key.type, 32, wrap_id, f.key.id, f.wrapped,
		&f.key.wrapped.len, spki, &spki_len) != HF_OK ||
	    hsm_key_encrypt(f.hsm, &f.key, bytes_of(f.nonce, 12), none,
		bytes_of(f.text, TEXT_LEN), f.sealed) != HF_OK)
		return -1;
	*state = &f;
	return 0;
}

static int
setup(void **state)
{
	return setup_with(state, "worker");
}

static int
setup_inside(void **state)
{
	return setup_with(state, "inside");
}

static int
setup_waiting(void **state)
{
	return setup_with(state, NULL);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	hsm_close(f->hsm);
	softhsm_stop(&f->soft);
	return 0;
}

static enum hf_err
encrypt(struct fixture *f, struct hsm_await *await, uint8_t *out)
{
	enum hf_err err;

	hsm_await_begin(await);
	err = hsm_key_encrypt(f->hsm, &f->key, bytes_of(f->nonce, 12), none,
	    bytes_of(f->text, TEXT_LEN), out);
	hsm_await_end();
	return err;
}

static bool
is_over(struct hsm_await *await)
{
	uint64_t next = UINT64_MAX;

	return hsm_await_over(await, 0, &next);
}

/* As an I/O thread does: it sleeps, and is woken. */
static void
until_over(struct fixture *f, struct hsm_await *await)
{
	struct pollfd p = { .fd = hsm_await_fd(f->hsm, PORT),
		.events = POLLIN };
	uint64_t count;

	while (!is_over(await)) {
		hsm_await_sleep(f->hsm, PORT);
		if (is_over(await))
			break;
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(read(p.fd, &count, sizeof(count)), 8);
		hsm_await_wake(f->hsm, PORT);
	}
}

static void
gives_the_result_to_the_same_call(void **state)
{
	struct fixture *f = *state;
	struct hsm_await await = { .state = AWAIT_READY, .port = PORT };
	uint8_t out[TEXT_LEN + TAG] = { 0 };

	assert_true(hsm_await_offered(f->hsm));
	assert_int_equal(encrypt(f, &await, out), HF_ERR_DEFER);
	assert_int_equal(await.state, AWAIT_SENT);
	until_over(f, &await);
	assert_int_equal(await.state, AWAIT_ANSWERED);
	assert_int_equal(encrypt(f, &await, out), HF_OK);
	assert_memory_equal(out, f->sealed, sizeof(out));
	assert_int_equal(await.state, AWAIT_SPENT);
	assert_int_equal(encrypt(f, &await, out), HF_ERR_DEFER);
	/* And whoever waits does as before. */
	assert_int_equal(encrypt(f, NULL, out), HF_OK);
}

static void
gives_no_result_to_another_call(void **state)
{
	struct fixture *f = *state;
	struct hsm_await await = { .state = AWAIT_READY, .port = PORT };
	uint8_t out[TEXT_LEN + TAG] = { 0 }, before[sizeof(out)] = { 0 };

	assert_int_equal(encrypt(f, &await, out), HF_ERR_DEFER);
	until_over(f, &await);
	f->text[0]++;
	assert_int_equal(encrypt(f, &await, out), HF_ERR_DEFER);
	f->text[0]--;
	assert_int_equal(await.state, AWAIT_SPENT);
	assert_memory_equal(out, before, sizeof(out));
}

static void
has_many_under_way(void **state)
{
	struct fixture *f = *state;
	struct hsm_await await[MANY];
	uint8_t out[TEXT_LEN + TAG];

	for (unsigned round = 0; round < 50; round++) {
		for (size_t i = 0; i < MANY; i++) {
			await[i] = (struct hsm_await){ .state = AWAIT_READY,
				.port = PORT };
			assert_int_equal(
			    encrypt(f, &await[i], out), HF_ERR_DEFER);
			assert_int_equal(await[i].state, AWAIT_SENT);
		}
		for (size_t i = 0; i < MANY; i++) {
			until_over(f, &await[i]);
			assert_int_equal(encrypt(f, &await[i], out), HF_OK);
			assert_memory_equal(out, f->sealed, sizeof(out));
		}
	}
}

/* More than there is room for are for workers. */
static void
refuses_what_it_has_no_room_for(void **state)
{
	struct fixture *f = *state;
	struct hsm_await await[RING_CELLS + 1];
	uint8_t out[TEXT_LEN + TAG];
	unsigned sent = 0;

	for (size_t i = 0; i < RING_CELLS + 1; i++) {
		await[i] =
		    (struct hsm_await){ .state = AWAIT_READY, .port = PORT };
		assert_int_equal(encrypt(f, &await[i], out), HF_ERR_DEFER);
		sent += await[i].state == AWAIT_SENT;
	}
	assert_int_equal(sent, RING_CELLS);
	assert_int_equal(await[RING_CELLS].state, AWAIT_SPENT);
	for (size_t i = 0; i < RING_CELLS; i++) {
		until_over(f, &await[i]);
		hsm_await_drop(&await[i]);
	}
}

/* Who asked went away before the answer came, many times. */
static void
has_room_again_for_what_nobody_waits_for(void **state)
{
	struct fixture *f = *state;
	uint8_t out[TEXT_LEN + TAG];

	for (size_t i = 0; i < 2 * RING_CELLS; i++) {
		struct hsm_await gone = { .state = AWAIT_READY, .port = PORT };
		struct hsm_await kept = gone;

		assert_int_equal(encrypt(f, &gone, out), HF_ERR_DEFER);
		assert_int_equal(encrypt(f, &kept, out), HF_ERR_DEFER);
		assert_int_equal(gone.state, AWAIT_SENT);
		assert_int_equal(kept.state, AWAIT_SENT);
		hsm_await_drop(&gone);
		until_over(f, &kept);
		assert_int_equal(encrypt(f, &kept, out), HF_OK);
		assert_memory_equal(out, f->sealed, sizeof(out));
	}
}

/* What is late has its process killed; the next one goes on, and what others
 * had under way in there is for workers. */
static void
replaces_a_process_that_is_late(void **state)
{
	struct fixture *f = *state;
	struct hsm_await late = { .state = AWAIT_READY, .port = PORT };
	struct hsm_await other = late;
	uint8_t out[TEXT_LEN + TAG];
	uint64_t next = UINT64_MAX;
	struct hsm_info info;

	assert_int_equal(encrypt(f, &late, out), HF_ERR_DEFER);
	assert_int_equal(encrypt(f, &other, out), HF_ERR_DEFER);
	until_over(f, &late);
	/* As if it had not been answered until then. */
	late.state = AWAIT_SENT;
	late.cell = (late.cell + RING_CELLS / 2) % RING_CELLS;
	hsm_info(f->hsm, &info);
	assert_true(hsm_await_over(&late, late.late_at, &next));
	assert_int_equal(late.state, AWAIT_LATE);
	assert_int_equal(encrypt(f, &late, out), HF_ERR_HSM_STUCK);
	assert_int_equal(late.state, AWAIT_SPENT);
	while (info.generation < 2) {
		(void)poll(NULL, 0, 20);
		hsm_info(f->hsm, &info);
	}
	assert_true(is_over(&other));
	assert_int_equal(other.state, AWAIT_SPENT);
	assert_int_equal(hsm_wait_ready(f->hsm, 10000), HF_OK);
	/* On a worker, which waits. */
	assert_true(other.lost);
	assert_int_equal(encrypt(f, &other, out), HF_OK);
	assert_memory_equal(out, f->sealed, sizeof(out));
	late = (struct hsm_await){ .state = AWAIT_READY, .port = PORT };
	assert_int_equal(encrypt(f, &late, out), HF_ERR_DEFER);
	until_over(f, &late);
	assert_int_equal(encrypt(f, &late, out), HF_OK);
	assert_memory_equal(out, f->sealed, sizeof(out));
}

static void
says_when_to_look_again(void **state)
{
	struct fixture *f = *state;
	struct hsm_await await = { .state = AWAIT_READY, .port = PORT };
	uint8_t out[TEXT_LEN + TAG];
	uint64_t next = UINT64_MAX;

	assert_int_equal(encrypt(f, &await, out), HF_ERR_DEFER);
	if (!hsm_await_over(&await, 0, &next))
		assert_true(next == await.nudge_at && next < await.late_at);
	next = UINT64_MAX;
	if (!hsm_await_over(&await, await.nudge_at, &next))
		assert_true(next == await.nudge_at);
	until_over(f, &await);
	hsm_await_drop(&await);
}

/* Nobody can be killed; whoever waits is told, and the next one is served. */
static void
says_what_is_late_inside(void **state)
{
	struct fixture *f = *state;
	struct hsm_await late = { .state = AWAIT_READY, .port = PORT };
	uint8_t out[TEXT_LEN + TAG];

	assert_int_equal(encrypt(f, &late, out), HF_ERR_DEFER);
	until_over(f, &late);
	/* As if it had not been answered until then. */
	late.state = AWAIT_LATE;
	assert_int_equal(encrypt(f, &late, out), HF_ERR_HSM_STUCK);
	for (size_t i = 0; i < 2 * RING_CELLS; i++) {
		late = (struct hsm_await){ .state = AWAIT_READY, .port = PORT };
		assert_int_equal(encrypt(f, &late, out), HF_ERR_DEFER);
		assert_int_equal(late.state, AWAIT_SENT);
		until_over(f, &late);
		assert_int_equal(encrypt(f, &late, out), HF_OK);
		assert_memory_equal(out, f->sealed, sizeof(out));
	}
}

static void
is_offered_only_where_there_are_threads(void **state)
{
	struct fixture *f = *state;
	struct hsm_await await = { .state = AWAIT_READY, .port = PORT };
	uint8_t out[TEXT_LEN + TAG];

	assert_false(hsm_await_offered(f->hsm));
	assert_int_equal(hsm_await_fd(f->hsm, 0), -1);
	hsm_await_sleep(f->hsm, 0);
	hsm_await_wake(f->hsm, 0);
	/* And nobody is made to wait. */
	assert_int_equal(encrypt(f, &await, out), HF_ERR_DEFER);
	assert_int_equal(await.state, AWAIT_READY);
}

int
main(void)
{
#define WORKER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define INSIDE(test) \
	cmocka_unit_test_setup_teardown(test, setup_inside, teardown)
	const struct CMUnitTest tests[] = {
		WORKER(gives_the_result_to_the_same_call),
		INSIDE(gives_the_result_to_the_same_call),
		WORKER(gives_no_result_to_another_call),
		INSIDE(gives_no_result_to_another_call),
		WORKER(has_many_under_way),
		INSIDE(has_many_under_way),
		WORKER(refuses_what_it_has_no_room_for),
		INSIDE(refuses_what_it_has_no_room_for),
		WORKER(has_room_again_for_what_nobody_waits_for),
		INSIDE(has_room_again_for_what_nobody_waits_for),
		WORKER(replaces_a_process_that_is_late),
		INSIDE(says_what_is_late_inside),
		WORKER(says_when_to_look_again),
		INSIDE(says_when_to_look_again),
		cmocka_unit_test_setup_teardown(
		    is_offered_only_where_there_are_threads, setup_waiting,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
