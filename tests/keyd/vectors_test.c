/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "../../keyd/crypto_derive.h"
#include "../../keyd/crypto_mode.h"
#include "../../keyd/crypto_wrap.h"

/*
 * Known answers of NIST (CAVP), of the RFCs and of other implementations, by
 * the thousand, for each mechanism of transit. They are those of Debian's
 * python3-cryptography-vectors. What a key of ours cannot be (a curve, a size,
 * an exponent) is passed over; how many were tried is part of the test, so
 * that nothing passes because nothing was read.
 */
#define VECTORS "/usr/lib/python3/dist-packages/cryptography_vectors/"

static size_t
walk(const char *file, const char *last, const char *each, case_fn *fn)
{
	return walk_in(VECTORS, file, last, each, fn);
}

/* -- AEAD -- */

static bool
aead_case(const char *type, const struct value *key, const struct value *nonce,
    const struct value *aad, const struct value *plain,
    const struct value *cipher, const struct value *tag, bool fails)
{
	const struct key_type *t = key_type_by_name(text_of(type));
	size_t len = cipher->len + tag->len;
	uint8_t *sealed = malloc(len + 1), *out = malloc(len + 64);

	assert_non_null(sealed);
	assert_non_null(out);
	if (key->len != t->size || nonce->len != t->nonce ||
	    tag->len != t->tag) {
		free(sealed);
		free(out);
		return false;
	}
	memcpy(sealed, cipher->ptr, cipher->len);
	memcpy(sealed + cipher->len, tag->ptr, tag->len);
	if (fails) {
		assert_err(crypto_open(t, of(key), of(nonce), of(aad),
			       bytes_of(sealed, len), out),
		    HF_ERR_AUTH_FAILED);
	} else {
		assert_ok(crypto_open(t, of(key), of(nonce), of(aad),
		    bytes_of(sealed, len), out));
		assert_memory_equal(out, plain->ptr, plain->len);
		assert_ok(crypto_seal(
		    t, of(key), of(nonce), of(aad), of(plain), out));
		assert_memory_equal(out, sealed, len);
	}
	free(sealed);
	free(out);
	return true;
}

static bool
aead_group(const struct group *g, const char *type, const char *const names[6])
{
	struct value v[6];
	bool tried;

	for (size_t i = 0; i < 6; i++)
		v[i] = bytes_named(g, names[i]);
	tried =
	    aead_case(type, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], g->fail);
	for (size_t i = 0; i < 6; i++)
		free(v[i].ptr);
	return tried;
}

static const char *const gcm_names[] = { "Key", "IV", "AAD", "PT", "CT",
	"Tag" };

static bool
gcm128(const struct group *g)
{
	return aead_group(g, "aes128-gcm96", gcm_names);
}

static bool
gcm256(const struct group *g)
{
	return aead_group(g, "aes256-gcm96", gcm_names);
}

static bool
chacha(const struct group *g)
{
	static const char *const names[] = { "KEY", "NONCE", "AD", "IN", "CT",
		"TAG" };

	return aead_group(g, "chacha20-poly1305", names);
}

/* NIST CAVP, GCM with 96-bit nonces and 128-bit tags. */
static void
KT1_KT2_aes_gcm(void **state)
{
	(void)state;
	assert_true(walk("ciphers/AES/GCM/gcmDecrypt128.rsp", "PT", "PT",
			gcm128) >= 300);
	assert_true(walk("ciphers/AES/GCM/gcmDecrypt256.rsp", "PT", "PT",
			gcm256) >= 300);
	assert_true(walk("ciphers/AES/GCM/gcmEncryptExtIV128.rsp", "Tag", "Tag",
			gcm128) >= 300);
	assert_true(walk("ciphers/AES/GCM/gcmEncryptExtIV256.rsp", "Tag", "Tag",
			gcm256) >= 300);
}

/* RFC 7539 and those of BoringSSL; KT4 (draft-irtf-cfrg-xchacha-03) is in
 * crypto_xchacha_test.c. */
static void
KT3_chacha20_poly1305(void **state)
{
	(void)state;
	assert_true(walk("ciphers/ChaCha20Poly1305/boringssl.txt", "TAG", "TAG",
			chacha) >= 66);
}

/* -- MACs and derivation -- */

static bool
mac_case(const struct group *g, const char *hash)
{
	const struct hash_type *h = hash_type_by_name(text_of(hash));
	struct value key = bytes_named(g, "Key"), msg = bytes_named(g, "Msg"),
		     md = bytes_named(g, "MD");
	uint8_t out[64];

	assert_ok(crypto_hmac(h, of(&key), of(&msg), out));
	assert_int_equal(md.len, h->size);
	assert_memory_equal(out, md.ptr, md.len);
	free(key.ptr);
	free(msg.ptr);
	free(md.ptr);
	return true;
}

#define MAC(fn, hash)                         \
	static bool fn(const struct group *g) \
	{                                     \
		return mac_case(g, hash);     \
	}
MAC(mac_sha1, "sha1")
MAC(mac_sha224, "sha2-224")
MAC(mac_sha256, "sha2-256")
MAC(mac_sha384, "sha2-384")
MAC(mac_sha512, "sha2-512")

/* RFC 2202 and RFC 4231. */
static void
T19_hmac(void **state)
{
	(void)state;
	assert_true(walk("HMAC/rfc-2202-sha1.txt", "MD", "MD", mac_sha1) >= 6);
	assert_true(
	    walk("HMAC/rfc-4231-sha224.txt", "MD", "MD", mac_sha224) >= 6);
	assert_true(
	    walk("HMAC/rfc-4231-sha256.txt", "MD", "MD", mac_sha256) >= 6);
	assert_true(
	    walk("HMAC/rfc-4231-sha384.txt", "MD", "MD", mac_sha384) >= 6);
	assert_true(
	    walk("HMAC/rfc-4231-sha512.txt", "MD", "MD", mac_sha512) >= 6);
}

static bool
cmac_case(const struct group *g)
{
	struct value key = bytes_named(g, "KEY"),
		     msg = bytes_named(g, "MESSAGE"),
		     mac = bytes_named(g, "OUTPUT");
	uint8_t out[16];

	assert_ok(crypto_cmac(of(&key), of(&msg), out));
	assert_memory_equal(out, mac.ptr, 16);
	free(key.ptr);
	free(msg.ptr);
	free(mac.ptr);
	return true;
}

/* NIST SP 800-38B, appendix D. */
static void
T31_cmac(void **state)
{
	(void)state;
	assert_true(walk("CMAC/nist-800-38b-aes128.txt", "OUTPUT", "OUTPUT",
			cmac_case) >= 4);
	assert_true(walk("CMAC/nist-800-38b-aes192.txt", "OUTPUT", "OUTPUT",
			cmac_case) >= 4);
	assert_true(walk("CMAC/nist-800-38b-aes256.txt", "OUTPUT", "OUTPUT",
			cmac_case) >= 4);
}

static bool
hkdf_case(const struct group *g)
{
	struct value ikm = bytes_named(g, "IKM"), salt = bytes_named(g, "salt"),
		     info = bytes_named(g, "info"), okm = bytes_named(g, "OKM");
	const struct hkdf how = {
		.hash = hash_type_by_name(TEXT("sha2-256")),
		.salt = of(&salt),
		.info = of(&info),
		.extract = true,
		.expand = true,
	};
	struct secret out = { 0 };

	assert_ok(secret_alloc(&out, okm.len));
	assert_ok(crypto_hkdf(&how, of(&ikm), &out));
	assert_memory_equal(out.ptr, okm.ptr, okm.len);
	secret_free(&out);
	free(ikm.ptr);
	free(salt.ptr);
	free(info.ptr);
	free(okm.ptr);
	return true;
}

/* RFC 5869, appendix A. */
static void
FM11_hkdf(void **state)
{
	(void)state;
	assert_true(
	    walk("KDF/rfc-5869-HKDF-SHA256.txt", "OKM", "OKM", hkdf_case) >= 3);
}

/* -- AES key wrap with padding -- */

static bool
kwp_case(const struct group *g)
{
	struct value k = bytes_named(g, "K"), c = bytes_named(g, "C"),
		     p = bytes_named(g, "P");
	struct secret out = { 0 };
	bool tried = k.len == CRYPTO_KWP_KEY;
	uint8_t *again = malloc(p.len + CRYPTO_KWP_EXTRA);
	size_t len;

	assert_non_null(again);
	if (tried && g->fail) {
		assert_err(crypto_kwp_unwrap(of(&k), of(&c), &out),
		    HF_ERR_AUTH_FAILED);
	} else if (tried) {
		assert_ok(crypto_kwp_unwrap(of(&k), of(&c), &out));
		assert_int_equal(out.len, p.len);
		assert_memory_equal(out.ptr, p.ptr, p.len);
		assert_ok(crypto_kwp_wrap(of(&k), of(&p), again, &len));
		assert_int_equal(len, c.len);
		assert_memory_equal(again, c.ptr, c.len);
	}
	secret_free(&out);
	free(again);
	free(k.ptr);
	free(c.ptr);
	free(p.ptr);
	return tried;
}

/* NIST CAVP for SP 800-38F (the KWP of RFC 5649), AES-256. */
static void
FM9_kwp(void **state)
{
	(void)state;
	assert_true(walk("keywrap/kwtestvectors/KWP_AD_256.txt", "P", "P",
			kwp_case) >= 400);
	assert_true(walk("keywrap/kwtestvectors/KWP_AE_256.txt", "C", "C",
			kwp_case) >= 400);
}

/* -- ECDSA and ECDH -- */

static const struct {
	const char *curve, *type;
	size_t size;
	const char *pkcs8; /* what stands before the private number */
} curves[] = {
	{ "P-256", "ecdsa-p256", 32,
	    "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420" },
	{ "P-384", "ecdsa-p384", 48,
	    "304e020100301006072a8648ce3d020106052b81040022043730350201010430" },
	{ "P-521", "ecdsa-p521", 66,
	    "3060020100301006072a8648ce3d020106052b81040023044930470201010442" },
};

enum { CURVES = sizeof(curves) / sizeof(curves[0]) };

/* "SHA-256" or "SHA256" as we call it. */
static const struct hash_type *
hash_named(const char *name, size_t len)
{
	static const struct {
		const char *theirs, *ours;
	} names[] = {
		{ "SHA-1", "sha1" },
		{ "SHA1", "sha1" },
		{ "SHA-224", "sha2-224" },
		{ "SHA224", "sha2-224" },
		{ "SHA-256", "sha2-256" },
		{ "SHA256", "sha2-256" },
		{ "SHA-384", "sha2-384" },
		{ "SHA384", "sha2-384" },
		{ "SHA-512", "sha2-512" },
		{ "SHA512", "sha2-512" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i].theirs) == len &&
		    strncmp(names[i].theirs, name, len) == 0)
			return hash_type_by_name(text_of(names[i].ours));
	return NULL;
}

/* A number, with zeros before it where it is shorter than the field. */
static void
put_number(const char *text, uint8_t *out, size_t size)
{
	struct value v;
	char *even = NULL;

	if (strlen(text) % 2 != 0)
		assert_true(asprintf(&even, "0%s", text) > 0);
	v = value_of(even == NULL ? text : even);
	memset(out, 0, size);
	for (size_t i = 0; i < v.len; i++) {
		if (v.len - i > size)
			assert_int_equal(v.ptr[i], 0);
		else
			out[size - (v.len - i)] = v.ptr[i];
	}
	free(v.ptr);
	free(even);
}

static struct hf_bytes
point_of(const struct group *g, const char *x, const char *y, size_t size,
    uint8_t out[133])
{
	out[0] = 0x04;
	put_number(get(g, x), out + 1, size);
	put_number(get(g, y), out + 1 + size, size);
	return bytes_of(out, 1 + 2 * size);
}

static size_t
curve_of(const char *section)
{
	for (size_t i = 0; i < CURVES; i++)
		if (strncmp(section + 1, curves[i].curve, 5) == 0)
			return i;
	return CURVES;
}

/* A public key with a point that is not on the curve is refused as a key. */
static bool
ecdsa_case(const struct group *g)
{
	size_t c = curve_of(g->section);
	bool good = get(g, "Result")[0] == 'P';
	struct sign_how how = { .scheme = SIGN_ECDSA, .encoding = SIGN_JWS };
	uint8_t point[133], spki[1024], rs[132];
	struct crypto_key *key;
	struct value msg;
	size_t len;
	enum hf_err err;

	if (c == CURVES)
		return false;
	how.hash = hash_named(g->section + 7, strcspn(g->section + 7, "]"));
	assert_non_null(how.hash);
	msg = bytes_named(g, "Msg");
	assert_ok(crypto_spki_ec(key_type_by_name(text_of(curves[c].type)),
	    point_of(g, "Qx", "Qy", curves[c].size, point), spki, &len));
	put_number(get(g, "R"), rs, curves[c].size);
	put_number(get(g, "S"), rs + curves[c].size, curves[c].size);
	err = crypto_key_public(key_type_by_name(text_of(curves[c].type)),
	    bytes_of(spki, len), &key);
	if (err == HF_OK) {
		err = crypto_verify(
		    key, &how, of(&msg), bytes_of(rs, 2 * curves[c].size));
		crypto_key_free(key);
	}
	assert_int_equal(err == HF_OK, good);
	free(msg.ptr);
	return true;
}

/* NIST CAVP, FIPS 186-3. */
static void
T21_ecdsa(void **state)
{
	(void)state;
	assert_true(walk("asymmetric/ECDSA/FIPS_186-3/SigVer.rsp", "Result",
			"Result", ecdsa_case) >= 200);
}

static bool
ecdh_case(const struct group *g)
{
	const char *letters = "CDE"; /* [EC - SHA256]: P-256, ... */
	const char *at =
	    g->section[1] == 'E' ? strchr(letters, g->section[2]) : NULL;
	size_t c = at == NULL || *at == '\0' ? CURVES : (size_t)(at - letters);
	uint8_t pkcs8[256], point[133];
	struct crypto_key *key;
	struct secret z = { 0 };
	struct value want;
	bool good = get(g, "Result")[0] == 'P';
	size_t head;
	enum hf_err err;

	if (c == CURVES || strchr(g->section, '-') == NULL)
		return false;
	head = strlen(curves[c].pkcs8) / 2;
	assert_true(hex_decode(text_of(curves[c].pkcs8), pkcs8, head));
	put_number(get(g, "dsIUT"), pkcs8 + head, curves[c].size);
	if (crypto_key_private(key_type_by_name(text_of(curves[c].type)),
		bytes_of(pkcs8, head + curves[c].size), &key) != HF_OK)
		fail_msg("%s: the private key", g->section);
	err = crypto_ecdh(
	    key, point_of(g, "QsCAVSx", "QsCAVSy", curves[c].size, point), &z);
	want = bytes_named(g, "Z");
	/* Those that must fail either have a point that is none, or a Z or a
	 * key of ours that was changed, which nobody who derives can see. */
	if (good) {
		assert_ok(err);
		assert_int_equal(z.len, want.len);
		assert_memory_equal(z.ptr, want.ptr, z.len);
	} else if (strstr(get(g, "Result"), "CAVS's Static public key") !=
	    NULL) {
		assert_int_not_equal(err, HF_OK);
	}
	secret_free(&z);
	crypto_key_free(key);
	free(want.ptr);
	return true;
}

/* NIST CAVP, SP 800-56A, the primitive alone. */
static void
T18_ecdh(void **state)
{
	(void)state;
	assert_true(walk("asymmetric/ECDH/"
			 "KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_init"
			 ".fax",
			"Result", "Result", ecdh_case) >= 60);
}

/* -- Ed25519 -- */

static size_t
ed25519_line(char *line)
{
	static const struct sign_how how = { .scheme = SIGN_EDDSA };
	uint8_t pkcs8[48] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
		0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };
	uint8_t out[CRYPTO_SIGNATURE_MAX];
	struct crypto_key *key;
	struct value part[4];
	char *at = line;
	size_t len;

	for (size_t i = 0; i < 4; i++)
		part[i] = value_of(strsep(&at, ":"));
	memcpy(pkcs8 + 16, part[0].ptr, 32);
	assert_ok(crypto_key_private(key_type_by_name(TEXT("ed25519")),
	    bytes_of(pkcs8, sizeof(pkcs8)), &key));
	assert_ok(crypto_sign(key, &how, of(&part[2]), out, &len));
	assert_int_equal(len, 64);
	assert_memory_equal(out, part[3].ptr, 64);
	assert_ok(crypto_verify(key, &how, of(&part[2]), bytes_of(out, 64)));
	out[7] ^= 1;
	assert_int_not_equal(
	    crypto_verify(key, &how, of(&part[2]), bytes_of(out, 64)), HF_OK);
	crypto_key_free(key);
	for (size_t i = 0; i < 4; i++)
		free(part[i].ptr);
	return 1;
}

/* The 1,024 of the authors of Ed25519. */
static void
KT6_ed25519(void **state)
{
	FILE *f = fopen(VECTORS "asymmetric/Ed25519/sign.input", "re");
	char *line = malloc(LINE);
	size_t tried = 0;

	(void)state;
	assert_non_null(f);
	assert_non_null(line);
	while (fgets(line, LINE, f) != NULL)
		tried += ed25519_line(line);
	assert_int_equal(tried, 1024);
	(void)fclose(f);
	free(line);
}

/* -- RSA -- */

static bool
rsa_case(const struct group *g, enum sign_scheme scheme)
{
	struct value n = bytes_named(g, "n"), msg, sig;
	const char *alg = get(g, "SHAAlg");
	bool good = get(g, "Result")[0] == 'P';
	const struct key_type *type = n.len == 256
	    ? key_type_by_name(TEXT("rsa-2048"))
	    : n.len == 384 ? key_type_by_name(TEXT("rsa-3072"))
	    : n.len == 512 ? key_type_by_name(TEXT("rsa-4096"))
			   : NULL;
	struct sign_how how = { .scheme = scheme, .salt = SALT_AUTO };
	uint8_t spki[1024], e[8];
	struct crypto_key *key = NULL;
	size_t len;
	bool tried = false;

	put_number(get(g, "e"), e, sizeof(e));
	how.hash = hash_named(alg, strlen(alg));
	msg = bytes_named(g, "Msg");
	sig = bytes_named(g, "S");
	/* An exponent below 2^16 is none of ours. */
	if (type != NULL && how.hash != NULL &&
	    crypto_spki_rsa(of(&n), bytes_of(e, sizeof(e)), spki, &len) ==
		HF_OK &&
	    crypto_key_public(type, bytes_of(spki, len), &key) == HF_OK) {
		tried = true;
		assert_int_equal(
		    crypto_verify(key, &how, of(&msg), of(&sig)) == HF_OK,
		    good);
		crypto_key_free(key);
	}
	free(n.ptr);
	free(msg.ptr);
	free(sig.ptr);
	return tried;
}

static bool
pss_case(const struct group *g)
{
	return rsa_case(g, SIGN_PSS);
}

static bool
pkcs1_case(const struct group *g)
{
	return rsa_case(g, SIGN_PKCS1V15);
}

/* NIST CAVP, FIPS 186-3. */
static void
KT7_rsa_pss(void **state)
{
	(void)state;
	assert_true(walk("asymmetric/RSA/FIPS_186-2/SigVerPSS_186-3.rsp",
			"Result", "Result", pss_case) >= 60);
}

static void
KT7_rsa_pkcs1(void **state)
{
	(void)state;
	assert_true(walk("asymmetric/RSA/FIPS_186-2/SigVer15_186-3.rsp",
			"Result", "Result", pkcs1_case) >= 60);
}

/* -- RSA-OAEP: files of a comment that names a value, and the value -- */

enum { RSA_NUMBERS = 8, DER_MAX = 4096 };

struct oaep {
	struct value numbers[RSA_NUMBERS]; /* as RSAPrivateKey has them */
	struct crypto_key *key;
	struct value message;
	size_t tried;
};

/* A number (positive) or a sequence of what `body` holds. */
static size_t
put_der(uint8_t *out, uint8_t tag, const uint8_t *body, size_t len)
{
	bool sign = tag == 0x02 && len > 0 && (body[0] & 0x80) != 0;
	size_t at = 0;

	out[at++] = tag;
	out[at++] = 0x82;
	out[at++] = (uint8_t)((len + sign) >> 8);
	out[at++] = (uint8_t)(len + sign);
	if (sign)
		out[at++] = 0;
	memcpy(out + at, body, len);
	return at + len;
}

/* The number in its shortest form, as DER wants it. */
static size_t
put_integer(uint8_t *out, const struct value *v)
{
	uint8_t head[8];
	size_t skip = 0, len, sign;

	while (skip + 1 < v->len && v->ptr[skip] == 0)
		skip++;
	len = v->len - skip;
	sign = (v->ptr[skip] & 0x80) != 0;
	if (len + sign >= 256)
		return put_der(out, 0x02, v->ptr + skip, len);
	head[0] = 0x02;
	head[1] = 0x81;
	head[2] = (uint8_t)(len + sign);
	if (len + sign < 128) {
		head[1] = (uint8_t)(len + sign);
		memcpy(out, head, 2);
		out += 2;
	} else {
		memcpy(out, head, 3);
		out += 3;
	}
	if (sign)
		*out++ = 0;
	memcpy(out, v->ptr + skip, len);
	return (len + sign < 128 ? 2 : 3) + sign + len;
}

/* PKCS#8 (RFC 5208) around RSAPrivateKey (RFC 8017, appendix A.1.2). */
static void
load_rsa(struct oaep *o)
{
	static const uint8_t version[] = { 0x02, 0x01, 0x00 };
	static const uint8_t head[] = { 0x02, 0x01, 0x00, 0x30, 0x0d, 0x06,
		0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
		0x05, 0x00 };
	uint8_t body[DER_MAX], inner[DER_MAX], outer[DER_MAX], all[DER_MAX];
	size_t n = sizeof(version);

	memcpy(body, version, n);
	for (size_t i = 0; i < RSA_NUMBERS; i++)
		n += put_integer(body + n, &o->numbers[i]);
	n = put_der(inner, 0x30, body, n);
	memcpy(outer, head, sizeof(head));
	n = sizeof(head) + put_der(outer + sizeof(head), 0x04, inner, n);
	n = put_der(all, 0x30, outer, n);
	crypto_key_free(o->key);
	o->key = NULL;
	if (o->numbers[0].len == 256)
		assert_ok(crypto_key_private(key_type_by_name(TEXT("rsa-2048")),
		    bytes_of(all, n), &o->key));
}

static void
decrypt_oaep(struct oaep *o, const struct value *sealed)
{
	uint8_t out[512], changed[512];
	size_t len;

	if (o->key == NULL)
		return;
	assert_ok(crypto_oaep_decrypt(o->key, of(sealed), out, &len));
	assert_int_equal(len, o->message.len);
	assert_memory_equal(out, o->message.ptr, len);
	memcpy(changed, sealed->ptr, sealed->len);
	changed[sealed->len - 1] ^= 1;
	assert_err(crypto_oaep_decrypt(
		       o->key, bytes_of(changed, sealed->len), out, &len),
	    HF_ERR_AUTH_FAILED);
	o->tried++;
}

/* The comment says which of the values it is that follows. */
static void
take_oaep(struct oaep *o, const char *comment, const char *digits)
{
	static const char *const names[RSA_NUMBERS] = { "# Modulus:",
		"# Public exponent:", "# Exponent:", "# Prime 1:", "# Prime 2:",
		"# Prime exponent 1:", "# Prime exponent 2:",
		"# Coefficient:" };
	char *even = NULL;
	struct value v;

	if (strlen(digits) % 2 != 0)
		assert_true(asprintf(&even, "0%s", digits) > 0);
	v = value_of(even == NULL ? digits : even);
	free(even);
	for (size_t i = 0; i < RSA_NUMBERS; i++)
		if (strcmp(comment, names[i]) == 0) {
			free(o->numbers[i].ptr);
			o->numbers[i] = v;
			if (i == RSA_NUMBERS - 1)
				load_rsa(o);
			return;
		}
	if (strcmp(comment, "# Message:") == 0) {
		free(o->message.ptr);
		o->message = v;
		return;
	}
	if (strcmp(comment, "# Encryption:") == 0)
		decrypt_oaep(o, &v);
	free(v.ptr);
}

/* Made for pyca/cryptography, verified with Bouncy Castle. */
static void
T13_rsa_oaep_sha256(void **state)
{
	FILE *f = fopen(
	    VECTORS "asymmetric/RSA/oaep-custom/oaep-sha256-sha256.txt", "re");
	char *line = malloc(LINE), comment[128] = "";
	struct oaep o = { .tried = 0 };

	(void)state;
	assert_non_null(f);
	assert_non_null(line);
	while (fgets(line, LINE, f) != NULL) {
		char *at = trimmed(line);

		if (*at == '#')
			(void)snprintf(comment, sizeof(comment), "%s", at);
		else if (*at != '\0')
			take_oaep(&o, comment, at);
	}
	assert_true(o.tried >= 6);
	crypto_key_free(o.key);
	for (size_t i = 0; i < RSA_NUMBERS; i++)
		free(o.numbers[i].ptr);
	free(o.message.ptr);
	(void)fclose(f);
	free(line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(KT1_KT2_aes_gcm),
		cmocka_unit_test(KT3_chacha20_poly1305),
		cmocka_unit_test(T19_hmac),
		cmocka_unit_test(T31_cmac),
		cmocka_unit_test(FM11_hkdf),
		cmocka_unit_test(FM9_kwp),
		cmocka_unit_test(T21_ecdsa),
		cmocka_unit_test(T18_ecdh),
		cmocka_unit_test(KT6_ed25519),
		cmocka_unit_test(T13_rsa_oaep_sha256),
		cmocka_unit_test(KT7_rsa_pss),
		cmocka_unit_test(KT7_rsa_pkcs1),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
