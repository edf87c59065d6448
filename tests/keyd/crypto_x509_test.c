/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/crypto_x509.h"

#include "crypto_support.h"

/* The promises of crypto_x509.h, with keys in software; what openssl thinks of
 * the results is in tests/e2e/certificate_test.sh. */

enum { NOW = 1700000000, LATER = NOW + 86400 };

struct pair {
	struct crypto_key *key;
	uint8_t spki[SPKI_MAX];
	struct cert_key cert;
};

static enum hf_err
sign_with(void *ctx, const struct sign_how *how, struct hf_bytes tbs,
    uint8_t *out, size_t *len)
{
	return crypto_sign(ctx, how, tbs, out, len);
}

static void
pair_make(struct pair *p, enum key_type_id id)
{
	const struct key_type *type = key_type_by_id(id);
	AUTO_SECRET pkcs8 = { 0 };
	size_t len;

	assert_int_equal(crypto_generate(type, 0, &pkcs8), HF_OK);
	assert_int_equal(
	    crypto_key_private(type, secret_view(&pkcs8), &p->key), HF_OK);
	assert_int_equal(
	    crypto_key_spki(p->key, p->spki, sizeof(p->spki), &len), HF_OK);
	p->cert = (struct cert_key){ type, bytes_of(p->spki, len), sign_with,
		p->key };
}

static struct hf_bytes
self_signed(const struct pair *p, const char *subject, uint8_t *buf)
{
	const struct cert_subject who = { text_of(subject), NULL, 0 };
	struct hf_why why = { "" };
	size_t len;

	assert_int_equal(
	    cert_self_sign(&p->cert, &who, NOW, LATER, buf, &len, &why), HF_OK);
	return bytes_of(buf, len);
}

static void
a_self_signed_certificate_is_a_chain_of_one(void **state)
{
	static const enum key_type_id ids[] = { KEY_ECDSA_P256, KEY_ECDSA_P384,
		KEY_ECDSA_P521, KEY_ED25519, KEY_RSA_2048 };
	uint8_t buf[CERT_CHAIN_MAX];
	struct hf_why why = { "" };

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct pair p;
		struct hf_bytes chain;

		pair_make(&p, ids[i]);
		chain = self_signed(&p, "CN=x", buf);
		assert_int_equal(
		    cert_chain_check(p.cert.type, chain, p.cert.spki, &why),
		    HF_OK);
		crypto_key_free(p.key);
	}
}

static void
a_chain_comes_back_from_its_pem(void **state)
{
	static char pem[CERT_PEM_MAX];
	static uint8_t one[2 * CERT_CHAIN_MAX], back[CERT_CHAIN_MAX];
	struct hf_why why = { "" };
	struct hf_bytes first, second, rest;
	struct pair p;
	size_t len;

	(void)state;
	pair_make(&p, KEY_ECDSA_P256);
	first = self_signed(&p, "CN=one", one);
	second = self_signed(&p, "CN=two", one + first.len);
	rest = bytes_of(one, first.len + second.len);
	assert_int_equal(cert_chain_pem(rest, pem, sizeof(pem)), HF_OK);
	assert_int_equal(
	    cert_chain_read(text_of(pem), back, &len, &why), HF_OK);
	assert_int_equal(len, rest.len);
	assert_memory_equal(back, one, len);
	assert_true(cert_chain_next(&rest, &first));
	assert_true(cert_chain_next(&rest, &second));
	assert_false(cert_chain_next(&rest, &second));
	/* Two leaves are no chain. */
	assert_int_equal(cert_chain_check(p.cert.type, bytes_of(one, len),
			     p.cert.spki, &why),
	    HF_ERR_BAD_VALUE);
	crypto_key_free(p.key);
}

static void
refuses_the_certificate_of_another_key(void **state)
{
	uint8_t buf[CERT_CHAIN_MAX];
	struct hf_why why = { "" };
	struct pair p, other;
	struct hf_bytes chain;

	(void)state;
	pair_make(&p, KEY_ED25519);
	pair_make(&other, KEY_ED25519);
	chain = self_signed(&p, "CN=x", buf);
	assert_int_equal(
	    cert_chain_check(p.cert.type, chain, other.cert.spki, &why),
	    HF_ERR_BAD_VALUE);
	assert_non_null(strstr(why.text, "does not match"));
	crypto_key_free(p.key);
	crypto_key_free(other.key);
}

static void
a_failing_signer_fails_the_certificate(void **state)
{
	const struct cert_subject who = { TEXT("CN=x"), NULL, 0 };
	char pem[CERT_PEM_MAX];
	uint8_t buf[CERT_CHAIN_MAX];
	struct hf_why why = { "" };
	struct crypto_key *public;
	struct pair p;
	size_t len;

	(void)state;
	pair_make(&p, KEY_ECDSA_P256);
	assert_int_equal(
	    crypto_key_public(p.cert.type, p.cert.spki, &public), HF_OK);
	p.cert.ctx = public;
	assert_int_equal(
	    cert_self_sign(&p.cert, &who, NOW, LATER, buf, &len, &why),
	    HF_ERR_NO_PRIVATE_PART);
	assert_int_equal(cert_request(&p.cert, (struct hf_bytes){ 0 }, &who,
			     pem, sizeof(pem), &why),
	    HF_ERR_NO_PRIVATE_PART);
	crypto_key_free(public);
	crypto_key_free(p.key);
}

static void
a_cut_chain_ends_where_it_was_cut(void **state)
{
	uint8_t buf[CERT_CHAIN_MAX];
	struct hf_why why = { "" };
	struct hf_bytes whole;
	struct pair p;

	(void)state;
	pair_make(&p, KEY_ECDSA_P256);
	whole = self_signed(&p, "CN=x", buf);
	for (size_t cut = 0; cut < whole.len; cut++) {
		/* A copy of its own, so that a sanitizer sees a read beyond. */
		uint8_t *copy = malloc(cut == 0 ? 1 : cut);
		struct hf_bytes chain = bytes_of(copy, cut), cert;

		assert_non_null(copy);
		memcpy(copy, whole.ptr, cut);
		assert_false(cert_chain_next(&chain, &cert));
		assert_int_equal(cert_chain_check(p.cert.type,
				     bytes_of(copy, cut), p.cert.spki, &why),
		    HF_ERR_BAD_VALUE);
		free(copy);
	}
	crypto_key_free(p.key);
}

static void
a_certificate_is_of_its_key_and_no_other(void **state)
{
	static uint8_t buf[CERT_CHAIN_MAX + 1];
	struct pair p, other;
	struct hf_bytes cert;
	bool matches = false;

	(void)state;
	pair_make(&p, KEY_ECDSA_P256);
	pair_make(&other, KEY_ECDSA_P256);
	cert = self_signed(&p, "CN=x", buf);
	assert_ok(cert_matches(cert, p.cert.spki, &matches));
	assert_true(matches);
	assert_ok(cert_matches(cert, other.cert.spki, &matches));
	assert_false(matches);
	assert_ok(cert_matches(cert, bytes_of("", 0), &matches));
	assert_false(matches);
	/* One byte more, or less, is no certificate. */
	assert_err(
	    cert_matches(bytes_of(buf, cert.len + 1), p.cert.spki, &matches),
	    HF_ERR_BAD_INPUT);
	for (size_t cut = 0; cut < cert.len; cut += 7)
		assert_err(
		    cert_matches(bytes_of(buf, cut), p.cert.spki, &matches),
		    HF_ERR_BAD_INPUT);
	crypto_key_free(p.key);
	crypto_key_free(other.key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_self_signed_certificate_is_a_chain_of_one),
		cmocka_unit_test(a_chain_comes_back_from_its_pem),
		cmocka_unit_test(refuses_the_certificate_of_another_key),
		cmocka_unit_test(a_failing_signer_fails_the_certificate),
		cmocka_unit_test(a_cut_chain_ends_where_it_was_cut),
		cmocka_unit_test(a_certificate_is_of_its_key_and_no_other),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
