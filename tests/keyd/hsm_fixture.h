/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_HSM_FIXTURE_H
#define TESTS_KEYD_HSM_FIXTURE_H

/*
 * For the tests of the HSM's door in which each opens the HSM for itself: a
 * token of its own, in this process, where functions of the test may stand in
 * the module's list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../keyd/hsm.h"
#include "../../lib/bytes.h"
#include "../fake/softhsm.h"

static const uint8_t wrap_id[HSM_ID] = { 'w', 'r', 'a', 'p' };

struct fixture {
	struct softhsm soft;
	struct hsm_settings settings; /* of what is opened; a test may change */
	struct hsm *hsm;              /* NULL: not yet */
	/* How often the watcher saw each. */
	_Atomic int states[HSM_STATE_LAST + 1];
};

/* For cmocka_run_group_tests. */
static inline int
fixture_group(void **state)
{
	static struct fixture f;
	struct hf_why why;

	*state = &f;
	return crypto_init(&why) == HF_OK ? 0 : -1;
}

/* A new token. */
static inline int
fixture_setup(void **state)
{
	struct fixture *f = *state;

	memset(f, 0, sizeof(*f));
	if (!softhsm_start(&f->soft) || softhsm_functions() == NULL)
		return -1;
	f->settings = (struct hsm_settings){ .uri = f->soft.uri,
		.pin_source = f->soft.pin_source,
		.deadline_ms = 5000 };
	return 0;
}

static inline int
fixture_teardown(void **state)
{
	struct fixture *f = *state;

	softhsm_functions_restore();
	hsm_close(f->hsm);
	softhsm_stop(&f->soft);
	return 0;
}

static inline void
fixture_watch(void *ctx, const struct hsm_info *info)
{
	struct fixture *f = ctx;

	atomic_fetch_add(&f->states[info->state], 1);
}

/* Begins to open it. */
static inline void
fixture_open(struct fixture *f)
{
	struct hf_why why = { "" };

	assert_int_equal(
	    hsm_open(&f->settings, fixture_watch, f, &f->hsm, &why), HF_OK);
}

/* Opens it, waits until it is ready, and makes the wrapping key. */
static inline void
fixture_open_ready(struct fixture *f)
{
	fixture_open(f);
	assert_int_equal(hsm_wait_ready(f->hsm, 5000), HF_OK);
	assert_int_equal(
	    hsm_object_make(f->hsm, ROLE_WRAP, wrap_id, "wrap"), HF_OK);
}

#endif
