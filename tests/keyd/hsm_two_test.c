/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"
#include "../fake/softhsm.h"

/*
 * Two tokens of one module in one process, and keys that are brought into a
 * token from outside.
 */

static struct softhsm soft;
static struct hsm *first, *second;
static struct hf_why why;
static CK_SLOT_ID gone; /* the slot that is not there now; 0: none */

static CK_RV
list_without_gone(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	CK_RV rv = softhsm_original()->C_GetSlotList(present, slots, count);
	CK_ULONG kept = 0;

	if (rv != CKR_OK || slots == NULL)
		return rv;
	for (CK_ULONG i = 0; i < *count; i++)
		if (slots[i] != gone)
			slots[kept++] = slots[i];
	*count = kept;
	return CKR_OK;
}

static CK_RV
init_without_gone(
    CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	CK_SESSION_INFO info;

	if (softhsm_original()->C_GetSessionInfo(session, &info) == CKR_OK &&
	    info.slotID == gone)
		return CKR_DEVICE_REMOVED;
	return softhsm_original()->C_EncryptInit(session, m, key);
}

static int
group_setup(void **state)
{
	(void)state;
	if (crypto_init(&why) != HF_OK || !softhsm_start(&soft) ||
	    !softhsm_add("second"))
		return -1;
	softhsm_functions()->C_GetSlotList = list_without_gone;
	softhsm_functions()->C_EncryptInit = init_without_gone;
	first = softhsm_open(&soft, soft.uri, 2000);
	second = softhsm_open(&soft, SOFTHSM_URI("second"), 2000);
	return first != NULL && second != NULL ? 0 : -1;
}

static int
group_teardown(void **state)
{
	(void)state;
	hsm_close(first);
	hsm_close(second);
	softhsm_stop(&soft);
	return 0;
}

/* The slot of a token, by its label. */
static CK_SLOT_ID
slot_of(const char *label)
{
	const CK_FUNCTION_LIST *fn = softhsm_original();
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;

	assert_int_equal(fn->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
	for (CK_ULONG i = 0; i < count; i++) {
		CK_TOKEN_INFO info;

		assert_int_equal(fn->C_GetTokenInfo(slots[i], &info), CKR_OK);
		if (memcmp(info.label, label, strlen(label)) == 0)
			return slots[i];
	}
	fail();
	return 0;
}

static void
make(struct hsm *hsm, uint8_t fill, uint8_t id[HSM_ID])
{
	memset(id, fill, HSM_ID);
	assert_int_equal(
	    hsm_object_make(hsm, ROLE_MASTER, id, "holdfast-test"), HF_OK);
}

static enum hf_err
use(struct hsm *hsm, const uint8_t id[HSM_ID])
{
	uint8_t sealed[8 + HSM_SEAL_EXTRA];

	return hsm_seal(
	    hsm, id, bytes_of("aad", 3), bytes_of("12345678", 8), sealed);
}

static void
objects_of_one_token_are_not_those_of_the_other(void **state)
{
	uint8_t id[HSM_ID];
	bool found = true;

	(void)state;
	make(first, 1, id);
	assert_int_equal(use(first, id), HF_OK);
	assert_int_equal(use(second, id), HF_ERR_HSM_UNINITIALIZED);
	assert_int_equal(
	    hsm_object_find(second, ROLE_MASTER, id, &found), HF_OK);
	assert_false(found);
}

static void
one_token_goes_and_comes_back_while_the_other_works(void **state)
{
	struct hsm_info before, after;
	uint8_t a[HSM_ID], b[HSM_ID];

	(void)state;
	make(first, 2, a);
	make(second, 3, b);
	hsm_info(second, &before);
	gone = slot_of(SOFTHSM_LABEL);
	assert_int_equal(use(first, a), HF_ERR_HSM_UNAVAILABLE);
	for (int i = 0; i < 50; i++)
		assert_int_equal(use(second, b), HF_OK);
	gone = 0;
	assert_int_equal(hsm_wait_ready(first, 10000), HF_OK);
	assert_int_equal(use(first, a), HF_OK);
	assert_int_equal(use(second, b), HF_OK);
	hsm_info(second, &after);
	assert_int_equal(after.generation, before.generation);
}

static void
a_closed_one_leaves_the_module_to_the_other(void **state)
{
	uint8_t id[HSM_ID];

	(void)state;
	make(first, 4, id);
	hsm_close(second);
	assert_int_equal(use(first, id), HF_OK);
	second = softhsm_open(&soft, SOFTHSM_URI("second"), 2000);
	assert_non_null(second);
	assert_int_equal(use(first, id), HF_OK);
}

static void
a_brought_master_key_has_its_value_and_no_other(void **state)
{
	const struct key_type *aes = key_type_by_id(KEY_AES256_GCM96);
	uint8_t id[HSM_ID], value[32], sealed[8 + HSM_SEAL_EXTRA], text[8];
	struct hf_bytes key = bytes_of(value, sizeof(value));

	(void)state;
	memset(id, 5, sizeof(id));
	assert_int_equal(crypto_random(value, sizeof(value)), HF_OK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    hsm_object_import(first, ROLE_MASTER, id, "brought", key),
		    HF_OK);
	assert_int_equal(hsm_seal(first, id, bytes_of("aad", 3),
			     bytes_of("12345678", 8), sealed),
	    HF_OK);
	assert_int_equal(
	    crypto_open(aes, key, bytes_of(sealed, 12), bytes_of("aad", 3),
		bytes_of(sealed + 12, sizeof(sealed) - 12), text),
	    HF_OK);
	assert_memory_equal(text, "12345678", 8);
	value[31] ^= 1;
	assert_int_equal(
	    hsm_object_import(first, ROLE_MASTER, id, "brought", key),
	    HF_ERR_NAME_TAKEN);
	assert_int_equal(hsm_object_import(first, ROLE_MASTER, id, "brought",
			     bytes_of(value, 16)),
	    HF_ERR_BAD_INPUT);
}

static void
a_brought_wrapping_key_opens_keys_on_both_tokens(void **state)
{
	const struct key_type *type = key_type_by_id(KEY_ECDSA_P256);
	struct sign_how how = { .scheme = SIGN_ECDSA,
		.hash = hash_type_by_name(TEXT("sha2-256")) };
	struct hsm_key key = { .type = type };
	uint8_t value[32], wrapped[4096], spki[1024], sig[CRYPTO_SIGNATURE_MAX];
	struct hf_bytes wrap = bytes_of(value, sizeof(value));
	struct crypto_key *public = NULL;
	size_t len, spki_len, sig_len;
	struct hsm *both[] = { first, second };

	(void)state;
	memset(key.id, 6, HSM_ID);
	memset(key.wrap_id, 7, HSM_ID);
	assert_int_equal(crypto_random(value, sizeof(value)), HF_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(hsm_object_import(both[i / 2], ROLE_WRAP,
				     key.wrap_id, "brought", wrap),
		    HF_OK);
	assert_int_equal(hsm_key_make(first, type, 0, key.wrap_id, key.id,
			     wrapped, &len, spki, &spki_len),
	    HF_OK);
	assert_int_not_equal(len, 0);
	key.wrapped = bytes_of(wrapped, len);
	assert_int_equal(
	    crypto_key_public(type, bytes_of(spki, spki_len), &public), HF_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(hsm_key_sign(both[i], &key, &how,
				     bytes_of("text", 4), sig, &sig_len),
		    HF_OK);
		assert_int_equal(
		    crypto_verify(public, &how, bytes_of("text", 4),
			bytes_of(sig, sig_len)),
		    HF_OK);
	}
	crypto_key_free(public);
	value[0] ^= 1;
	assert_int_equal(
	    hsm_object_import(first, ROLE_WRAP, key.wrap_id, "brought", wrap),
	    HF_ERR_NAME_TAKEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    objects_of_one_token_are_not_those_of_the_other),
		cmocka_unit_test(
		    one_token_goes_and_comes_back_while_the_other_works),
		cmocka_unit_test(a_closed_one_leaves_the_module_to_the_other),
		cmocka_unit_test(
		    a_brought_master_key_has_its_value_and_no_other),
		cmocka_unit_test(
		    a_brought_wrapping_key_opens_keys_on_both_tokens),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
