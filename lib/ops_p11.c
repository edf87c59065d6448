/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "ops_rows.h"

/*
 * How the structs of the PKCS#11 operations stand on the wire; the others are
 * in ops.c.
 */
enum {
	P11_DATA_MAX = 16 << 20,
	OBJECTS_MAX = 100000,
	MATERIAL_MAX = 8192,
	SEALED_MAX = 16384,
	LOGIN_MAX = 512,
	P11_SPKI_MAX = 4096,
	CERTIFICATE_MAX = 8192,
	LABEL_MAX = 256,
	ID_MAX = 256,
};

#define MECHANISMS                                                            \
	"rsa-pkcs|rsa-pss|rsa-oaep|rsa-raw|ecdsa|eddsa|hmac|aes-gcm|aes-cbc|" \
	"aes-cbc-pad|aes-ctr|aes-ecb|aes-cmac|aes-kw|aes-kwp|rsa-aes-kwp|"    \
	"ecdh|hkdf"

/* clang-format off */

SCHEMA(schema_p11_object, hf_p11_object,
	F(hf_p11_object, "uid",           uid,           0, 32, PLAIN, NULL, "stable id of the object"),
	F(hf_p11_object, "kind",          kind,          0, 16, PLAIN, "key|public|certificate", "what it is"),
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

#define VERSION_FIELD(s) \
	F(s, "key_version", key_version, 1, VERSION_MAX, REQUIRED | PLAIN, NULL, "version of the key")
#define KEY_FIELDS(s) \
	F(s, "name",        name,        1, NAME_MAX_BYTES, REQUIRED | PLAIN | KEYNAME, NULL, "name of the key"), \
	VERSION_FIELD(s)
#define HOW_FIELDS(s) \
	F(s, "mechanism",       how.mechanism,       1, 32, REQUIRED | PLAIN, MECHANISMS, "how"), \
	F(s, "hash",            how.hash,            1, 16, PLAIN, HASHES, "hash of the mechanism"), \
	F(s, "salt_length",     how.salt_length,     0, 512, PLAIN, NULL, "PSS: bytes of salt"), \
	F(s, "iv",              how.iv,              1, 256, 0, NULL, "nonce, initialization vector or counter block"), \
	F(s, "associated_data", how.associated_data, 0, 65536, 0, NULL, "authenticated data; OAEP: label; KDF: info"), \
	F(s, "tag_bits",        how.tag_bits,        0, 128, PLAIN, NULL, "GCM: size of the tag; CTR: of the counter"), \
	F(s, "output_bytes",    how.output_bytes,    0, 512, PLAIN, NULL, "length of a MAC"), \
	F(s, "peer",            how.peer,            1, 512, 0, NULL, "ECDH: point of the other side"), \
	F(s, "salt",            how.salt,            0, 8192, 0, NULL, "HKDF: salt"), \
	F(s, "steps",           how.steps,           0, 16, PLAIN, "extract|expand", "HKDF: one of its steps; both when absent")
#define DATA_FIELD(s) \
	F(s, "data",  data,  0, P11_DATA_MAX, SECRET, NULL, "what to work on; may be empty")
#define LOGIN_FIELD(s) \
	F(s, "login", login, 0, LOGIN_MAX, SECRET, NULL, "what p11.login gave")

SCHEMA_PUBLIC(schema_p11_use_in, hf_p11_use_in,
	KEY_FIELDS(hf_p11_use_in), HOW_FIELDS(hf_p11_use_in), DATA_FIELD(hf_p11_use_in), LOGIN_FIELD(hf_p11_use_in));
SCHEMA_PUBLIC(schema_p11_use_out, hf_p11_use_out,
	F(hf_p11_use_out, "data", data, 0, P11_DATA_MAX + 65536, SECRET, NULL, "result"));

SCHEMA_PUBLIC(schema_p11_verify_in, hf_p11_verify_in,
	KEY_FIELDS(hf_p11_verify_in), HOW_FIELDS(hf_p11_verify_in), DATA_FIELD(hf_p11_verify_in),
	F(hf_p11_verify_in, "signature", signature, 0, 4096, 0, NULL, "the signature or MAC"), LOGIN_FIELD(hf_p11_verify_in));
SCHEMA_PUBLIC(schema_p11_verify_out, hf_p11_verify_out,
	F(hf_p11_verify_out, "valid", valid, 0, 1, PLAIN | ALWAYS, NULL, "whether it matches"));

/* -- Keys that are made -- */

#define NEW_KEY_FIELD(s) \
	F(s, "name", name, 1, NAME_MAX_BYTES, REQUIRED | PLAIN | KEYNAME, NULL, "name of the new key")
/* Of any key, and besides of one that stays. */
#define MAKE_FIELDS(s) \
	F(s, "type",     make.type,     1, 64, REQUIRED | PLAIN, TYPES, "type of the new key"), \
	F(s, "key_size", make.key_size, 0, 512, PLAIN, NULL, "bytes of a secret that is no AES key"), \
	F(s, "uses",     make.uses,     0, UINT32_MAX, PLAIN, NULL, "what it is for, as bits; 0: what its type can do")
#define STAY_FIELDS(s) \
	F(s, "label",            stay.label,            0, LABEL_MAX, 0, NULL, "CKA_LABEL; the name when absent"), \
	F(s, "id",               stay.id,               0, ID_MAX, 0, NULL, "CKA_ID; one of the service's when absent"), \
	F(s, "level",            stay.level,            1, 16, PLAIN, "wrapped|hsm", "protection level; the service's default when absent"), \
	F(s, "deletion_allowed", stay.deletion_allowed, 0, 1, PLAIN, NULL, "the key may be deleted")
#define SESSION_FIELD(s, need) \
	F(s, "session_key", session_key, 1, SEALED_MAX, need | SECRET, NULL, "sealed key, as it was handed out")
#define GIVE_FIELD(s) \
	F(s, "give_value", give_value, 0, 1, PLAIN, NULL, "hand out the value, too")

SCHEMA_PUBLIC(schema_p11_made, hf_p11_made,
	F(hf_p11_made, "uid",         uid,         0, 32, PLAIN, NULL, "stable id of the object"),
	F(hf_p11_made, "name",        name,        0, NAME_MAX_BYTES, PLAIN, NULL, "name of the key"),
	F(hf_p11_made, "key_version", key_version, 0, VERSION_MAX, PLAIN, NULL, "version of the key"),
	F(hf_p11_made, "session_key", session_key, 0, SEALED_MAX, SECRET, NULL, "sealed key, for this caller"),
	F(hf_p11_made, "public_key",  public_key,  0, P11_SPKI_MAX, 0, NULL, "SubjectPublicKeyInfo, DER"),
	F(hf_p11_made, "value",       value,       0, MATERIAL_MAX, SECRET, NULL, "value in clear, where it was asked for"),
	F(hf_p11_made, "key_size",    key_size,    0, MATERIAL_MAX, PLAIN, NULL, "bytes of a secret key"));

SCHEMA_PUBLIC(schema_p11_generate_in, hf_p11_generate_in,
	NEW_KEY_FIELD(hf_p11_generate_in), MAKE_FIELDS(hf_p11_generate_in), STAY_FIELDS(hf_p11_generate_in),
	LOGIN_FIELD(hf_p11_generate_in));
SCHEMA_PUBLIC(schema_p11_import_in, hf_p11_import_in,
	NEW_KEY_FIELD(hf_p11_import_in), MAKE_FIELDS(hf_p11_import_in), STAY_FIELDS(hf_p11_import_in),
	F(hf_p11_import_in, "material",   material,   1, MATERIAL_MAX, SECRET, NULL, "secret key as it is, or private key as PKCS#8"),
	F(hf_p11_import_in, "public_key", public_key, 1, P11_SPKI_MAX, 0, NULL, "a public key alone, SubjectPublicKeyInfo"),
	LOGIN_FIELD(hf_p11_import_in));
SCHEMA_PUBLIC(schema_p11_session_in, hf_p11_session_in,
	MAKE_FIELDS(hf_p11_session_in),
	F(hf_p11_session_in, "material", material, 1, MATERIAL_MAX, SECRET, NULL, "secret key as it is, or private key as PKCS#8; absent: a new one"),
	LOGIN_FIELD(hf_p11_session_in));
SCHEMA_PUBLIC(schema_p11_session_use_in, hf_p11_session_use_in,
	F(hf_p11_session_use_in, "operation",  operation,  1, 16, REQUIRED | PLAIN, "sign|verify|mac|encrypt|decrypt", "what to do"),
	SESSION_FIELD(hf_p11_session_use_in, 0),
	F(hf_p11_session_use_in, "type",       type,       1, 64, PLAIN, TYPES, "type of public_key"),
	F(hf_p11_session_use_in, "public_key", public_key, 1, P11_SPKI_MAX, 0, NULL, "instead of session_key: SubjectPublicKeyInfo"),
	HOW_FIELDS(hf_p11_session_use_in), DATA_FIELD(hf_p11_session_use_in),
	F(hf_p11_session_use_in, "signature",  signature,  0, 4096, 0, NULL, "verify: the signature or MAC"),
	LOGIN_FIELD(hf_p11_session_use_in));
SCHEMA_PUBLIC(schema_p11_session_use_out, hf_p11_session_use_out,
	F(hf_p11_session_use_out, "data",  data,  0, P11_DATA_MAX + 65536, SECRET, NULL, "result"),
	F(hf_p11_session_use_out, "valid", valid, 0, 1, PLAIN, NULL, "verify: whether it matches"));
SCHEMA_PUBLIC(schema_p11_session_derive_in, hf_p11_session_derive_in,
	SESSION_FIELD(hf_p11_session_derive_in, REQUIRED), HOW_FIELDS(hf_p11_session_derive_in),
	MAKE_FIELDS(hf_p11_session_derive_in), GIVE_FIELD(hf_p11_session_derive_in), LOGIN_FIELD(hf_p11_session_derive_in));

SCHEMA_PUBLIC(schema_p11_derive_in, hf_p11_derive_in,
	KEY_FIELDS(hf_p11_derive_in), HOW_FIELDS(hf_p11_derive_in), MAKE_FIELDS(hf_p11_derive_in),
	GIVE_FIELD(hf_p11_derive_in), LOGIN_FIELD(hf_p11_derive_in));
SCHEMA_PUBLIC(schema_p11_wrap_in, hf_p11_wrap_in,
	KEY_FIELDS(hf_p11_wrap_in), HOW_FIELDS(hf_p11_wrap_in),
	F(hf_p11_wrap_in, "target",         target,         1, NAME_MAX_BYTES, PLAIN | NAME, NULL, "name of the key to wrap"),
	F(hf_p11_wrap_in, "target_version", target_version, 0, VERSION_MAX, PLAIN, NULL, "its version"),
	SESSION_FIELD(hf_p11_wrap_in, 0), LOGIN_FIELD(hf_p11_wrap_in));
SCHEMA_PUBLIC(schema_p11_unwrap_in, hf_p11_unwrap_in,
	KEY_FIELDS(hf_p11_unwrap_in), HOW_FIELDS(hf_p11_unwrap_in),
	F(hf_p11_unwrap_in, "data",   data,   1, SEALED_MAX, REQUIRED, NULL, "the wrapped key"),
	F(hf_p11_unwrap_in, "target", target, 1, NAME_MAX_BYTES, PLAIN | NAME, NULL, "name of the new key; absent: a session key"),
	MAKE_FIELDS(hf_p11_unwrap_in), STAY_FIELDS(hf_p11_unwrap_in), LOGIN_FIELD(hf_p11_unwrap_in));

/* -- Keys and certificates that change -- */

#define CERTIFICATE_FIELD(s, need) \
	F(s, "certificate", certificate, 1, CERTIFICATE_MAX, need, NULL, "X.509 certificate, DER")

SCHEMA_PUBLIC(schema_p11_set_in, hf_p11_set_in,
	KEY_FIELD(hf_p11_set_in),
	F(hf_p11_set_in, "label", label, 0, LABEL_MAX, 0, NULL, "CKA_LABEL"),
	F(hf_p11_set_in, "id",    id,    0, ID_MAX, 0, NULL, "CKA_ID"),
	LOGIN_FIELD(hf_p11_set_in));
SCHEMA_PUBLIC(schema_p11_set_certificate_in, hf_p11_set_certificate_in,
	KEY_FIELDS(hf_p11_set_certificate_in), CERTIFICATE_FIELD(hf_p11_set_certificate_in, 0), LOGIN_FIELD(hf_p11_set_certificate_in));
SCHEMA_PUBLIC(schema_p11_destroy_in, hf_p11_destroy_in,
	KEY_FIELDS(hf_p11_destroy_in), LOGIN_FIELD(hf_p11_destroy_in));
SCHEMA_PUBLIC(schema_p11_certificate_in, hf_p11_certificate_in,
	F(hf_p11_certificate_in, "name", name, 1, NAME_MAX_BYTES, REQUIRED | PLAIN | KEYNAME, NULL, "name of the certificate"),
	CERTIFICATE_FIELD(hf_p11_certificate_in, REQUIRED),
	F(hf_p11_certificate_in, "label", label, 0, LABEL_MAX, 0, NULL, "CKA_LABEL; the name when absent"),
	F(hf_p11_certificate_in, "id",    id,    0, ID_MAX, 0, NULL, "CKA_ID"),
	LOGIN_FIELD(hf_p11_certificate_in));
SCHEMA_PUBLIC(schema_p11_certificate_delete_in, hf_p11_certificate_delete_in,
	F(hf_p11_certificate_delete_in, "name", name, 1, NAME_MAX_BYTES, REQUIRED | PLAIN | KEYNAME, NULL, "name of the certificate"),
	LOGIN_FIELD(hf_p11_certificate_delete_in));

/* -- Login -- */

enum { PIN_MAX = 255 };

SCHEMA_PUBLIC(schema_p11_login_in, hf_p11_login_in,
	F(hf_p11_login_in, "pin", pin, 0, PIN_MAX, SECRET, NULL, "the caller's PIN"));
SCHEMA_PUBLIC(schema_p11_login_out, hf_p11_login_out,
	F(hf_p11_login_out, "login", login, 0, LOGIN_MAX, SECRET, NULL, "proof, for further requests"));
SCHEMA_PUBLIC(schema_pin_in, hf_pin_in,
	F(hf_pin_in, "name", name, 1, NAME_MAX_BYTES, REQUIRED | PLAIN | KEYNAME, NULL, "uid of the user, or SHA-256 of the client certificate"),
	F(hf_pin_in, "pin",  pin,  0, PIN_MAX, SECRET | DATA, NULL, "PIN of at least 4 bytes; a line feed at its end does not count"));

/* clang-format on */
