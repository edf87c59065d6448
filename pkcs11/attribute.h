/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_ATTRIBUTE_H
#define PKCS11_ATTRIBUTE_H

#include <stdbool.h>

#include "cryptoki.h"
#include "object.h"

/*
 * Attributes: a table says where in an object each of them stands. Those that
 * a class has but this token has nothing for are there and empty, so that a
 * host that asks for many at once gets them all.
 */

/*
 * Whether a template can be read at all: a pointer wherever a length says so,
 * no length beyond reason. CKR_ARGUMENTS_BAD or CKR_ATTRIBUTE_VALUE_INVALID.
 */
CK_RV template_check(const CK_ATTRIBUTE *template, CK_ULONG count);

/* Whether the object has all these values. */
bool attribute_match(
    const struct object *object, const CK_ATTRIBUTE *template, CK_ULONG count);

/* C_GetAttributeValue: fills what it can, tells what it cannot. */
CK_RV attribute_get(
    const struct object *object, CK_ATTRIBUTE *template, CK_ULONG count);

/* The table, for its test. */
enum source {
	SRC_EMPTY,  /* no bytes */
	SRC_BYTES,  /* a view in the object */
	SRC_NUMBER, /* a CK_ULONG in the object */
	SRC_FLAG,   /* a bool in the object */
	SRC_USE,    /* a bit of object->uses */
	SRC_TRUE,
	SRC_FALSE,
	SRC_ZERO,   /* the number 0 */
	SRC_MECHS,  /* the mechanisms that go with the key */
	SRC_SECRET, /* a view; absent: CKR_ATTRIBUTE_SENSITIVE */
};

/* Classes of objects; bits. */
enum {
	IN_CERT = 1,
	IN_PUB = 2,
	IN_PRIV = 4,
	IN_SECR = 8,
	IN_PROF = 16,
	IN_DATA = 32,
};

struct attribute {
	CK_ATTRIBUTE_TYPE type;
	unsigned classes;
	enum source source;
	size_t where; /* offset in struct object, or a bit of uses */
};
extern const struct attribute attributes[];
extern const size_t attributes_count;

#endif
