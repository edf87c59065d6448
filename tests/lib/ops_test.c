/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds for every operation: the tables make sense, and each message
 * decodes to what was encoded and to nothing else.
 */
#include "../../lib/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../fake/message.h"

enum {
	ROUNDS = 20,
	MOST_PAIRS = 65,
	TABLE_ROOM = 4096,
	LARGEST = 64 << 20, /* bound of any field */
};

/* Touched once: in fresh memory each large bound would cost a second. */
static uint8_t large_value[LARGEST + 1], large_message[LARGEST + 65536];

static struct arena *
arena_for_test(void)
{
	struct arena *arena = NULL;

	assert_int_equal(arena_new(1 << 16, 256 << 20, &arena), HF_OK);
	return arena;
}

/* -- Every schema once, wherever it stands -- */

typedef void schema_fn(const struct schema *schema);

static void
visit(const struct schema *schema, schema_fn *fn)
{
	fn(schema);
	for (size_t i = 0; i < schema->count; i++)
		if (schema->fields[i].kind == FIELD_LIST)
			visit(schema->fields[i].item, fn);
}

static void
visit_all(schema_fn *fn)
{
	for (size_t i = 0; i < ops_count; i++) {
		visit(ops[i].in, fn);
		visit(ops[i].out, fn);
	}
}

/* -- The tables -- */

static void
ids_names_and_verbs_are_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++)
		for (size_t j = i + 1; j < ops_count; j++) {
			assert_int_not_equal(ops[i].id, ops[j].id);
			assert_string_not_equal(ops[i].name, ops[j].name);
			if (ops[i].verb[0] != '\0')
				assert_string_not_equal(
				    ops[i].verb, ops[j].verb);
		}
}

/* GHSA-rh46-vc3j-w2w3. */
static void
an_operation_is_found_by_its_name_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++)
		assert_ptr_equal(op_by_name(text_of(ops[i].name)), &ops[i]);
	assert_null(op_by_name(TEXT("transit.encryp")));
	assert_null(op_by_name(TEXT("transit.encrypt ")));
	assert_null(op_by_name(TEXT("")));
}

/* CVE-2025-6000, CVE-2025-54997: where the audit goes stands in keyd.conf. */
static void
no_operation_changes_where_the_audit_goes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++)
		if (strncmp(ops[i].path, "sys/audit", 9) == 0)
			assert_int_equal(ops[i].flags & OP_CHANGES, 0);
}

static void
the_key_field_exists_where_the_path_has_a_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		bool has = strstr(ops[i].path, "{name}") != NULL;
		unsigned fields = 0;

		for (size_t k = 0; k < ops[i].in->count; k++)
			fields += (ops[i].in->fields[k].flags & KEYNAME) != 0;
		assert_int_equal(fields, has);
		assert_int_equal(op_key_field(&ops[i]) != NULL, has);
		if (has)
			assert_int_equal(
			    op_key_field(&ops[i])->kind, FIELD_TEXT);
	}
}

static void
capabilities_have_names_that_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++)
		assert_int_equal(
		    cap_by_name(text_of(cap_name(ops[i].cap))), ops[i].cap);
	assert_int_equal(cap_by_name(TEXT("sudo")), HF_CAP_SUDO);
	assert_int_equal(cap_by_name(TEXT("SUDO")), 0);
	assert_int_equal(cap_by_name(TEXT("")), 0);
}

static size_t
kind_size(enum field_kind kind)
{
	static const size_t sizes[] = {
		[FIELD_BYTES] = sizeof(struct hf_bytes),
		[FIELD_TEXT] = sizeof(struct hf_text),
		[FIELD_UINT] = sizeof(uint64_t),
		[FIELD_OPT] = sizeof(struct hf_uint),
		[FIELD_BOOL] = sizeof(bool),
		[FIELD_TRI] = sizeof(enum hf_tri),
		[FIELD_LIST] = sizeof(void *),
		[FIELD_TEXTS] = sizeof(void *),
		[FIELD_PAIRS] = sizeof(void *),
	};

	return sizes[kind];
}

static void
take(const struct schema *schema, uint8_t *taken, size_t at, size_t len)
{
	assert_true(at + len <= schema->size);
	for (size_t i = at; i < at + len; i++) {
		if (taken[i] != 0)
			fail_msg("%s: two fields at byte %zu", schema->name, i);
		taken[i] = 1;
	}
}

/* A member that no field stands for leaves a hole that padding cannot
 * explain. In the struct of a single item, the status stays unnamed. */
static void
check_tiles(const struct schema *schema)
{
	uint8_t taken[TABLE_ROOM] = { 0 };
	size_t hole = 0;

	assert_true(schema->size <= sizeof(taken));
	assert_true(schema->count <= 64);
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		take(schema, taken, f->offset, kind_size(f->kind));
		if (f->kind == FIELD_LIST || f->kind == FIELD_TEXTS ||
		    f->kind == FIELD_PAIRS)
			take(schema, taken, f->count_offset, sizeof(size_t));
	}
	for (size_t i = 0; i < schema->size; i++) {
		hole = taken[i] != 0 ? 0 : hole + 1;
		/* result.status and item.reference: see STATUS_FIELDS. */
		if (hole >= sizeof(uint64_t) &&
		    strstr(schema->name, "_out") == NULL &&
		    strstr(schema->name, "_in") == NULL)
			fail_msg("%s: no field for byte %zu", schema->name, i);
		assert_true(hole <= sizeof(struct hf_item_status));
	}
}

static void
fields_tile_their_structs(void **state)
{
	(void)state;
	visit_all(check_tiles);
}

static void
check_rows(const struct schema *schema)
{
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];
		const unsigned both = SECRET | PLAIN;

		if ((f->flags & both) == both || f->min > f->max ||
		    f->doc == NULL || f->doc[0] == '\0' || strlen(f->name) > 32)
			fail_msg("%s.%s", schema->name, f->name);
		for (const char *p = f->name; *p != '\0'; p++)
			assert_true((*p >= 'a' && *p <= 'z') || *p == '_');
		assert_int_equal(f->kind == FIELD_LIST, f->item != NULL);
		if (f->values != NULL)
			assert_int_equal(f->kind, FIELD_TEXT);
		if ((f->flags & (DATA | SEALED)) != 0 && f->kind != FIELD_TEXT)
			assert_int_equal(f->kind, FIELD_BYTES);
		if ((f->flags & (TIME | SECONDS)) != 0)
			assert_true(
			    f->kind == FIELD_UINT || f->kind == FIELD_OPT);
		/* A number that must not be zero has to be given. */
		if (f->kind == FIELD_UINT && f->min > 0)
			assert_true((f->flags & REQUIRED) != 0);
		for (size_t k = i + 1; k < schema->count; k++)
			assert_string_not_equal(
			    f->name, schema->fields[k].name);
	}
}

static void
rows_do_not_contradict_themselves(void **state)
{
	(void)state;
	visit_all(check_rows);
}

/* -- Every message -- */

struct message {
	uint8_t *ptr;
	size_t len;
};

static struct message
encoded(const struct schema *schema, const void *in, struct arena *arena)
{
	struct message m = { NULL, 0 };
	enum hf_err err = schema_encode(schema, in, NULL, 0, &m.len);

	assert_int_equal(err, HF_ERR_BUFFER_TOO_SMALL);
	m.ptr = m.len > 1 << 20 ? large_message : message_room(arena, m.len);
	assert_true(m.len <= sizeof(large_message));
	err = schema_encode(schema, in, m.ptr, m.len, &m.len);
	assert_int_equal(err, HF_OK);
	return m;
}

static enum hf_err
decoded(const struct schema *schema, struct message m, struct arena *arena,
    void *out, struct hf_why *why)
{
	return schema_decode(schema, bytes_of(m.ptr, m.len), arena, out, why);
}

static void
check_round_trip(const struct schema *schema)
{
	struct arena *arena = arena_for_test();
	uint64_t seed = schema->size;
	struct hf_why why = { "" };

	for (int i = 0; i < ROUNDS; i++) {
		void *in = message_room(arena, schema->size);
		void *out = message_room(arena, schema->size);
		struct message m;

		message_fill(schema, arena, i == 0, &seed, in);
		m = encoded(schema, in, arena);
		if (decoded(schema, m, arena, out, &why) != HF_OK)
			fail_msg("%s: %s", schema->name, why.text);
		assert_true(message_equal(schema, in, out));
		arena_reset(arena);
	}
	arena_free(arena);
}

static void
every_message_decodes_to_what_was_encoded(void **state)
{
	(void)state;
	visit_all(check_round_trip);
}

static void
check_truncation(const struct schema *schema)
{
	struct arena *arena = arena_for_test();
	uint64_t seed = 4;
	void *in = message_room(arena, schema->size);
	void *out = message_room(arena, schema->size);
	struct message m;

	message_fill(schema, arena, true, &seed, in);
	m = encoded(schema, in, arena);
	for (size_t cut = 0; cut < m.len; cut++) {
		/* A copy of its own, so that a sanitizer sees a read beyond. */
		struct message part = { malloc(cut == 0 ? 1 : cut), cut };

		assert_non_null(part.ptr);
		memcpy(part.ptr, m.ptr, cut);
		assert_int_not_equal(
		    decoded(schema, part, arena, out, NULL), HF_OK);
		free(part.ptr);
	}
	arena_free(arena);
}

static void
every_message_is_refused_when_cut_anywhere(void **state)
{
	(void)state;
	visit_all(check_truncation);
}

/* -- Messages put together from the parts of one that is whole -- */

static size_t
item_length(const uint8_t *p)
{
	unsigned major = p[0] >> 5;
	unsigned info = p[0] & 31;
	size_t head = info < 24 ? 1 : 1 + ((size_t)1 << (info - 24));
	uint64_t arg = info;
	size_t at = head;

	if (info >= 24)
		arg = 0;
	for (size_t i = 1; i < head; i++)
		arg = arg << 8 | p[i];
	if (major == 2 || major == 3)
		return head + (size_t)arg;
	if (major == 4 || major == 5)
		for (uint64_t i = 0; i < (major == 5 ? 2 * arg : arg); i++)
			at += item_length(p + at);
	return at;
}

struct pairs {
	struct message pair[MOST_PAIRS];
	size_t count;
};

static struct pairs
pairs_of(struct message m)
{
	struct pairs all = { .count = 0 };

	for (size_t at = m.ptr[0] == 0xb8 ? 2 : 1; at < m.len;) {
		size_t len = item_length(m.ptr + at);

		len += item_length(m.ptr + at + len);
		all.pair[all.count++] = (struct message){ m.ptr + at, len };
		at += len;
	}
	return all;
}

static struct message
map_of(const struct pairs *all, struct arena *arena)
{
	struct message m = { NULL, 2 };

	for (size_t i = 0; i < all->count; i++)
		m.len += all->pair[i].len;
	m.ptr = message_room(arena, m.len);
	m.len = 0;
	if (all->count < 24) {
		m.ptr[m.len++] = (uint8_t)(0xa0 + all->count);
	} else {
		m.ptr[m.len++] = 0xb8;
		m.ptr[m.len++] = (uint8_t)all->count;
	}
	for (size_t i = 0; i < all->count; i++) {
		memcpy(m.ptr + m.len, all->pair[i].ptr, all->pair[i].len);
		m.len += all->pair[i].len;
	}
	return m;
}

static void
refused(const struct schema *schema, const struct pairs *all,
    struct arena *arena, enum hf_err expected, const char *name)
{
	void *out = message_room(arena, schema->size);
	struct hf_why why = { "" };
	enum hf_err err = decoded(schema, map_of(all, arena), arena, out, &why);

	if (err != expected || strncmp(why.text, name, strlen(name)) != 0)
		fail_msg("%s.%s: %s \"%s\"", schema->name, name,
		    hf_err_name(err), why.text);
}

static const struct field *
field_of(const struct schema *schema, struct message pair)
{
	size_t len = item_length(pair.ptr) - (pair.ptr[0] == 0x78 ? 2 : 1);
	const char *name =
	    (const char *)pair.ptr + (pair.ptr[0] == 0x78 ? 2 : 1);

	for (size_t i = 0; i < schema->count; i++)
		if (text_is(
			(struct hf_text){ name, len }, schema->fields[i].name))
			return &schema->fields[i];
	fail_msg("no such field");
	return NULL;
}

static void
check_parts(const struct schema *schema)
{
	static uint8_t unknown[] = { 0x63, 'z', 'z', 'z', 0x00 };
	struct arena *arena = arena_for_test();
	uint64_t seed = 5;
	void *in = message_room(arena, schema->size);
	void *out = message_room(arena, schema->size);
	struct pairs all, changed;

	message_fill(schema, arena, true, &seed, in);
	all = pairs_of(encoded(schema, in, arena));

	changed = all;
	changed.pair[changed.count++] =
	    (struct message){ unknown, sizeof(unknown) };
	refused(schema, &changed, arena, HF_ERR_UNKNOWN_FIELD, "zzz");

	for (size_t i = 0; i < all.count; i++) {
		const struct field *f = field_of(schema, all.pair[i]);

		changed = all;
		changed.pair[changed.count++] = all.pair[i];
		refused(
		    schema, &changed, arena, HF_ERR_DUPLICATE_FIELD, f->name);
		changed = all;
		changed.pair[i] = changed.pair[--changed.count];
		if ((f->flags & REQUIRED) != 0)
			refused(schema, &changed, arena, HF_ERR_MISSING_FIELD,
			    f->name);
	}
	for (size_t i = 0; i < all.count; i++)
		changed.pair[i] = all.pair[all.count - 1 - i];
	changed.count = all.count;
	assert_int_equal(
	    decoded(schema, map_of(&changed, arena), arena, out, NULL), HF_OK);
	assert_true(message_equal(schema, in, out));
	arena_free(arena);
}

static void
unknown_repeated_and_missing_fields_are_refused_by_name(void **state)
{
	(void)state;
	visit_all(check_parts);
}

/* -- Bounds -- */

static void
with_size(const struct field *f, struct arena *arena, uint64_t size, void *in)
{
	uint8_t *at = (uint8_t *)in + f->offset;

	if (f->kind == FIELD_BYTES) {
		assert_true(size <= sizeof(large_value));
		*(struct hf_bytes *)(void *)at =
		    bytes_of(large_value, (size_t)size);
	}
	if (f->kind == FIELD_TEXT) {
		char *text = message_room(arena, (size_t)size);

		memset(text, 'a', (size_t)size);
		*(struct hf_text *)(void *)at =
		    (struct hf_text){ text, (size_t)size };
	}
	if (f->kind == FIELD_UINT)
		*(uint64_t *)(void *)at = size;
	if (f->kind == FIELD_OPT)
		*(struct hf_uint *)(void *)at = (struct hf_uint){ size, true };
}

static void
check_bound(const struct schema *schema, const struct field *f, uint64_t size,
    bool good)
{
	struct arena *arena = arena_for_test();
	uint64_t seed = 6;
	void *in = message_room(arena, schema->size);
	void *out = message_room(arena, schema->size);
	struct hf_why why = { "" };
	enum hf_err err;

	memset(in, 0, schema->size);
	for (size_t i = 0; i < schema->count; i++)
		if ((schema->fields[i].flags & REQUIRED) != 0)
			message_fill_field(
			    &schema->fields[i], arena, true, &seed, in);
	with_size(f, arena, size, in);
	err = decoded(schema, encoded(schema, in, arena), arena, out, &why);
	if (err != (good ? HF_OK : HF_ERR_OUT_OF_BOUNDS))
		fail_msg("%s.%s at %llu: %s", schema->name, f->name,
		    (unsigned long long)size, hf_err_name(err));
	if (!good)
		assert_memory_equal(why.text, f->name, strlen(f->name));
	arena_free(arena);
}

static void
check_bounds_of(const struct schema *schema)
{
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		if (f->kind == FIELD_BOOL || f->kind == FIELD_TRI ||
		    f->kind == FIELD_LIST || f->kind == FIELD_TEXTS ||
		    f->kind == FIELD_PAIRS || f->values != NULL)
			continue;
		check_bound(schema, f, f->min, true);
		if (f->min > 0)
			check_bound(schema, f, f->min - 1, false);
		check_bound(schema, f, f->max, true);
		check_bound(schema, f, f->max + 1, false);
	}
}

static void
bounds_hold_to_the_last_one(void **state)
{
	(void)state;
	visit_all(check_bounds_of);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_names_and_verbs_are_unique),
		cmocka_unit_test(an_operation_is_found_by_its_name_alone),
		cmocka_unit_test(no_operation_changes_where_the_audit_goes),
		cmocka_unit_test(
		    the_key_field_exists_where_the_path_has_a_name),
		cmocka_unit_test(capabilities_have_names_that_come_back),
		cmocka_unit_test(fields_tile_their_structs),
		cmocka_unit_test(rows_do_not_contradict_themselves),
		cmocka_unit_test(every_message_decodes_to_what_was_encoded),
		cmocka_unit_test(every_message_is_refused_when_cut_anywhere),
		cmocka_unit_test(
		    unknown_repeated_and_missing_fields_are_refused_by_name),
		cmocka_unit_test(bounds_hold_to_the_last_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
