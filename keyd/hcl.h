/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HCL_H
#define KEYD_HCL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * HCL 1, the language of Vault's policy files and of keyd.conf, and its JSON
 * form, read into one tree. A text that starts with "{" is JSON (RFC 8259).
 *
 *	path "a/b" { capabilities = ["read"] }      and
 *	path = { "a/b" = { capabilities = ["read"] } }      and
 *	{"path": {"a/b": {"capabilities": ["read"]}}}
 *
 * give the same tree: labels are objects within objects, in the order of the
 * text, and repeated labelled blocks at the top are one object. Members that
 * hold a plain value or a list stand at most once in their object; blocks may
 * repeat, and whoever reads the tree says where they may not.
 *
 * Strict: valid UTF-8, no NUL, nothing unknown. Interpolation is refused
 * ("$${" is a literal "${"); Vault's "{{...}}" is plain text here. The limits
 * below hold for every text, whoever wrote it.
 */
enum {
	HCL_FILE_MAX = 1 << 20, /* bytes */
	HCL_DEPTH_MAX = 32,
	HCL_NODES_MAX = 1 << 16,
	HCL_MEMBERS_MAX = 8192, /* of one object or list */
};

enum hcl_kind { HCL_STRING, HCL_NUMBER, HCL_BOOL, HCL_LIST, HCL_OBJECT };

struct hcl_node {
	enum hcl_kind kind;
	unsigned line;       /* where it begins, from 1 */
	bool labelled;       /* an object made of labels, as `path "x" {}` */
	struct hf_text key;  /* its name in the object above; else absent */
	struct hf_text text; /* STRING: contents; NUMBER and BOOL: as written */
	bool integer;        /* NUMBER: `number` has it */
	int64_t number;
	bool truth;   /* BOOL */
	size_t count; /* LIST and OBJECT: members */
	struct hcl_node *first, *last, *next;
};

/* Owns a tree. All texts in it are NUL-terminated and live as long. */
struct hcl_file;

/*
 * Parses `source`; `name` is what messages call it. Errors: `refused`, with
 * "name:line: what is wrong" in `why`, and HF_ERR_NO_MEMORY.
 */
enum hf_err hcl_parse(const char *name, struct hf_text source,
    enum hf_err refused, struct hcl_file **out, struct hf_why *why);

/* The same from a regular file that not everybody may write. A file that
 * cannot be read is `refused`. */
enum hf_err hcl_load(const char *path, enum hf_err refused,
    struct hcl_file **out, struct hf_why *why);

/* NULL is fine. */
void hcl_free(struct hcl_file *file);

/* The object that is the whole file. */
const struct hcl_node *hcl_root(const struct hcl_file *file);
const char *hcl_name(const struct hcl_file *file);

/* "string", "number", "true or false", "list", "block". */
const char *hcl_kind_name(enum hcl_kind kind);

/* The first member of that name; NULL when there is none. */
const struct hcl_node *hcl_get(const struct hcl_node *object, const char *key);

/* Fills `why` with "file:line: ..." and returns what the file was opened
 * with as `refused`. */
enum hf_err hcl_fail(const struct hcl_file *file, const struct hcl_node *node,
    struct hf_why *why, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
