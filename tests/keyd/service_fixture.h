/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_SERVICE_FIXTURE_H
#define TESTS_KEYD_SERVICE_FIXTURE_H

/*
 * For programs whose tests all ask one service, whose policy allows its caller
 * everything unless a test says otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "../fake/service.h"

static struct service service;
static struct hf_why why; /* of the last call */

/* For cmocka_run_group_tests. */
static inline int
service_setup(void **state)
{
	(void)state;
	if (!service_start(&service, true))
		return -1;
	service_policy(&service, EVERYTHING);
	return 0;
}

static inline int
service_teardown(void **state)
{
	(void)state;
	service_stop(&service);
	return 0;
}

/* `level` may be NULL: the default. */
static inline void
make_key(const char *name, const char *type, const char *level)
{
	struct hf_key_create_in in = { .name = text_of(name),
		.type = text_of(type),
		.level = text_of(level),
		.deletion_allowed = true };
	struct hf_key_info out;

	assert_int_equal(
	    service_call(&service, "key.create", &in, &out, &why), HF_OK);
}

#endif
