/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_support.h"

#include <pthread.h>

#include <openssl/err.h>
#include <openssl/x509.h>

static const struct sign_how how_eddsa = { .scheme = SIGN_EDDSA };

static struct sign_how
how_ecdsa(const char *hash, enum sign_encoding encoding)
{
	return (struct sign_how){ .scheme = SIGN_ECDSA,
		.encoding = encoding,
		.hash = hash_of(hash) };
}

static struct sign_how
how_pss(const char *hash, int salt)
{
	return (struct sign_how){
		.scheme = SIGN_PSS, .hash = hash_of(hash), .salt = salt
	};
}

static struct sign_how
how_pkcs1(const char *hash)
{
	return (
	    struct sign_how){ .scheme = SIGN_PKCS1V15, .hash = hash_of(hash) };
}

static const struct sign_how how_raw = { .scheme = SIGN_PKCS1V15,
	.prehashed = true };

static struct blob
sign(const struct crypto_key *key, struct sign_how how, struct hf_bytes in)
{
	struct blob signature;

	assert_ok(crypto_sign(key, &how, in, signature.bytes, &signature.len));
	assert_in_range(signature.len, 1, CRYPTO_SIGNATURE_MAX);
	return signature;
}

/* Signs with the key, verifies with its public half alone. */
static void
assert_round_trip(const char *type, const struct crypto_key *key,
    struct sign_how how, struct hf_bytes in)
{
	struct crypto_key *public = public_half(type, key);
	struct blob signature = sign(key, how, in);

	assert_ok(crypto_verify(public, &how, in, view(&signature)));
	assert_ok(crypto_verify(key, &how, in, view(&signature)));
	crypto_key_free(public);
}

/* -- Known answers -- */

struct ecdsa_vector {
	const char *type;
	const char *hash;
	const char *point;
	const char *rs;
};

/* RFC 6979, appendix A.2.5 to A.2.7, message "sample". */
static const struct ecdsa_vector ecdsa_vectors[] = {
	{ "ecdsa-p256", "sha2-256",
	    "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
	    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
	    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
	    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8" },
	{ "ecdsa-p384", "sha2-384",
	    "04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64"
	    "def8f0ea9055866064a254515480bc13"
	    "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1"
	    "288b231c3ae0d4fe7344fd2533264720",
	    "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c"
	    "81a648152e44acf96e36dd1e80fabe46"
	    "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94f"
	    "a329c145786e679e7b82c71a38628ac8" },
	{ "ecdsa-p521", "sha2-512",
	    "0401894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd"
	    "371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f50"
	    "23a4"
	    "00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a"
	    "28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfd"
	    "fcf5",
	    "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f"
	    "174e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e3"
	    "77fa"
	    "00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af"
	    "282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4"
	    "a67a" },
};

static struct crypto_key *
key_at_point(const char *type, const char *point)
{
	struct blob p = hex(point), spki;

	assert_ok(
	    crypto_spki_ec(type_of(type), view(&p), spki.bytes, &spki.len));
	return public_key(type, view(&spki));
}

static void
verifies_the_published_ecdsa_signatures(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct ecdsa_vector *v = &ecdsa_vectors[i];
		struct crypto_key *key = key_at_point(v->type, v->point);
		struct sign_how jws = how_ecdsa(v->hash, SIGN_JWS);
		struct sign_how asn1 = how_ecdsa(v->hash, SIGN_ASN1);
		struct blob rs = hex(v->rs), der;

		assert_int_equal(rs.len, 2 * type_of(v->type)->size);
		assert_ok(crypto_verify(key, &jws, ascii("sample"), view(&rs)));
		assert_ok(crypto_ecdsa_to_der(view(&rs), der.bytes, &der.len));
		assert_ok(
		    crypto_verify(key, &asn1, ascii("sample"), view(&der)));
		assert_err(crypto_verify(key, &jws, ascii("Sample"), view(&rs)),
		    HF_ERR_SIGNATURE_WRONG);
		crypto_key_free(key);
	}
}

static void
verifies_an_audit_checkpoint(void **state)
{
	struct blob point = hex(ecdsa_vectors[0].point), spki;
	struct blob rs = hex(ecdsa_vectors[0].rs);

	(void)state;
	assert_ok(crypto_spki_ec(
	    type_of("ecdsa-p256"), view(&point), spki.bytes, &spki.len));
	assert_ok(crypto_verify_p256(view(&spki), ascii("sample"), view(&rs)));
	assert_err(crypto_verify_p256(view(&spki), ascii("simple"), view(&rs)),
	    HF_ERR_SIGNATURE_WRONG);
	assert_err(crypto_verify_p256(
		       view(&spki), ascii("sample"), bytes_of(rs.bytes, 63)),
	    HF_ERR_BAD_SIGNATURE);
	spki.bytes[0] ^= 1;
	assert_err(crypto_verify_p256(view(&spki), ascii("sample"), view(&rs)),
	    HF_ERR_BAD_INPUT);
}

struct eddsa_vector {
	const char *seed;
	const char *public;
	const char *message;
	const char *signature;
};

/* RFC 8032, section 7.1, tests 1 to 3. */
static const struct eddsa_vector eddsa_vectors[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
	    "",
	    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
	    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
	    "72",
	    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
	    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
	    "af82",
	    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
	    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
};

static void
signs_the_published_ed25519_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct eddsa_vector *v = &eddsa_vectors[i];
		struct blob pkcs8 = hex("302e020100300506032b657004220420");
		struct blob seed = hex(v->seed), message = hex(v->message);
		struct blob expected = hex(v->signature);

		memcpy(pkcs8.bytes + pkcs8.len, seed.bytes, seed.len);
		pkcs8.len += seed.len;

		struct crypto_key *key = private_key("ed25519", view(&pkcs8));
		struct crypto_key *public = key_at_point("ed25519", v->public);
		struct blob signature = sign(key, how_eddsa, view(&message));

		assert_int_equal(signature.len, expected.len);
		assert_memory_equal(
		    signature.bytes, expected.bytes, expected.len);
		assert_ok(crypto_verify(
		    public, &how_eddsa, view(&message), view(&signature)));
		crypto_key_free(public);
		crypto_key_free(key);
	}
}

static void
assert_verifies_file(struct sign_how how, const char *name)
{
	struct blob spki = vector("rsa2048.spki.der");
	struct blob signature = vector(name);
	struct crypto_key *key = public_key("rsa-2048", view(&spki));

	assert_ok(crypto_verify(key, &how, ascii("sample"), view(&signature)));
	assert_err(crypto_verify(key, &how, ascii("simple"), view(&signature)),
	    HF_ERR_SIGNATURE_WRONG);
	crypto_key_free(key);
}

static void
verifies_rsa_signatures_of_the_openssl_program(void **state)
{
	(void)state;
	assert_verifies_file(how_pkcs1("sha2-256"), "pkcs1_sha256.sig");
	assert_verifies_file(how_pkcs1("sha3-256"), "pkcs1_sha3_256.sig");
	assert_verifies_file(how_raw, "pkcs1_raw.sig");
	assert_verifies_file(
	    how_pss("sha2-256", SALT_HASH), "pss_sha256_salt32.sig");
	assert_verifies_file(how_pss("sha2-256", 32), "pss_sha256_salt32.sig");
	assert_verifies_file(
	    how_pss("sha2-256", SALT_AUTO), "pss_sha256_salt32.sig");
	assert_verifies_file(
	    how_pss("sha2-512", SALT_AUTO), "pss_sha512_saltmax.sig");
	assert_verifies_file(
	    how_pss("sha2-512", 256 - 64 - 2), "pss_sha512_saltmax.sig");
}

/* PKCS#1 v1.5 has no random part. */
static void
signs_pkcs1_as_the_openssl_program_does(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct blob with_info = vector("pkcs1_sha256.sig");
	struct blob without = vector("pkcs1_raw.sig");
	struct crypto_key *key = private_key("rsa-2048", view(&pkcs8));
	struct blob signature =
	    sign(key, how_pkcs1("sha2-256"), ascii("sample"));

	(void)state;
	assert_memory_equal(signature.bytes, with_info.bytes, 256);
	signature = sign(key, how_raw, ascii("sample"));
	assert_memory_equal(signature.bytes, without.bytes, 256);
	crypto_key_free(key);
}

/* -- Round trips -- */

static void
ecdsa_works_with_every_hash_and_encoding(void **state)
{
	static const char *const types[] = { "ecdsa-p256", "ecdsa-p384",
		"ecdsa-p521" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct crypto_key *key = fresh_key(types[i]);

		for (size_t h = 0; h < hash_types_count; h++) {
			const char *hash = hash_types[h].name;

			assert_round_trip(types[i], key,
			    how_ecdsa(hash, SIGN_ASN1), ascii("m"));
			assert_round_trip(types[i], key,
			    how_ecdsa(hash, SIGN_JWS), ascii(""));
		}
		crypto_key_free(key);
	}
}

static void
jws_signatures_have_a_fixed_width(void **state)
{
	struct crypto_key *key = fresh_key("ecdsa-p521");

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct blob signature =
		    sign(key, how_ecdsa("sha2-512", SIGN_JWS), ascii("m"));

		assert_int_equal(signature.len, 66 + 66);
	}
	crypto_key_free(key);
}

static void
rsa_works_with_every_hash_and_scheme(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *key = private_key("rsa-2048", view(&pkcs8));

	(void)state;
	for (size_t h = 0; h < hash_types_count; h++) {
		const char *hash = hash_types[h].name;

		assert_round_trip("rsa-2048", key, how_pkcs1(hash), ascii("m"));
		assert_round_trip(
		    "rsa-2048", key, how_pss(hash, SALT_AUTO), ascii(""));
		assert_round_trip(
		    "rsa-2048", key, how_pss(hash, SALT_HASH), ascii("m"));
		assert_round_trip(
		    "rsa-2048", key, how_pss(hash, 0), ascii("m"));
	}
	crypto_key_free(key);
}

/* What was set for one signature must not be there for the next. */
static void
a_signature_leaves_no_setting_behind(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *key = private_key("rsa-2048", view(&pkcs8));
	struct blob before = sign(key, how_raw, ascii("m"));
	struct blob after;

	(void)state;
	(void)sign(key, how_pss("sha2-512", 0), ascii("m"));
	after = sign(key, how_raw, ascii("m"));
	assert_int_equal(after.len, before.len);
	assert_memory_equal(after.bytes, before.bytes, before.len);
	crypto_key_free(key);
}

static void
ed25519_works_with_any_message(void **state)
{
	struct crypto_key *key = fresh_key("ed25519");
	static const uint8_t large[100000];

	(void)state;
	assert_round_trip(
	    "ed25519", key, how_eddsa, (struct hf_bytes){ NULL, 0 });
	assert_round_trip(
	    "ed25519", key, how_eddsa, bytes_of(large, sizeof(large)));
	crypto_key_free(key);
}

static void
a_digest_gives_the_signature_of_its_message(void **state)
{
	static const char *const types[] = { "rsa-2048", "ecdsa-p256" };
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *keys[] = { private_key("rsa-2048", view(&pkcs8)),
		fresh_key("ecdsa-p256") };
	struct sign_how hows[] = { how_pss("sha2-256", SALT_AUTO),
		how_ecdsa("sha2-256", SIGN_ASN1) };
	uint8_t digest[32];

	(void)state;
	assert_ok(crypto_sha256(ascii("message"), digest));
	for (size_t i = 0; i < 2; i++) {
		struct crypto_key *public = public_half(types[i], keys[i]);
		struct sign_how ready = hows[i];
		struct blob signature;

		ready.prehashed = true;
		signature = sign(keys[i], ready, bytes_of(digest, 32));
		assert_ok(crypto_verify(
		    public, &hows[i], ascii("message"), view(&signature)));
		signature = sign(keys[i], hows[i], ascii("message"));
		assert_ok(crypto_verify(
		    public, &ready, bytes_of(digest, 32), view(&signature)));
		crypto_key_free(public);
		crypto_key_free(keys[i]);
	}
}

/* -- The salt of PSS -- */

static void
auto_signs_with_the_longest_salt_and_verifies_any(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *key = private_key("rsa-2048", view(&pkcs8));
	struct sign_how any = how_pss("sha2-256", SALT_AUTO);
	struct sign_how longest = how_pss("sha2-256", 256 - 32 - 2);
	struct blob signature = sign(key, any, ascii("m"));

	(void)state;
	assert_ok(crypto_verify(key, &longest, ascii("m"), view(&signature)));
	for (int salt = 0; salt <= 222; salt += 37) {
		signature = sign(key, how_pss("sha2-256", salt), ascii("m"));
		assert_ok(
		    crypto_verify(key, &any, ascii("m"), view(&signature)));
	}
	crypto_key_free(key);
}

static void
an_exact_salt_length_is_demanded(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *key = private_key("rsa-2048", view(&pkcs8));
	struct sign_how twenty = how_pss("sha2-256", 20);
	struct sign_how other = how_pss("sha2-256", 21);
	struct sign_how hash = how_pss("sha2-256", SALT_HASH);
	struct blob signature = sign(key, twenty, ascii("m"));

	(void)state;
	assert_ok(crypto_verify(key, &twenty, ascii("m"), view(&signature)));
	assert_err(crypto_verify(key, &other, ascii("m"), view(&signature)),
	    HF_ERR_SIGNATURE_WRONG);
	assert_err(crypto_verify(key, &hash, ascii("m"), view(&signature)),
	    HF_ERR_SIGNATURE_WRONG);
	crypto_key_free(key);
}

static void
a_salt_that_has_no_room_is_refused(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *key = private_key("rsa-2048", view(&pkcs8));
	struct sign_how too_long = how_pss("sha2-256", 256 - 32 - 1);
	struct sign_how negative = how_pss("sha2-256", -3);
	struct blob s = vector("pss_sha256_salt32.sig");

	(void)state;
	assert_err(crypto_sign(key, &too_long, ascii("m"), s.bytes, &s.len),
	    HF_ERR_BAD_ALGORITHM);
	assert_err(crypto_sign(key, &negative, ascii("m"), s.bytes, &s.len),
	    HF_ERR_BAD_ALGORITHM);
	assert_err(crypto_verify(key, &too_long, ascii("m"), view(&s)),
	    HF_ERR_BAD_ALGORITHM);
	assert_err(crypto_verify(key, &negative, ascii("m"), view(&s)),
	    HF_ERR_BAD_ALGORITHM);
	crypto_key_free(key);
}

/* -- What is refused -- */

static void
assert_algorithm_refused(const struct crypto_key *key, struct sign_how how)
{
	uint8_t out[CRYPTO_SIGNATURE_MAX] = { 0 };
	uint8_t in[32] = { 0 };
	size_t len = sizeof(out);

	assert_err(crypto_sign(key, &how, bytes_of(in, 32), out, &len),
	    HF_ERR_BAD_ALGORITHM);
	assert_err(crypto_verify(
		       key, &how, bytes_of(in, 32), bytes_of(out, sizeof(out))),
	    HF_ERR_BAD_ALGORITHM);
}

static void
a_scheme_of_another_family_is_refused(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *rsa = private_key("rsa-2048", view(&pkcs8));
	struct crypto_key *ec = fresh_key("ecdsa-p256");
	struct crypto_key *ed = fresh_key("ed25519");
	struct sign_how pss = how_pss("sha2-256", SALT_AUTO);
	struct sign_how pkcs1 = how_pkcs1("sha2-256");
	struct sign_how ecdsa = how_ecdsa("sha2-256", SIGN_ASN1);

	(void)state;
	assert_algorithm_refused(rsa, ecdsa);
	assert_algorithm_refused(rsa, how_eddsa);
	assert_algorithm_refused(ec, pss);
	assert_algorithm_refused(ec, pkcs1);
	assert_algorithm_refused(ec, how_eddsa);
	assert_algorithm_refused(ed, pss);
	assert_algorithm_refused(ed, pkcs1);
	assert_algorithm_refused(ed, ecdsa);
	crypto_key_free(rsa);
	crypto_key_free(ec);
	crypto_key_free(ed);
}

static void
no_hash_goes_with_prehashed_pkcs1_only(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *rsa = private_key("rsa-2048", view(&pkcs8));
	struct crypto_key *ec = fresh_key("ecdsa-p256");

	(void)state;
	assert_algorithm_refused(
	    rsa, (struct sign_how){ .scheme = SIGN_PKCS1V15 });
	assert_algorithm_refused(
	    rsa, (struct sign_how){ .scheme = SIGN_PSS, .prehashed = true });
	assert_algorithm_refused(
	    ec, (struct sign_how){ .scheme = SIGN_ECDSA, .prehashed = true });
	crypto_key_free(rsa);
	crypto_key_free(ec);
}

static void
ed25519_is_never_prehashed(void **state)
{
	struct crypto_key *key = fresh_key("ed25519");

	(void)state;
	assert_algorithm_refused(
	    key, (struct sign_how){ .scheme = SIGN_EDDSA, .prehashed = true });
	assert_algorithm_refused(key,
	    (struct sign_how){ .scheme = SIGN_EDDSA,
		.prehashed = true,
		.hash = hash_of("sha2-512") });
	crypto_key_free(key);
}

static void
a_digest_of_the_wrong_length_is_refused(void **state)
{
	struct crypto_key *key = fresh_key("ecdsa-p256");
	struct sign_how how = how_ecdsa("sha2-256", SIGN_ASN1);
	struct blob s = sign(key, how, ascii("m"));
	uint8_t digest[64] = { 0 }, out[CRYPTO_SIGNATURE_MAX];
	size_t len;

	(void)state;
	how.prehashed = true;
	for (size_t n = 0; n <= sizeof(digest); n++) {
		if (n == 32)
			continue;
		assert_err(
		    crypto_sign(key, &how, bytes_of(digest, n), out, &len),
		    HF_ERR_BAD_INPUT);
		assert_err(
		    crypto_verify(key, &how, bytes_of(digest, n), view(&s)),
		    HF_ERR_BAD_INPUT);
	}
	crypto_key_free(key);
}

static void
raw_pkcs1_takes_what_fits_the_padding(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *key = private_key("rsa-2048", view(&pkcs8));
	uint8_t in[256], out[CRYPTO_SIGNATURE_MAX];
	size_t len;

	(void)state;
	memset(in, 'x', sizeof(in));
	assert_round_trip("rsa-2048", key, how_raw, bytes_of(in, 1));
	assert_round_trip("rsa-2048", key, how_raw, bytes_of(in, 256 - 11));
	assert_err(
	    crypto_sign(key, &how_raw, bytes_of(in, 256 - 10), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_err(crypto_sign(key, &how_raw, bytes_of(in, 0), out, &len),
	    HF_ERR_BAD_INPUT);
	crypto_key_free(key);
}

static void
a_public_key_does_not_sign(void **state)
{
	static const char *const types[] = { "ecdsa-p256", "ed25519" };
	struct sign_how hows[] = { how_ecdsa("sha2-256", SIGN_ASN1),
		how_eddsa };
	uint8_t out[CRYPTO_SIGNATURE_MAX];
	size_t len;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct crypto_key *key = fresh_key(types[i]);
		struct crypto_key *public = public_half(types[i], key);

		assert_err(crypto_sign(public, &hows[i], ascii("m"), out, &len),
		    HF_ERR_NO_PRIVATE_PART);
		crypto_key_free(public);
		crypto_key_free(key);
	}
}

/* -- Spoilt signatures -- */

/* Each bit flipped: never accepted, and nothing but the two refusals. */
static void
assert_no_bit_may_change(const struct crypto_key *key, struct sign_how how)
{
	struct blob s = sign(key, how, ascii("m"));

	for (size_t bit = 0; bit < 8 * s.len; bit++) {
		enum hf_err err;

		s.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		err = crypto_verify(key, &how, ascii("m"), view(&s));
		assert_true(err == HF_ERR_SIGNATURE_WRONG ||
		    err == HF_ERR_BAD_SIGNATURE);
		assert_int_equal(ERR_peek_error(), 0);
		s.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t len = 0; len < s.len; len++)
		assert_err(crypto_verify(
			       key, &how, ascii("m"), bytes_of(s.bytes, len)),
		    HF_ERR_BAD_SIGNATURE);
	s.bytes[s.len] = 0;
	assert_err(
	    crypto_verify(key, &how, ascii("m"), bytes_of(s.bytes, s.len + 1)),
	    HF_ERR_BAD_SIGNATURE);
}

static void
no_bit_of_a_signature_may_change(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *rsa = private_key("rsa-2048", view(&pkcs8));
	struct crypto_key *ec = fresh_key("ecdsa-p256");
	struct crypto_key *ed = fresh_key("ed25519");

	(void)state;
	assert_no_bit_may_change(rsa, how_pss("sha2-256", SALT_AUTO));
	assert_no_bit_may_change(rsa, how_pkcs1("sha2-256"));
	assert_no_bit_may_change(rsa, how_raw);
	assert_no_bit_may_change(ec, how_ecdsa("sha2-256", SIGN_ASN1));
	assert_no_bit_may_change(ec, how_ecdsa("sha2-256", SIGN_JWS));
	assert_no_bit_may_change(ed, how_eddsa);
	crypto_key_free(rsa);
	crypto_key_free(ec);
	crypto_key_free(ed);
}

static void
ecdsa_numbers_out_of_range_are_wrong(void **state)
{
	struct crypto_key *key =
	    key_at_point("ecdsa-p256", ecdsa_vectors[0].point);
	struct sign_how how = how_ecdsa("sha2-256", SIGN_JWS);
	uint8_t rs[64];

	(void)state;
	memset(rs, 0xff, sizeof(rs));
	assert_err(crypto_verify(key, &how, ascii("m"), bytes_of(rs, 64)),
	    HF_ERR_SIGNATURE_WRONG);
	memset(rs, 0, sizeof(rs));
	assert_err(crypto_verify(key, &how, ascii("m"), bytes_of(rs, 64)),
	    HF_ERR_BAD_SIGNATURE);
	crypto_key_free(key);
}

/* -- DER -- */

/*
 * All but one thing right: 3008 0202 0102 0202 0304 is good with a field of
 * two bytes.
 */
static const char *const bad_der[] = {
	"",                         /* nothing */
	"30",                       /* no length */
	"3000",                     /* no numbers */
	"300402020102",             /* one number */
	"300802020102020203",       /* a byte missing */
	"3008020201020202030400",   /* a byte after the sequence */
	"3009020201020202030400",   /* a byte after the numbers */
	"31080202010202020304",     /* not a sequence */
	"30080302010202020304",     /* r is no integer */
	"30080202010203020304",     /* s is no integer */
	"3081080202010202020304",   /* long form of a short length */
	"308200080202010202020304", /* a longer one */
	"308002020102020203040000", /* indefinite length */
	"3006020002020304",         /* integer without bytes */
	"300702010002020304",       /* zero */
	"30080202810202020304",     /* negative */
	"3009020300010202020304",   /* a zero in front for nothing */
	"3009020301020302020304",   /* larger than the field */
	"300a02040080ffff02020304", /* the same, with a sign byte */
	"3009028102010202020304",   /* long form in an integer */
	"3008020a010202020304",     /* an integer beyond the end */
};

static void
der_is_read_strictly(void **state)
{
	struct blob good = hex("30080202010202020304");
	uint8_t out[4];

	(void)state;
	assert_ok(crypto_ecdsa_from_der(view(&good), 2, out));
	for (size_t i = 0; i < sizeof(bad_der) / sizeof(bad_der[0]); i++) {
		struct blob der = hex(bad_der[i]);

		assert_err(crypto_ecdsa_from_der(view(&der), 2, out),
		    HF_ERR_BAD_SIGNATURE);
	}
}

static void
der_is_read_and_written_alike(void **state)
{
	static const char *const pairs[][2] = {
		{ "01020304", "30080202010202020304" },
		{ "00010002", "3006020101020102" },
		{ "80ff007f", "300802030080ff02017f" },
		{ "ffffffff", "300a020300ffff020300ffff" },
	};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct blob rs = hex(pairs[i][0]), der = hex(pairs[i][1]), out;

		assert_ok(crypto_ecdsa_to_der(view(&rs), out.bytes, &out.len));
		assert_int_equal(out.len, der.len);
		assert_memory_equal(out.bytes, der.bytes, der.len);
		assert_ok(crypto_ecdsa_from_der(view(&der), 2, out.bytes));
		assert_memory_equal(out.bytes, rs.bytes, rs.len);
	}
}

/* With both numbers at their largest the sequence needs a long length. */
static void
der_holds_the_largest_numbers_of_each_curve(void **state)
{
	static const size_t fields[] = { 32, 48, 66 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint8_t rs[132], out[132];
		struct blob der;

		memset(rs, 0xff, sizeof(rs));
		assert_ok(crypto_ecdsa_to_der(
		    bytes_of(rs, 2 * fields[i]), der.bytes, &der.len));
		assert_ok(crypto_ecdsa_from_der(view(&der), fields[i], out));
		assert_memory_equal(out, rs, 2 * fields[i]);
	}
}

static void
der_of_no_signature_is_refused(void **state)
{
	static const uint8_t one[134] = { 1 };
	uint8_t out[CRYPTO_SIGNATURE_MAX];
	size_t len;

	(void)state;
	assert_err(crypto_ecdsa_to_der(bytes_of(one, 0), out, &len),
	    HF_ERR_BAD_SIGNATURE);
	assert_err(crypto_ecdsa_to_der(bytes_of(one, 63), out, &len),
	    HF_ERR_BAD_SIGNATURE);
	assert_err(crypto_ecdsa_to_der(bytes_of(one, 64), out, &len),
	    HF_ERR_BAD_SIGNATURE);
	assert_err(crypto_ecdsa_to_der(bytes_of(one, 134), out, &len),
	    HF_ERR_BAD_SIGNATURE);
	assert_err(crypto_ecdsa_from_der(bytes_of(one, 8), 67, out),
	    HF_ERR_BAD_SIGNATURE);
}

/* -- DigestInfo -- */

/* RFC 8017, section 9.2, note 1. */
static void
digest_info_is_that_of_the_standard(void **state)
{
	struct blob head = hex("3031300d060960864801650304020105000420");
	uint8_t digest[32], out[128];
	size_t len;

	(void)state;
	assert_ok(crypto_sha256(ascii("m"), digest));
	assert_ok(crypto_digest_info(
	    hash_of("sha2-256"), bytes_of(digest, 32), out, &len));
	assert_int_equal(len, head.len + 32);
	assert_memory_equal(out, head.bytes, head.len);
	assert_memory_equal(out + head.len, digest, 32);
}

/* What an HSM pads is what OpenSSL would have signed. */
static void
digest_info_makes_raw_pkcs1_whole_for_every_hash(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *key = private_key("rsa-2048", view(&pkcs8));

	(void)state;
	for (size_t h = 0; h < hash_types_count; h++) {
		const struct hash_type *hash = &hash_types[h];
		struct sign_how how = how_pkcs1(hash->name);
		uint8_t digest[CRYPTO_HASH_MAX], info[128];
		struct blob s;
		size_t len;

		assert_ok(crypto_hash(hash, ascii("m"), digest));
		assert_ok(crypto_digest_info(
		    hash, bytes_of(digest, hash->size), info, &len));
		s = sign(key, how_raw, bytes_of(info, len));
		assert_ok(crypto_verify(key, &how, ascii("m"), view(&s)));
	}
	crypto_key_free(key);
}

static void
digest_info_refuses_a_digest_of_another_length(void **state)
{
	uint8_t digest[64] = { 0 }, out[128];
	size_t len;

	(void)state;
	assert_err(crypto_digest_info(
		       hash_of("sha2-256"), bytes_of(digest, 64), out, &len),
	    HF_ERR_BAD_INPUT);
}

/* -- Many threads, one key -- */

struct job {
	struct crypto_key *key;
	struct sign_how how;
	int times;
};

static void *
sign_and_verify(void *arg)
{
	const struct job *job = arg;

	for (int i = 0; i < job->times; i++) {
		uint8_t out[CRYPTO_SIGNATURE_MAX];
		size_t len;

		if (crypto_sign(job->key, &job->how, ascii("m"), out, &len) !=
			HF_OK ||
		    crypto_verify(job->key, &job->how, ascii("m"),
			bytes_of(out, len)) != HF_OK)
			return arg;
	}
	return NULL;
}

static void
threads_share_a_key(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct job jobs[] = {
		{ private_key("rsa-2048", view(&pkcs8)),
		    how_pss("sha2-256", SALT_AUTO), 25 },
		{ fresh_key("ecdsa-p256"), how_ecdsa("sha2-256", SIGN_JWS),
		    50 },
		{ fresh_key("ecdsa-p384"), how_ecdsa("sha2-384", SIGN_ASN1),
		    25 },
		{ fresh_key("ed25519"), how_eddsa, 50 },
	};
	pthread_t threads[4][4];
	void *failed;

	(void)state;
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&threads[i / 4][i % 4], NULL,
				     sign_and_verify, &jobs[i / 4]),
		    0);
	for (size_t i = 0; i < 16; i++) {
		assert_int_equal(
		    pthread_join(threads[i / 4][i % 4], &failed), 0);
		assert_null(failed);
	}
	for (size_t i = 0; i < 4; i++)
		crypto_key_free(jobs[i].key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verifies_the_published_ecdsa_signatures),
		cmocka_unit_test(verifies_an_audit_checkpoint),
		cmocka_unit_test(signs_the_published_ed25519_messages),
		cmocka_unit_test(
		    verifies_rsa_signatures_of_the_openssl_program),
		cmocka_unit_test(signs_pkcs1_as_the_openssl_program_does),
		cmocka_unit_test(ecdsa_works_with_every_hash_and_encoding),
		cmocka_unit_test(jws_signatures_have_a_fixed_width),
		cmocka_unit_test(rsa_works_with_every_hash_and_scheme),
		cmocka_unit_test(a_signature_leaves_no_setting_behind),
		cmocka_unit_test(ed25519_works_with_any_message),
		cmocka_unit_test(a_digest_gives_the_signature_of_its_message),
		cmocka_unit_test(
		    auto_signs_with_the_longest_salt_and_verifies_any),
		cmocka_unit_test(an_exact_salt_length_is_demanded),
		cmocka_unit_test(a_salt_that_has_no_room_is_refused),
		cmocka_unit_test(a_scheme_of_another_family_is_refused),
		cmocka_unit_test(no_hash_goes_with_prehashed_pkcs1_only),
		cmocka_unit_test(ed25519_is_never_prehashed),
		cmocka_unit_test(a_digest_of_the_wrong_length_is_refused),
		cmocka_unit_test(raw_pkcs1_takes_what_fits_the_padding),
		cmocka_unit_test(a_public_key_does_not_sign),
		cmocka_unit_test(no_bit_of_a_signature_may_change),
		cmocka_unit_test(ecdsa_numbers_out_of_range_are_wrong),
		cmocka_unit_test(der_is_read_strictly),
		cmocka_unit_test(der_is_read_and_written_alike),
		cmocka_unit_test(der_holds_the_largest_numbers_of_each_curve),
		cmocka_unit_test(der_of_no_signature_is_refused),
		cmocka_unit_test(digest_info_is_that_of_the_standard),
		cmocka_unit_test(
		    digest_info_makes_raw_pkcs1_whole_for_every_hash),
		cmocka_unit_test(
		    digest_info_refuses_a_digest_of_another_length),
		cmocka_unit_test(threads_share_a_key),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
