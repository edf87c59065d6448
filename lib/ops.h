/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_OPS_H
#define LIB_OPS_H

#include <holdfast/dry_run.h>
#include <holdfast/ops.h>

#include "schema.h"

/* The operations of ops.def as a table, with the schemas of both sides. */

enum op_flag {
	OP_CHANGES =
	    1,         /* changes state: worker, and durable before the reply */
	OP_UPSERT = 2, /* "create" where the key does not exist yet */
	OP_WORKER = 4, /* may block */
	OP_SUDO = 8,   /* needs "sudo" too */
	/* Whoever has a policy may ask; the handler shows each only what the
	 * paths of the single keys allow. */
	OP_FILTERED = 16,
	OP_SECOND = 32,   /* the handler asks policy about a second key that
			     the request names */
	OP_MAKES = 64,    /* makes the key that it names */
	OP_ONCE = 128,    /* takes an idempotency key */
	OP_NOT_DRY = 256, /* changes state, but there is no dry run of it */
};

enum op_id {
#define OP(id, symbol, in, out, wire, path, cap, flags, verb, sentence) \
	OP_##symbol = (id),
#include <holdfast/ops.def>
#undef OP
};

struct op {
	enum op_id id;
	const char *name; /* on the wire: "transit.encrypt" */
	const char *path; /* "transit/encrypt/{name}" */
	enum hf_cap cap;
	unsigned flags;
	const struct schema *in;
	const struct schema *out;
	const char *verb; /* of the command line: "key create"; "" for none */
	const char *sentence;
};

/* All operations, in the order of ops.def. */
extern const struct op ops[];
extern const size_t ops_count;

/* The schemas, under the short names of ops.def. */
#define OP(id, symbol, in, out, wire, path, cap, flags, verb, sentence) \
	extern const struct schema schema_##in, schema_##out;
#include <holdfast/ops.def>
#undef OP

/* NULL when there is none of that name. */
const struct op *op_by_name(struct hf_text name);

/* The field that stands for {name} in the path; NULL when none does. */
const struct field *op_key_field(const struct op *op);

/* Whether {name} is that of a key, or of an alias that stands for one; not
 * that of an alias as such, or of a keyring. */
bool op_names_key(const struct op *op);

/* Whether there is a dry run of it: where it changes state, but for few. */
bool op_may_be_dry(const struct op *op);

/* The reply to a dry run. */
extern const struct schema schema_dry_run;

/* The path of an operation with {name} filled in, in the arena; NULL when
 * there is no memory. */
const char *op_path(
    const struct op *op, struct hf_text name, struct arena *arena);

/* The words of policy: "create", "read", ...; 0 for another word. */
enum hf_cap cap_by_name(struct hf_text name);
const char *cap_name(enum hf_cap cap);

#endif
