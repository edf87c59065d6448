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
 * Every operation about a key, with every type and level of key in every odd
 * state, and with its parameters combined pairwise: for any two of them each
 * value of the one meets each value of the other in some request, and each
 * value stands alone in one. Always an answer, and where it is a refusal, one
 * that says what was wrong; never an error of the service's own.
 *
 * GHSA-8w8f-r2xv-4q4j: an RSA key with derived=true brought a service of this
 * family down. Operations that change state are asked as dry runs.
 */

enum { FIELDS_MAX = 24, VALUES_MAX = 24, ARENA = 8 << 20 };

/*
 * Under the address sanitizer all of it takes a quarter of an hour: there one
 * type of each family at level wrapped, and a sixth of the combinations with
 * each key, in turn.
 */
#ifdef __SANITIZE_ADDRESS__
enum { STEP = 6 };
#else
enum { STEP = 1 };
#endif

static unsigned long requests, granted[256]; /* by index in ops[] */

/* What an operation gave for this very key: the values that go deep. */
static struct {
	uint8_t ciphertext[1024], signature[1024], hmac[256], cmac[256];
	size_t ciphertext_len, signature_len, hmac_len, cmac_len;
	char public_key[2048];
} made;

/* -- The values of a field; the first is that it is absent -- */

static struct hf_bytes
filled(struct arena *arena, size_t len)
{
	uint8_t *p = message_room(arena, len);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + len);
	return bytes_of(p, len);
}

static size_t
words(const char *values)
{
	size_t n = 1;

	for (const char *p = values; *p != '\0'; p++)
		n += *p == '|';
	return n;
}

static struct hf_text
word(const char *values, size_t i)
{
	for (; i > 0; i--)
		values = strchr(values, '|') + 1;
	return (struct hf_text){ values, strcspn(values, "|") };
}

static bool
is_sealed(const struct field *f)
{
	return (f->flags & SEALED) != 0;
}

static bool
is_name(const struct field *f)
{
	return (f->flags & NAME) != 0;
}

/* Of numbers: the bounds, and those between them that mean something. */
static const uint64_t numbers[] = { 0, 1, 2, 8, 16, 128, 256, 4096 };

static size_t
number_count(const struct field *f)
{
	size_t n = 1;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		n += numbers[i] >= f->min && numbers[i] < f->max;
	return n;
}

static uint64_t
number(const struct field *f, size_t at)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i] >= f->min && numbers[i] < f->max && at-- == 0)
			return numbers[i];
	return f->max;
}

static size_t
value_count(const struct field *f)
{
	switch (f->kind) {
	case FIELD_BYTES:
		return is_sealed(f) ? 6 : 5;
	case FIELD_TEXT:
		return f->values != NULL ? 1 + words(f->values)
		    : is_name(f)         ? 4
					 : 5;
	case FIELD_UINT:
	case FIELD_OPT:
		return 1 + number_count(f);
	case FIELD_BOOL:
		return 2;
	case FIELD_TRI:
		return 3;
	case FIELD_LIST:
	case FIELD_TEXTS:
	case FIELD_PAIRS:
		return 4;
	}
	return 1;
}

static struct hf_bytes
sealed_value(const struct field *f, size_t i)
{
	static const uint8_t rubbish[40] = { 0, 0, 0, 1, 9 };

	switch (i) {
	case 1:
		return bytes_of("", 0);
	case 2:
		return bytes_of(rubbish, sizeof(rubbish));
	case 3:
		return bytes_of("vault:v1:AAAA", 13);
	case 4:
		return bytes_of("vault:v99:////", 14);
	default:
		return strcmp(f->name, "signature") == 0
		    ? bytes_of(made.signature, made.signature_len)
		    : strcmp(f->name, "hmac") == 0
		    ? bytes_of(made.hmac, made.hmac_len)
		    : strcmp(f->name, "cmac") == 0
		    ? bytes_of(made.cmac, made.cmac_len)
		    : bytes_of(made.ciphertext, made.ciphertext_len);
	}
}

static struct hf_bytes
bytes_value(const struct field *f, size_t i, struct arena *arena)
{
	static const size_t lens[] = { 0, 0, 1, 32, 300 };
	size_t len = lens[i];

	if (len < f->min)
		len = (size_t)f->min;
	if (len > f->max)
		len = (size_t)f->max;
	return filled(arena, len);
}

static struct hf_text
text_value(const struct field *f, size_t i, struct arena *arena)
{
	static const char *const odd[] = { "", "x", "auto", "-1" };
	struct hf_text t;
	char *longest;

	if (f->values != NULL)
		return word(f->values, i - 1);
	if (is_name(f))
		return text_of(i == 1 ? "matrix"
			: i == 2      ? "no-such-key"
				      : "other");
	if (strstr(f->name, "public_key") != NULL || f->max > 2000)
		return i == 1 ? text_of(made.public_key) : text_of(odd[i - 1]);
	if (i < 4) {
		t = text_of(odd[i]);
		return t.len < f->min || t.len > f->max ? TEXT("name") : t;
	}
	longest = message_room(arena, (size_t)f->max);
	memset(longest, '7', (size_t)f->max);
	return (struct hf_text){ longest, (size_t)f->max };
}

/* None, one, several. */
static void
set_list(const struct field *f, size_t i, struct arena *arena, uint8_t *base)
{
	uint64_t seed = i;
	size_t *count = (size_t *)(void *)(base + f->count_offset);

	if (f->kind == FIELD_PAIRS)
		message_fill_pairs(f, arena, &seed, base);
	else
		message_fill_list(f, arena, i == 3, &seed, base);
	if (i == 1)
		*count = 0;
	else if (i == 2 && *count > 1)
		*count = 1;
}

static void
set_value(const struct field *f, size_t i, struct arena *arena, uint8_t *base)
{
	void *at = base + f->offset;

	if (i == 0)
		return;
	switch (f->kind) {
	case FIELD_BYTES:
		*(struct hf_bytes *)at = is_sealed(f)
		    ? sealed_value(f, i)
		    : bytes_value(f, i, arena);
		break;
	case FIELD_TEXT:
		*(struct hf_text *)at = text_value(f, i, arena);
		break;
	case FIELD_UINT:
		*(uint64_t *)at = number(f, i - 1);
		break;
	case FIELD_OPT:
		*(struct hf_uint *)at =
		    (struct hf_uint){ number(f, i - 1), true };
		break;
	case FIELD_BOOL:
		*(bool *)at = true;
		break;
	case FIELD_TRI:
		*(enum hf_tri *)at = i == 1 ? HF_TRUE : HF_FALSE;
		break;
	case FIELD_LIST:
	case FIELD_TEXTS:
	case FIELD_PAIRS:
		set_list(f, i, arena, base);
		break;
	}
}

/* -- Rows in which each value of a field meets each of every other -- */

struct rows {
	const struct field *fields[FIELDS_MAX];
	size_t values[FIELDS_MAX];
	size_t count; /* of fields */
	uint8_t (*picks)[FIELDS_MAX];
	size_t rows, room;
	bool met[FIELDS_MAX][VALUES_MAX][FIELDS_MAX][VALUES_MAX];
};

static void
meet(struct rows *r, const uint8_t *pick)
{
	for (size_t a = 0; a < r->count; a++)
		for (size_t b = a + 1; b < r->count; b++)
			r->met[a][pick[a]][b][pick[b]] = true;
}

static bool
first_unmet(const struct rows *r, size_t at[4])
{
	for (size_t a = 0; a < r->count; a++)
		for (size_t i = 0; i < r->values[a]; i++)
			for (size_t b = a + 1; b < r->count; b++)
				for (size_t k = 0; k < r->values[b]; k++)
					if (!r->met[a][i][b][k]) {
						at[0] = a;
						at[1] = i;
						at[2] = b;
						at[3] = k;
						return true;
					}
	return false;
}

/* How many pairs value `i` of field `f` would let meet for the first time. */
static size_t
gain(const struct rows *r, const uint8_t *pick, const bool *set, size_t f,
    size_t i)
{
	size_t n = 0;

	for (size_t k = 0; k < r->count; k++)
		if (set[k])
			n += k < f ? !r->met[k][pick[k]][f][i]
				   : !r->met[f][i][k][pick[k]];
	return n;
}

static void
choose_rest(const struct rows *r, uint8_t *pick, bool *set)
{
	for (size_t f = 0; f < r->count; f++) {
		size_t best = 0, most = 0;

		if (set[f])
			continue;
		for (size_t i = 0; i < r->values[f]; i++)
			if (gain(r, pick, set, f, i) > most) {
				most = gain(r, pick, set, f, i);
				best = i;
			}
		pick[f] = (uint8_t)best;
		set[f] = true;
	}
}

static uint8_t *
add_row(struct rows *r)
{
	if (r->rows == r->room) {
		r->room = r->room == 0 ? 64 : 2 * r->room;
		r->picks = realloc(r->picks, r->room * sizeof(*r->picks));
		assert_non_null(r->picks);
	}
	memset(r->picks[r->rows], 0, sizeof(*r->picks));
	return r->picks[r->rows++];
}

/* A value with which the operation may well succeed. */
static uint8_t
plausible(const struct field *f, bool derived)
{
	bool other_mac =
	    strcmp(f->name, "hmac") == 0 || strcmp(f->name, "cmac") == 0;

	if (strcmp(f->name, "context") == 0)
		return derived ? 4 : 0;
	if (is_sealed(f))
		return other_mac ? 0 : 5;
	if (f->kind == FIELD_BYTES && (f->flags & (SECRET | DATA)) != 0)
		return 3;
	if (is_name(f) && f->kind == FIELD_TEXT)
		return (f->flags & REQUIRED) != 0 ? 3 : 0;
	return (f->flags & REQUIRED) != 0 ? 1 : 0;
}

/* What may well succeed, but for one field, which takes all its values. */
static void
add_plausible(struct rows *r, bool derived)
{
	for (size_t f = 0; f < r->count; f++)
		for (size_t i = 0; i < r->values[f]; i++) {
			uint8_t *pick = add_row(r);

			for (size_t k = 0; k < r->count; k++)
				pick[k] = plausible(r->fields[k], derived);
			pick[f] = (uint8_t)i;
		}
}

/* What an operation is asked: {name} is given, all else is combined. */
static struct rows *
rows_of(const struct op *op)
{
	struct rows *r = calloc(1, sizeof(*r));
	size_t at[4];

	assert_non_null(r);
	for (size_t i = 0; i < op->in->count; i++) {
		const struct field *f = &op->in->fields[i];

		if ((f->flags & KEYNAME) != 0)
			continue;
		assert_true(r->count < FIELDS_MAX);
		r->fields[r->count] = f;
		r->values[r->count] = value_count(f);
		assert_true(r->values[r->count] <= VALUES_MAX);
		r->count++;
	}
	(void)add_row(r); /* nothing at all */
	for (size_t f = 0; f < r->count; f++)
		for (size_t i = 1; i < r->values[f]; i++)
			add_row(r)[f] = (uint8_t)i;
	add_plausible(r, false);
	add_plausible(r, true);
	for (size_t i = 0; i < r->rows; i++)
		meet(r, r->picks[i]);
	while (first_unmet(r, at)) {
		bool set[FIELDS_MAX] = { false };
		uint8_t *pick = add_row(r);

		pick[at[0]] = (uint8_t)at[1];
		pick[at[2]] = (uint8_t)at[3];
		set[at[0]] = set[at[2]] = true;
		choose_rest(r, pick, set);
		meet(r, pick);
	}
	return r;
}

static void
rows_free(struct rows *r)
{
	free(r->picks);
	free(r);
}

/* -- Asking -- */

static void
assert_answer(enum hf_err err, const struct op *op, const char *about)
{
	requests++;
	if (err == HF_OK || err == HF_ERR_DRY_RUN) {
		granted[op - ops]++;
		return;
	}
	if (hf_err_status(err) >= 500 || err == HF_ERR_BAD_MESSAGE)
		fail_msg("%s of %s: %s %s", op->name, about, hf_err_name(err),
		    why.text);
	if (strlen(why.text) < 5)
		fail_msg("%s of %s: %s, and no word about it", op->name, about,
		    hf_err_name(err));
}

static void
assert_items(const struct op *op, const uint8_t *out, const char *about)
{
	for (size_t i = 0; i < op->out->count; i++) {
		const struct field *f = &op->out->fields[i];
		const uint8_t *items;
		size_t count;

		if (strcmp(f->name, "batch_results") != 0)
			continue;
		items = *(uint8_t *const *)(const void *)(out + f->offset);
		count = *(const size_t *)(const void *)(out + f->count_offset);
		for (size_t k = 0; k < count; k++) {
			const struct hf_item_status *s =
			    (const void *)(items + k * f->item->size);

			if (s->error_name.ptr == NULL)
				continue;
			assert_true(
			    hf_err_status(hf_err_by_name(
				s->error_name.ptr, s->error_name.len)) < 500);
			if (s->error.len < 5)
				fail_msg(
				    "an item of %s of %s", op->name, about);
		}
	}
}

static void
ask(const struct op *op, const struct rows *r, const uint8_t *pick,
    const char *about)
{
	const struct field *name = op_key_field(op);
	struct arena *arena = NULL;
	uint8_t *in, *out;
	enum hf_err err;

	assert_int_equal(arena_new(8192, ARENA, &arena), HF_OK);
	in = message_room(arena, op->in->size);
	out = message_room(arena, op->out->size);
	memset(in, 0, op->in->size);
	memset(out, 0, op->out->size);
	*(struct hf_text *)(void *)(in + name->offset) = TEXT("matrix");
	for (size_t i = 0; i < r->count; i++)
		set_value(r->fields[i], pick[i], arena, in);
	service.options.dry_run = op_may_be_dry(op);
	err = service_call(&service, op->name, in, out, &why);
	service.options.dry_run = false;
	assert_answer(err, op, about);
	if (err == HF_OK)
		assert_items(op, out, about);
	arena_free(arena);
}

/* About a key; what makes its own is asked too. */
static bool
is_asked(const struct op *op)
{
	return op_names_key(op) && strncmp(op->path, "transit/", 8) == 0 &&
	    ((op->flags & OP_CHANGES) == 0 || op_may_be_dry(op)) &&
	    strncmp(op->path, "transit/datakeys/", 17) != 0;
}

static struct rows *all_rows[256];

static void
ask_all(const char *about)
{
	static size_t turn;
	size_t first = turn++ % STEP;

	for (size_t i = 0; i < ops_count; i++)
		for (size_t k = first;
		     all_rows[i] != NULL && k < all_rows[i]->rows; k += STEP)
			ask(&ops[i], all_rows[i], all_rows[i]->picks[k], about);
}

/* -- Keys -- */

static enum hf_err
call(const char *op, const void *in, void *out)
{
	return service_call(&service, op, in, out, &why);
}

static void
keep(uint8_t *at, size_t room, size_t *len, struct hf_bytes b)
{
	*len = b.len <= room ? b.len : 0;
	if (*len > 0)
		memcpy(at, b.ptr, b.len);
}

/* What the key gives, if it does: some of it it cannot. */
static void
make_values(bool derived)
{
	const struct hf_bytes x = bytes_of("x", 1);
	const struct hf_bytes context =
	    derived ? filled(service.worker, 300) : (struct hf_bytes){ 0 };
	struct hf_encrypt_in enc = { .name = TEXT("matrix"),
		.item.plaintext = x,
		.item.context = context };
	struct hf_sign_in sign = {
		.name = TEXT("matrix"), .item.input = x, .item.context = context
	};
	struct hf_hmac_in hmac = { .name = TEXT("matrix"), .item.input = x };
	struct hf_cmac_in cmac = { .name = TEXT("matrix"), .item.input = x };
	struct hf_encrypt_out enc_out;
	struct hf_sign_out sign_out;
	struct hf_hmac_out hmac_out;
	struct hf_cmac_out cmac_out;

	memset(&made, 0, sizeof(made));
	if (call("transit.encrypt", &enc, &enc_out) == HF_OK)
		keep(made.ciphertext, sizeof(made.ciphertext),
		    &made.ciphertext_len, enc_out.result.ciphertext);
	if (call("transit.sign", &sign, &sign_out) == HF_OK)
		keep(made.signature, sizeof(made.signature),
		    &made.signature_len, sign_out.result.signature);
	if (call("transit.hmac", &hmac, &hmac_out) == HF_OK)
		keep(made.hmac, sizeof(made.hmac), &made.hmac_len,
		    hmac_out.result.hmac);
	if (call("transit.cmac", &cmac, &cmac_out) == HF_OK)
		keep(made.cmac, sizeof(made.cmac), &made.cmac_len,
		    cmac_out.result.cmac);
}

static void
keep_public(void)
{
	struct hf_key_read_in in = { .name = TEXT("matrix") };
	struct hf_key_info info;

	assert_int_equal(call("key.read", &in, &info), HF_OK);
	if (info.keys_count > 0 && info.keys[0].public_key.ptr != NULL &&
	    info.keys[0].public_key.len < sizeof(made.public_key))
		memcpy(made.public_key, info.keys[0].public_key.ptr,
		    info.keys[0].public_key.len);
}

static void
drop_key(void)
{
	struct hf_name_in in = { .name = TEXT("matrix") };
	struct hf_empty out;

	assert_int_equal(call("key.delete", &in, &out), HF_OK);
}

/* With a version that may not be used, and then gone in the soft way. */
static void
age_key(const char *about)
{
	struct hf_name_in name = { .name = TEXT("matrix") };
	struct hf_version_in version = { TEXT("matrix"), 1 };
	struct hf_key_info info;

	assert_int_equal(call("key.version_disable", &version, &info), HF_OK);
	ask_all(about);
	assert_int_equal(call("key.version_enable", &version, &info), HF_OK);
	assert_int_equal(call("key.soft_delete", &name, &info), HF_OK);
	ask_all(about);
}

struct kind {
	const struct key_type *type;
	bool hsm, derived, convergent;
};

static bool
make_kind(const struct kind *k)
{
	struct hf_key_create_in in = {
		.name = TEXT("matrix"),
		.type = text_of(k->type->name),
		.level = k->hsm ? TEXT("hsm") : TEXT("wrapped"),
		.derived = k->derived,
		.convergent_encryption = k->convergent,
		.exportable = !k->hsm,
		.allow_plaintext_backup = !k->hsm,
		.deletion_allowed = true,
	};
	struct hf_key_info info;
	enum hf_err err = call("key.create", &in, &info);

	if (err != HF_OK)
		assert_answer(
		    err, op_by_name(TEXT("key.create")), k->type->name);
	return err == HF_OK;
}

static bool
is_tried(const struct kind *k)
{
	if (STEP > 1)
		for (const struct key_type *t = key_types; t != k->type; t++)
			if (t->family == k->type->family)
				return false;
	return STEP == 1 || (!k->hsm && !k->convergent);
}

static void
try_kind(const struct kind *k)
{
	char about[64];

	(void)snprintf(about, sizeof(about), "%s %s%s%s", k->type->name,
	    k->hsm ? "hsm" : "wrapped", k->derived ? " derived" : "",
	    k->convergent ? " convergent" : "");
	/* What takes long to make is much like its smaller sister. */
	if (!is_tried(k) || k->type->bits > 2048 || !make_kind(k))
		return;
	make_values(k->derived);
	keep_public();
	ask_all(about);
	if (k->type->id == KEY_AES256_GCM96 || k->type->id == KEY_ECDSA_P256)
		age_key(about);
	drop_key();
}

/* What takes more than one request, or something wrapped, to be granted; other
 * tests do (dry_run_test.c has all that change state). */
static bool
needs_more(const char *op)
{
	static const char *const names[] = { "key.trim", "key.version_restore",
		"key.import", "key.import_version", "key.set_certificate",
		"key.restore", "transit.derive_key", "p11.mac", "p11.derive",
		"p11.wrap", "p11.unwrap" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], op) == 0)
			return true;
	return false;
}

static void
every_kind_of_key_answers_every_combination(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_types_count; i++)
		for (unsigned bits = 0; bits < 8; bits++)
			try_kind(&(struct kind){ &key_types[i], (bits & 1) != 0,
			    (bits & 2) != 0, (bits & 4) != 0 });
	(void)fprintf(stderr, "%lu requests\n", requests);
	for (size_t i = 0; i < ops_count; i++)
		if (STEP == 1 && all_rows[i] != NULL && granted[i] == 0 &&
		    !needs_more(ops[i].name))
			fail_msg("%s was never granted: the combinations do "
				 "not reach what it does",
			    ops[i].name);
}

/* A key of which only the public half is here. */
static void
public_halves_answer_every_combination(void **state)
{
	static const char *const types[] = { "rsa-2048", "ecdsa-p256",
		"ed25519" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct kind k = { key_type_by_name(text_of(types[i])), false,
			false, false };
		struct hf_key_import_in in = { .name = TEXT("matrix"),
			.type = text_of(types[i]),
			.deletion_allowed = true };
		struct hf_key_info info;

		assert_true(make_kind(&k));
		make_values(false);
		keep_public();
		drop_key();
		in.public_key = text_of(made.public_key);
		assert_int_equal(call("key.import", &in, &info), HF_OK);
		ask_all(types[i]);
		drop_key();
	}
}

/* Of a key that is not there. */
static void
no_key_answers_every_combination(void **state)
{
	(void)state;
	ask_all("no key");
}

static int
setup(void **state)
{
	struct hf_key_create_in other = { .name = TEXT("other"),
		.type = TEXT("aes256-gcm96") };
	struct hf_key_info info;

	if (service_setup(state) != 0)
		return -1;
	assert_int_equal(call("key.create", &other, &info), HF_OK);
	assert_true(ops_count <= 256);
	for (size_t i = 0; i < ops_count; i++)
		if (is_asked(&ops[i]))
			all_rows[i] = rows_of(&ops[i]);
	return 0;
}

static int
teardown(void **state)
{
	for (size_t i = 0; i < ops_count; i++)
		if (all_rows[i] != NULL)
			rows_free(all_rows[i]);
	return service_teardown(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_key_answers_every_combination),
		cmocka_unit_test(every_kind_of_key_answers_every_combination),
		cmocka_unit_test(public_halves_answer_every_combination),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
