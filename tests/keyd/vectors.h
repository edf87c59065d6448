/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_VECTORS_H
#define TESTS_KEYD_VECTORS_H

#include <ctype.h>

#include "crypto_support.h"

/* Known answers in files, a case by a case. */

/* -- Files of "Name = value" lines in groups -- */

enum { FIELDS = 24, LINE = 1 << 16, VALUE = LINE / 2 };

struct entry {
	char name[24];
	char *value;
};

struct group {
	char section[64]; /* [this] */
	struct entry entries[FIELDS];
	size_t count;
	bool fail; /* a line FAIL */
};

static inline const char *
get(const struct group *g, const char *name)
{
	for (size_t i = 0; i < g->count; i++)
		if (strcmp(g->entries[i].name, name) == 0)
			return g->entries[i].value;
	return NULL;
}

static inline void
set(struct group *g, const char *name, const char *value)
{
	for (size_t i = 0; i < g->count; i++)
		if (strcmp(g->entries[i].name, name) == 0) {
			free(g->entries[i].value);
			g->entries[i].value = strdup(value);
			return;
		}
	assert_true(g->count < FIELDS);
	(void)snprintf(
	    g->entries[g->count].name, sizeof(g->entries[0].name), "%s", name);
	g->entries[g->count++].value = strdup(value);
}

static inline void
drop(struct group *g, const char *name)
{
	for (size_t i = 0; i < g->count; i++)
		if (strcmp(g->entries[i].name, name) == 0) {
			free(g->entries[i].value);
			g->entries[i] = g->entries[--g->count];
			return;
		}
}

/* Bytes of a value in hexadecimal or in quotes; malloc'ed. */
struct value {
	uint8_t *ptr;
	size_t len;
};

static inline struct value
value_of(const char *text)
{
	struct value v = { malloc(VALUE), 0 };
	size_t len = text == NULL ? 0 : strlen(text);

	assert_non_null(v.ptr);
	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		v.len = len - 2;
		memcpy(v.ptr, text + 1, v.len);
		return v;
	}
	v.len = len / 2;
	assert_true(len % 2 == 0 &&
	    hex_decode((struct hf_text){ text, len }, v.ptr, v.len));
	return v;
}

static inline struct value
bytes_named(const struct group *g, const char *name)
{
	return value_of(get(g, name));
}

static inline struct hf_bytes
of(const struct value *v)
{
	return bytes_of(v->ptr, v->len);
}

/* Called after each line that ends a case; true: it was tried. */
typedef bool case_fn(const struct group *g);

static inline char *
trimmed(char *s)
{
	size_t len;

	while (isspace((unsigned char)*s))
		s++;
	for (len = strlen(s); len > 0 && isspace((unsigned char)s[len - 1]);)
		s[--len] = '\0';
	return s;
}

/*
 * A case is complete with its field `last`, or with a line FAIL in place of
 * it; what stands before `each` holds for all that follow.
 */
static inline size_t
walk_in(const char *folder, const char *file, const char *last,
    const char *each, case_fn *fn)
{
	struct group g = { .count = 0 };
	char path[512], *line = malloc(LINE);
	size_t tried = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s%s", folder, file);
	f = fopen(path, "re");
	if (f == NULL)
		fail_msg("%s is missing: tools/packages check", path);
	assert_non_null(line);
	while (fgets(line, LINE, f) != NULL) {
		char *at = trimmed(line), *equal = strchr(at, '=');

		if (*at == '#' || *at == '\0')
			continue;
		if (*at == '[') {
			(void)snprintf(g.section, sizeof(g.section), "%s", at);
			continue;
		}
		g.fail = strcmp(at, "FAIL") == 0;
		if (equal != NULL && !g.fail) {
			*equal = '\0';
			set(&g, trimmed(at), trimmed(equal + 1));
		}
		if (g.fail || strcmp(trimmed(at), last) == 0) {
			tried += fn(&g);
			drop(&g, each);
			g.fail = false;
		}
	}
	while (g.count > 0)
		drop(&g, g.entries[0].name);
	(void)fclose(f);
	free(line);
	return tried;
}

#endif
