/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_REQUEST_H
#define TOOLS_REQUEST_H

#include "../lib/arena.h"
#include "../lib/buffer.h"
#include "../lib/ops.h"
#include "tool.h"

/*
 * The arguments of an operation's verb, turned into its struct by the field
 * table:
 *
 *	VERB NAME [REQUIRED...] [FILE] [--some-field VALUE]...
 *
 * The key's name comes first, then the other fields that are required, in the
 * order of the table; they can be given as options too. DATA is a file, or the
 * standard input. Everything else is an option: a flag for a bool, yes or no
 * for one that may be left open.
 */
enum encoding { ENCODING_AUTO, ENCODING_RAW, ENCODING_HEX, ENCODING_BASE64 };

struct request {
	const struct op *op;
	void *in; /* the struct of op->in */
	struct arena *arena;
	struct buffer data;     /* what the DATA field points to */
	struct buffer files[4]; /* what other fields read from files */
	size_t files_count;
	const char *out; /* --out FILE; NULL: the standard output */
	enum encoding encoding;
	bool binary, help, dry_run;
	const char *idempotency_key; /* NULL: none */
	uint64_t given;              /* bit i: field i of op->in was given */
};

/* How a field is given. */
bool field_is_positional(const struct op *op, const struct field *f);
bool field_is_option(const struct op *op, const struct field *f);

/* The field of `schema` that is a file; NULL when there is none. */
const struct field *field_data(const struct schema *schema);

/* "min_decryption_version" as "min-decryption-version". */
void field_option_name(const struct field *f, char out[64]);

/* Whether ciphertexts of this operation come out in one of two forms. */
bool op_has_format(const struct op *op);

/* Says on stderr what is wrong with the arguments; an exit status. Whatever
 * it returns, request_free is due. */
int request_parse(
    struct request *r, const struct op *op, int argc, char **argv);

/*
 * Sends it and shows the result, or what a dry run found out; an exit status.
 * `out` is room for op->out.
 */
int request_call(const struct tool *tool, struct hf_client *client,
    const struct request *r, void *out);

/* Wipes what was read. */
void request_free(struct request *r);

#endif
