/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_x509.h"

#include <limits.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "../lib/bytes.h"
#include "crypto_state.h"

enum {
	CHAIN_LENGTH = 16,
	SUBJECT_PART = 256,
	DNS_NAME_MAX = 253, /* RFC 1035, section 3.1 */
	SERIAL_BYTES = 16,
};

/* clang-format off */
OSSL_CLEANUP(X509, X509_free)
OSSL_CLEANUP(X509_REQ, X509_REQ_free)
OSSL_CLEANUP(X509_NAME, X509_NAME_free)
OSSL_CLEANUP(X509_ALGOR, X509_ALGOR_free)
OSSL_CLEANUP(ASN1_BIT_STRING, ASN1_BIT_STRING_free)
OSSL_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free)
OSSL_CLEANUP(GENERAL_NAME, GENERAL_NAME_free)
/* clang-format on */

static void
extensions_free(STACK_OF(X509_EXTENSION) * *list)
{
	sk_X509_EXTENSION_pop_free(*list, X509_EXTENSION_free);
}
#define AUTO_EXTENSIONS \
	__attribute__((__cleanup__(extensions_free))) STACK_OF(X509_EXTENSION) *

/* -- Signature algorithms -- */

/* By type: the scheme that TLS and CAs know best (RFC 8017, 5758, 8410). */
static const struct {
	enum key_type_id id;
	enum sign_scheme scheme;
	const char *hash;
	int nid;
	int parameters; /* V_ASN1_NULL for RSA (RFC 4055), else left out */
} algorithms[] = {
	{ KEY_ECDSA_P256, SIGN_ECDSA, "sha2-256", NID_ecdsa_with_SHA256,
	    V_ASN1_UNDEF },
	{ KEY_ECDSA_P384, SIGN_ECDSA, "sha2-384", NID_ecdsa_with_SHA384,
	    V_ASN1_UNDEF },
	{ KEY_ECDSA_P521, SIGN_ECDSA, "sha2-512", NID_ecdsa_with_SHA512,
	    V_ASN1_UNDEF },
	{ KEY_ED25519, SIGN_EDDSA, "sha2-512", NID_ED25519, V_ASN1_UNDEF },
	{ KEY_RSA_2048, SIGN_PKCS1V15, "sha2-256", NID_sha256WithRSAEncryption,
	    V_ASN1_NULL },
	{ KEY_RSA_3072, SIGN_PKCS1V15, "sha2-256", NID_sha256WithRSAEncryption,
	    V_ASN1_NULL },
	{ KEY_RSA_4096, SIGN_PKCS1V15, "sha2-256", NID_sha256WithRSAEncryption,
	    V_ASN1_NULL },
};

static enum hf_err
algorithm_set(
    const struct key_type *type, X509_ALGOR *out, struct sign_how *how)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (algorithms[i].id == type->id) {
			*how = (struct sign_how){
				.scheme = algorithms[i].scheme,
				.encoding = SIGN_ASN1,
				.hash = hash_type_by_name(
				    text_of(algorithms[i].hash)),
			};
			return X509_ALGOR_set0(out,
				   OBJ_nid2obj(algorithms[i].nid),
				   algorithms[i].parameters, NULL) == 1
			    ? HF_OK
			    : HF_ERR_CRYPTO;
		}
	return HF_ERR_KEY_TYPE;
}

/* Signs `tbs` and takes it over, whatever comes of it. */
static enum hf_err
tbs_sign(const struct cert_key *key, const struct sign_how *how, uint8_t *tbs,
    int len, ASN1_BIT_STRING *out)
{
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	size_t n;
	enum hf_err err;

	if (tbs == NULL || len <= 0) {
		OPENSSL_free(tbs);
		return HF_ERR_CRYPTO;
	}
	err =
	    key->sign(key->ctx, how, bytes_of(tbs, (size_t)len), signature, &n);
	OPENSSL_free(tbs);
	if (err != HF_OK)
		return err;
	/* Whole bytes: no unused bits, which OpenSSL would else guess. */
	out->flags &= ~(ASN1_STRING_FLAG_BITS_LEFT | 7);
	out->flags |= ASN1_STRING_FLAG_BITS_LEFT;
	return ASN1_BIT_STRING_set(out, signature, (int)n) == 1 ? HF_OK
								: HF_ERR_CRYPTO;
}

/* -- Subjects -- */

/* One "CN=web"; where it ends. A backslash takes the next character as it is.
 */
static enum hf_err
subject_part(
    X509_NAME *name, const char **p, const char *end, struct hf_why *why)
{
	char type[SUBJECT_PART] = "", value[SUBJECT_PART] = "";
	char *to = type;
	size_t n = 0;

	for (; *p < end && **p == ' '; (*p)++)
		continue;
	for (; *p < end && **p != ','; (*p)++) {
		if (**p == '=' && to == type) {
			to = value;
			n = 0;
			continue;
		}
		if (**p == '\\' && *p + 1 < end)
			(*p)++;
		if (n == SUBJECT_PART - 1)
			return hf_fail(why, HF_ERR_BAD_VALUE,
			    "subject: a part is longer than %d bytes",
			    SUBJECT_PART - 1);
		to[n++] = **p;
	}
	if (to == type || n == 0 ||
	    X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8,
		(const uint8_t *)value, (int)n, -1, 0) != 1)
		return hf_fail(why, crypto_fail(HF_ERR_BAD_VALUE),
		    "subject: it is written as 'CN=web.example, O=Example'");
	return HF_OK;
}

static enum hf_err
subject_read(struct hf_text text, X509_NAME *name, struct hf_why *why)
{
	const char *p = text.ptr, *end = text.ptr + text.len;
	enum hf_err err;

	while (p < end) {
		if ((err = subject_part(name, &p, end, why)) != HF_OK)
			return err;
		if (p < end && ++p == end) /* a comma, and nothing after it */
			return hf_fail(why, HF_ERR_BAD_VALUE,
			    "subject: it ends with a comma");
	}
	return HF_OK;
}

static bool
is_dns_name(struct hf_text t)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.*";

	if (t.len == 0 || t.len > DNS_NAME_MAX)
		return false;
	for (size_t i = 0; i < t.len; i++)
		if (t.ptr[i] == '\0' || strchr(allowed, t.ptr[i]) == NULL)
			return false;
	return true;
}

static GENERAL_NAME *
alt_name(struct hf_text t)
{
	char copy[DNS_NAME_MAX + 1] = "";
	OSSL_AUTO(GENERAL_NAME) gn = GENERAL_NAME_new();
	ASN1_OCTET_STRING *ip;
	ASN1_IA5STRING *dns;
	GENERAL_NAME *out;

	if (gn == NULL || t.len > DNS_NAME_MAX)
		return NULL;
	memcpy(copy, t.ptr, t.len);
	ip = a2i_IPADDRESS(copy);
	if (ip != NULL) {
		GENERAL_NAME_set0_value(gn, GEN_IPADD, ip);
	} else {
		dns = ASN1_IA5STRING_new();
		if (dns == NULL || !is_dns_name(t) ||
		    ASN1_STRING_set(dns, t.ptr, (int)t.len) != 1) {
			ASN1_IA5STRING_free(dns);
			return NULL;
		}
		GENERAL_NAME_set0_value(gn, GEN_DNS, dns);
	}
	out = gn;
	gn = NULL;
	return out;
}

/* The subjectAltName extension, where there are such names. */
static enum hf_err
alt_names_add(const struct cert_subject *who, STACK_OF(X509_EXTENSION) * *list,
    struct hf_why *why)
{
	OSSL_AUTO(GENERAL_NAMES) names = GENERAL_NAMES_new();

	if (who->alt_count == 0)
		return HF_OK;
	for (size_t i = 0; i < who->alt_count; i++) {
		GENERAL_NAME *gn = alt_name(who->alt_names[i]);

		if (gn == NULL)
			return hf_fail(why, crypto_fail(HF_ERR_BAD_VALUE),
			    "alt_names: '%.*s' is neither a DNS name nor an "
			    "IP address",
			    (int)who->alt_names[i].len, who->alt_names[i].ptr);
		if (sk_GENERAL_NAME_push(names, gn) == 0) {
			GENERAL_NAME_free(gn);
			return HF_ERR_NO_MEMORY;
		}
	}
	return X509V3_add1_i2d(list, NID_subject_alt_name, names, 0,
		   X509V3_ADD_DEFAULT) == 1
	    ? HF_OK
	    : HF_ERR_CRYPTO;
}

/* -- Requests -- */

static EVP_PKEY *
public_read(struct hf_bytes spki)
{
	const uint8_t *p = spki.ptr;

	return d2i_PUBKEY_ex(NULL, &p, (long)spki.len, crypto_lib(), NULL);
}

static X509_REQ *
request_parse(struct hf_bytes in)
{
	AUTO_BIO bio = BIO_new_mem_buf(in.ptr, (int)in.len);
	const uint8_t *p = in.ptr;
	X509_REQ *req =
	    bio == NULL ? NULL : PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);

	if (req != NULL || in.len == 0)
		return req;
	req = d2i_X509_REQ(NULL, &p, (long)in.len);
	if (req != NULL && p != in.ptr + in.len) {
		X509_REQ_free(req);
		return NULL;
	}
	return req;
}

static enum hf_err
request_fill(X509_REQ *req, const struct cert_subject *who, struct hf_why *why)
{
	OSSL_AUTO(X509_NAME) name = X509_NAME_new();
	AUTO_EXTENSIONS list = NULL;
	enum hf_err err;

	if (name == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = subject_read(who->name, name, why)) != HF_OK ||
	    (err = alt_names_add(who, &list, why)) != HF_OK)
		return err;
	if (X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
	    X509_REQ_set_subject_name(req, name) != 1 ||
	    (list != NULL && X509_REQ_add_extensions(req, list) != 1))
		return HF_ERR_CRYPTO;
	return HF_OK;
}

static enum hf_err
request_sign(const struct cert_key *key, X509_REQ *req)
{
	AUTO_PKEY public = public_read(key->spki);
	OSSL_AUTO(X509_ALGOR) algorithm = X509_ALGOR_new();
	OSSL_AUTO(ASN1_BIT_STRING) signature = ASN1_BIT_STRING_new();
	struct sign_how how;
	uint8_t *tbs = NULL;
	enum hf_err err;
	int len;

	if (public == NULL || algorithm == NULL || signature == NULL ||
	    X509_REQ_set_pubkey(req, public) != 1)
		return HF_ERR_CRYPTO;
	if ((err = algorithm_set(key->type, algorithm, &how)) != HF_OK)
		return err;
	len = i2d_re_X509_REQ_tbs(req, &tbs);
	if ((err = tbs_sign(key, &how, tbs, len, signature)) != HF_OK)
		return err;
	if (X509_REQ_set1_signature_algo(req, algorithm) != 1)
		return HF_ERR_CRYPTO;
	X509_REQ_set0_signature(req, signature);
	signature = NULL;
	return HF_OK;
}

/* What was written to a memory BIO, with a NUL. */
static enum hf_err
bio_text(BIO *bio, char *out, size_t cap)
{
	char *text = NULL;
	size_t len = (size_t)BIO_get_mem_data(bio, &text);

	if (len >= cap)
		return HF_ERR_BUFFER_TOO_SMALL;
	memcpy(out, text, len);
	out[len] = '\0';
	return HF_OK;
}

enum hf_err
cert_request(const struct cert_key *key, struct hf_bytes template_,
    const struct cert_subject *who, char *out, size_t cap, struct hf_why *why)
{
	bool given = template_.ptr != NULL;
	OSSL_AUTO(X509_REQ)
	req = given ? request_parse(template_) : X509_REQ_new();
	AUTO_BIO bio = BIO_new(BIO_s_mem());
	enum hf_err err = HF_OK;

	if (req == NULL && given)
		return hf_fail(why, crypto_fail(HF_ERR_BAD_VALUE),
		    "csr: it is not a certificate request (PKCS#10)");
	if (req == NULL || bio == NULL)
		return crypto_fail(HF_ERR_NO_MEMORY);
	if (!given)
		err = request_fill(req, who, why);
	if (err == HF_OK)
		err = request_sign(key, req);
	if (err == HF_OK && PEM_write_bio_X509_REQ(bio, req) != 1)
		err = HF_ERR_CRYPTO;
	if (err != HF_OK)
		return crypto_fail(err);
	return bio_text(bio, out, cap);
}

/* -- Certificates by the key itself -- */

static enum hf_err
certificate_fill(X509 *cert, const struct cert_subject *who, uint64_t from,
    uint64_t until, struct hf_why *why)
{
	OSSL_AUTO(X509_NAME) name = X509_NAME_new();
	BASIC_CONSTRAINTS leaf = { .ca = 0 };
	AUTO_EXTENSIONS list = NULL;
	uint8_t serial[SERIAL_BYTES];
	enum hf_err err;

	if ((err = crypto_random(serial, sizeof(serial))) != HF_OK)
		return err;
	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, of full length */
	AUTO_BN number = BN_bin2bn(serial, sizeof(serial), NULL);

	if (name == NULL || number == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = subject_read(who->name, name, why)) != HF_OK ||
	    (err = alt_names_add(who, &list, why)) != HF_OK)
		return err;
	if (X509_set_version(cert, X509_VERSION_3) != 1 ||
	    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) == NULL ||
	    X509_set_subject_name(cert, name) != 1 ||
	    X509_set_issuer_name(cert, name) != 1 ||
	    ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from) == NULL ||
	    ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)until) == NULL ||
	    X509_add1_ext_i2d(
		cert, NID_basic_constraints, &leaf, 1, X509V3_ADD_DEFAULT) != 1)
		return HF_ERR_CRYPTO;
	for (int i = 0; i < sk_X509_EXTENSION_num(list); i++)
		if (X509_add_ext(cert, sk_X509_EXTENSION_value(list, i), -1) !=
		    1)
			return HF_ERR_CRYPTO;
	return HF_OK;
}

/*
 * OpenSSL sets the algorithms of a certificate only while it signs with a key
 * of its own; the getters lead to the same places.
 */
static enum hf_err
certificate_sign(const struct cert_key *key, X509 *cert)
{
	AUTO_PKEY public = public_read(key->spki);
	const ASN1_BIT_STRING *signature;
	const X509_ALGOR *outer;
	struct sign_how how;
	uint8_t *tbs = NULL;
	enum hf_err err;
	int len;

	if (public == NULL || X509_set_pubkey(cert, public) != 1)
		return HF_ERR_CRYPTO;
	X509_get0_signature(&signature, &outer, cert);
	if ((err = algorithm_set(key->type,
		 (X509_ALGOR *)(uintptr_t)X509_get0_tbs_sigalg(cert), &how)) !=
		HF_OK ||
	    (err = algorithm_set(
		 key->type, (X509_ALGOR *)(uintptr_t)outer, &how)) != HF_OK)
		return err;
	len = i2d_re_X509_tbs(cert, &tbs);
	return tbs_sign(
	    key, &how, tbs, len, (ASN1_BIT_STRING *)(uintptr_t)signature);
}

enum hf_err
cert_self_sign(const struct cert_key *key, const struct cert_subject *who,
    uint64_t from, uint64_t until, uint8_t *out, size_t *len,
    struct hf_why *why)
{
	OSSL_AUTO(X509) cert = X509_new_ex(crypto_lib(), NULL);
	uint8_t *p = out;
	enum hf_err err;
	int n;

	if (cert == NULL)
		return crypto_fail(HF_ERR_NO_MEMORY);
	if ((err = certificate_fill(cert, who, from, until, why)) != HF_OK ||
	    (err = certificate_sign(key, cert)) != HF_OK)
		return crypto_fail(err);
	n = i2d_X509(cert, NULL);
	if (n <= 0)
		return crypto_fail(HF_ERR_CRYPTO);
	if (n > CERT_CHAIN_MAX)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "the certificate is larger than %d bytes", CERT_CHAIN_MAX);
	if (i2d_X509(cert, &p) != n)
		return crypto_fail(HF_ERR_CRYPTO);
	*len = (size_t)n;
	return HF_OK;
}

/* -- Chains -- */

bool
cert_chain_next(struct hf_bytes *chain, struct hf_bytes *cert)
{
	const uint8_t *p = chain->ptr;
	size_t len;

	/* A SEQUENCE whose length takes two bytes: certificates have from 128
	 * bytes to 64 KiB. */
	if (chain->len < 4 || p[0] != 0x30 || (p[1] != 0x82 && p[1] != 0x81))
		return false;
	len = p[1] == 0x81 ? 3 + (size_t)p[2]
			   : 4 + ((size_t)p[2] << 8 | (size_t)p[3]);
	if (len > chain->len)
		return false;
	*cert = bytes_of(p, len);
	*chain = bytes_of(p + len, chain->len - len);
	return true;
}

static X509 *
certificate_parse(struct hf_bytes der)
{
	X509 *cert = X509_new_ex(crypto_lib(), NULL);
	const uint8_t *p = der.ptr;

	if (cert == NULL || d2i_X509(&cert, &p, (long)der.len) == NULL)
		return NULL; /* d2i freed it */
	return cert;
}

/* Appends one certificate; what PEM_read_bio says is not taken over. */
static enum hf_err
chain_add(const char *label, struct hf_bytes der, uint8_t *out, size_t *len,
    struct hf_why *why)
{
	struct hf_bytes rest = der, first;

	if (strcmp(label, PEM_STRING_X509) != 0)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "certificate_chain: there is a '%.40s' in it", label);

	OSSL_AUTO(X509) cert = certificate_parse(der);

	if (cert == NULL || !cert_chain_next(&rest, &first) || rest.len != 0)
		return hf_fail(why, crypto_fail(HF_ERR_BAD_VALUE),
		    "certificate_chain: could not parse certificate");
	if (der.len > CERT_CHAIN_MAX - *len)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "certificate_chain: it is larger than %d bytes",
		    CERT_CHAIN_MAX);
	memcpy(out + *len, der.ptr, der.len);
	*len += der.len;
	return HF_OK;
}

enum hf_err
cert_chain_read(
    struct hf_text pem, uint8_t *out, size_t *len, struct hf_why *why)
{
	AUTO_BIO bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	char *label, *header;
	unsigned char *der;
	long der_len;
	size_t n = 0;
	enum hf_err err = HF_OK;

	if (bio == NULL)
		return crypto_fail(HF_ERR_NO_MEMORY);
	while (err == HF_OK &&
	    PEM_read_bio(bio, &label, &header, &der, &der_len) == 1) {
		err = chain_add(
		    label, bytes_of(der, (size_t)der_len), out, &n, why);
		OPENSSL_free(label);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	(void)crypto_fail(HF_OK); /* "no start line" ends every PEM file */
	if (err != HF_OK)
		return err;
	if (n == 0)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "certificate_chain: expected at least one certificate in "
		    "the parsed certificate chain");
	*len = n;
	return HF_OK;
}

static bool
is_ca(X509 *cert)
{
	return (X509_get_extension_flags(cert) & EXFLAG_CA) != 0;
}

static enum hf_err
leaf_check(const struct key_type *type, X509 *leaf, struct hf_bytes spki,
    struct hf_why *why)
{
	uint8_t *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
	bool same;

	if (n <= 0)
		return crypto_fail(HF_ERR_CRYPTO);
	same = bytes_equal(bytes_of(der, (size_t)n), spki);
	OPENSSL_free(der);
	if (is_ca(leaf))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "certificate in the first position is not a leaf "
		    "certificate");
	if (!same)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "leaf certificate public key does not match the key "
		    "version selected, of type %s",
		    type->name);
	return HF_OK;
}

/* `issuer` is the one after `cert`. */
static enum hf_err
link_check(X509 *cert, X509 *issuer, struct hf_why *why)
{
	if (!is_ca(issuer))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "provided certificate chain contains more than one leaf "
		    "certificate");
	if (X509_NAME_cmp(X509_get_issuer_name(cert),
		X509_get_subject_name(issuer)) != 0 ||
	    X509_verify(cert, X509_get0_pubkey(issuer)) != 1)
		return hf_fail(why, crypto_fail(HF_ERR_BAD_VALUE),
		    "certificates are not in order: one was not signed by "
		    "the one after it");
	return HF_OK;
}

enum hf_err
cert_chain_check(const struct key_type *type, struct hf_bytes chain,
    struct hf_bytes spki, struct hf_why *why)
{
	X509 *certs[CHAIN_LENGTH];
	size_t count = 0;
	struct hf_bytes der;
	enum hf_err err = HF_OK;

	while (err == HF_OK && cert_chain_next(&chain, &der)) {
		if (count == CHAIN_LENGTH)
			err = hf_fail(why, HF_ERR_BAD_VALUE,
			    "certificate_chain: more than %d certificates",
			    CHAIN_LENGTH);
		else if ((certs[count] = certificate_parse(der)) == NULL)
			err = crypto_fail(HF_ERR_BAD_VALUE);
		else
			count++;
	}
	if (err == HF_OK)
		err = count == 0 ? HF_ERR_BAD_VALUE
				 : leaf_check(type, certs[0], spki, why);
	for (size_t i = 1; i < count && err == HF_OK; i++)
		err = link_check(certs[i - 1], certs[i], why);
	while (count > 0)
		X509_free(certs[--count]);
	return err == HF_OK ? HF_OK : crypto_fail(err);
}

enum hf_err
cert_chain_pem(struct hf_bytes chain, char *out, size_t cap)
{
	AUTO_BIO bio = BIO_new(BIO_s_mem());
	struct hf_bytes der;

	if (bio == NULL)
		return crypto_fail(HF_ERR_NO_MEMORY);
	while (cert_chain_next(&chain, &der))
		if (PEM_write_bio(
			bio, PEM_STRING_X509, "", der.ptr, (long)der.len) <= 0)
			return crypto_fail(HF_ERR_CRYPTO);
	return bio_text(bio, out, cap);
}

/* -- Whose it is -- */

static X509 *
certificate_read(struct hf_bytes in, size_t *size)
{
	const uint8_t *end = in.ptr;
	X509 *x;

	if (in.len == 0 || in.len > INT_MAX)
		return NULL;
	x = X509_new_ex(crypto_lib(), NULL);
	if (x == NULL)
		return NULL;
	/* It frees what it was given when it fails. */
	if (d2i_X509(&x, &end, (long)in.len) == NULL)
		return NULL;
	*size = (size_t)(end - in.ptr);
	return x;
}

enum hf_err
cert_matches(struct hf_bytes der, struct hf_bytes spki, bool *matches)
{
	size_t size = 0;
	X509 *x = certificate_read(der, &size);
	uint8_t *own = NULL;
	int len;

	if (x == NULL || size != der.len) {
		X509_free(x);
		return crypto_fail(HF_ERR_BAD_INPUT);
	}
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &own);
	*matches = len > 0 && bytes_equal(bytes_of(own, (size_t)len), spki);
	OPENSSL_free(own);
	X509_free(x);
	return crypto_fail(HF_OK);
}
