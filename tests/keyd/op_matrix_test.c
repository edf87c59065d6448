/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/key_type.h"
#include "../../lib/bytes.h"
#include "../fake/message.h"
#include "service_fixture.h"

/*
 * Every kind of key with every operation and parameters in all combinations:
 * an answer each time, and a refusal that says what was wrong. T1, with the
 * parameters of key.create all combined. (An RSA key with derived=true once
 * brought another service down: GHSA-8w8f-r2xv-4q4j.)
 */

enum { ROUNDS = 6, MESSAGE = 1 << 20 };

/* What a caller can be told: fine, or what was wrong with the request. */
static void
assert_answered(enum hf_err err, const char *op, const char *about)
{
	if (err != HF_OK && hf_err_status(err) >= 500)
		fail_msg(
		    "%s of %s: %s %s", op, about, hf_err_name(err), why.text);
}

/* -- Creating -- */

struct wish {
	const struct key_type *type;
	const char *level;
	bool derived, convergent, exportable;
	uint64_t key_size;
	bool committing, asks; /* for a context */
};

static enum hf_err
create(const char *name, const struct wish *w, struct hf_key_info *out)
{
	struct hf_text purpose = TEXT("purpose");
	struct hf_key_create_in in = {
		.name = text_of(name),
		.type = text_of(w->type->name),
		.level = text_of(w->level),
		.derived = w->derived,
		.convergent_encryption = w->convergent,
		.exportable = w->exportable,
		.key_size = w->key_size,
		.committing = w->committing,
		.required_context = w->asks ? &purpose : NULL,
		.required_context_count = w->asks,
	};

	return service_call(&service, "key.create", &in, out, &why);
}

/* What keyd/key_type.h and docs/transit.md promise of it. */
static bool
should_be(const struct wish *w)
{
	bool hsm = strcmp(w->level, "hsm") == 0;
	bool hmac = w->type->family == FAMILY_HMAC;

	if (hsm && (!w->type->hsm || w->exportable || w->derived))
		return false;
	if (w->convergent && (!w->derived || w->type->family != FAMILY_AEAD))
		return false;
	if (w->derived && !w->type->derives)
		return false;
	if ((w->committing || w->asks) &&
	    (w->convergent || w->type->family != FAMILY_AEAD))
		return false;
	return hmac ? w->key_size != 16 : w->key_size == 0;
}

static void
try_wish(const struct wish *w, unsigned *number)
{
	struct hf_key_info out;
	char name[32];
	enum hf_err err;

	/* Of the slow ones only what is refused at once. */
	if (w->type->family == FAMILY_RSA && should_be(w))
		return;
	(void)snprintf(name, sizeof(name), "made-%u", (*number)++);
	err = create(name, w, &out);
	assert_answered(err, "key.create", w->type->name);
	if ((err == HF_OK) != should_be(w))
		fail_msg("%s %s derived %d convergent %d exportable %d size "
			 "%u committing %d asks %d: %s %s",
		    w->type->name, w->level, w->derived, w->convergent,
		    w->exportable, (unsigned)w->key_size, w->committing,
		    w->asks, hf_err_name(err), why.text);
	if (err != HF_OK)
		assert_true(strlen(why.text) > 10);
}

static void
every_combination_is_made_or_refused_with_a_reason(void **state)
{
	static const uint64_t sizes[] = { 0, 16, 64 };
	static const char *const levels[] = { "wrapped", "hsm" };
	unsigned number = 0;

	(void)state;
	for (size_t i = 0; i < key_types_count; i++)
		for (unsigned bits = 0; bits < 64; bits++)
			for (size_t k = 0; k < 3; k++) {
				const struct wish w = {
					&key_types[i],
					levels[bits & 1],
					(bits & 2) != 0,
					(bits & 4) != 0,
					(bits & 8) != 0,
					sizes[k],
					(bits & 16) != 0,
					(bits & 32) != 0,
				};

				try_wish(&w, &number);
			}
}

/* -- Using -- */

static void
set_field(
    const struct op *op, uint8_t *in, const char *field, struct hf_text value)
{
	for (size_t i = 0; i < op->in->count; i++) {
		const struct field *f = &op->in->fields[i];

		if (strcmp(f->name, field) == 0 && f->kind == FIELD_TEXT)
			*(struct hf_text *)(void *)(in + f->offset) = value;
	}
}

/* Versions that are there, or just are not. */
static void
tame_versions(const struct op *op, uint8_t *in, uint64_t *seed)
{
	for (size_t i = 0; i < op->in->count; i++) {
		const struct field *f = &op->in->fields[i];

		if (strstr(f->name, "version") == NULL)
			continue;
		if (f->kind == FIELD_OPT)
			((struct hf_uint *)(void *)(in + f->offset))->value =
			    message_number(seed, 0, 2);
		else if (f->kind == FIELD_UINT)
			*(uint64_t *)(void *)(in + f->offset) =
			    message_number(seed, 0, 2);
	}
}

static void
ask_once(const struct op *op, const char *key, bool all, uint64_t *seed)
{
	struct arena *arena = NULL;
	uint8_t *in;
	void *out;

	assert_int_equal(arena_new(8192, MESSAGE, &arena), HF_OK);
	in = message_room(arena, op->in->size);
	out = message_room(arena, op->out->size);
	message_fill(op->in, arena, all, seed, in);
	tame_versions(op, in, seed);
	set_field(op, in, "name", text_of(key));
	set_field(op, in, "destination", text_of(key));
	set_field(op, in, "base_key_name", text_of(key));
	assert_answered(
	    service_call(&service, op->name, in, out, &why), op->name, key);
	arena_free(arena);
}

/* What needs no new key, which would take long, and leaves the old one. */
static bool
is_asked(const struct op *op)
{
	return strncmp(op->path, "transit/", 8) == 0 &&
	    strstr(op->path, "{name}") != NULL &&
	    strncmp(op->path, "transit/datakeys/", 17) != 0 &&
	    ((op->flags & OP_CHANGES) == 0 || op->id == OP_key_self_sign ||
		op->id == OP_key_set_certificate ||
		op->id == OP_key_import_version || op->id == OP_key_restore ||
		op->id == OP_transit_derive_key);
}

static void
ask_everything(const char *key, uint64_t *seed)
{
	for (size_t i = 0; i < ops_count; i++)
		if (is_asked(&ops[i]))
			for (unsigned turn = 0; turn < ROUNDS; turn++)
				ask_once(&ops[i], key, turn == 0, seed);
}

static void
every_operation_answers_about_every_kind_of_key(void **state)
{
	static const char *const levels[] = { "wrapped", "hsm" };
	uint64_t seed = 4711;

	(void)state;
	for (size_t i = 0; i < key_types_count; i++)
		for (unsigned bits = 0; bits < 32; bits++) {
			const struct wish w = { &key_types[i], levels[bits & 1],
				(bits & 2) != 0, (bits & 4) != 0,
				(bits & 1) == 0, 0, (bits & 8) != 0,
				(bits & 16) != 0 };
			struct hf_key_info out;
			char name[64];

			if (!should_be(&w) || w.type->bits > 2048)
				continue;
			(void)snprintf(name, sizeof(name), "use-%s-%u",
			    w.type->name, bits);
			assert_int_equal(create(name, &w, &out), HF_OK);
			ask_everything(name, &seed);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    every_combination_is_made_or_refused_with_a_reason),
		cmocka_unit_test(
		    every_operation_answers_about_every_kind_of_key),
	};

	return cmocka_run_group_tests(tests, service_setup, service_teardown);
}
