/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

/*
 * How the structs of the PKCS#11 operations stand on the wire; the others are
 * in ops.c.
 */
enum {
	DATA_MAX = 16 << 20,
	NAME_MAX_BYTES = 128,
	VERSION_MAX = 0xffffff,
	OBJECTS_MAX = 100000,
};

#define HASHES                                                        \
	"sha1|sha2-224|sha2-256|sha2-384|sha2-512|sha3-224|sha3-256|" \
	"sha3-384|sha3-512"
#define MECHANISMS                                                            \
	"rsa-pkcs|rsa-pss|rsa-oaep|rsa-raw|ecdsa|eddsa|hmac|aes-gcm|aes-cbc|" \
	"aes-cbc-pad|aes-ctr|aes-ecb|aes-cmac|aes-kw|aes-kwp|rsa-aes-kwp|"    \
	"ecdh|hkdf"

/* clang-format off */

SCHEMA(schema_p11_object, hf_p11_object,
	F(hf_p11_object, "uid",           uid,           0, 32, PLAIN, NULL, "stable id of the object"),
	F(hf_p11_object, "kind",          kind,          0, 16, PLAIN, "key|certificate|public", "what it is"),
	F(hf_p11_object, "name",          name,          0, NAME_MAX_BYTES, PLAIN, NULL, "name of the key"),
	F(hf_p11_object, "key_version",   key_version,   0, VERSION_MAX, PLAIN, NULL, "version of the key"),
	F(hf_p11_object, "type",          type,          0, 64, PLAIN, NULL, "type of the key"),
	F(hf_p11_object, "level",         level,         0, 16, PLAIN, "wrapped|hsm", "protection level"),
	F(hf_p11_object, "bits",          bits,          0, 65536, PLAIN, NULL, "size of the key"),
	F(hf_p11_object, "id",            id,            0, 256, 0, NULL, "CKA_ID"),
	F(hf_p11_object, "label",         label,         0, 256, 0, NULL, "CKA_LABEL"),
	F(hf_p11_object, "public_key",    public_key,    0, 4096, 0, NULL, "SubjectPublicKeyInfo, DER"),
	F(hf_p11_object, "certificate",   certificate,   0, 65536, 0, NULL, "X.509 certificate, DER"),
	F(hf_p11_object, "uses",          uses,          0, UINT32_MAX, PLAIN | ALWAYS, NULL, "what the caller may do with it, as bits"),
	F(hf_p11_object, "imported",      imported,      0, 1, PLAIN, NULL, "came from outside"),
	F(hf_p11_object, "creation_time", creation_time, 0, INT64_MAX, PLAIN, NULL, "seconds since 1970"));

SCHEMA_PUBLIC(schema_p11_find_in, hf_p11_find_in,
	F(hf_p11_find_in, "if_version", if_version, 0, 64, PLAIN, NULL, "answer without a list when it still has this version"));
SCHEMA_PUBLIC(schema_p11_find_out, hf_p11_find_out,
	F(hf_p11_find_out, "version",   version,   0, 64, PLAIN, NULL, "version of the list, as this caller sees it"),
	F(hf_p11_find_out, "unchanged", unchanged, 0, 1, PLAIN | ALWAYS, NULL, "the list is the one of if_version"),
	LIST(hf_p11_find_out, "objects", objects, OBJECTS_MAX, &schema_p11_object, 0, "the objects"));

#define KEY_FIELDS(s) \
	F(s, "name",        name,        1, NAME_MAX_BYTES, REQUIRED | PLAIN | KEYNAME, NULL, "name of the key"), \
	F(s, "key_version", key_version, 1, VERSION_MAX, REQUIRED | PLAIN, NULL, "version of the key")
#define HOW_FIELDS(s) \
	F(s, "mechanism",       how.mechanism,       1, 32, REQUIRED | PLAIN, MECHANISMS, "how"), \
	F(s, "hash",            how.hash,            1, 16, PLAIN, HASHES, "hash of the mechanism"), \
	F(s, "salt_length",     how.salt_length,     0, 512, PLAIN, NULL, "PSS: bytes of salt"), \
	F(s, "iv",              how.iv,              1, 256, 0, NULL, "nonce, initialization vector or counter block"), \
	F(s, "associated_data", how.associated_data, 0, 65536, 0, NULL, "authenticated data; OAEP: label; KDF: info"), \
	F(s, "tag_bits",        how.tag_bits,        0, 128, PLAIN, NULL, "GCM: size of the tag"), \
	F(s, "output_bytes",    how.output_bytes,    0, 8160, PLAIN, NULL, "length of a MAC or of what is derived"), \
	F(s, "peer",            how.peer,            1, 512, 0, NULL, "ECDH: point of the other side"), \
	F(s, "salt",            how.salt,            0, 8192, 0, NULL, "HKDF: salt")
#define DATA_FIELD(s) \
	F(s, "data",  data,  0, DATA_MAX, SECRET, NULL, "what to work on; may be empty")
#define LOGIN_FIELD(s) \
	F(s, "login", login, 0, 512, SECRET, NULL, "what p11.login gave")

SCHEMA_PUBLIC(schema_p11_use_in, hf_p11_use_in,
	KEY_FIELDS(hf_p11_use_in), HOW_FIELDS(hf_p11_use_in), DATA_FIELD(hf_p11_use_in), LOGIN_FIELD(hf_p11_use_in));
SCHEMA_PUBLIC(schema_p11_use_out, hf_p11_use_out,
	F(hf_p11_use_out, "data", data, 0, DATA_MAX + 65536, SECRET, NULL, "result"));

SCHEMA_PUBLIC(schema_p11_verify_in, hf_p11_verify_in,
	KEY_FIELDS(hf_p11_verify_in), HOW_FIELDS(hf_p11_verify_in), DATA_FIELD(hf_p11_verify_in),
	F(hf_p11_verify_in, "signature", signature, 0, 4096, 0, NULL, "the signature or MAC"), LOGIN_FIELD(hf_p11_verify_in));
SCHEMA_PUBLIC(schema_p11_verify_out, hf_p11_verify_out,
	F(hf_p11_verify_out, "valid", valid, 0, 1, PLAIN | ALWAYS, NULL, "whether it matches"));

/* clang-format on */
