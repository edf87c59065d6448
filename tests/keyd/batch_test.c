/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "../fake/message.h"
#include "service_fixture.h"

/*
 * Batches of every operation that takes them: order and references are kept,
 * an item that fails leaves the others alone, and each item gives what it
 * would have given alone.
 */

#define BYTES(s) bytes_of((s), sizeof(s) - 1)

enum { ITEMS = 3 };

/* Made in setup(): ciphertexts, signatures, MACs of the texts below. */
static uint8_t sealed[ITEMS][256], signed_[ITEMS][256];
static size_t sealed_len[ITEMS], signed_len[ITEMS];

static const char *const texts[ITEMS] = { "one", "two", "three" };
static const char *const references[ITEMS] = { "first", "second", "third" };

static struct hf_bytes
text(size_t i)
{
	return bytes_of(texts[i], strlen(texts[i]));
}

static struct hf_bytes
sealed_of(size_t i)
{
	return bytes_of(sealed[i], sealed_len[i]);
}

/* -- The items of each operation; with `bad` one that fails -- */

typedef void item_fn(void *item, size_t i, bool bad);

static void
encrypt_item(void *item, size_t i, bool bad)
{
	*(struct hf_encrypt_item *)item =
	    (struct hf_encrypt_item){ .plaintext = text(i),
		    .key_version = { bad ? 9 : 1, true } };
}

static void
decrypt_item(void *item, size_t i, bool bad)
{
	*(struct hf_decrypt_item *)item =
	    (struct hf_decrypt_item){ .ciphertext = bad ? BYTES("rubbish")
							: sealed_of(i) };
}

static void
rewrap_item(void *item, size_t i, bool bad)
{
	*(struct hf_rewrap_item *)item =
	    (struct hf_rewrap_item){ .ciphertext = bad ? BYTES("rubbish")
						       : sealed_of(i) };
}

static void
reencrypt_item(void *item, size_t i, bool bad)
{
	*(struct hf_reencrypt_item *)item =
	    (struct hf_reencrypt_item){ .ciphertext = bad ? BYTES("rubbish")
							  : sealed_of(i) };
}

static void
datakey_item(void *item, size_t i, bool bad)
{
	*(struct hf_datakey_item *)item =
	    (struct hf_datakey_item){ .bits = bad ? 100 : UINT64_C(128) << i };
}

static void
input_item(void *item, size_t i, bool bad)
{
	(void)bad;
	*(struct hf_input_item *)item =
	    (struct hf_input_item){ .input = text(i) };
}

static void
cmac_item(void *item, size_t i, bool bad)
{
	(void)bad;
	*(struct hf_cmac_item *)item =
	    (struct hf_cmac_item){ .input = text(i) };
}

/* A hash of another length is no hash. */
static void
sign_item(void *item, size_t i, bool bad)
{
	static const uint8_t digest[33] = { 1 };

	*(struct hf_sign_item *)item =
	    (struct hf_sign_item){ .input = bytes_of(digest, bad ? 33 : 32) };
	(void)i;
}

static void
verify_item(void *item, size_t i, bool bad)
{
	*(struct hf_verify_item *)item = (struct hf_verify_item){
		.input = text(i),
		.signature = bad ? BYTES("rubbish")
				 : bytes_of(signed_[i], signed_len[i]),
	};
}

static void
random_item(void *item, size_t i, bool bad)
{
	(void)bad;
	*(struct hf_random_item *)item =
	    (struct hf_random_item){ .bytes = 16 + i };
}

static const struct row {
	const char *op, *key;
	item_fn *item;
	const char *error;  /* of a bad item; NULL: none can fail alone */
	const char *result; /* field of a result that says something */
	bool same;          /* the same input gives the same result */
} rows[] = {
	{ "transit.encrypt", "aead", encrypt_item, "version_too_new",
	    "ciphertext", false },
	{ "transit.decrypt", "aead", decrypt_item, "invalid_ciphertext",
	    "plaintext", true },
	{ "transit.rewrap", "aead", rewrap_item, "invalid_ciphertext",
	    "ciphertext", false },
	{ "transit.reencrypt", "aead", reencrypt_item, "invalid_ciphertext",
	    "ciphertext", false },
	{ "transit.datakey_plaintext", "aead", datakey_item, "bad_value",
	    "plaintext", false },
	{ "transit.datakey_wrapped", "aead", datakey_item, "bad_value",
	    "ciphertext", false },
	{ "transit.hmac", "aead", input_item, NULL, "hmac", true },
	{ "transit.cmac", "mac", cmac_item, NULL, "cmac", true },
	{ "transit.sign", "ed", sign_item, NULL, "signature", true },
	{ "transit.sign", "ec", sign_item, "bad_input", "signature", false },
	{ "transit.verify", "ed", verify_item, "invalid_signature", "valid",
	    true },
	{ "transit.random", NULL, random_item, NULL, "random_bytes", false },
	{ "transit.hash", NULL, input_item, NULL, "sum", true },
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* -- Structs by their tables -- */

static const struct field *
field_of(const struct schema *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->fields[i].name, name) == 0)
			return &s->fields[i];
	return NULL;
}

static void *
at(const struct field *f, void *base)
{
	return (uint8_t *)base + f->offset;
}

static void
set_text(const struct schema *s, void *base, const char *name, const char *v)
{
	const struct field *f = field_of(s, name);

	if (f != NULL && v != NULL)
		*(struct hf_text *)at(f, base) = text_of(v);
}

/* The request of a row, without its items. */
static uint8_t *
request_of(const struct row *row)
{
	const struct op *op = op_by_name(text_of(row->op));
	uint8_t *in = calloc(1, op->in->size);

	assert_non_null(in);
	set_text(op->in, in, "name", row->key);
	set_text(op->in, in, "destination", "other");
	if (row->item == sign_item && strcmp(row->key, "ec") == 0)
		*(bool *)at(field_of(op->in, "prehashed"), in) = true;
	return in;
}

/* Three items; the second fails where `bad`. */
static uint8_t *
items_of(const struct row *row, bool bad)
{
	const struct op *op = op_by_name(text_of(row->op));
	const struct schema *s = field_of(op->in, "batch_input")->item;
	uint8_t *items = calloc(ITEMS, s->size);

	assert_non_null(items);
	for (size_t i = 0; i < ITEMS; i++) {
		row->item(items + i * s->size, i, bad && i == 1);
		set_text(s, items + i * s->size, "reference", references[i]);
	}
	return items;
}

static enum hf_err
call_batch(const struct row *row, uint8_t *in, void *items, size_t count,
    uint8_t **results, size_t *results_count)
{
	const struct op *op = op_by_name(text_of(row->op));
	const struct field *list = field_of(op->in, "batch_input");
	const struct field *given = field_of(op->out, "batch_results");
	static _Alignas(16) uint8_t out[1024];
	enum hf_err err;

	assert_true(op->out->size <= sizeof(out));
	*(void **)at(list, in) = items;
	*(size_t *)(void *)(in + list->count_offset) = count;
	err = service_call(&service, row->op, in, out, &why);
	*results = err == HF_OK ? *(void **)at(given, out) : NULL;
	*results_count =
	    err == HF_OK ? *(size_t *)(void *)(out + given->count_offset) : 0;
	return err;
}

static const struct schema *
result_schema(const struct row *row)
{
	return field_of(op_by_name(text_of(row->op))->out, "batch_results")
	    ->item;
}

/* -- What holds for all -- */

static void
every_operation_with_a_batch_has_a_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		bool found = field_of(ops[i].in, "batch_input") == NULL;

		for (size_t k = 0; k < ROWS; k++)
			found = found || strcmp(rows[k].op, ops[i].name) == 0;
		if (!found)
			fail_msg("no row for %s", ops[i].name);
	}
}

/* Encrypting, signing and MACs of many is what batches are for. */
static void
every_operation_on_data_takes_a_batch(void **state)
{
	static const char *const names[] = { "transit.encrypt",
		"transit.decrypt", "transit.rewrap", "transit.reencrypt",
		"transit.datakey_plaintext", "transit.datakey_wrapped",
		"transit.hmac", "transit.cmac", "transit.sign",
		"transit.verify", "transit.random", "transit.hash" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_non_null(
		    field_of(op_by_name(text_of(names[i]))->in, "batch_input"));
}

static void
try_failing(const struct row *row)
{
	const struct schema *s = result_schema(row);
	const struct field *f = field_of(s, row->result);
	uint8_t *in = request_of(row);
	uint8_t *items = items_of(row, row->error != NULL);
	uint8_t *results;
	size_t count;
	enum hf_err err = call_batch(row, in, items, ITEMS, &results, &count);

	if (err != HF_OK || count != ITEMS)
		fail_msg("%s: %s %s, %zu results", row->op, hf_err_name(err),
		    why.text, count);
	for (size_t i = 0; i < ITEMS; i++) {
		uint8_t *one = results + i * s->size;
		const struct hf_item_status *status = (void *)one;
		bool bad = i == 1 && row->error != NULL;

		if (!text_is(status->reference, references[i]))
			fail_msg(
			    "%s: item %zu has another reference", row->op, i);
		if (bad != (status->error.ptr != NULL) ||
		    (bad && !text_is(status->error_name, row->error)))
			fail_msg("%s: item %zu: '%.*s'", row->op, i,
			    (int)status->error_name.len,
			    status->error_name.ptr);
		if (field_present(f, one) == bad)
			fail_msg("%s: item %zu: wrong about %s", row->op, i,
			    row->result);
	}
	free(in);
	free(items);
}

static void
one_that_fails_leaves_the_others_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		try_failing(&rows[i]);
}

/* What a result says, as bytes of its own. */
static size_t
say(const struct field *f, void *result, uint8_t buf[256])
{
	struct hf_bytes b;

	if (f->kind == FIELD_TRI) {
		buf[0] = *(enum hf_tri *)at(f, result) == HF_TRUE;
		return 1;
	}
	b = *(struct hf_bytes *)at(f, result);
	assert_true(b.len <= 256);
	memcpy(buf, b.ptr, b.len);
	return b.len;
}

static void
try_alone(const struct row *row)
{
	const struct schema *s = result_schema(row);
	const struct field *f = field_of(s, row->result);
	uint8_t together[ITEMS][256], alone[256];
	size_t lens[ITEMS], count;
	uint8_t *in = request_of(row);
	uint8_t *items = items_of(row, false);
	const size_t size =
	    field_of(op_by_name(text_of(row->op))->in, "batch_input")
		->item->size;
	uint8_t *results;

	assert_int_equal(
	    call_batch(row, in, items, ITEMS, &results, &count), HF_OK);
	for (size_t i = 0; i < ITEMS; i++)
		lens[i] = say(f, results + i * s->size, together[i]);
	for (size_t i = 0; i < ITEMS; i++) {
		assert_int_equal(
		    call_batch(row, in, items + i * size, 1, &results, &count),
		    HF_OK);
		count = say(f, results, alone);
		/* DER of ECDSA has one length or another. */
		if (row->item != sign_item)
			assert_int_equal(count, lens[i]);
		if (row->same)
			assert_memory_equal(alone, together[i], lens[i]);
	}
	free(in);
	free(items);
}

static void
each_gives_what_it_gives_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		try_alone(&rows[i]);
}

static void
an_empty_batch_is_refused(void **state)
{
	uint8_t none[1];
	uint8_t *results;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		uint8_t *in = request_of(&rows[i]);

		assert_int_equal(
		    call_batch(&rows[i], in, none, 0, &results, &count),
		    HF_ERR_EMPTY_BATCH);
		free(in);
	}
}

/* The fields of one item beside a list of items: which of them was meant? */
static void
a_batch_beside_an_item_is_refused(void **state)
{
	uint8_t *results;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		const struct op *op = op_by_name(text_of(rows[i].op));
		const struct field *list = field_of(op->in, "batch_input");
		uint8_t *in = request_of(&rows[i]);
		uint8_t *items = items_of(&rows[i], false);
		/* The first field of an item stands in the request, too. */
		const struct field *f =
		    field_of(op->in, list->item->fields[0].name);

		assert_non_null(f);
		if (f->kind == FIELD_BYTES)
			*(struct hf_bytes *)at(f, in) = BYTES("x");
		else
			*(uint64_t *)at(f, in) = 16;
		assert_int_equal(
		    call_batch(&rows[i], in, items, ITEMS, &results, &count),
		    HF_ERR_BATCH_AND_SINGLE);
		free(in);
		free(items);
	}
}

static void
there_is_a_limit_to_the_items(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		const struct op *op = op_by_name(text_of(rows[i].op));
		const struct field *in = field_of(op->in, "batch_input");

		assert_in_range(in->max, 1024, 65536);
		assert_int_equal(
		    in->max, field_of(op->out, "batch_results")->max);
	}
}

/* One item that policy does not allow, and nothing is done for any. */
static void
policy_is_asked_about_each_item(void **state)
{
	const struct row *row = &rows[0];
	uint8_t *in = request_of(row), *items = items_of(row, true), *results;
	size_t count;

	(void)state;
	service_policy(&service,
	    "path \"*\" { capabilities = [\"create\", \"update\"]\n"
	    "  allowed_parameters = { \"key_version\" = [\"1\"], \"*\" = [] } "
	    "}");
	assert_int_equal(call_batch(row, in, items, ITEMS, &results, &count),
	    HF_ERR_PERMISSION_DENIED);
	free(items);
	items = items_of(row, false);
	assert_int_equal(
	    call_batch(row, in, items, ITEMS, &results, &count), HF_OK);
	free(in);
	free(items);
}

/* -- Keys, and something to work on -- */

static void
keep(uint8_t buf[256], size_t *len, struct hf_bytes b)
{
	assert_true(b.len <= 256);
	memcpy(buf, b.ptr, b.len);
	*len = b.len;
}

static int
setup(void **state)
{
	if (service_setup(state) != 0)
		return -1;
	make_key("aead", "aes256-gcm96", NULL);
	make_key("other", "aes256-gcm96", NULL);
	make_key("mac", "aes256-cmac", NULL);
	make_key("ec", "ecdsa-p256", NULL);
	make_key("ed", "ed25519", NULL);
	for (size_t i = 0; i < ITEMS; i++) {
		struct hf_encrypt_in enc = { .name = TEXT("aead"),
			.item.plaintext = text(i) };
		struct hf_sign_in sign = { .name = TEXT("ed"),
			.item.input = text(i) };
		struct hf_encrypt_out enc_out;
		struct hf_sign_out sign_out;

		assert_int_equal(service_call(&service, "transit.encrypt", &enc,
				     &enc_out, &why),
		    HF_OK);
		keep(sealed[i], &sealed_len[i], enc_out.result.ciphertext);
		assert_int_equal(service_call(&service, "transit.sign", &sign,
				     &sign_out, &why),
		    HF_OK);
		keep(signed_[i], &signed_len[i], sign_out.result.signature);
	}
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_with_a_batch_has_a_row),
		cmocka_unit_test(every_operation_on_data_takes_a_batch),
		cmocka_unit_test(one_that_fails_leaves_the_others_alone),
		cmocka_unit_test(each_gives_what_it_gives_alone),
		cmocka_unit_test(an_empty_batch_is_refused),
		cmocka_unit_test(a_batch_beside_an_item_is_refused),
		cmocka_unit_test(there_is_a_limit_to_the_items),
		cmocka_unit_test(policy_is_asked_about_each_item),
	};

	return cmocka_run_group_tests(tests, setup, service_teardown);
}
